"""Two models on the same mail, of one reading: mail that neither has learnt, and mail that both have.

Labels and features come from the same ``MailFeatures``, so that a day that was written anew since a model learnt it
gives pairs of today, never a pair of an old label and a new message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from spam_assets.learning.comparison import DatedModel
from spam_assets.learning.features import MailFeatures
from spam_assets.learning.held_out import find_held_out, select_messages

UNLEARNT_MESSAGES = 5000
"""The newest so many messages that neither has learnt are evidence; bounds the time of the bootstrap."""

LEARNT_MESSAGES = 20_000
"""The newest so many messages that both have learnt."""


@dataclass(frozen=True)
class Judgement:
    """What a model makes of some messages.

    Attributes:
        scores: Spam probabilities, shape (n,).
        called: True where the model, at its own threshold, calls the message spam, shape (n,).
    """

    scores: npt.NDArray[np.float64]
    called: npt.NDArray[np.bool_]

    @property
    def leans_to_spam(self) -> npt.NDArray[np.bool_]:
        """True where spam is the likelier label, whatever the threshold, shape (n,)."""
        return self.scores >= 0.5


@dataclass(frozen=True)
class PairedJudgements:
    """What two models make of the same n messages.

    Attributes:
        labels: 1 for spam, 0 for ham, shape (n,).
        ours: The candidate's.
        theirs: The other model's.
    """

    labels: npt.NDArray[np.int8]
    ours: Judgement
    theirs: Judgement

    @property
    def is_ham(self) -> npt.NDArray[np.bool_]:
        """True for ham, shape (n,)."""
        return self.labels == 0

    @property
    def ham(self) -> int:
        """Messages of ham."""
        return int(self.is_ham.sum())

    @property
    def spam(self) -> int:
        """Messages of spam."""
        return len(self.labels) - self.ham


@dataclass(frozen=True)
class Evidence:
    """The mail that two models are compared on.

    Attributes:
        unlearnt: Mail that neither has learnt.
        learnt: Mail that both have learnt.
    """

    unlearnt: PairedJudgements
    learnt: PairedJudgements


def gather_evidence(candidate: DatedModel, other: DatedModel, mail: Mapping[str, MailFeatures]) -> Evidence:
    """Let two models judge the same mail.

    Args:
        candidate: The model that wants to serve.
        other: The model that it is compared with.
        mail: Features by day; days are looked up newest first, each at most once, and no more of them than are used.
    """
    unlearnt, learnt = _Pool(UNLEARNT_MESSAGES), _Pool(LEARNT_MESSAGES)
    for day in sorted(mail, reverse=True):
        if unlearnt.is_full and learnt.is_full:
            break
        features = mail[day]
        by_candidate, by_other = (find_learnt(dated, day, features) for dated in (candidate, other))
        unlearnt.add(features, ~by_candidate & ~by_other, candidate, other)
        learnt.add(features, by_candidate & by_other, candidate, other)
    return Evidence(unlearnt.pair(), learnt.pair())


def find_learnt(dated: DatedModel, day: str, features: MailFeatures) -> npt.NDArray[np.bool_]:
    """Which messages of a day a model has learnt, shape (n,)."""
    if day not in dated.model.days:
        return np.zeros(len(features), np.bool_)
    return ~find_held_out(features, dated.model.held_out_share)


def judge_mail(dated: DatedModel, features: MailFeatures) -> Judgement:
    """What a model makes of a day, as it serves: score and threshold."""
    scores = dated.model.score(features)
    return Judgement(scores, scores >= dated.model.threshold)


@dataclass
class _Pool:
    """Judgements of some messages of several days."""

    limit: int
    _days: list[PairedJudgements] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        return sum(len(day.labels) for day in self._days) >= self.limit

    def add(
        self, features: MailFeatures, chosen: npt.NDArray[np.bool_], candidate: DatedModel, other: DatedModel
    ) -> None:
        if self.is_full or not chosen.any():
            return
        mail = select_messages(features, chosen)
        self._days.append(PairedJudgements(mail.labels, judge_mail(candidate, mail), judge_mail(other, mail)))

    def pair(self) -> PairedJudgements:
        def join(judgements: list[Judgement]) -> Judgement:
            return Judgement(
                np.concatenate([np.empty(0, np.float64), *[judgement.scores for judgement in judgements]]),
                np.concatenate([np.empty(0, np.bool_), *[judgement.called for judgement in judgements]]),
            )

        return PairedJudgements(
            np.concatenate([np.empty(0, np.int8), *[day.labels for day in self._days]]),
            join([day.ours for day in self._days]),
            join([day.theirs for day in self._days]),
        )
