"""Where ham ends, when some of what is called ham is spam.

People's labels are wrong for a few per cent of mail. Spam called ham scores like spam, so it fills the top of ham's
margins, and a threshold that is put above all ham but 0.1 % then misses most spam. The rules here take wrong labels
off that tail, and no more of it than the margins themselves bear out.
"""

from __future__ import annotations

from math import ceil, floor, log

import numpy as np
import numpy.typing as npt
from numba import njit

LEAST_SPAM = 20
"""With fewer messages of spam nothing is known of how spam scores, and every label is believed."""

CUTS = 41
"""Wrong labels are looked for above so many margins, from spam's median down to its lowest."""

LEAST_SEGMENT = 0.03
"""Share of spam between a cut and a margin below which the two are too near each other to be compared."""

SIGNIFICANCE = 0.05
"""Ham that wrong labels explain with a smaller probability is ham."""

PRIOR_WRONG = 1.0
PRIOR_SPAM = 50.0
"""What is assumed of spam before it is seen: 1 wrong label in 50, as people's labels go."""

MOST_EXCESS = 2.0
"""Where ham's own tail reaches, chance excuses no more ham beyond the expected wrong labels than this many times the
target's, two messages at least; with 10 % wrong labels it could be 1 % of all ham."""

TAIL_SHARE = 0.5
"""Ham's extrapolated tail tells more ham in the range of spam than there is: on clean short texts 3 to 10 times."""


def count_believed_ham(ham: npt.NDArray[np.float64], spam: npt.NDArray[np.float64], target_fpr: float) -> int:
    """How many of the highest ham margins may lie above the threshold: those wrong labels explain, and the target's.

    Observed ham is ham and some spam that was called ham; as far as the labels were wrong at random, that spam scores
    as the rest of spam does. Far up in spam's range, where ham hardly comes, the ratio of ham to spam is therefore the
    ratio of wrong labels to right ones (Blanchard, Lee & Scott 2010, "Semi-Supervised Novelty Detection"; Scott 2015,
    "A Rate of Convergence for Mixture Proportion Estimation"). It is learnt above each of several cuts. Further down
    it predicts how much mislabelled spam to expect, a negative binomial number. The lowest margin is taken above
    which no stretch holds more ham than that and the target's (``SIGNIFICANCE``, ``MOST_EXCESS``). Where no ham scores
    like spam this is the conformal rule of ``thresholds.choose_margin``.

    Wrong labels and hard ham look the same where they are few. Above spam's median ham is taken for mislabelled
    only as far as ham's own tail, extrapolated as an exponential from its median and upper decile, does not explain
    it; further down, where that tail holds more than the target's ham, little is put down to chance (``MOST_EXCESS``).

    Args:
        ham: Margins of messages called ham, highest first.
        spam: Margins of messages called spam, highest first.
        target_fpr: Share of true ham that may lie above the threshold.

    Returns:
        The index in ``ham`` of the margin that the threshold is put just above.
    """
    if len(spam) < LEAST_SPAM:
        return max(int(target_fpr * (len(ham) + 1)), 1) - 1
    ranks = np.unique((len(spam) * np.linspace(0.5, 1.0, CUTS)).astype(np.int64))
    above = len(ham) - np.searchsorted(ham[::-1], spam[ranks - 1], "left")
    median = float(_extrapolate_tail(ham, spam[ranks[:1] - 1])[0])
    wrong = _count_unexplained(int(above[0]), median)
    allowed = max(int(target_fpr * (len(ham) - wrong / ranks[0] * len(spam) + 1)), 1) - 1
    spam_above = len(spam) - np.searchsorted(spam[::-1], ham, "left")
    chance = np.where(
        _extrapolate_tail(ham, ham) > allowed + 1, MOST_EXCESS * max(target_fpr * len(ham), 1.0), float(len(ham))
    )
    return int(_last_explained(spam_above, ranks, above - (above[0] - wrong), allowed, chance))


def _extrapolate_tail(ham: npt.NDArray[np.float64], margins: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Expected number of true ham above each margin."""
    median, decile = ham[len(ham) // 2], ham[len(ham) // 10]
    decay = max((decile - median) / log(5.0), 1e-9)
    return np.asarray(
        TAIL_SHARE * 0.1 * len(ham) * np.exp(-np.clip((margins - decile) / decay, -50.0, 700.0)), np.float64
    )


def _count_unexplained(seen: int, expected: float) -> int:
    """How many of so many messages are not explained by a Poisson number of that expectation."""
    if not seen:
        return 0
    if expected > 700.0:  # exp(-expected) is nothing
        return max(seen - ceil(expected), 0)
    term = np.exp(-expected)
    below = 0.0
    for count in range(seen):
        below += term
        term *= expected / (count + 1)
    return seen if 1.0 - below < SIGNIFICANCE else max(floor(seen - expected + 0.5), 0)


@njit(cache=True)
def _last_explained(
    spam_above: npt.NDArray[np.int64],
    cuts: npt.NDArray[np.int64],
    wrong: npt.NDArray[np.int64],
    allowed: int,
    chance: npt.NDArray[np.float64],
) -> int:
    """One past the last ham margin above which wrong labels explain the ham, seen from every cut.

    Args:
        spam_above: How much spam lies above each ham margin, highest margin first.
        cuts: How much spam lies above each cut, highest cut first.
        wrong: How much ham above each cut is taken for mislabelled.
        allowed: How much true ham may lie above the threshold.
        chance: For each ham margin, how much more ham above it than that and the expected wrong labels may be chance.
    """
    for at in range(len(spam_above) - 1, -1, -1):
        if spam_above[at] <= cuts[0]:
            if at + 1 <= wrong[0] + allowed:
                return at + 1
            continue
        is_explained = True
        for cut in range(len(cuts)):
            segment = float(spam_above[at] - cuts[cut])
            if segment < LEAST_SEGMENT * cuts[-1]:
                break
            seen = at + 1 - wrong[cut] - allowed
            shape, ratio = wrong[cut] + PRIOR_WRONG, segment / (cuts[cut] + PRIOR_SPAM)
            if seen > 0 and (seen > shape * ratio + chance[at] or _tail(seen, shape, ratio) < SIGNIFICANCE):
                is_explained = False
                break
        if is_explained:
            return min(at + 1, len(spam_above) - 1)
    return 0


@njit(cache=True)
def _tail(seen: int, shape: float, ratio: float) -> float:
    """Probability that a negative binomial number, a gamma mixture of Poisson numbers, is at least ``seen``."""
    mean = shape * ratio
    spread = np.sqrt(mean * (1.0 + ratio))
    if seen > mean + 10.0 * spread + 10.0:
        return 0.0
    chance = ratio / (1.0 + ratio)
    scale = -shape * np.log1p(ratio)  # logarithm of the first term, which may be too small for a float
    term, below = 1.0, 0.0
    for count in range(seen):
        below += term
        term *= (count + shape) / (count + 1) * chance
        if below > 1e200:
            below *= 1e-200
            term *= 1e-200
            scale += 200.0 * np.log(10.0)
    return float(1.0 - below * np.exp(scale))
