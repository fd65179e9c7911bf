"""The champion report: how the champion of the time did on a day that it had not learnt.

A report holds counts and fixed histograms rather than scores, so that it is small, can be kept as JSON for years,
and reports of several days can be added up: a day of mail is often too small to say anything by itself.

Reading reports needs neither NumPy nor Numba, so that a sensor can do it; only ``report_day`` imports them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from math import isnan, nan, sqrt
from typing import TYPE_CHECKING, Any

from spam_assets.learning.estimator_errors import EstimatorError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from spam_assets.learning.dated_model import DatedModel
    from spam_assets.learning.features import MailFeatures
    from spam_assets.learning.trained_model import TrainedModel

BINS = 20
"""Bins of every histogram, equally wide from 0 to 1; the last one includes 1."""

Z_95_PERCENT = 1.959963984540054

Interval = tuple[float, float]
Histogram = tuple[int, ...]


@dataclass(frozen=True)
class MethodDay:
    """A day of mail as the model of one of several methods saw it.

    Attributes:
        method: See ``TrainedModel.method``.
        training_date: The last day that the model had learnt.
        false_positives: Ham called spam at the model's threshold.
        false_negatives: Spam called ham.
        one_minus_roca_percent: See ``evaluation.one_minus_roca_percent``.
    """

    method: str
    training_date: str
    false_positives: int
    false_negatives: int
    one_minus_roca_percent: float


@dataclass(frozen=True)
class DayReport:
    """A day of mail as the champion saw it that served on that day.

    Figures that need a class which the day lacks are NaN. Intervals are 95 %.

    Attributes:
        day: The day scored, ``YYYY-MM-DD``.
        champion_training_date: The last day that the champion had learnt.
        messages: Number of messages.
        ham: Those that are ham.
        spam: Those that are spam.
        false_positives: Ham called spam at the champion's threshold.
        false_negatives: Spam called ham.
        fpr: Share of ham called spam.
        fpr_interval: See ``wilson_interval``.
        recall: Share of spam caught.
        recall_interval: See ``wilson_interval``.
        one_minus_roca_percent: See ``evaluation.one_minus_roca_percent``.
        one_minus_roca_percent_interval: See ``roca_interval``.
        brier: Mean squared difference of score and label.
        spam_share: Share of spam among the messages.
        calibration_error: Mean score minus share of spam, "calibration in the large" (Van Calster et al. 2019,
            "Calibration: the Achilles heel of predictive analytics"). Unlike the expected calibration error it is
            not biased upwards on days of few messages.
        unknown_words_share: Mean over messages of the share of a message's different words that tell the champion
            nothing, because it never saw them or saw them in ham and spam alike. Of the figures tried it told a
            new kind of spam best; byte patterns never seen before, of which all spam has many, did not.
        ham_scores: Histogram of the scores of ham.
        spam_scores: Histogram of the scores of spam.
        ham_unknown_words: Histogram of that share of unknown words in messages of ham.
        spam_unknown_words: The same of spam.
        methods: The champion and the newest model of each other method that is trained; none where there is only one.
    """

    day: str
    champion_training_date: str
    messages: int
    ham: int
    spam: int
    false_positives: int
    false_negatives: int
    fpr: float
    fpr_interval: Interval
    recall: float
    recall_interval: Interval
    one_minus_roca_percent: float
    one_minus_roca_percent_interval: Interval
    brier: float
    spam_share: float
    calibration_error: float
    unknown_words_share: float
    ham_scores: Histogram
    spam_scores: Histogram
    ham_unknown_words: Histogram
    spam_unknown_words: Histogram
    methods: tuple[MethodDay, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON knows it: lists for tuples, None for NaN; without ``methods`` where there is one."""
        figures = _to_json(asdict(self))
        if not self.methods:
            del figures["methods"]
        return dict(figures)

    @classmethod
    def from_dict(cls, figures: Mapping[str, Any]) -> DayReport:
        """Rebuild a report from ``to_dict``; names that this code does not know are left out.

        Raises:
            ValueError: If a figure is missing.
        """
        names = [field.name for field in fields(cls) if field.name != "methods"]
        missing = [name for name in names if name not in figures]
        if missing:
            day = figures.get("day", "an unknown day")
            raise ValueError(f"the champion report of {day} lacks {', '.join(missing)}; make it again")
        methods = tuple(
            MethodDay(**{field.name: _from_json(one[field.name]) for field in fields(MethodDay)})
            for one in figures.get("methods", ())
        )
        return cls(**{name: _from_json(figures[name]) for name in names}, methods=methods)


def report_day(day: str, champion: DatedModel, features: MailFeatures) -> DayReport:
    """Score a day with the champion that served when its mail came.

    Args:
        day: The day, ``YYYY-MM-DD``.
        champion: A model that learnt days before this one only.
        features: The day's mail.

    Raises:
        ValueError: If the champion's training date is not before the day, because what a model has learnt says
            nothing of how it does on new mail.
    """
    import numpy as np

    from spam_assets.learning.day_parts import map_parts
    from spam_assets.learning.evaluation import evaluate_scores

    if champion.training_date >= day:
        raise ValueError(
            f"the champion of {champion.training_date} may have learnt the mail of {day}; report {day} with a champion "
            "of an earlier date"
        )
    labels = np.asarray(features.labels)
    scores = map_parts(champion.model.score, features)
    unknown = map_parts(partial(measure_unknown_words, champion.model), features)
    found = evaluate_scores(labels, scores, champion.model.threshold, (day,))
    messages, spam = found.messages, found.spam
    ham = messages - spam
    spam_share = spam / messages if messages else nan
    return DayReport(
        day=day,
        champion_training_date=champion.training_date,
        messages=messages,
        ham=ham,
        spam=spam,
        false_positives=found.false_positives,
        false_negatives=found.false_negatives,
        fpr=found.fpr,
        fpr_interval=wilson_interval(found.false_positives, ham),
        recall=found.recall,
        recall_interval=wilson_interval(found.true_positives, spam),
        one_minus_roca_percent=found.one_minus_roca_percent,
        one_minus_roca_percent_interval=roca_interval(found.one_minus_roca_percent, ham, spam),
        brier=found.brier,
        spam_share=spam_share,
        calibration_error=float(scores.mean()) - spam_share if messages else nan,
        unknown_words_share=float(unknown.mean()) if messages else nan,
        ham_scores=_count_bins(scores[labels == 0]),
        spam_scores=_count_bins(scores[labels != 0]),
        ham_unknown_words=_count_bins(unknown[labels == 0]),
        spam_unknown_words=_count_bins(unknown[labels != 0]),
    )


def report_methods(
    report: DayReport, champion: DatedModel, others: Sequence[DatedModel], features: MailFeatures
) -> tuple[DayReport, dict[str, str]]:
    """Put models of other methods beside the champion.

    Args:
        report: The champion's, of the day.
        champion: It.
        others: Models of other methods that learnt days before this one only.
        features: The day's mail.

    Returns:
        The report with ``methods``; and by the names of methods that failed to score the day why.
    """
    tried = {other.model.method: _try_method(report.day, other, features) for other in others}
    found = [_describe_method(report, champion), *(one for one in tried.values() if isinstance(one, MethodDay))]
    failed = {method: why for method, why in tried.items() if isinstance(why, str)}
    return replace(report, methods=tuple(found) if others else ()), failed


def _try_method(day: str, dated: DatedModel, features: MailFeatures) -> MethodDay | str:
    try:
        return _describe_method(report_day(day, dated, features), dated)
    except EstimatorError as error:  # somebody else's code, beside a champion that has nothing to do with it
        return str(error)


def _describe_method(report: DayReport, dated: DatedModel) -> MethodDay:
    return MethodDay(
        dated.model.method,
        dated.training_date,
        report.false_positives,
        report.false_negatives,
        report.one_minus_roca_percent,
    )


def measure_unknown_words(model: TrainedModel, features: MailFeatures) -> npt.NDArray[np.float64]:
    """Share of each message's different words that tell the model nothing, shape (n,); 0 without words."""
    import numpy as np

    from spam_assets.learning.features import WORDS

    words = features.views[WORDS]
    offsets = np.asarray(words.offsets)
    indices = words.indices[offsets[0] : offsets[-1]]
    unknown = np.concatenate([[0], np.cumsum(model.log_odds[indices] == 0)])[offsets - offsets[0]]
    return np.asarray(np.diff(unknown) / np.maximum(np.diff(offsets), 1), np.float64)


def wilson_interval(hits: int, trials: int) -> Interval:
    """95 % interval of a share; NaN without trials.

    Source: Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference". Unlike the normal
    approximation it is of use for few trials and for no hit at all.
    """
    if not trials:
        return nan, nan
    share, z2 = hits / trials, Z_95_PERCENT**2
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z_95_PERCENT / (1 + z2 / trials) * sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    return max(centre - half, 0.0) if hits else 0.0, min(centre + half, 1.0) if hits < trials else 1.0


def roca_interval(one_minus_roca_percent: float, ham: int, spam: int) -> Interval:
    """95 % interval of (1-ROCA)%; NaN where a class is absent.

    The areas whose distance from the one found is 1.96 standard errors, those of Hanley & McNeil 1982 at that area:
    method 5 of Newcombe 2006, "Confidence intervals for an effect size measure based on the Mann-Whitney
    statistic", which does for the area what Wilson's interval does for a share. A day without an error has an
    interval, too, which the bootstrap and DeLong's method deny it.
    """
    if not ham or not spam or isnan(one_minus_roca_percent):
        return nan, nan
    found = one_minus_roca_percent / 100
    others = (ham + spam) / 2 - 1

    def is_inside(area: float) -> bool:
        spread = 1 + others * area / (1 + area) + others * (1 - area) / (2 - area)
        return (area - found) ** 2 <= Z_95_PERCENT**2 * area * (1 - area) * spread / (ham * spam)

    low = 0.0 if found == 0 else _bisect(is_inside, found, 0.0)
    high = 1.0 if found == 1 else _bisect(is_inside, found, 1.0)
    return 100 * low, 100 * high


def _bisect(is_inside: Callable[[float], bool], inside: float, outside: float) -> float:
    for _ in range(50):
        middle = (inside + outside) / 2
        if is_inside(middle):
            inside = middle
        else:
            outside = middle
    return (inside + outside) / 2


def _count_bins(values: npt.NDArray[np.float64]) -> Histogram:
    import numpy as np

    return tuple(np.histogram(values, BINS, (0.0, 1.0))[0].tolist())


def _to_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _to_json(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return [_to_json(item) for item in value]
    return None if isinstance(value, float) and isnan(value) else value


def _from_json(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(_from_json(item) for item in value)
    return nan if value is None else value
