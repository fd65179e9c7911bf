"""Training somebody else's estimator on a window of days, by the same protocol as ours.

Each day is scored before it is learnt. An estimator with `partial_fit` learns day by day. Any other is fitted anew to
all that it has learnt whenever that grew by a share (``REFIT_GROWTH``), for fits grow with the mail: in all they cost
some four times the last one. So days are scored by a fit that may be some weeks old, never by one that knew them, and
the figures are rather too bad than too good for the model that comes of it, which is fitted to everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from spam_assets.learning.calibration import Calibration
from spam_assets.learning.daily_protocol import ScaledHistory, describe_learning, learn_window
from spam_assets.learning.day_parts import Messages, take_all
from spam_assets.learning.estimator_errors import EstimatorError, tell_error
from spam_assets.learning.estimator_model import EstimatorModel
from spam_assets.learning.estimator_reading import EstimatorReading, stack
from spam_assets.learning.estimator_scores import compute_margins
from spam_assets.learning.features import TABLE_SIZES, WORDS, MailFeatures
from spam_assets.learning.label_suspects import SuspectLabel
from spam_assets.learning.methods import MUST_RETURN, Method
from spam_assets.learning.stored_estimators import pack_estimator
from spam_assets.learning.training import TrainingSettings
from spam_assets.learning.word_counts import count_words, weigh_words

REFIT_GROWTH = 1.3
"""An estimator without `partial_fit` is fitted again when it may learn so many times the messages of its last fit."""

CLASSES = np.array([0, 1])


def train_estimator(window: Mapping[str, MailFeatures], method: Method, settings: TrainingSettings) -> EstimatorModel:
    """Learn a window of days; arguments and errors as in ``Method.train``.

    Of ``settings`` count those that are not of our own method. Same window and settings, same bytes, if the estimator
    does its part.
    """
    last_day = max(window, default="")
    learner, history = _EstimatorLearner(method, last_day), ScaledHistory(settings)
    walked = learn_window(window, settings, learner, history)
    estimator, fitted_days = learner.finish()
    packed, unknown_types = pack_estimator(estimator, method.reference, method.trusted_types)
    model = EstimatorModel(
        packed=packed,
        unknown_types=unknown_types,
        method=method.reference,
        trusted_types=method.trusted_types,
        fitted_days=fitted_days,
        **describe_learning(walked, learner, history),
    )
    return walked.try_model(model)


class _EstimatorLearner:
    """An estimator fed one day after another, by `partial_fit` or by fits at growing distances."""

    def __init__(self, method: Method, last_day: str) -> None:
        self.ham = 0
        self.spam = 0
        self._method = method
        self._last_day = last_day
        self._estimator = method.build()
        self._reading = EstimatorReading(self._estimator, self._blame)
        self._is_streaming = hasattr(self._reading.rest, "partial_fit")
        self._is_ready = False
        self._in_hand: tuple[Messages, MailFeatures, Any] | None = None
        self._seen: list[Any] = []  # what a fit is given, a day each
        self._labels: list[npt.NDArray[np.int64]] = []
        self._fitted_days: list[str] = []
        self._fitted_messages = 0
        self._newest = ""
        self._counts = np.zeros((TABLE_SIZES[WORDS], 2), np.float32)

    def score_margins(self, messages: Messages) -> npt.NDArray[np.float64]:
        """See ``daily_protocol.Learner``."""
        if not len(messages):
            return np.empty(0)
        if not self._is_streaming and self.ham + self.spam >= REFIT_GROWTH * self._fitted_messages:
            self._fit()
        _, mail = self._read(messages)
        with self._blame("scoring"):
            return compute_margins(self._reading.rest, mail)

    def learn(self, messages: Messages, margins: npt.NDArray[np.float64] | None, day: str) -> None:  # noqa: ARG002
        """See ``daily_protocol.Learner``."""
        if not len(messages):
            return
        self._newest = day
        features, mail = self._read(messages)
        self._in_hand = None
        labels = np.ascontiguousarray(features.labels)
        words = features.views[WORDS]
        count_words(words.indices, words.offsets, labels, np.ones(len(labels), np.bool_), self._counts)
        spam = int(labels.sum())
        self.spam += spam
        self.ham += len(labels) - spam
        wanted = labels.astype(np.int64)
        if self._is_streaming:
            with self._blame("partial_fit"):
                self._reading.rest.partial_fit(mail, wanted, classes=CLASSES)
            return
        self._seen.append(mail)
        self._labels.append(wanted)

    def finish(self) -> tuple[Any, tuple[str, ...]]:
        """The estimator that has learnt everything, and the days after which it was fitted."""
        if not self._is_streaming and self.ham + self.spam > self._fitted_messages:
            self._fit()
        return self._estimator, tuple(self._fitted_days)

    def word_log_odds(self) -> npt.NDArray[np.float32]:
        """As ``training.StreamingLearner.word_log_odds``."""
        return weigh_words(self._counts, self.ham, self.spam)

    def suspect_early_mail(self, calibration: Calibration) -> list[SuspectLabel]:  # noqa: ARG002
        """See ``daily_protocol.Learner``; an estimator cannot say what it would say had it not learnt a message."""
        return []

    def _read(self, messages: Messages) -> tuple[MailFeatures, Any]:
        """A day's messages, and what the estimator is given of them: once for a day that is scored and then learnt."""
        if self._in_hand is None or self._in_hand[0] is not messages:
            features = take_all(messages)
            if not self._is_ready:
                self._reading.get_ready(features)
                self._is_ready = True
            self._in_hand = messages, features, self._reading.read(features)
        return self._in_hand[1:]

    def _fit(self) -> None:
        mail = stack(self._seen)
        self._seen = [mail]
        labels = np.concatenate(self._labels)
        if not self._reading.is_split:  # a new one, for what was learnt before must not count twice
            self._estimator = self._method.build()
            self._reading = EstimatorReading(self._estimator, self._blame)
        with self._blame("fit"):
            self._reading.rest.fit(mail, labels)
        self._fitted_days.append(self._newest)
        self._fitted_messages = self.ham + self.spam

    @contextmanager
    def _blame(self, doing: str) -> Iterator[None]:
        """Say whose code failed, doing what, for which date."""
        try:
            yield
        except Exception as error:
            raise EstimatorError(
                f"{self._method.reference}: {doing} failed on mail up to {self._newest or 'the first day'}, for the "
                f"model of {self._last_day} ({tell_error(error)}); {MUST_RETURN}"
            ) from error
