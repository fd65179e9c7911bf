"""Calibration and threshold, chosen from margins of messages that were not learnt yet."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from spam_assets.learning.calibration import PRIOR_SLOPE, Calibration
from spam_assets.learning.label_noise import count_believed_ham

PRIOR_STRENGTH = 100.0
LEAST_HAM = 20
CAUTIOUS_THRESHOLD = 0.99


def fit_calibration(margins: npt.NDArray[np.float64], labels: npt.NDArray[np.int8]) -> Calibration:
    """Fit Platt's sigmoid to margins of messages that were not learnt yet.

    The strong Gaussian prior at (3, 0) keeps the scores of different days comparable: they are pooled into
    one ROC curve and one threshold, and a sigmoid that follows a few odd messages of one day reorders them.

    Source: Platt 1999, "Probabilistic Outputs for Support Vector Machines"; the prior is ours.
    """
    return Calibration(*_fit_sigmoid(margins, labels, PRIOR_SLOPE, PRIOR_STRENGTH))


def choose_margin(ham_margins: npt.NDArray[np.float64], target_fpr: float) -> float:
    """The margin above which a message is called spam, for a wanted share of ham called spam.

    With n margins of ham that was not learnt when scored, ham to come exceeds the j-th highest of them with
    probability j / (n + 1) if it is exchangeable with them, whatever their distribution (split conformal
    prediction: Vovk, Gammerman & Shafer 2005). The rule takes the largest j with j / (n + 1) <= target_fpr.
    Where n is too small for that (below 999 for 0.1 %) it takes the highest, which promises 1 / (n + 1).

    Returns:
        The margin; infinity for fewer than ``LEAST_HAM`` margins.
    """
    count = len(ham_margins)
    if count < LEAST_HAM:
        return float("inf")
    rank = max(int(target_fpr * (count + 1)), 1)
    return float(np.partition(ham_margins, count - rank)[count - rank])


def calibrate(
    margins: npt.NDArray[np.float64], labels: npt.NDArray[np.int8], target_fpr: float
) -> tuple[Calibration, float]:
    """Calibration and threshold (a probability) from messages that were scored before they were learnt.

    A message that is more likely ham than spam is never called spam, so the threshold is at least 0.5; while
    there are too few messages of ham to choose by it is ``CAUTIOUS_THRESHOLD``.

    Some of the labels are wrong. ``label_noise.count_believed_ham`` says how much of what is called ham may lie above
    the threshold. That, and spam that scores below most ham, is left out of the sigmoid's fit too: a few labels far on
    the wrong side would flatten it, more on some days than on others (trimmed likelihood: Hadi & Luceno 1997).
    """
    is_ham = labels == 0
    ham, spam = np.sort(margins[is_ham])[::-1], np.sort(margins[~is_ham])[::-1]
    if len(ham) < LEAST_HAM:
        return fit_calibration(margins, labels), CAUTIOUS_THRESHOLD
    margin = ham[count_believed_ham(ham, spam, target_fpr)]
    is_contradicted = np.where(is_ham, margins > margin, margins < ham[len(ham) // 2])
    calibration = fit_calibration(margins[~is_contradicted], labels[~is_contradicted])
    at_margin = float(calibration.apply(np.array([margin]))[0])
    return calibration, max(float(np.nextafter(at_margin, 2.0)), 0.5)


@njit(cache=True)
def _fit_sigmoid(
    margins: npt.NDArray[np.float64], labels: npt.NDArray[np.int8], prior_slope: float, strength: float
) -> tuple[float, float]:
    """Newton's method on the penalised log loss, halving a step that does not lower it."""
    slope, intercept = prior_slope, 0.0
    step_slope, step_intercept = 0.0, 0.0
    last_loss = np.inf
    for _ in range(50):
        loss = 0.5 * strength * ((slope - prior_slope) ** 2 + intercept**2)
        gradient_slope = strength * (slope - prior_slope)
        gradient_intercept = strength * intercept
        curve_slope, curve_both, curve_intercept = strength, 0.0, strength
        for at in range(len(margins)):
            margin = margins[at]
            exponent = slope * margin + intercept
            shrunk = np.exp(-abs(exponent))
            probability = 1.0 / (1.0 + shrunk) if exponent >= 0 else shrunk / (1.0 + shrunk)
            loss += np.log1p(shrunk) + max(exponent, 0.0) - labels[at] * exponent
            error = probability - labels[at]
            gradient_slope += error * margin
            gradient_intercept += error
            curve = probability * (1.0 - probability)
            curve_slope += curve * margin * margin
            curve_both += curve * margin
            curve_intercept += curve
        if loss > last_loss:
            step_slope *= 0.5
            step_intercept *= 0.5
            if abs(step_slope) + abs(step_intercept) < 1e-9:
                break
            slope += step_slope
            intercept += step_intercept
            continue
        last_loss = loss
        determinant = curve_slope * curve_intercept - curve_both * curve_both
        step_slope = (curve_intercept * gradient_slope - curve_both * gradient_intercept) / determinant
        step_intercept = (curve_slope * gradient_intercept - curve_both * gradient_slope) / determinant
        if abs(step_slope) + abs(step_intercept) < 1e-6:
            break
        slope -= step_slope
        intercept -= step_intercept
    return slope, intercept
