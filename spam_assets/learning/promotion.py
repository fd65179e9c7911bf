"""The promotion rule: does a candidate become the champion?

The first champion has to clear an absolute bar. After that a candidate, which has learnt newer mail, replaces
the champion unless it is demonstrably worse on the same mail that neither had learnt when it scored it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np
import numpy.typing as npt

from spam_assets.learning.evaluation import compare_scores, one_minus_roca_percent, recall_at_fpr

CONFIDENCE = 0.95
"""How sure the rule must be that a candidate is worse before it refuses it."""


@dataclass(frozen=True)
class Standing:
    """A model's training date and its scores of mail that it had not learnt.

    Candidate and champion are compared on the same n messages in the same order.

    Attributes:
        training_date: The last day of the window, ``YYYY-MM-DD``.
        labels: 1 for spam, 0 for ham, shape (n,).
        scores: Spam probabilities, shape (n,).
        threshold: One for all, or one a message.
    """

    training_date: str
    labels: npt.NDArray[np.int8]
    scores: npt.NDArray[np.float64]
    threshold: float | npt.NDArray[np.float64]


@dataclass(frozen=True)
class PromotionBar:
    """What the first champion must reach on mail that it had not learnt."""

    one_minus_roca_percent: float = 5.0
    recall_at_fpr_1_percent: float = 0.5
    messages: int = 50


@dataclass(frozen=True)
class Decision:
    """Promote or not, with the reason in one sentence."""

    promote: bool
    reason: str


def decide_promotion(candidate: Standing, champion: Standing | None, bar: PromotionBar) -> Decision:
    """Decide whether the candidate becomes the champion.

    Against a champion two tests can refuse it, each one-sided at 5 %: the paired bootstrap of (1-ROCA)%
    (Efron & Tibshirani 1993), and McNemar's exact test (1947) of ham called spam at each own threshold.
    Where the two scored different mail, which happens when a day landed again, the bar decides.
    """
    if champion is None:
        return _judge_by_bar(candidate, bar)
    if candidate.training_date < champion.training_date:
        reason = (
            f"trained for {candidate.training_date}, the champion for {champion.training_date}: "
            "a backfill never moves the champion back in time"
        )
        return Decision(promote=False, reason=reason)
    if not np.array_equal(candidate.labels, champion.labels):
        return _judge_by_bar(candidate, bar)
    return _judge_by_champion(candidate, champion)


def _judge_by_bar(candidate: Standing, bar: PromotionBar) -> Decision:
    messages = len(candidate.labels)
    if messages < bar.messages:
        reason = f"only {messages} unseen messages to judge the model by, the bar asks for {bar.messages}"
        return Decision(promote=False, reason=reason)
    area = one_minus_roca_percent(candidate.labels, candidate.scores)
    recall = recall_at_fpr(candidate.labels, candidate.scores, 0.01)
    if np.isnan(area):
        reason = f"the {messages} unseen messages are of one class, so the model cannot be judged by them"
        return Decision(promote=False, reason=reason)
    figures = (
        f"(1-ROCA)% {area:.3f} (at most {bar.one_minus_roca_percent:g}) and spam recall {recall:.3f} at 1 % "
        f"FPR (at least {bar.recall_at_fpr_1_percent:g}) on {messages} unseen messages"
    )
    if area > bar.one_minus_roca_percent or recall < bar.recall_at_fpr_1_percent:
        return Decision(promote=False, reason=f"below the bar: {figures}")
    return Decision(promote=True, reason=f"over the bar: {figures}")


def _judge_by_champion(candidate: Standing, champion: Standing) -> Decision:
    is_ham = candidate.labels == 0
    messages = len(candidate.labels)
    if is_ham.all() or not is_ham.any():
        kind = "there is no unseen mail" if not messages else f"the {messages} unseen messages are of one class"
        comparison = f"{kind}, so nothing says that it is worse than the champion of {champion.training_date}"
    else:
        area = one_minus_roca_percent(candidate.labels, candidate.scores)
        champion_area = one_minus_roca_percent(champion.labels, champion.scores)
        paired = compare_scores(candidate.labels, candidate.scores, champion.scores)
        comparison = (
            f"(1-ROCA)% {area:.3f} against {champion_area:.3f} of the champion of {champion.training_date} "
            f"on {messages} messages unseen by both"
        )
        if paired.share_above_zero >= CONFIDENCE:
            return Decision(promote=False, reason=f"worse than the champion: {comparison}")
    only_candidate, only_champion = _ham_called_spam_by_one(candidate, champion, is_ham)
    if _tail_of_coin(only_candidate, only_candidate + only_champion) <= 1 - CONFIDENCE:
        reason = (
            f"calls more ham spam than the champion of {champion.training_date}: {only_candidate} messages "
            f"that the champion lets pass, against {only_champion} the other way round"
        )
        return Decision(promote=False, reason=reason)
    return Decision(promote=True, reason=f"not worse than the champion: {comparison}")


def _ham_called_spam_by_one(candidate: Standing, champion: Standing, is_ham: npt.NDArray[np.bool_]) -> tuple[int, int]:
    by_candidate = candidate.scores >= candidate.threshold
    by_champion = champion.scores >= champion.threshold
    return int(np.sum(is_ham & by_candidate & ~by_champion)), int(np.sum(is_ham & by_champion & ~by_candidate))


def _tail_of_coin(heads: int, throws: int) -> float:
    """Probability of at least so many heads of a fair coin."""
    return float(sum(comb(throws, count) for count in range(heads, throws + 1)) / 2**throws)
