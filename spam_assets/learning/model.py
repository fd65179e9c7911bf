"""The trained spam model: two learnt views, their blend, calibration and threshold, as plain arrays."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from spam_assets.learning.calibration import Calibration
from spam_assets.learning.code_versions import FEATURES_VERSION, MODEL_VERSION, OtherVersionError
from spam_assets.learning.evaluation import Evaluation
from spam_assets.learning.features import PATTERNS, WORDS, MailFeatures
from spam_assets.learning.label_suspects import (
    ContradictingDay,
    SuspectLabel,
    pack_records,
    unpack_contradicting_days,
    unpack_suspects,
)

EVIDENCE_SHARE = 0.5
"""Margin = linear margin of the patterns + 0.5 x mean log-odds of the words."""

EVIDENCE_PRIOR = 2.0
"""So many neutral words are added to every message: two known words alone do not judge it."""


@dataclass(frozen=True)
class ProgressiveScores:
    """Scores of the window's newest days, each by the model as it stood before that day.

    Attributes:
        days: The scored days, oldest first.
        day_indices: For each of n messages the index of its day in ``days``.
        labels: 1 for spam, 0 for ham.
        scores: Calibrated spam probabilities; calibration learnt from earlier days only.
        thresholds: For each message the threshold that earlier days gave.
    """

    days: tuple[str, ...]
    day_indices: npt.NDArray[np.int32]
    labels: npt.NDArray[np.int8]
    scores: npt.NDArray[np.float64]
    thresholds: npt.NDArray[np.float64]


@dataclass(frozen=True)
class SpamModel:
    """A spam filter that has learnt a window of days.

    Attributes:
        weights: float32, the linear weight of each pattern.
        log_odds: float32, the smoothed log-odds (spam against ham) of each word, 0 where none is known.
        calibration: From margin to probability.
        threshold: A message with at least this probability is called spam.
        days: The days learnt, oldest first.
        ham: Messages of ham learnt.
        spam: Messages of spam learnt.
        evaluation: How the window's newest days went, each scored before it was learnt.
        progressive: The scores behind ``evaluation``.
        features_version: The version of the features it understands.
        suspects: Messages of the window whose label is probably wrong, strongest first; see ``label_suspects``.
        contradicting_days: Days of the window that were not learnt, oldest first.
        held_out_share: Share of the mail of ``days`` that it has not learnt; see ``held_out``.
        held_out: How this very model, with its threshold, judges the newest of that share; None for a model stored
            before this was kept, or one that has learnt everything.
        model_version: The version of the training that made it; empty for a model stored before this was kept.
    """

    weights: npt.NDArray[np.float32]
    log_odds: npt.NDArray[np.float32]
    calibration: Calibration
    threshold: float
    days: tuple[str, ...]
    ham: int
    spam: int
    evaluation: Evaluation
    progressive: ProgressiveScores
    features_version: str = FEATURES_VERSION
    suspects: tuple[SuspectLabel, ...] = ()
    contradicting_days: tuple[ContradictingDay, ...] = ()
    held_out_share: float = 0.0
    held_out: Evaluation | None = None
    model_version: str = MODEL_VERSION

    @property
    def learnt_days(self) -> frozenset[str]:
        """The days of the window whose mail it has learnt, but for the held-out share."""
        return frozenset(self.days)

    def score(self, features: MailFeatures) -> npt.NDArray[np.float64]:
        """Calibrated spam probability of each message, shape (n,)."""
        patterns, words = features.views[PATTERNS], features.views[WORDS]
        margins = score_patterns(patterns.indices, patterns.offsets, self.weights)
        evidence = score_words(words.indices, words.offsets, self.log_odds)
        return self.calibration.apply(margins + EVIDENCE_SHARE * evidence)

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The model as arrays that ``np.load(allow_pickle=False)`` reads back; about 2 bytes a feature."""
        return {
            **_pack_sparse("weights", self.weights),
            **_pack_sparse("log_odds", self.log_odds),
            "calibration": np.array([self.calibration.slope, self.calibration.intercept, self.threshold]),
            "learnt": np.array([self.ham, self.spam], np.int64),
            "days": np.array(self.days, np.str_),
            "features_version": np.array(self.features_version),
            "model_version": np.array(self.model_version),
            "held_out_share": np.array(self.held_out_share),
            "progressive_days": np.array(self.progressive.days, np.str_),
            "progressive_day_indices": self.progressive.day_indices,
            "progressive_labels": self.progressive.labels,
            "progressive_scores": self.progressive.scores,
            "progressive_thresholds": self.progressive.thresholds,
            "suspects": pack_records(self.suspects),
            "contradicting_days": pack_records(self.contradicting_days),
            **_pack_evaluation("evaluation", self.evaluation),
            **({} if self.held_out is None else _pack_evaluation("held_out", self.held_out)),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> SpamModel:
        """Rebuild a model from the arrays of ``to_arrays``; one stored before suspects were kept has none.

        Raises:
            OtherVersionError: If the model reads features of another version than this code makes.
        """
        version = str(arrays["features_version"])
        if version != FEATURES_VERSION:
            message = (
                f"the model was trained on features of version {version}, this code makes version "
                f"{FEATURES_VERSION}; train it again"
            )
            raise OtherVersionError(message)
        nothing = pack_records(())
        slope, intercept, threshold = (float(value) for value in arrays["calibration"])
        return cls(
            weights=_unpack_sparse("weights", arrays),
            log_odds=_unpack_sparse("log_odds", arrays),
            calibration=Calibration(slope, intercept),
            threshold=threshold,
            days=tuple(arrays["days"].tolist()),
            ham=int(arrays["learnt"][0]),
            spam=int(arrays["learnt"][1]),
            evaluation=_unpack_evaluation("evaluation", arrays),
            progressive=ProgressiveScores(
                tuple(arrays["progressive_days"].tolist()),
                arrays["progressive_day_indices"],
                arrays["progressive_labels"],
                arrays["progressive_scores"],
                arrays["progressive_thresholds"],
            ),
            features_version=version,
            model_version=str(arrays.get("model_version", "")),
            suspects=unpack_suspects(arrays.get("suspects", nothing)),
            contradicting_days=unpack_contradicting_days(arrays.get("contradicting_days", nothing)),
            held_out_share=float(arrays.get("held_out_share", 0.0)),  # models of before it had learnt everything
            held_out=_unpack_evaluation("held_out", arrays) if "held_out_days" in arrays else None,
        )


def dump_model(model: SpamModel) -> bytes:
    """Return the model as the bytes of an `.npz` file; equal models give equal bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **model.to_arrays())
    return buffer.getvalue()


def load_model(content: bytes) -> SpamModel:
    """Return the model in the bytes of an `.npz` file.

    Raises:
        OtherVersionError: the model reads features of another version than this code makes.
        ValueError: the file holds something else than plain arrays; nothing of it is executed.
        zipfile.BadZipFile: the file is damaged.
        KeyError: an array is missing.
    """
    return SpamModel.from_arrays(read_arrays(content))


def read_arrays(content: bytes) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a stored model, whatever version of the code made it; raises as `load_model`."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def round_weights(weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Round to half precision, which is what is stored, so that a stored model scores as the fresh one."""
    rounded = np.zeros_like(weights)
    present = np.flatnonzero(weights)
    rounded[present] = weights[present].astype(np.float16)
    return rounded


def _pack_evaluation(name: str, evaluation: Evaluation) -> dict[str, npt.NDArray[Any]]:
    return {
        f"{name}_{field.name}": np.array(getattr(evaluation, field.name), np.str_ if field.name == "days" else None)
        for field in dataclasses.fields(Evaluation)
    }


def _unpack_evaluation(name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> Evaluation:
    figures = {field.name: arrays[f"{name}_{field.name}"].tolist() for field in dataclasses.fields(Evaluation)}
    return Evaluation(**{**figures, "days": tuple(figures["days"])})


def _pack_sparse(name: str, values: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[Any]]:
    present = values != 0
    return {f"{name}_present": np.packbits(present), f"{name}_values": values[present].astype(np.float16)}


def _unpack_sparse(name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
    present = np.unpackbits(arrays[f"{name}_present"]).view(np.bool_)
    values = np.zeros(len(present), np.float32)
    values[present] = arrays[f"{name}_values"]
    return values


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
