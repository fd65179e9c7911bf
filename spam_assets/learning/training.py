"""Training on a window of days, streamed oldest first, each day scored before it is learnt.

Two learners whose errors differ, both streaming:

* **Words**: counts of ham and spam a word (Robinson's smoothed share, Graham 2002 and Robinson 2003).
* **Patterns**: a linear support vector machine by dual coordinate descent (Hsieh et al. 2008, "A Dual
  Coordinate Descent Method for Large-scale Linear SVM"). A message's first visit is a passive-aggressive
  update (Crammer et al. 2006); after each day a spread of the messages in a fixed buffer is visited again,
  which brings the weights near the converged machine's at three visits a message, however long the window is.

Because every day is scored before it is learnt, the same stream gives the honest scores that calibration,
threshold and evaluation rest on; no message is held out from the final model.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from spam_assets.learning.calibration import Calibration, calibrate
from spam_assets.learning.evaluation import evaluate_scores
from spam_assets.learning.features import PATTERNS, TABLE_SIZES, WORDS, MailFeatures, SparseRows
from spam_assets.learning.held_out import leave_out
from spam_assets.learning.model import (
    EVIDENCE_PRIOR,
    EVIDENCE_SHARE,
    ProgressiveScores,
    SpamModel,
    round_weights,
    score_patterns,
    sum_weights,
)

WORD_SMOOTHING = 0.1
"""Robinson's s: a word seen once in spam and never in ham has the spam share 1.05 / 1.1."""

GOLDEN_RATIO = 0.6180339887498949
"""Successive multiples modulo 1 spread evenly, so the revisits of successive days pick different messages."""

LEAST_DEVIATION = 0.4
"""Words with |2p - 1| below it would weigh less than 0.4^8 = 0.0007: not worth storing."""

MATURE_MESSAGES = 100
"""Margins given after so many messages of each class choose calibration and threshold, once there are enough:
what a model gets wrong in its first days says little of what it gets wrong now."""


class NotEnoughMailError(ValueError):
    """The window holds too few messages of a class to learn from."""


@dataclass(frozen=True)
class TrainingSettings:
    """What a person may choose about training.

    Attributes:
        target_fpr: Share of ham that may be called spam; the threshold is chosen for it.
        minimum_messages_a_class: Fewer ham or spam than this in the window and there is no model.
        evaluation_days: So many of the newest days are evaluated and kept as progressive scores.
        cost: Largest weight of one message in the linear machine (C of a support vector machine).
        revisits: Messages visited again for each new one.
        least_revisits: At least so many a day, so that a window of few messages is learnt well.
        replay_messages: The newest messages kept for revisits; bounds memory.
        calibration_messages: The newest progressive scores that calibration and threshold are fitted to.
        held_out_share: Share of mail that is not learnt, nor used for calibration and threshold, so that the gate
            can try the model on it (``held_out.HELD_OUT_SHARE``); see ``held_out``.
    """

    target_fpr: float = 0.001
    minimum_messages_a_class: int = 10
    evaluation_days: int = 30
    cost: float = 2.0
    revisits: float = 2.0
    least_revisits: int = 200
    replay_messages: int = 5000
    calibration_messages: int = 20_000
    held_out_share: float = 0.0


def train_model(window: Mapping[str, MailFeatures], settings: TrainingSettings) -> SpamModel:
    """Learn a window of days.

    Args:
        window: Day (``YYYY-MM-DD``) -> its features. Each day is looked up once, oldest first, and only the
            newest ``settings.replay_messages`` messages are held on to, so values may be loaded lazily.
        settings: See ``TrainingSettings``.

    Returns:
        The model that has learnt every day, with calibration, threshold and evaluation from scores given
        before each day was learnt. Same window and settings, same bytes.

    Raises:
        NotEnoughMailError: If the window has too few messages of ham or of spam.
    """
    days = tuple(sorted(window))
    learner = StreamingLearner(settings)
    history = _History(settings)
    for day in days:
        features = leave_out(window[day], settings.held_out_share)
        if min(learner.ham, learner.spam) >= settings.minimum_messages_a_class:
            is_mature = min(learner.ham, learner.spam) >= MATURE_MESSAGES
            history.add(day, features.labels, learner.score_margins(features), is_mature=is_mature)
        learner.learn(features)
    least = settings.minimum_messages_a_class
    if min(learner.ham, learner.spam) < least:
        message = (
            f"the window of {len(days)} {'day' if len(days) == 1 else 'days'} holds {learner.spam} spam and "
            f"{learner.ham} ham; training needs at least {least} of each"
        )
        raise NotEnoughMailError(message)
    calibration, threshold, progressive = history.calibrate_progressively()
    return SpamModel(
        weights=round_weights(learner.weights),
        log_odds=round_weights(learner.word_log_odds()),
        calibration=calibration,
        threshold=threshold,
        days=days,
        ham=learner.ham,
        spam=learner.spam,
        evaluation=evaluate_scores(progressive.labels, progressive.scores, progressive.thresholds, progressive.days),
        progressive=progressive,
        held_out_share=settings.held_out_share,
    )


class StreamingLearner:
    """Both learners, fed one day after another."""

    def __init__(self, settings: TrainingSettings) -> None:
        self.ham = 0
        self.spam = 0
        self.weights = np.zeros(TABLE_SIZES[PATTERNS], np.float32)
        self._counts = np.zeros((TABLE_SIZES[WORDS], 2), np.float32)
        self._settings = settings
        self._replay: deque[Lesson] = deque()  # oldest first
        self._phase = 0.0

    @property
    def buffered_messages(self) -> int:
        """Messages kept for revisits."""
        return sum(len(past) for past in self._replay)

    def score_margins(self, features: MailFeatures) -> npt.NDArray[np.float64]:
        """Margin of each message, as ``SpamModel`` computes it: above 0 leans to spam."""
        patterns, words = features.views[PATTERNS], features.views[WORDS]
        margins = score_patterns(patterns.indices, patterns.offsets, self.weights)
        evidence = _score_counts(words.indices, words.offsets, self._counts, self.ham, self.spam)
        return np.asarray(margins + EVIDENCE_SHARE * evidence, np.float64)

    def learn(self, features: MailFeatures) -> None:
        """Learn a day's messages, newest first, then visit a spread of the buffer again."""
        labels = np.ascontiguousarray(features.labels)
        words, patterns = features.views[WORDS], features.views[PATTERNS]
        count_words(words.indices, words.offsets, labels, self._counts)
        spam = int(labels.sum())
        self.spam += spam
        self.ham += len(labels) - spam

        lesson = Lesson(patterns, labels, np.zeros(len(labels)))
        lesson.descend(self.weights, self._settings.cost, Sweep(0.0, 1.0))
        self._replay.append(lesson.newest(self._settings.replay_messages))
        while self.buffered_messages > self._settings.replay_messages:
            self._replay.popleft()

        self._phase = (self._phase + GOLDEN_RATIO) % 1.0
        wanted = max(int(self._settings.revisits * len(labels)), self._settings.least_revisits)
        stride = max(self.buffered_messages / wanted, 1.0)
        sweep = Sweep(self._phase * stride, stride)
        for past in reversed(self._replay):
            sweep = past.descend(self.weights, self._settings.cost, sweep)

    def word_log_odds(self) -> npt.NDArray[np.float32]:
        """Log-odds (spam against ham) of each word; 0 where it is unknown or shared too evenly to count."""
        return weigh_words(self._counts, self.ham, self.spam)


@dataclass(frozen=True)
class Sweep:
    """Where a walk over messages, newest first, stops next, and how far apart its stops are."""

    position: float
    stride: float


@dataclass(frozen=True)
class Lesson:
    """Messages with their dual variables: how much of each message is in the weights."""

    rows: SparseRows
    labels: npt.NDArray[np.int8]
    alphas: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.labels)

    def newest(self, limit: int) -> Lesson:
        """At most ``limit`` messages, sharing memory with this lesson."""
        rows = SparseRows(self.rows.indices, self.rows.offsets[-limit - 1 :])
        return Lesson(rows, self.labels[-limit:], self.alphas[-limit:])

    def descend(self, weights: npt.NDArray[np.float32], cost: float, sweep: Sweep) -> Sweep:
        """Improve weights and alphas at the sweep's stops; returns the sweep for the next older lesson."""
        position = _descend(
            self.rows.indices,
            self.rows.offsets,
            self.labels,
            self.alphas,
            weights,
            cost,
            sweep.position,
            sweep.stride,
        )
        return Sweep(position, sweep.stride)


class _History:
    """Margins of days that were scored before they were learnt, and what follows from them."""

    def __init__(self, settings: TrainingSettings) -> None:
        self._settings = settings
        self._days: list[str] = []
        self._labels: list[npt.NDArray[np.int8]] = []
        self._margins: list[npt.NDArray[np.float64]] = []
        self._immature_days = 0

    def add(self, day: str, labels: npt.NDArray[np.int8], margins: npt.NDArray[np.float64], *, is_mature: bool) -> None:
        self._days.append(day)
        self._labels.append(np.array(labels))  # a copy: a view would keep the day's file mapped
        self._margins.append(margins)
        self._immature_days += not is_mature

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
            fitted.append(calibrate(margins[start:end], labels[start:end], self._settings.target_fpr))
        scores = [calibration.apply(day) for (calibration, _), day in zip(fitted, self._margins[first:], strict=False)]
        progressive = ProgressiveScores(
            days=tuple(self._days[first:]),
            day_indices=np.repeat(np.arange(len(scores), dtype=np.int32), counts[first:]),
            labels=labels[ends[first] :],
            scores=np.concatenate([np.empty(0, np.float64), *scores]),
            thresholds=np.repeat([threshold for _, threshold in fitted[:-1]], counts[first:]).astype(np.float64),
        )
        return *fitted[-1], progressive


@njit(cache=True)
def count_words(
    indices: npt.NDArray[np.uint32],
    offsets: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int8],
    counts: npt.NDArray[np.float32],
) -> None:
    """Add the rows of each label (0 or 1) to ``counts``, shape (words, 2)."""
    for row in range(len(offsets) - 1):
        label = labels[row]
        for at in range(offsets[row], offsets[row + 1]):
            counts[indices[at], label] += 1


@njit(cache=True)
def _spam_share(in_ham: float, in_spam: float, ham: int, spam: int) -> float:
    """Robinson's smoothed share of spam among a word's messages, both classes taken as equally large."""
    seen = in_ham + in_spam
    rate_ham = in_ham / max(ham, 1)
    rate_spam = in_spam / max(spam, 1)
    return float((WORD_SMOOTHING * 0.5 + seen * rate_spam / (rate_ham + rate_spam)) / (WORD_SMOOTHING + seen))


@njit(cache=True)
def _score_counts(
    indices: npt.NDArray[np.uint32],
    offsets: npt.NDArray[np.int64],
    counts: npt.NDArray[np.float32],
    ham: int,
    spam: int,
) -> npt.NDArray[np.float64]:
    """``model.score_words`` straight from counts, for the few words of a day rather than the whole table."""
    evidence = np.zeros(len(offsets) - 1, np.float64)
    for row in range(len(offsets) - 1):
        total = 0.0
        weight_sum = EVIDENCE_PRIOR
        for at in range(offsets[row], offsets[row + 1]):
            in_ham, in_spam = counts[indices[at], 0], counts[indices[at], 1]
            if in_ham + in_spam > 0:
                share = _spam_share(in_ham, in_spam, ham, spam)
                weight = (2.0 * share - 1.0) ** 2
                weight *= weight
                weight *= weight
                total += weight * np.log(share / (1.0 - share))
                weight_sum += weight
        evidence[row] = total / weight_sum
    return evidence


@njit(cache=True)
def weigh_words(counts: npt.NDArray[np.float32], ham: int, spam: int) -> npt.NDArray[np.float32]:
    """Log-odds of each word; 0 where it is unknown or shared too evenly to count."""
    log_odds = np.zeros(len(counts), np.float32)
    for word in range(len(counts)):
        if counts[word, 0] + counts[word, 1] > 0:
            share = _spam_share(counts[word, 0], counts[word, 1], ham, spam)
            if abs(2.0 * share - 1.0) > LEAST_DEVIATION:
                log_odds[word] = np.log(share / (1.0 - share))
    return log_odds


@njit(cache=True)
def _descend(
    indices: npt.NDArray[np.uint32],
    offsets: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int8],
    alphas: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float32],
    cost: float,
    position: float,
    stride: float,
) -> float:
    """Dual coordinate descent at rows counted from the last one back; returns the position past the first."""
    rows = len(labels)
    while position < rows:
        row = rows - 1 - int(position)
        position += stride
        start, stop = offsets[row], offsets[row + 1]
        norm = np.sqrt(max(stop - start, 1))
        margin = sum_weights(indices, start, stop, weights) / norm
        sign = 2.0 * labels[row] - 1.0
        alpha = min(max(alphas[row] + 1.0 - sign * margin, 0.0), cost)
        if alpha != alphas[row]:
            step = np.float32((alpha - alphas[row]) * sign / norm)
            alphas[row] = alpha
            for at in range(start, stop):
                weights[indices[at]] += step
    return position - rows
