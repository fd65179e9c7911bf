"""The gate: may a candidate serve?

What is tried is the very model that would serve, as it was stored: its weights, its calibration and its threshold. It
is tried on mail that neither it nor the champion has learnt (``held_out``, and the days after both), and on mail that
both have learnt, where there are thousands of messages and a candidate that suddenly loses some is broken. A candidate
is held against the champion and against the best champion of the last year, for many small steps down are one big one.

Three answers: *promote*; *refuse*, when it is shown to be worse; *wait*, when it seems worse and there is too little
mail to show it, or too little mail altogether. A candidate that waits is judged again with the mail of each day that
follows, which neither has learnt. Waiting ends after a few days, because an old model is worse than almost any
candidate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np

from spam_assets.learning.comparison import DatedModel
from spam_assets.learning.evaluation import compare_scores, one_minus_roca_percent
from spam_assets.learning.evidence import Evidence, PairedJudgements, find_learnt, gather_evidence, judge_mail
from spam_assets.learning.features import MailFeatures
from spam_assets.learning.held_out import select_messages
from spam_assets.learning.retraining import compute_binomial_tail

Verdict = Literal["promote", "refuse", "wait"]


@dataclass(frozen=True)
class GateSettings:
    """How the gate judges.

    Attributes:
        p_value: A candidate is shown to be worse by a difference that is less likely than this by chance. It is judged
            at most ``longest_wait_days + 1`` times, so that by Bonferroni's inequality one that is not worse is
            refused for a measure with a probability of at most 4 %, however the looks depend on each other (Armitage,
            McPherson & Rowe 1969, "Repeated Significance Tests on Accumulating Data").
        ham_margin: So great a share of ham more may be called spam.
        spam_margin: So great a share of spam less may be caught.
        area_margin_percent: So many points of (1-ROCA)% more are allowed.
        least_ham: Fewer messages of ham that neither has learnt are too little evidence.
        least_spam: The same for spam.
        longest_wait_days: So many days after its training date a candidate that was not shown to be worse is promoted.
        best_of_days: The best champion counts for so long after its training date.
        least_own_recall: A candidate must catch this share of the spam that it has learnt itself,
        most_own_fpr: and may call so much of the ham that it has learnt spam: wrong labels make some of it.
        most_changed_labels: More labels than this share, other than those that the champion learnt, are in doubt.
        most_contradicted_labels: A new day is in doubt when the champion contradicts more of its labels,
        least_contradicted_messages: if it has so many messages.
        first_area_percent: A first champion may have so much (1-ROCA)% on mail that was scored before it was learnt.
            Wrong labels alone make some: with 5 % of them a perfect filter has about 8.
        first_messages: It is judged by at least so many messages, of both classes.
    """

    p_value: float = 0.01
    ham_margin: float = 0.001
    spam_margin: float = 0.02
    area_margin_percent: float = 0.2
    least_ham: int = 20
    least_spam: int = 10
    longest_wait_days: int = 3
    best_of_days: int = 365
    least_own_recall: float = 0.3
    most_own_fpr: float = 0.1
    most_changed_labels: float = 0.1
    most_contradicted_labels: float = 0.5
    least_contradicted_messages: int = 10
    first_area_percent: float = 20.0
    first_messages: int = 50


@dataclass(frozen=True)
class Decision:
    """What becomes of a candidate.

    Attributes:
        verdict: ``promote``, ``refuse`` or ``wait``.
        reason: One sentence with the number and what it was held against.
        is_best: Whether it is the best from now on, which later candidates are held against.
    """

    verdict: Verdict
    reason: str
    is_best: bool = False

    @property
    def promote(self) -> bool:
        """Whether it serves from now on."""
        return self.verdict == "promote"


def judge_candidate(
    candidate: DatedModel,
    champion: DatedModel | None,
    best: DatedModel | None,
    mail: Mapping[str, MailFeatures],
    settings: GateSettings | None = None,
) -> Decision:
    """Decide whether a candidate serves. The same arguments give the same decision.

    Args:
        candidate: The model as it is stored, loaded back.
        champion: The model that serves, if there is one.
        best: The best champion until now, if there is one; it may be the champion.
        mail: Features by day, up to the day of the judgement: the candidate's window, and days after it when a
            candidate that waits is judged again.
        settings: See ``GateSettings``.
    """
    settings = settings or GateSettings()
    if champion is not None and candidate.training_date < champion.training_date:
        reason = (
            f"trained for {candidate.training_date}, the champion for {champion.training_date}: "
            "a backfill never moves the champion back in time"
        )
        return Decision("refuse", reason)
    broken = _find_breakage(candidate, mail, settings)
    if broken is not None:
        return Decision("refuse", broken)
    if champion is None:
        return _judge_first(candidate, mail, settings)
    evidence = gather_evidence(candidate, champion, mail)
    changed = _find_changed_labels(champion, evidence.learnt, settings)
    if changed is not None:
        return Decision("refuse", changed)
    rivals = [(f"the champion of {champion.training_date}", evidence)]
    held_against = _best_of_last_year(candidate, champion, best, settings)
    if held_against is not None:
        name = f"the best model of the last year, of {held_against.training_date},"
        rivals.append((name, gather_evidence(candidate, held_against, mail)))
    for name, found in rivals:
        shown = next((loss for loss in _find_losses(found, name, settings) if loss.is_shown), None)
        if shown is not None:
            return Decision("refuse", shown.sentence)
    doubt = _find_contradicted_day(candidate, champion, mail, settings) or _find_doubt(rivals, settings)
    waited_days = _count_days(candidate.training_date, max(mail, default=candidate.training_date))
    if doubt is not None and waited_days < settings.longest_wait_days:
        return Decision("wait", doubt)
    is_best = held_against is None or not _is_behind(rivals[-1][1])
    if held_against is None and best is not None:
        is_best = not _is_behind(evidence)
    comparison = _compare(evidence, rivals[0][0])
    if doubt is not None:
        return Decision("promote", f"waited for {waited_days} days and is not shown to be worse: {comparison}", is_best)
    return Decision("promote", f"not worse: {comparison}", is_best)


# --- the candidate by itself --------------------------------------------------------------------------------------


def _find_breakage(candidate: DatedModel, mail: Mapping[str, MailFeatures], settings: GateSettings) -> str | None:
    """Say what is wrong with a model that does not even know what it has learnt."""
    own = gather_evidence(candidate, candidate, mail).learnt
    caught = int((own.ours.called & ~own.is_ham).sum())
    lost = int((own.ours.called & own.is_ham).sum())
    if own.spam and caught < settings.least_own_recall * own.spam:
        return (
            f"broken: catches {caught} of {own.spam} spam that it has learnt itself, where at least "
            f"{settings.least_own_recall:.0%} are asked for (its threshold is {candidate.model.threshold:.3f})"
        )
    if own.ham and lost > settings.most_own_fpr * own.ham:
        return (
            f"broken: calls {lost} of {own.ham} ham that it has learnt itself spam, where at most "
            f"{settings.most_own_fpr:.0%} are allowed (its threshold is {candidate.model.threshold:.3f})"
        )
    return None


def _judge_first(candidate: DatedModel, mail: Mapping[str, MailFeatures], settings: GateSettings) -> Decision:
    """Judge a model that replaces none.

    By mail that it has not learnt, if there is enough; else by its scores from before each day was learnt. These are
    not quite its own, but without a champion nothing serves, and that the very model works was tried before.
    """
    unlearnt = gather_evidence(candidate, candidate, mail).unlearnt
    labels, scores = unlearnt.labels, unlearnt.ours.scores
    seen = "messages that it has not learnt"
    if len(labels) < settings.first_messages or np.isnan(one_minus_roca_percent(labels, scores)):
        progressive = candidate.model.progressive
        labels, scores = progressive.labels, progressive.scores
        seen = "messages scored before they were learnt"
    if len(labels) < settings.first_messages:
        reason = f"only {len(labels)} {seen} to judge a first model by, {settings.first_messages} are asked for"
        return Decision("wait", reason)
    area = one_minus_roca_percent(labels, scores)
    if np.isnan(area):
        return Decision("wait", f"the {len(labels)} {seen} are of one class, so a first model cannot be judged by them")
    figures = f"(1-ROCA)% {area:.3f} on {len(labels)} {seen}, at most {settings.first_area_percent:g} is allowed"
    if area > settings.first_area_percent:
        return Decision("refuse", f"not good enough for a first model: {figures}")
    return Decision("promote", f"the first model: {figures}", is_best=True)


# --- whether the labels can be trusted ----------------------------------------------------------------------------


def _find_changed_labels(champion: DatedModel, learnt: PairedJudgements, settings: GateSettings) -> str | None:
    """Say how many labels are no longer what the champion learnt.

    A model knows by heart what it learnt. Where the champion contradicts labels of such mail and the candidate does
    not, they were changed in between, and say nothing of which of the two is right.
    """
    labels = learnt.labels != 0
    by_champion = int((learnt.theirs.leans_to_spam != labels).sum())
    by_candidate = int((learnt.ours.leans_to_spam != labels).sum())
    if by_champion - by_candidate <= settings.most_changed_labels * len(labels):
        return None
    return (
        f"labels were changed: the champion of {champion.training_date} contradicts {by_champion} of {len(labels)} "
        f"labels of mail that it has learnt, the candidate {by_candidate}; mend the labels, or promote by hand if the "
        "new ones are right"
    )


def _find_contradicted_day(
    candidate: DatedModel, champion: DatedModel, mail: Mapping[str, MailFeatures], settings: GateSettings
) -> str | None:
    """Name a day that the candidate has learnt and whose labels the champion, which has not, contradicts."""
    for day in sorted(set(candidate.model.days) - set(champion.model.days), reverse=True):
        if day not in mail or len(mail[day]) < settings.least_contradicted_messages:
            continue
        judged = judge_mail(champion, mail[day]).leans_to_spam
        contradicted = int((judged != (np.asarray(mail[day].labels) != 0)).sum())
        if contradicted > settings.most_contradicted_labels * len(judged):
            return (
                f"labels of {day} are in doubt: the champion of {champion.training_date} contradicts {contradicted} of "
                f"{len(judged)}, and the candidate has learnt them"
            )
    return None


# --- the candidate beside another model ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Loss:
    """Something at which the candidate is worse.

    Attributes:
        sentence: What, with its numbers.
        is_shown: Whether chance is out of the question.
    """

    sentence: str
    is_shown: bool


def _find_losses(evidence: Evidence, rival: str, settings: GateSettings) -> Iterator[_Loss]:
    """Where the candidate is worse than a rival by more than the margins."""
    for pair, where in ((evidence.learnt, "both have learnt"), (evidence.unlearnt, "neither has learnt")):
        ours, theirs = pair.ours.called, pair.theirs.called
        for messages, worse, better, kind, margin in (
            (pair.ham, pair.is_ham & ours & ~theirs, pair.is_ham & ~ours & theirs, "ham", settings.ham_margin),
            (pair.spam, ~pair.is_ham & ~ours & theirs, ~pair.is_ham & ours & ~theirs, "spam", settings.spam_margin),
        ):
            lost, won = int(worse.sum()), int(better.sum())
            if lost - won <= margin * messages:
                continue
            p_value = compute_binomial_tail(lost, lost + won, 0.5)  # McNemar 1947, exact and one-sided
            what = f"calls {lost} ham spam that {rival} lets pass"
            if kind == "spam":
                what = f"misses {lost} spam that {rival} catches"
            sentence = (
                f"{what}, against {won} the other way round, of {messages} {kind} that {where} (p = {p_value:.2g})"
            )
            yield _Loss(sentence, p_value <= settings.p_value)
    yield from _find_worse_ranking(evidence.unlearnt, rival, settings)


def _find_worse_ranking(pair: PairedJudgements, rival: str, settings: GateSettings) -> Iterator[_Loss]:
    """The ranking, by the paired bootstrap of (1-ROCA)% (Efron & Tibshirani 1993)."""
    area, other = (one_minus_roca_percent(pair.labels, side.scores) for side in (pair.ours, pair.theirs))
    if not area - other > settings.area_margin_percent:
        return
    p_value = 1 - compare_scores(pair.labels, pair.ours.scores, pair.theirs.scores).share_above_zero
    sentence = (
        f"ranks worse than {rival}: (1-ROCA)% {area:.3f} against {other:.3f} on {len(pair.labels)} messages that "
        f"neither has learnt (p = {p_value:.2g})"
    )
    yield _Loss(sentence, p_value <= settings.p_value)


def _find_doubt(rivals: list[tuple[str, Evidence]], settings: GateSettings) -> str | None:
    """Say why it is too early to promote, None if it is not."""
    unlearnt = rivals[0][1].unlearnt
    if unlearnt.ham < settings.least_ham or unlearnt.spam < settings.least_spam:
        return (
            f"too little evidence: {unlearnt.ham} ham and {unlearnt.spam} spam that neither candidate nor champion has "
            f"learnt, at least {settings.least_ham} and {settings.least_spam} are asked for"
        )
    for name, evidence in rivals:
        for loss in _find_losses(evidence, name, settings):
            return f"seems worse, with too little mail to show it: {loss.sentence}"
    return None


def _best_of_last_year(
    candidate: DatedModel, champion: DatedModel, best: DatedModel | None, settings: GateSettings
) -> DatedModel | None:
    """The best model, if it is another one than the champion and not too old."""
    if best is None or best.model is champion.model:
        return None
    return best if _count_days(best.training_date, candidate.training_date) <= settings.best_of_days else None


def _is_behind(evidence: Evidence) -> bool:
    """Whether the candidate is behind in anything, by however little."""
    for pair in (evidence.unlearnt, evidence.learnt):
        ours, theirs = pair.ours.called, pair.theirs.called
        if (ours & pair.is_ham).sum() > (theirs & pair.is_ham).sum():
            return True
        if (ours & ~pair.is_ham).sum() < (theirs & ~pair.is_ham).sum():
            return True
    pair = evidence.unlearnt
    return bool(
        one_minus_roca_percent(pair.labels, pair.ours.scores) > one_minus_roca_percent(pair.labels, pair.theirs.scores)
    )


def _compare(evidence: Evidence, rival: str) -> str:
    """Both models' figures in a sentence."""

    def tell(pair: PairedJudgements, where: str) -> str:
        caught, their_caught = (int((side.called & ~pair.is_ham).sum()) for side in (pair.ours, pair.theirs))
        lost, their_lost = (int((side.called & pair.is_ham).sum()) for side in (pair.ours, pair.theirs))
        return (
            f"catches {caught} of {pair.spam} spam against {their_caught} and loses {lost} of {pair.ham} ham against "
            f"{their_lost} of {rival} on mail that {where}"
        )

    return f"{tell(evidence.unlearnt, 'neither has learnt')}, and {tell(evidence.learnt, 'both have')}"


def _count_days(first: str, last: str) -> int:
    return (date.fromisoformat(last) - date.fromisoformat(first)).days
