"""Measures of a spam filter, as the TREC spam track defines them.

Source throughout: Cormack & Lynam, "TREC 2005 Spam Track Overview". Spam is the positive class; a higher
score means more likely spam. Measures that need both classes are NaN where one is absent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Measure = Callable[[npt.NDArray[np.bool_], npt.NDArray[np.float64]], float]


@dataclass(frozen=True)
class Evaluation:
    """How well scores separate ham from spam.

    Attributes:
        days: The days of the scored messages, oldest first.
        messages: Number of messages.
        spam: Number of those that are spam.
        one_minus_roca_percent: See ``one_minus_roca_percent``.
        lam_percent: See ``lam_percent``; at the thresholds used.
        recall_at_fpr_0_1_percent: Share of spam caught where 0.1 % of ham is called spam.
        recall_at_fpr_1_percent: The same for 1 %.
        threshold: The threshold of the last message.
        fpr: Share of ham called spam at the thresholds used.
        recall: Share of spam caught at the thresholds used.
        brier: Mean squared difference of score and label.
        true_positives: Spam called spam.
        false_positives: Ham called spam.
        true_negatives: Ham called ham.
        false_negatives: Spam called ham.
    """

    days: tuple[str, ...]
    messages: int
    spam: int
    one_minus_roca_percent: float
    lam_percent: float
    recall_at_fpr_0_1_percent: float
    recall_at_fpr_1_percent: float
    threshold: float
    fpr: float
    recall: float
    brier: float
    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int


def evaluate_scores(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    threshold: float | npt.ArrayLike,
    days: Sequence[str],
) -> Evaluation:
    """Evaluate calibrated scores.

    Args:
        labels: n labels, 1 for spam, 0 for ham.
        scores: n spam probabilities.
        threshold: One for all messages, or one a message (the one in force on its day). A message is called
            spam when its score is at least the threshold.
        days: The days the messages are of.
    """
    is_spam = np.asarray(labels) != 0
    values = np.asarray(scores, np.float64)
    thresholds = np.broadcast_to(np.asarray(threshold, np.float64), values.shape)
    called = values >= thresholds
    true_positives = int(np.sum(called & is_spam))
    false_positives = int(np.sum(called & ~is_spam))
    spam = int(is_spam.sum())
    ham = len(is_spam) - spam
    nan = float("nan")
    return Evaluation(
        days=tuple(days),
        messages=len(is_spam),
        spam=spam,
        one_minus_roca_percent=one_minus_roca_percent(is_spam, values),
        lam_percent=lam_percent(false_positives, ham, spam - true_positives, spam),
        recall_at_fpr_0_1_percent=recall_at_fpr(is_spam, values, 0.001),
        recall_at_fpr_1_percent=recall_at_fpr(is_spam, values, 0.01),
        threshold=float(thresholds[-1]) if len(values) else nan,
        fpr=false_positives / ham if ham else nan,
        recall=true_positives / spam if spam else nan,
        brier=float(np.mean((values - is_spam) ** 2)) if len(values) else nan,
        true_positives=true_positives,
        false_positives=false_positives,
        true_negatives=ham - false_positives,
        false_negatives=spam - true_positives,
    )


def one_minus_roca_percent(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Area above the ROC curve in percent, (1-ROCA)%.

    That is 100 x the probability that a random ham message scores higher than a random spam message, a tie
    counting half; 0 is perfect, 50 is chance.
    """
    ham, spam = _split(labels, scores)
    if not len(ham) or not len(spam):
        return float("nan")
    below = np.searchsorted(spam, ham, "left") + np.searchsorted(spam, ham, "right")
    return float(50.0 * below.sum() / (len(ham) * len(spam)))


def recall_at_fpr(labels: npt.ArrayLike, scores: npt.ArrayLike, fpr: float) -> float:
    """Largest share of spam caught by any threshold that calls at most the share ``fpr`` of ham spam.

    Exact on ties: spam that scores as high as the first ham beyond the allowance is not caught.
    """
    ham, spam = _split(labels, scores)
    if not len(ham) or not len(spam):
        return float("nan")
    allowed = int(np.floor(fpr * len(ham) + 1e-9))
    if allowed >= len(ham):
        return 1.0
    return float(np.mean(spam > ham[len(ham) - 1 - allowed]))


def lam_percent(false_positives: int, ham: int, false_negatives: int, spam: int) -> float:
    """Logistic average misclassification percentage, lam%.

    logit(lam) is the mean of the logits of ham misclassification and spam misclassification; half an error in
    one message more is added to each rate, as the track's evaluation kit does, so that no error is finite.
    """
    if not ham or not spam:
        return float("nan")
    odds = (false_positives + 0.5) / (ham - false_positives + 0.5)
    odds *= (false_negatives + 0.5) / (spam - false_negatives + 0.5)
    return float(100.0 / (1.0 + odds**-0.5))


def det_curve(labels: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Detection error trade-off: both error rates at every threshold, from lowest to highest.

    Returns:
        Share of ham called spam, and share of spam missed; the last point calls nothing spam. Empty where a
        class is absent.

    Source: Martin et al. 1997, "The DET Curve in Assessment of Detection Task Performance".
    """
    ham, spam = _split(labels, scores)
    if not len(ham) or not len(spam):
        return np.empty(0), np.empty(0)
    thresholds = np.unique(np.concatenate([ham, spam]))
    false_alarms = 1.0 - np.searchsorted(ham, thresholds, "left") / len(ham)
    misses = np.searchsorted(spam, thresholds, "left") / len(spam)
    return np.append(false_alarms, 0.0), np.append(misses, 1.0)


def bootstrap_interval(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    measure: Measure = one_minus_roca_percent,
    *,
    days: npt.ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """95 % percentile interval of a measure over resampled messages, ham and spam resampled apart.

    Mail of a day is alike (campaigns, resends, one model's whims), so where the day of each message is given whole days
    are resampled instead, and the interval is as wide as that makes it.

    NaN where a class is absent. Sources: Efron & Tibshirani 1993, "An Introduction to the Bootstrap"; for whole days
    Davison & Hinkley 1997, "Bootstrap Methods and their Application", section 3.8.
    """
    values = _resample(labels, [np.asarray(scores, np.float64)], measure, days, resamples, seed)[0]
    low, high = np.nanpercentile(values, [2.5, 97.5]) if np.isfinite(values).any() else (np.nan, np.nan)
    return float(low), float(high)


@dataclass(frozen=True)
class PairedDifference:
    """Measure of the first scores minus measure of the second, on the same messages.

    Attributes:
        difference: On the messages themselves.
        interval: 95 % percentile interval over paired resamples.
        share_above_zero: Share of resamples where the first is the higher; a tie counts half.
    """

    difference: float
    interval: tuple[float, float]
    share_above_zero: float


def compare_scores(
    labels: npt.ArrayLike,
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    measure: Measure = one_minus_roca_percent,
    *,
    days: npt.ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> PairedDifference:
    """Compare two scores of the same messages by the paired bootstrap; see ``bootstrap_interval``."""
    columns = [np.asarray(first, np.float64), np.asarray(second, np.float64)]
    resampled = _resample(labels, columns, measure, days, resamples, seed)
    differences = resampled[0] - resampled[1]
    is_spam = np.asarray(labels) != 0
    if days is not None:
        differences = differences[np.isfinite(differences)]  # without resamples of days that lack a class
    low, high = np.percentile(differences, [2.5, 97.5]) if len(differences) else (np.nan, np.nan)
    return PairedDifference(
        measure(is_spam, columns[0]) - measure(is_spam, columns[1]),
        (float(low), float(high)),
        float(np.mean(differences > 0) + np.mean(differences == 0) / 2),
    )


def _split(labels: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Sorted scores of ham and of spam."""
    is_spam = np.asarray(labels) != 0
    values = np.asarray(scores, np.float64)
    return np.sort(values[~is_spam]), np.sort(values[is_spam])


def _resample(
    labels: npt.ArrayLike,
    columns: Sequence[npt.NDArray[np.float64]],
    measure: Measure,
    days: npt.ArrayLike | None,
    resamples: int,
    seed: int,
) -> npt.NDArray[np.float64]:
    """The measure of each column on the same resamples, shape (columns, resamples)."""
    is_spam = np.asarray(labels) != 0
    ham, spam = np.flatnonzero(~is_spam), np.flatnonzero(is_spam)
    values = np.full((len(columns), resamples), np.nan)
    if not len(ham) or not len(spam):
        return values
    generator = np.random.default_rng(seed)
    names = None if days is None else np.asarray(days)
    by_day = [] if names is None else [np.flatnonzero(names == day) for day in np.unique(names)]
    for at in range(resamples):
        if by_day:
            drawn = np.concatenate([by_day[day] for day in generator.integers(len(by_day), size=len(by_day))])
        else:
            drawn = np.concatenate([generator.choice(ham, len(ham)), generator.choice(spam, len(spam))])
        for column, scores in enumerate(columns):
            values[column, at] = measure(is_spam[drawn], scores[drawn])
    return values
