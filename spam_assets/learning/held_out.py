"""Mail that no model ever learns, so that any two models can be compared on it, whenever they were trained.

A message is held out by a hash of its words alone: not by its day, its label or chance. A resend is on the same side
as the original, a corrected label moves nothing, and every model, trained in any order, leaves out the same mail. So
trained models are tried on mail that is new to them even if one follows the other by a day (Cormack & Lynam 2005 score
each message before it is learnt, which tells of the learner, but not of the weights, calibration and threshold that
will serve).

What it costs is told in docs/retraining.md.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from spam_assets.learning.day_parts import (
    PART_MESSAGES,
    ChosenMessages,
    Messages,
    iterate_parts,
    join_parts,
    map_parts,
    select_messages,
)
from spam_assets.learning.features import WORDS, MailFeatures

HELD_OUT_SHARE = 0.05
"""Share of mail that is held out: enough for the gate, and too little to be missed (docs/retraining.md)."""


def find_held_out(features: MailFeatures, share: float) -> npt.NDArray[np.bool_]:
    """Which messages are held out, shape (n,).

    What is held out at a share is held out at any larger one. A message without words is always learnt.
    """
    if share <= 0:
        return np.zeros(len(features), np.bool_)

    def find(part: MailFeatures) -> npt.NDArray[np.bool_]:
        words = part.views[WORDS]
        return np.asarray(_hash_rows(words.indices, words.offsets) < share)

    return map_parts(find, features)


def part_mail(features: MailFeatures, share: float) -> tuple[Messages, MailFeatures | None]:
    """A day's mail in two parts: what may be learnt, and what is held out (None where nothing ever is).

    What may be learnt of a long day is copied only when and as far as it is asked for.
    """
    if share <= 0:
        return features, None
    is_held_out = find_held_out(features, share)
    held_out = join_parts(list(iterate_parts(ChosenMessages(features, is_held_out))))
    if len(features) > PART_MESSAGES:
        return ChosenMessages(features, ~is_held_out), held_out
    return select_messages(features, ~is_held_out), held_out


@njit(cache=True)
def _hash_rows(indices: npt.NDArray[np.uint32], offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """A number from 0 to 1 for the set of features of each row, in whatever order; 1 for an empty row."""
    golden = np.uint64(0x9E3779B97F4A7C15)
    places = np.ones(len(offsets) - 1, np.float64)
    for row in range(len(offsets) - 1):
        if offsets[row + 1] == offsets[row]:
            continue
        mixed = np.uint64(0)
        for at in range(offsets[row], offsets[row + 1]):
            mixed ^= _mix((np.uint64(indices[at]) + np.uint64(1)) * golden)
        places[row] = np.float64(_mix(mixed) >> np.uint64(11)) / np.float64(1 << 53)
    return places


@njit(cache=True)
def _mix(value: np.uint64) -> np.uint64:
    """The finalizer of SplitMix64 (Steele, Lea & Flood 2014): every bit depends on every bit."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
