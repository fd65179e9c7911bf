"""Mail that nobody has labelled yet: what models say of it, and what their calibration lets one expect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spam_assets.learning.dated_model import DatedModel
from spam_assets.learning.features import read_frame
from spam_assets.learning.served_model import SPAM_PROBABILITY
from spam_assets.mail.columns import HAM, MESSAGE_ID, SPAM
from spam_assets.mail.completion import complete_mail
from spam_assets.mail.mail_batches import Mail, iterate_frames

VERDICT = "verdict"
CHAMPION_VERSION = "champion_version"
CHALLENGER_PROBABILITY = "challenger_probability"
CHALLENGER_VERDICT = "challenger_verdict"
CHALLENGER_VERSION = "challenger_version"
SCORE_COLUMNS = (
    MESSAGE_ID,
    SPAM_PROBABILITY,
    VERDICT,
    CHAMPION_VERSION,
    CHALLENGER_PROBABILITY,
    CHALLENGER_VERDICT,
    CHALLENGER_VERSION,
)


@dataclass(frozen=True)
class Expectation:
    """What a model's probabilities let one expect of n messages before any label is there.

    Right as far as the calibration is, which docs/serving.md holds against labelled days.

    Attributes:
        messages: How many there are.
        called_spam: How many the model calls spam.
        spam: Expected number of spam: the sum of all probabilities.
        caught_spam: Expected number of spam among those called spam.
        lost_ham: Expected number of ham among those called spam.
    """

    messages: int
    called_spam: int
    spam: float
    caught_spam: float
    lost_ham: float


def score_incoming(
    mail: Mail, champion: DatedModel, challenger: DatedModel | None = None
) -> tuple[pd.DataFrame, Expectation]:
    """Score a day of mail by the champion and, beside it, by the challenger, if there is one.

    Args:
        mail: n messages with the mail columns; labels are not looked at.
        champion: A registered model.
        challenger: Another one.

    Returns:
        A frame of n rows in the order of `mail`, columns ``SCORE_COLUMNS``, those of the challenger missing without
        one, and what the champion's probabilities let one expect.
    """
    parts: list[tuple[npt.NDArray[Any], npt.NDArray[np.float64], npt.NDArray[np.float64]]] = []
    for frame in iterate_frames(mail):
        features = read_frame(complete_mail(frame))
        theirs = np.full(len(frame), np.nan) if challenger is None else challenger.model.score(features)
        parts.append((features.message_ids, champion.model.score(features), theirs))
    message_ids, probabilities, theirs = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    is_spam = probabilities >= champion.model.threshold
    their_verdicts = np.full(len(message_ids), None)
    if challenger is not None:
        their_verdicts = _name(theirs >= challenger.model.threshold)
    scores = {
        MESSAGE_ID: message_ids,
        SPAM_PROBABILITY: probabilities,
        VERDICT: _name(is_spam),
        CHAMPION_VERSION: _repeat(champion.version, len(message_ids)),
        CHALLENGER_PROBABILITY: theirs,
        CHALLENGER_VERDICT: their_verdicts,
        CHALLENGER_VERSION: _repeat(None if challenger is None else challenger.version, len(message_ids)),
    }
    return pd.DataFrame(scores), expect_outcome(probabilities, is_spam)


def expect_outcome(probabilities: npt.NDArray[np.float64], is_spam: npt.NDArray[np.bool_]) -> Expectation:
    """Expected numbers from calibrated spam probabilities and verdicts, both of shape (n,).

    Source: confidence-based performance estimation (Bialek et al. 2024, "Estimating Model Performance Under Covariate
    Shift Without Labels").
    """
    caught = float(probabilities[is_spam].sum())
    called = int(is_spam.sum())
    return Expectation(len(probabilities), called, float(probabilities.sum()), caught, called - caught)


def _repeat(version: int | None, count: int) -> pd.Series[Any]:
    return pd.Series([version] * count, dtype="Int64")


def _name(is_spam: npt.NDArray[np.bool_]) -> npt.NDArray[np.object_]:
    return np.where(is_spam, np.array(SPAM, dtype=object), np.array(HAM, dtype=object))
