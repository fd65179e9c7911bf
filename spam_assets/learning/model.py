"""The trained spam model: two learnt views, their blend, calibration and threshold, as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from spam_assets.learning.features import PATTERNS, WORDS, MailFeatures
from spam_assets.learning.trained_model import TrainedModel, pack_sparse, unpack_common, unpack_sparse

EVIDENCE_SHARE = 0.5
"""Margin = linear margin of the patterns + 0.5 x mean log-odds of the words."""

EVIDENCE_PRIOR = 2.0
"""So many neutral words are added to every message: two known words alone do not judge it."""


@dataclass(frozen=True, kw_only=True)
class SpamModel(TrainedModel):
    """A spam filter of our own method that has learnt a window of days; for the rest see ``TrainedModel``.

    Attributes:
        weights: float32, the linear weight of each pattern.
    """

    weights: npt.NDArray[np.float32]

    def score_margins(self, features: MailFeatures) -> npt.NDArray[np.float64]:
        """See ``TrainedModel``; above 0 leans to spam."""
        patterns, words = features.views[PATTERNS], features.views[WORDS]
        margins = score_patterns(patterns.indices, patterns.offsets, self.weights)
        evidence = score_words(words.indices, words.offsets, self.log_odds)
        return np.asarray(margins + EVIDENCE_SHARE * evidence, np.float64)

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """See ``TrainedModel``; about 2 bytes a feature."""
        return {
            **pack_sparse("weights", self.weights),
            **pack_sparse("log_odds", self.log_odds),
            **self._common_arrays(),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> SpamModel:
        """Rebuild a model from the arrays of ``to_arrays``; raises as ``unpack_common``."""
        return cls(**unpack_common(arrays), weights=unpack_sparse("weights", arrays))


def round_weights(weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Round to half precision, which is what is stored, so that a stored model scores as the fresh one."""
    rounded = np.zeros_like(weights)
    present = np.flatnonzero(weights)
    rounded[present] = weights[present].astype(np.float16)
    return rounded


@njit(cache=True)
def score_patterns(
    indices: npt.NDArray[np.uint32], offsets: npt.NDArray[np.int64], weights: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    """Linear margin of each row, the row scaled to length 1."""
    margins = np.zeros(len(offsets) - 1, np.float64)
    for row in range(len(offsets) - 1):
        start, stop = offsets[row], offsets[row + 1]
        margins[row] = sum_weights(indices, start, stop, weights) / np.sqrt(max(stop - start, 1))
    return margins


@njit(cache=True)
def sum_weights(indices: npt.NDArray[np.uint32], start: int, stop: int, weights: npt.NDArray[np.float32]) -> float:
    """Sum of the weights of one row; four sums side by side, because one would wait for each addition."""
    first, second, third, fourth = 0.0, 0.0, 0.0, 0.0
    whole = start + (stop - start) // 4 * 4
    for at in range(start, whole, 4):
        first += weights[indices[at]]
        second += weights[indices[at + 1]]
        third += weights[indices[at + 2]]
        fourth += weights[indices[at + 3]]
    for at in range(whole, stop):
        first += weights[indices[at]]
    return (first + second) + (third + fourth)


@njit(cache=True)
def score_words(
    indices: npt.NDArray[np.uint32], offsets: npt.NDArray[np.int64], log_odds: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    """Mean log-odds of each row's words, a word of spam share p weighted by |2p - 1|^8.

    A smooth form of the minimum deviation of Robinson 2003 ("A Statistical Approach to the Spam Problem";
    min_dev in bogofilter): words that ham and spam share hardly count, however many there are.
    """
    evidence = np.zeros(len(offsets) - 1, np.float64)
    for row in range(len(offsets) - 1):
        total = 0.0
        weight_sum = EVIDENCE_PRIOR
        for at in range(offsets[row], offsets[row + 1]):
            odds = log_odds[indices[at]]
            if odds != 0:
                weight = np.tanh(0.5 * odds) ** 2
                weight *= weight
                weight *= weight
                total += weight * odds
                weight_sum += weight
        evidence[row] = total / weight_sum
    return evidence
