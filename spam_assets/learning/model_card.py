"""The model card: what a model learnt, how it did on which parts of the mail, and where it is weak.

Figures by day, sender and length are of scores that were given before the mail was learnt. The model as it serves is
tried on mail that it has not learnt, with and without headers. Source of the idea: Mitchell et al. 2019, "Model Cards
for Model Reporting".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import nan
from typing import Any

import numpy as np
import numpy.typing as npt

from spam_assets.learning.card_mail import CardDay
from spam_assets.learning.features import MailFeatures
from spam_assets.learning.reporting import Interval, roca_interval, wilson_interval
from spam_assets.learning.trained_model import TrainedModel
from spam_assets.mail.sender_kinds import SENDER_KINDS

LENGTHS = (
    ("body under 500 characters", 0, 500),
    ("body of 500 to 4,000", 500, 4000),
    ("body over 4,000", 4000, 1 << 62),
)
LEAST_FOR_A_WEAK_SPOT = 10
"""Of a few messages even a 95 % interval says much by chance."""
CALIBRATION_EDGES = (0.0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1.0)
"""Most mail is nearly certain; bins of equal width would be empty but for two."""


@dataclass(frozen=True)
class Part:
    """How some of the mail was judged.

    Attributes:
        name: Which mail.
        ham: Messages of ham.
        spam: Messages of spam.
        lost_ham: Ham called spam.
        caught_spam: Spam called spam.
    """

    name: str
    ham: int
    spam: int
    lost_ham: int
    caught_spam: int

    @property
    def fpr(self) -> float:
        """Share of ham called spam; NaN without ham."""
        return self.lost_ham / self.ham if self.ham else nan

    @property
    def fpr_interval(self) -> Interval:
        """See ``wilson_interval``."""
        return wilson_interval(self.lost_ham, self.ham)

    @property
    def recall(self) -> float:
        """Share of spam caught; NaN without spam."""
        return self.caught_spam / self.spam if self.spam else nan

    @property
    def recall_interval(self) -> Interval:
        """See ``wilson_interval``."""
        return wilson_interval(self.caught_spam, self.spam)


@dataclass(frozen=True)
class CalibrationBin:
    """Messages whose scores are near each other: of well calibrated ones the mean score is the share of spam."""

    messages: int
    spam: int
    mean_score: float


@dataclass(frozen=True)
class ModelCard:
    """What is worth knowing of a model before it serves.

    Attributes:
        training_date: The last day of its window.
        days_learnt: The days whose mail it has learnt.
        days_contradicting: Those of the window that it has not, because their labels contradict the days before.
        days_without_mail: Days between the first and the last of the window of which it found no mail.
        ham: Messages of ham learnt.
        spam: Messages of spam learnt.
        held_out_share: Share of mail that no model learns.
        suspect_labels: Labels of the window that are probably wrong.
        threshold: Spam probability from which on mail is called spam.
        one_minus_roca_percent: Of the scores before learning.
        one_minus_roca_percent_interval: See ``roca_interval``.
        overall: All of the newest days, scored before they were learnt.
        by_day: The same, a day each.
        by_sender: The same, a kind of sender each; see ``mail.sender_kinds``.
        by_length: The same, by the length of the body.
        by_headers: The same, with whole messages and with bodies only.
        unlearnt: The model itself on mail of those days that it has not learnt: whole, and the body alone.
        unknown_messages: Messages whose mail was not at hand, so that they are in no part by sender, length or headers.
        calibration: The scores before learning, lowest first.
    """

    training_date: str
    days_learnt: tuple[str, ...]
    days_contradicting: tuple[str, ...]
    days_without_mail: tuple[str, ...]
    ham: int
    spam: int
    held_out_share: float
    suspect_labels: int
    threshold: float
    one_minus_roca_percent: float
    one_minus_roca_percent_interval: Interval
    overall: Part
    by_day: tuple[Part, ...]
    by_sender: tuple[Part, ...]
    by_length: tuple[Part, ...]
    by_headers: tuple[Part, ...]
    unlearnt: tuple[Part, ...]
    unknown_messages: int
    calibration: tuple[CalibrationBin, ...]

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts by sender, length and headers."""
        return (*self.by_sender, *self.by_length, *self.by_headers)

    @property
    def weak_spots(self) -> tuple[str, ...]:
        """The parts of 10 messages or more that did worse than the whole by more than chance: 95 % intervals tell."""
        found = []
        for part in self.parts:
            if part.ham >= LEAST_FOR_A_WEAK_SPOT and part.fpr_interval[0] > self.overall.fpr:
                found.append(f"{part.name}: {part.lost_ham} of {part.ham} ham lost")
            if part.spam >= LEAST_FOR_A_WEAK_SPOT and part.recall_interval[1] < self.overall.recall:
                found.append(f"{part.name}: {part.caught_spam} of {part.spam} spam caught")
        return tuple(found)


def build_card(
    training_date: str, model: TrainedModel, window: Sequence[str], mail: Mapping[str, CardDay]
) -> ModelCard:
    """Write down what a model is worth.

    Args:
        training_date: The day that it was trained for.
        model: What came of it.
        window: The days that training read, oldest first.
        mail: Days of mail that are at hand; of others there are no figures by sender, length and headers.
    """
    scored = model.progressive
    labels = scored.labels != 0
    called = scored.scores >= scored.thresholds
    is_known, kinds, characters, has_headers = _align(model, mail)

    def count(name: str, chosen: npt.NDArray[np.bool_]) -> Part:
        return _count(name, labels[chosen], called[chosen])

    overall = _count("all", labels, called)
    return ModelCard(
        training_date=training_date,
        days_learnt=model.days,
        days_contradicting=tuple(found.day for found in model.contradicting_days),
        days_without_mail=tuple(_find_days_between(window)),
        ham=model.ham,
        spam=model.spam,
        held_out_share=model.held_out_share,
        suspect_labels=len(model.suspects),
        threshold=model.threshold,
        one_minus_roca_percent=model.evaluation.one_minus_roca_percent,
        one_minus_roca_percent_interval=roca_interval(
            model.evaluation.one_minus_roca_percent, overall.ham, overall.spam
        ),
        overall=overall,
        by_day=tuple(count(day, scored.day_indices == at) for at, day in enumerate(scored.days)),
        by_sender=tuple(count(kind, is_known & (kinds == kind)) for kind in SENDER_KINDS),
        by_length=tuple(
            count(name, is_known & (characters >= low) & (characters < high)) for name, low, high in LENGTHS
        ),
        by_headers=(
            count("with headers", is_known & has_headers),
            count("without headers", is_known & ~has_headers),
        ),
        unlearnt=(
            _try("whole messages", model, [mail[day].held_out for day in scored.days if day in mail]),
            _try("the body alone", model, [mail[day].held_out_bare for day in scored.days if day in mail]),
        ),
        unknown_messages=int((~is_known).sum()),
        calibration=_bin_scores(scored.scores, labels),
    )


def _align(model: TrainedModel, mail: Mapping[str, CardDay]) -> tuple[npt.NDArray[Any], ...]:
    """Which scored messages are at hand, with their kinds, lengths and whether they have headers."""
    scored = model.progressive
    count = len(scored.labels)
    is_known, kinds = np.zeros(count, np.bool_), np.full(count, "", dtype=object)
    characters, has_headers = np.zeros(count, np.int64), np.zeros(count, np.bool_)
    for at, day in enumerate(scored.days):
        rows = scored.day_indices == at
        if day in mail and np.array_equal(mail[day].labels, scored.labels[rows]):
            is_known[rows] = True
            kinds[rows], characters[rows] = mail[day].sender_kinds, mail[day].body_characters
            has_headers[rows] = mail[day].has_headers
    return is_known, kinds, characters, has_headers


def _count(name: str, is_spam: npt.NDArray[np.bool_], called: npt.NDArray[np.bool_]) -> Part:
    spam = int(is_spam.sum())
    return Part(name, len(is_spam) - spam, spam, int((called & ~is_spam).sum()), int((called & is_spam).sum()))


def _try(name: str, model: TrainedModel, days: Sequence[MailFeatures]) -> Part:
    parts = [_count(name, day.labels != 0, model.score(day) >= model.threshold) for day in days]
    return Part(
        name,
        sum(part.ham for part in parts),
        sum(part.spam for part in parts),
        sum(part.lost_ham for part in parts),
        sum(part.caught_spam for part in parts),
    )


def _bin_scores(scores: npt.NDArray[np.float64], is_spam: npt.NDArray[np.bool_]) -> tuple[CalibrationBin, ...]:
    places = np.clip(np.searchsorted(CALIBRATION_EDGES, scores, "right") - 1, 0, len(CALIBRATION_EDGES) - 2)
    return tuple(
        CalibrationBin(int(chosen.sum()), int(is_spam[chosen].sum()), float(scores[chosen].mean()))
        for chosen in (places == place for place in range(len(CALIBRATION_EDGES) - 1))
        if chosen.any()
    )


def _find_days_between(window: Sequence[str]) -> Iterator[str]:
    if not window:
        return
    first, last = date.fromisoformat(min(window)), date.fromisoformat(max(window))
    for offset in range((last - first).days):
        day = (first + timedelta(days=offset)).isoformat()
        if day not in window:
            yield day
