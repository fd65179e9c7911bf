"""The daily protocol over many days, as production lives them: each day is scored by the model of the day before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from spam_assets.learning.daily_protocol import NotEnoughMailError
from spam_assets.learning.features import MailFeatures
from spam_assets.learning.methods import Method
from spam_assets.learning.trained_model import TrainedModel
from spam_assets.learning.training import TrainingSettings

NOTHING_KNOWN = 0.5
"""What mail scores before there is a model; the threshold is 1 then, so nothing is called spam."""


@dataclass(frozen=True)
class ScoredMail:
    """n messages, each scored before it was learnt.

    Attributes:
        labels: 1 for spam, 0 for ham.
        scores: Spam probabilities.
        thresholds: The threshold in force on the message's day.
        day_numbers: Which of the days it is of, from 1 on.
    """

    labels: npt.NDArray[np.int8]
    scores: npt.NDArray[np.float64]
    thresholds: npt.NDArray[np.float64]
    day_numbers: npt.NDArray[np.int32]


def join_scored(parts: Sequence[ScoredMail]) -> ScoredMail:
    """Days as one; at least one must be given."""
    return ScoredMail(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("labels", "scores", "thresholds", "day_numbers")
        )
    )


class MethodReplay:
    """A method that is trained on the window of each day, as the assets train it, and scores the day after.

    Args:
        method: Ours or somebody else's.
        settings: Of each training.
        window_days: How many days a window spans.
    """

    def __init__(self, method: Method, settings: TrainingSettings, window_days: int) -> None:
        self._method = method
        self._settings = settings
        self._window_days = window_days
        self._window: dict[str, MailFeatures] = {}
        self._model: TrainedModel | None = None

    def score(self, features: MailFeatures) -> tuple[npt.NDArray[np.float64], float]:
        """Scores of mail that was not learnt, shape (n,), and the threshold in force."""
        if self._model is None:
            return np.full(len(features), NOTHING_KNOWN), 1.0
        return self._model.score(features), self._model.threshold

    def learn(self, day: str, features: MailFeatures) -> None:
        """Take a day into the window, and out of it what is older than the window is long."""
        self._window[day] = features
        oldest = str(date.fromisoformat(day) - timedelta(days=self._window_days - 1))
        self._window = {past: known for past, known in self._window.items() if past >= oldest}

    def train(self) -> None:
        """Train on the window; with too little mail there is no model.

        Raises:
            EstimatorError: Somebody else's code fails.
        """
        try:
            self._model = self._method.train(self._window, self._settings)
        except NotEnoughMailError:
            self._model = None


def replay_days(
    replay: MethodReplay, days: Sequence[tuple[str, MailFeatures]], first_scored: str
) -> Iterator[ScoredMail | None]:
    """Run the daily protocol; yields what each day gave, None for those that are only learnt.

    Args:
        replay: Is trained before each day that is scored.
        days: The days (``YYYY-MM-DD``) and their mail, oldest first; with the mail behind the features where somebody
            else's method reads it.
        first_scored: The first day that is scored.

    Raises:
        EstimatorError: Somebody else's code fails.
    """
    for number, (day, features) in enumerate(days, start=1):
        scored = None
        if day >= first_scored:
            replay.train()
            scores, threshold = replay.score(features)
            scored = ScoredMail(
                np.array(features.labels, np.int8),
                scores,
                np.full(len(scores), threshold),
                np.full(len(scores), number, np.int32),
            )
        replay.learn(day, features)
        yield scored
