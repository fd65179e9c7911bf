"""Two models on the same mail, of one reading: mail that neither has learnt, and mail that both have.

Labels and features come from the same ``MailFeatures``, so that a day that was written anew since a model learnt it
gives pairs of today, never a pair of an old label and a new message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spam_assets.learning.calibration import Calibration
from spam_assets.learning.dated_model import DatedModel
from spam_assets.learning.day_parts import map_parts
from spam_assets.learning.features import MailFeatures
from spam_assets.learning.held_out import find_held_out

ENOUGH_MESSAGES = 5000
"""Once the newest days hold so many messages that neither model has learnt, and so many that both have, older days are
not looked at: more would show differences that harm nobody."""


@dataclass(frozen=True)
class Examination:
    """What a model, as it serves, makes of n messages.

    Attributes:
        labels: 1 for spam, 0 for ham, shape (n,).
        learnt: True where the model has learnt the message, shape (n,).
        scores: Spam probabilities, shape (n,).
        called: True where the model, at its own threshold, calls the message spam, shape (n,).
        margins: What the probabilities are of before calibration, shape (n,); they compare models of different
            calibrations.
    """

    labels: npt.NDArray[np.int8]
    learnt: npt.NDArray[np.bool_]
    scores: npt.NDArray[np.float64]
    called: npt.NDArray[np.bool_]
    margins: npt.NDArray[np.float64]

    @property
    def is_ham(self) -> npt.NDArray[np.bool_]:
        """True for ham, shape (n,)."""
        return np.asarray(self.labels == 0)

    @property
    def ham(self) -> int:
        """Messages of ham."""
        return int(self.is_ham.sum())

    @property
    def spam(self) -> int:
        """Messages of spam."""
        return len(self.labels) - self.ham

    @property
    def lost_ham(self) -> int:
        """Ham called spam."""
        return int((self.called & self.is_ham).sum())

    @property
    def caught_spam(self) -> int:
        """Spam called spam."""
        return int((self.called & ~self.is_ham).sum())

    @property
    def contradicts(self) -> npt.NDArray[np.bool_]:
        """True where the other label is the likelier one, whatever the threshold, shape (n,)."""
        return np.asarray((self.scores >= 0.5) == self.is_ham)

    def select(self, chosen: npt.NDArray[np.bool_]) -> Examination:
        """The examination by some of the messages."""
        return Examination(
            self.labels[chosen], self.learnt[chosen], self.scores[chosen], self.called[chosen], self.margins[chosen]
        )


@dataclass(frozen=True)
class Pair:
    """Two models' examinations by the same messages.

    Attributes:
        ours: The candidate's.
        theirs: The other model's.
    """

    ours: Examination
    theirs: Examination

    def select(self, chosen: npt.NDArray[np.bool_]) -> Pair:
        """The pair on some of the messages."""
        return Pair(self.ours.select(chosen), self.theirs.select(chosen))

    @property
    def unlearnt(self) -> Pair:
        """The pair on mail that neither has learnt."""
        return self.select(~self.ours.learnt & ~self.theirs.learnt)

    @property
    def learnt(self) -> Pair:
        """The pair on mail that both have learnt."""
        return self.select(self.ours.learnt & self.theirs.learnt)

    @property
    def on_equal_terms(self) -> Pair:
        """The pair on mail that both have learnt or neither."""
        return self.select(self.ours.learnt == self.theirs.learnt)


def examine(dated: DatedModel, mail: Mapping[str, MailFeatures]) -> Examination:
    """Let a model judge days of mail, at its own threshold; messages are in the order of the days."""
    days = [_examine_day(dated, day, mail[day]) for day in sorted(mail)]
    days = [_NOTHING, *days]
    return Examination(
        np.concatenate([day.labels for day in days]),
        np.concatenate([day.learnt for day in days]),
        np.concatenate([day.scores for day in days]),
        np.concatenate([day.called for day in days]),
        np.concatenate([day.margins for day in days]),
    )


def take_newest_mail(
    candidate: DatedModel, other: DatedModel, mail: Mapping[str, MailFeatures]
) -> dict[str, MailFeatures]:
    """As many of the newest days as are enough evidence; each is looked up once, newest first."""
    taken: dict[str, MailFeatures] = {}
    unlearnt = learnt = 0
    for day in sorted(mail, reverse=True):
        if min(unlearnt, learnt) >= ENOUGH_MESSAGES:
            break
        features = taken[day] = mail[day]
        by_candidate, by_other = find_learnt(candidate, day, features), find_learnt(other, day, features)
        unlearnt += int((~by_candidate & ~by_other).sum())
        learnt += int((by_candidate & by_other).sum())
    return taken


def find_learnt(dated: DatedModel, day: str, features: MailFeatures) -> npt.NDArray[np.bool_]:
    """Which messages of a day a model has learnt, shape (n,)."""
    if day not in dated.model.learnt_days:
        return np.zeros(len(features), np.bool_)
    return ~find_held_out(features, dated.model.held_out_share)


def _examine_day(dated: DatedModel, day: str, features: MailFeatures) -> Examination:
    model = dated.model
    scores = map_parts(model.score, features)
    return Examination(
        labels=np.array(features.labels, np.int8),  # a copy: a view would keep the day's file mapped
        learnt=find_learnt(dated, day, features),
        scores=scores,
        called=scores >= model.threshold,
        margins=_recover_margins(scores, model.calibration),
    )


_LEAST = 1e-12
_NOTHING = Examination(
    np.empty(0, np.int8), np.empty(0, np.bool_), np.empty(0), np.empty(0, np.bool_), margins=np.empty(0)
)


def _recover_margins(scores: npt.NDArray[np.float64], calibration: Calibration) -> npt.NDArray[np.float64]:
    clipped = np.clip(scores, _LEAST, 1 - _LEAST)
    logits = np.log(clipped / (1 - clipped))
    return np.asarray((logits - calibration.intercept) / max(calibration.slope, _LEAST), np.float64)
