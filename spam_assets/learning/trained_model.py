"""What every trained model tells, whatever its method: what it learnt, how it did, its calibration and threshold."""

from __future__ import annotations

import dataclasses
import io
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spam_assets.learning.calibration import Calibration
from spam_assets.learning.code_versions import FEATURES_VERSION, MODEL_VERSION, OtherVersionError
from spam_assets.learning.evaluation import Evaluation
from spam_assets.learning.features import MailFeatures
from spam_assets.learning.label_suspects import (
    ContradictingDay,
    SuspectLabel,
    pack_records,
    unpack_contradicting_days,
    unpack_suspects,
)


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


@dataclass(frozen=True, kw_only=True)
class TrainedModel(ABC):
    """A spam filter that has learnt a window of days.

    Attributes:
        log_odds: float32, the smoothed log-odds (spam against ham) of each word of the mail learnt, 0 where none is
            known: what tells how much of new mail is unknown, whatever the method.
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
        method: Whose method it is, as ``methods.Method.reference``: empty for ours.
    """

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
    method: str = ""

    @property
    def learnt_days(self) -> frozenset[str]:
        """The days of the window whose mail it has learnt, but for the held-out share."""
        return frozenset(self.days)

    @abstractmethod
    def score_margins(self, features: MailFeatures) -> npt.NDArray[np.float64]:
        """Margin of each message before calibration, shape (n,); higher is more likely spam."""

    def score_margins_of(self, days: Sequence[MailFeatures]) -> npt.NDArray[np.float64]:
        """The same for several days at once, shape (all their messages,)."""
        return np.concatenate([np.empty(0), *map(self.score_margins, days)])

    def score(self, features: MailFeatures) -> npt.NDArray[np.float64]:
        """Calibrated spam probability of each message, shape (n,)."""
        return self.calibration.apply(self.score_margins(features))

    @abstractmethod
    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The model as arrays that ``np.load(allow_pickle=False)`` reads back."""

    @property
    def learning_told(self) -> str:
        """How it learnt the window, as a sentence for people; empty where there is nothing to tell."""
        return ""

    def check_usable(self) -> None:  # noqa: B027 - plain arrays always are
        """Raise what scoring would raise because of what is stored, before any mail is there."""

    def _common_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What models of all methods store, but for ``log_odds``."""
        return {
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


def unpack_common(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, Any]:
    """The attributes of ``TrainedModel`` from arrays; a model stored before suspects were kept has none.

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
    return {
        "log_odds": unpack_sparse("log_odds", arrays),
        "calibration": Calibration(slope, intercept),
        "threshold": threshold,
        "days": tuple(arrays["days"].tolist()),
        "ham": int(arrays["learnt"][0]),
        "spam": int(arrays["learnt"][1]),
        "evaluation": _unpack_evaluation("evaluation", arrays),
        "progressive": ProgressiveScores(
            tuple(arrays["progressive_days"].tolist()),
            arrays["progressive_day_indices"],
            arrays["progressive_labels"],
            arrays["progressive_scores"],
            arrays["progressive_thresholds"],
        ),
        "features_version": version,
        "model_version": str(arrays.get("model_version", "")),
        "suspects": unpack_suspects(arrays.get("suspects", nothing)),
        "contradicting_days": unpack_contradicting_days(arrays.get("contradicting_days", nothing)),
        "held_out_share": float(arrays.get("held_out_share", 0.0)),  # models of before it had learnt everything
        "held_out": _unpack_evaluation("held_out", arrays) if "held_out_days" in arrays else None,
    }


def read_arrays(content: bytes) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a stored model, whatever version of the code made it; raises as ``model_files.load_model``."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _pack_evaluation(name: str, evaluation: Evaluation) -> dict[str, npt.NDArray[Any]]:
    return {
        f"{name}_{field.name}": np.array(getattr(evaluation, field.name), np.str_ if field.name == "days" else None)
        for field in dataclasses.fields(Evaluation)
    }


def _unpack_evaluation(name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> Evaluation:
    figures = {field.name: arrays[f"{name}_{field.name}"].tolist() for field in dataclasses.fields(Evaluation)}
    return Evaluation(**{**figures, "days": tuple(figures["days"])})


def pack_sparse(name: str, values: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[Any]]:
    """An array of mostly zeros: where they are not, and what is there, in half precision."""
    present = values != 0
    return {f"{name}_present": np.packbits(present), f"{name}_values": values[present].astype(np.float16)}


def unpack_sparse(name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
    """Undo ``pack_sparse``."""
    present = np.unpackbits(arrays[f"{name}_present"]).view(np.bool_)
    values = np.zeros(len(present), np.float32)
    values[present] = arrays[f"{name}_values"]
    return values
