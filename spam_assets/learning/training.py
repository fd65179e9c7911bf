"""Training on a window of days, streamed oldest first, each day scored before it is learnt.

Two learners whose errors differ, both streaming:

* **Words**: counts of ham and spam a word (Robinson's smoothed share, Graham 2002 and Robinson 2003).
* **Patterns**: a linear support vector machine by dual coordinate descent (Hsieh et al. 2008, "A Dual
  Coordinate Descent Method for Large-scale Linear SVM"). A message's first visit is a passive-aggressive
  update (Crammer et al. 2006); after each day a spread of the messages in a fixed buffer is visited again,
  which brings the weights near the converged machine's at three visits a message, however long the window is.

Because every day is scored before it is learnt, the same stream gives the honest scores that calibration,
threshold and the daily protocol's evaluation rest on. What the very model that comes of it is worth shows on the mail
that is held out from every model (``held_out``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from spam_assets.learning.calibration import Calibration
from spam_assets.learning.daily_protocol import History, describe_learning, is_mature, learn_window
from spam_assets.learning.day_parts import Messages, iterate_parts, join_rows, map_parts, take_newest
from spam_assets.learning.features import PATTERNS, TABLE_SIZES, WORDS, MailFeatures, SparseRows
from spam_assets.learning.label_suspects import (
    DISBELIEF,
    SuspectLabel,
    choose_disbelief,
    contradict_labels,
    suspect_labels,
)
from spam_assets.learning.model import EVIDENCE_SHARE, SpamModel, round_weights, score_patterns, sum_weights
from spam_assets.learning.word_counts import count_words, score_counts, weigh_words

GOLDEN_RATIO = 0.6180339887498949
"""Successive multiples modulo 1 spread evenly, so the revisits of successive days pick different messages."""


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
        vouched_days: Days that are learnt even if their labels contradict everything before them.
        held_out_share: Share of mail that is not learnt, nor used for calibration and threshold, so that the gate
            can try the model on it (``held_out.HELD_OUT_SHARE``); see ``held_out``.
    """

    target_fpr: float = 0.001
    minimum_messages_a_class: int = 10
    evaluation_days: int = 30
    cost: float = 1.4
    revisits: float = 2.0
    least_revisits: int = 200
    replay_messages: int = 5000
    calibration_messages: int = 20_000
    vouched_days: frozenset[str] = frozenset()
    held_out_share: float = 0.0


def train_model(window: Mapping[str, MailFeatures], settings: TrainingSettings) -> SpamModel:
    """Learn a window of days.

    Args:
        window: Day (``YYYY-MM-DD``) -> its features. Each day is looked up once, oldest first, and only the
            newest ``settings.replay_messages`` messages are held on to, so values may be loaded lazily.
        settings: See ``TrainingSettings``.

    Returns:
        The model that has learnt every day but those whose labels contradict the days before them, with
        calibration, threshold and evaluation from scores given before each day was learnt. Same window and settings,
        same bytes.

    Raises:
        NotEnoughMailError: If the window has too few messages of ham or of spam.
    """
    learner, history = StreamingLearner(settings), History(settings)
    walked = learn_window(window, settings, learner, history)
    model = SpamModel(weights=round_weights(learner.weights), **describe_learning(walked, learner, history))
    return walked.try_model(model)


class StreamingLearner:
    """Both learners, fed one day after another."""

    def __init__(self, settings: TrainingSettings) -> None:
        self.ham = 0
        self.spam = 0
        self.weights = np.zeros(TABLE_SIZES[PATTERNS], np.float32)
        self._counts = np.zeros((TABLE_SIZES[WORDS], 2), np.float32)
        self._counted = np.zeros(2, np.int64)  # messages of ham and of spam in the counts
        self._judged, self._contradicted = 0, 0  # labels, once mature
        self._settings = settings
        self._replay: deque[Lesson] = deque()  # oldest first
        self._early: deque[tuple[str, MailFeatures, Lesson]] = deque()  # of the replay, learnt before maturity
        self._phase = 0.0

    @property
    def buffered_messages(self) -> int:
        """Messages kept for revisits."""
        return sum(len(past) for past in self._replay)

    @property
    def is_mature(self) -> bool:
        """Whether enough was learnt for its margins to be held against labels."""
        return is_mature(self)

    def score_margins(self, messages: Messages) -> npt.NDArray[np.float64]:
        """Margin of each message, as ``SpamModel`` computes it: above 0 leans to spam."""
        return map_parts(self._score_part, messages)

    def _score_part(self, features: MailFeatures) -> npt.NDArray[np.float64]:
        patterns, words = features.views[PATTERNS], features.views[WORDS]
        margins = score_patterns(patterns.indices, patterns.offsets, self.weights)
        unlearnt = np.full(len(features), -1, np.int8)
        evidence = score_counts(words.indices, words.offsets, unlearnt, self._counts, *self._counted)
        return np.asarray(margins + EVIDENCE_SHARE * evidence, np.float64)

    def learn(self, messages: Messages, margins: npt.NDArray[np.float64] | None = None, day: str = "") -> None:
        """Learn a day's messages, newest first, then visit a spread of the buffer again.

        Args:
            messages: The day's n messages.
            margins: What ``score_margins`` gave them, shape (n,), where it was asked. Words of messages whose label
                is more likely wrong than right are not counted: one spam called ham would clear its resends for good.
            day: What to call the day in ``suspect_early_mail``.
        """
        labels = np.ascontiguousarray(messages.labels)
        is_believed = np.ones(len(labels), np.bool_)
        if margins is not None and self.is_mature:
            strengths = contradict_labels(labels, margins)
            self._judged += len(strengths)
            self._contradicted += int(np.sum(strengths > DISBELIEF))
            is_believed = strengths <= choose_disbelief(self._contradicted, self._judged)
        first = 0
        for part in iterate_parts(messages):
            words, own = part.views[WORDS], np.ascontiguousarray(part.labels)
            count_words(words.indices, words.offsets, own, is_believed[first : first + len(part)], self._counts)
            first += len(part)
        self._counted += np.bincount(labels[is_believed], minlength=2)
        is_early = not self.is_mature
        spam = int(labels.sum())
        self.spam += spam
        self.ham += len(labels) - spam

        self._replay.append(self._visit_first(messages))
        if is_early:
            newest = take_newest(messages, self._settings.replay_messages)
            self._early.append((day, newest, self._replay[-1]))
        while self.buffered_messages > self._settings.replay_messages:
            forgotten = self._replay.popleft()
            if self._early and self._early[0][2] is forgotten:
                self._early.popleft()

        self._phase = (self._phase + GOLDEN_RATIO) % 1.0
        wanted = max(int(self._settings.revisits * len(labels)), self._settings.least_revisits)
        stride = max(self.buffered_messages / wanted, 1.0)
        sweep = Sweep(self._phase * stride, stride)
        for past in reversed(self._replay):
            sweep = past.descend(self.weights, self._settings.cost, sweep)

    def _visit_first(self, messages: Messages) -> Lesson:
        """Visit each message of a day for the first time, newest first; returns the newest of them for revisits."""
        sweep = Sweep(0.0, 1.0)
        kept: list[Lesson] = []
        missing = self._settings.replay_messages
        for part in iterate_parts(messages, backwards=True):
            lesson = Lesson(part.views[PATTERNS], np.ascontiguousarray(part.labels), np.zeros(len(part)))
            sweep = lesson.descend(self.weights, self._settings.cost, sweep)
            if missing > 0:
                kept.insert(0, lesson.newest(missing))
                missing -= len(kept[0])
        return join_lessons(kept)

    def suspect_early_mail(self, calibration: Calibration) -> list[SuspectLabel]:
        """Suspect labels of mail that was learnt before the learner was mature, as far as it is still in the buffer.

        Such mail is scored by what was learnt since, without the part that each message has in it itself: its dual
        variable is that part of its linear margin, and its words were counted once. The other messages were learnt
        against it, so the margin is somewhat larger than that of a model that never saw it.
        """
        found: list[SuspectLabel] = []
        for day, features, lesson in self._early:
            words, signs = features.views[WORDS], 2.0 * lesson.labels - 1.0
            own = np.ascontiguousarray(features.labels)
            evidence = score_counts(words.indices, words.offsets, own, self._counts, *self._counted)
            margins = score_patterns(lesson.rows.indices, lesson.rows.offsets, self.weights) - signs * lesson.alphas
            margins += EVIDENCE_SHARE * evidence[len(evidence) - len(lesson) :]
            ids = features.message_ids[len(features) - len(lesson) :]
            found += suspect_labels(day, ids, lesson.labels, margins, calibration)
        return found

    def word_log_odds(self) -> npt.NDArray[np.float32]:
        """Log-odds (spam against ham) of each word; 0 where it is unknown or shared too evenly to count."""
        return weigh_words(self._counts, *self._counted)


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


def join_lessons(lessons: list[Lesson]) -> Lesson:
    """Consecutive lessons of a day, at least one, as one."""
    if len(lessons) == 1:
        return lessons[0]
    return Lesson(
        join_rows([lesson.rows for lesson in lessons]),
        np.concatenate([lesson.labels for lesson in lessons]),
        np.concatenate([lesson.alphas for lesson in lessons]),
    )


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
