"""Counts of ham and spam a word, and the evidence in them (Robinson's smoothed share, Graham 2002, Robinson 2003)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from spam_assets.learning.model import EVIDENCE_PRIOR

WORD_SMOOTHING = 0.1
"""Robinson's s: a word seen once in spam and never in ham has the spam share 1.05 / 1.1."""

LEAST_DEVIATION = 0.4
"""Words with |2p - 1| below it would weigh less than 0.4^8 = 0.0007: not worth storing."""


@njit(cache=True)
def count_words(
    indices: npt.NDArray[np.uint32],
    offsets: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int8],
    is_believed: npt.NDArray[np.bool_],
    counts: npt.NDArray[np.float32],
) -> None:
    """Add the rows of each label (0 or 1) that is believed to ``counts``, shape (words, 2)."""
    for row in range(len(offsets) - 1):
        if not is_believed[row]:
            continue
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
def score_counts(
    indices: npt.NDArray[np.uint32],
    offsets: npt.NDArray[np.int64],
    own_labels: npt.NDArray[np.int8],
    counts: npt.NDArray[np.float32],
    ham: int,
    spam: int,
) -> npt.NDArray[np.float64]:
    """``model.score_words`` straight from counts, for the few words of a day rather than the whole table.

    A row whose own label is 0 or 1 was counted under it; that is taken out. A label of -1 was not counted.
    """
    evidence = np.zeros(len(offsets) - 1, np.float64)
    for row in range(len(offsets) - 1):
        total = 0.0
        weight_sum = EVIDENCE_PRIOR
        for at in range(offsets[row], offsets[row + 1]):
            in_ham = counts[indices[at], 0] - (own_labels[row] == 0)
            in_spam = counts[indices[at], 1] - (own_labels[row] == 1)
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
