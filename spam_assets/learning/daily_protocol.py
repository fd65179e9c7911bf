"""The daily protocol of one training: each day is scored before it is learnt, whatever learns.

What is kept of it gives calibration, threshold, evaluation and suspect labels. The mail that is held out from every
model is kept aside, for trying the very model that comes of the training.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from spam_assets.learning.calibration import Calibration
from spam_assets.learning.day_parts import Messages
from spam_assets.learning.evaluation import Evaluation, evaluate_scores
from spam_assets.learning.features import MailFeatures
from spam_assets.learning.held_out import part_mail
from spam_assets.learning.label_suspects import (
    DISBELIEF,
    ContradictingDay,
    SuspectLabel,
    contradict_labels,
    find_contradicting_day,
    rank_suspects,
    suspect_labels,
)
from spam_assets.learning.model import round_weights
from spam_assets.learning.thresholds import calibrate
from spam_assets.learning.trained_model import ProgressiveScores, TrainedModel

if TYPE_CHECKING:
    from spam_assets.learning.training import TrainingSettings

HELD_OUT_MESSAGES = 5000
"""The newest held-out messages, in whole days, that a model is tried on; bounds memory."""

MATURE_MESSAGES = 100
"""Margins given after so many messages of each class choose calibration and threshold, once there are enough:
what a model gets wrong in its first days says little of what it gets wrong now."""

RECALIBRATION_GROWTH = 1.1
"""Margins of any scale are calibrated again, to be held against labels, when there are so many times as many."""

Model = TypeVar("Model", bound=TrainedModel)


class NotEnoughMailError(ValueError):
    """The window holds too few messages of a class to learn from."""


class Learner(Protocol):
    """Something that learns a window, one day after another.

    Attributes:
        ham: Messages of ham learnt.
        spam: Messages of spam learnt.
    """

    ham: int
    spam: int

    def score_margins(self, messages: Messages) -> npt.NDArray[np.float64]:
        """Margin of each message by what was learnt so far; higher is more likely spam."""

    def learn(self, messages: Messages, margins: npt.NDArray[np.float64] | None, day: str) -> None:
        """Learn a day's messages, whose margins are given where they were asked for."""

    def word_log_odds(self) -> npt.NDArray[np.float32]:
        """Log-odds (spam against ham) of each word; 0 where it is unknown or shared too evenly to count."""

    def suspect_early_mail(self, calibration: Calibration) -> list[SuspectLabel]:
        """Suspect labels of mail that was learnt before the learner was mature, as far as it can tell."""


def is_mature(learner: Learner) -> bool:
    """Whether enough was learnt for margins to be held against labels."""
    return min(learner.ham, learner.spam) >= MATURE_MESSAGES


@dataclass(frozen=True)
class Protocolled:
    """What a walk through a window leaves beside what was learnt.

    Attributes:
        days: The days learnt, oldest first.
        contradicting_days: The days that were not.
        held_out: The mail that was not learnt.
        held_out_share: Its share.
    """

    days: tuple[str, ...]
    contradicting_days: tuple[ContradictingDay, ...]
    held_out: HeldOutMail
    held_out_share: float

    def try_model(self, model: Model) -> Model:
        """The model with its own figures on the held-out mail."""
        return replace(model, held_out=self.held_out.try_model(model)) if self.held_out_share > 0 else model


def learn_window(
    window: Mapping[str, MailFeatures], settings: TrainingSettings, learner: Learner, history: History
) -> Protocolled:
    """Let a learner see the days of a window, oldest first, each scored before it is learnt.

    Args:
        window: Day -> its mail; each day is looked up once.
        settings: See ``TrainingSettings``.
        learner: Learns every day but those whose labels contradict the days before them.
        history: Is told the margins.

    Raises:
        NotEnoughMailError: If the window has too few messages of ham or of spam.
    """
    days = tuple(sorted(window))
    least = settings.minimum_messages_a_class
    contradicting: list[ContradictingDay] = []
    never_learnt = HeldOutMail()
    for day in days:
        features, held_out = part_mail(window[day], settings.held_out_share)
        margins = None
        if min(learner.ham, learner.spam) >= least:
            margins = learner.score_margins(features)
            if is_mature(learner) and day not in settings.vouched_days:
                found = find_contradicting_day(day, history.contradict(features.labels, margins))
                if found:
                    contradicting.append(found)
                    continue
            history.add(day, features, margins, is_mature=is_mature(learner))
        learner.learn(features, margins, day)
        if held_out is not None:
            never_learnt.add(day, held_out)
    if min(learner.ham, learner.spam) < least:
        message = (
            f"the window of {len(days)} {'day' if len(days) == 1 else 'days'} holds {learner.spam} spam and "
            f"{learner.ham} ham; training needs at least {least} of each"
        )
        raise NotEnoughMailError(message)
    not_learnt = {found.day for found in contradicting}
    learnt = tuple(day for day in days if day not in not_learnt)
    return Protocolled(learnt, tuple(contradicting), never_learnt, settings.held_out_share)


def describe_learning(walked: Protocolled, learner: Learner, history: History) -> dict[str, Any]:
    """What models of all methods tell of a walk: attributes of ``TrainedModel``, but for its method's own."""
    calibration, threshold, progressive = history.calibrate_progressively()
    return {
        "log_odds": round_weights(learner.word_log_odds()),
        "calibration": calibration,
        "threshold": threshold,
        "days": walked.days,
        "ham": learner.ham,
        "spam": learner.spam,
        "evaluation": evaluate_scores(progressive.labels, progressive.scores, progressive.thresholds, progressive.days),
        "progressive": progressive,
        "suspects": rank_suspects([*history.suspect(calibration), *learner.suspect_early_mail(calibration)]),
        "contradicting_days": walked.contradicting_days,
        "held_out_share": walked.held_out_share,
    }


class HeldOutMail:
    """The newest mail that the model never learns, of the days that it does learn."""

    def __init__(self) -> None:
        self._days: deque[tuple[str, MailFeatures]] = deque()
        self._messages = 0

    def add(self, day: str, held_out: MailFeatures) -> None:
        """Keep a day's, and let the oldest go that is beyond ``HELD_OUT_MESSAGES``."""
        self._days.append((day, held_out))
        self._messages += len(held_out)
        while len(self._days) > 1 and self._messages - len(self._days[0][1]) >= HELD_OUT_MESSAGES:
            self._messages -= len(self._days.popleft()[1])

    def try_model(self, model: TrainedModel) -> Evaluation:
        """How a model does on all of it, at its threshold."""
        labels = np.concatenate([features.labels for _, features in self._days])
        scores = model.calibration.apply(model.score_margins_of([features for _, features in self._days]))
        return evaluate_scores(labels, scores, model.threshold, tuple(day for day, _ in self._days))


class History:
    """Margins of days that were scored before they were learnt, and what follows from them."""

    def __init__(self, settings: TrainingSettings) -> None:
        self._settings = settings
        self._days: list[str] = []
        self._labels: list[npt.NDArray[np.int8]] = []
        self._margins: list[npt.NDArray[np.float64]] = []
        self._immature_days = 0
        self._contradicted: list[
            tuple[str, npt.NDArray[np.object_], npt.NDArray[np.int8], npt.NDArray[np.float64]]
        ] = []

    def add(self, day: str, messages: Messages, margins: npt.NDArray[np.float64], *, is_mature: bool) -> None:
        """Keep the margins that a day was given before it was learnt."""
        labels = np.array(messages.labels)  # a copy: a view would keep the day's file mapped
        self._days.append(day)
        self._labels.append(labels)
        self._margins.append(margins)
        self._immature_days += not is_mature
        if is_mature:
            at = np.flatnonzero(self.contradict(labels, margins) > DISBELIEF)
            self._contradicted.append((day, messages.message_ids[at], labels[at], margins[at]))

    def contradict(self, labels: npt.NDArray[np.int8], margins: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """How far margins of the day to come lie on the other side of its labels; see ``contradict_labels``."""
        return contradict_labels(labels, margins)

    def fit(self, margins: npt.NDArray[np.float64], labels: npt.NDArray[np.int8]) -> tuple[Calibration, float]:
        """Calibration and threshold from margins of mail that was not learnt yet."""
        return calibrate(margins, labels, self._settings.target_fpr)

    def suspect(self, calibration: Calibration) -> list[SuspectLabel]:
        """Suspect labels among messages that a mature learner scored before it learnt them."""
        return [found for day in self._contradicted for found in suspect_labels(*day, calibration)]

    def calibrate_progressively(self) -> tuple[Calibration, float, ProgressiveScores]:
        """Calibration and threshold from all days; scores of the newest days, each by what preceded it."""
        labels = np.concatenate([np.empty(0, np.int8), *self._labels])
        margins = np.concatenate([np.empty(0, np.float64), *self._margins])
        counts = [len(day) for day in self._labels]
        ends = np.cumsum([0, *counts])
        mature = ends[self._immature_days]
        first = max(0, len(self._days) - self._settings.evaluation_days)
        fitted = []
        for end in ends[first:]:
            start = mature if end - mature - labels[mature:end].sum() >= MATURE_MESSAGES else 0
            start = max(start, end - self._settings.calibration_messages)
            fitted.append(self.fit(margins[start:end], labels[start:end]))
        scores = [calibration.apply(day) for (calibration, _), day in zip(fitted, self._margins[first:], strict=False)]
        progressive = ProgressiveScores(
            days=tuple(self._days[first:]),
            day_indices=np.repeat(np.arange(len(scores), dtype=np.int32), counts[first:]),
            labels=labels[ends[first] :],
            scores=np.concatenate([np.empty(0, np.float64), *scores]),
            thresholds=np.repeat([threshold for _, threshold in fitted[:-1]], counts[first:]).astype(np.float64),
        )
        return *fitted[-1], progressive


class ScaledHistory(History):
    """The same of margins whose scale and zero are anybody's, as those of somebody else's estimator.

    They are brought to a median size of 1 before they are calibrated, and held against labels as what the calibration
    of the days before makes of them.
    """

    _known: tuple[int, Calibration] = (0, Calibration())

    def fit(self, margins: npt.NDArray[np.float64], labels: npt.NDArray[np.int8]) -> tuple[Calibration, float]:
        """See ``History``."""
        scale = float(np.median(np.abs(margins))) if len(margins) else 1.0
        scale = scale if scale > 0 else 1.0
        calibration, threshold = super().fit(margins / scale, labels)
        return Calibration(calibration.slope / scale, calibration.intercept), threshold

    def contradict(self, labels: npt.NDArray[np.int8], margins: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """See ``History``."""
        messages = sum(map(len, self._margins))
        if messages >= RECALIBRATION_GROWTH * self._known[0]:
            newest = self._settings.calibration_messages
            margins_so_far = np.concatenate([np.empty(0), *self._margins])[-newest:]
            labels_so_far = np.concatenate([np.empty(0, np.int8), *self._labels])[-newest:]
            self._known = (messages, self.fit(margins_so_far, labels_so_far)[0])
        return contradict_labels(labels, self._known[1].standardise(margins))

    def suspect(self, calibration: Calibration) -> list[SuspectLabel]:
        """See ``History``."""
        return [
            found
            for day, ids, labels, margins in self._contradicted
            for found in suspect_labels(day, ids, labels, calibration.standardise(margins), Calibration())
        ]
