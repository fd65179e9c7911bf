"""Data versions: a fingerprint of what an asset holds, so that equal content is never called stale.

Fingerprints are of values, not of file bytes: a newer Parquet writer must not make every day look changed.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from spam_assets.learning.code_versions import FEATURES_VERSION, MODEL_VERSION
from spam_assets.settings import Settings

if TYPE_CHECKING:
    from spam_assets.learning.features import MailFeatures
    from spam_assets.learning.reporting import DayReport
    from spam_assets.learning.trained_model import TrainedModel
    from spam_assets.mail.mail_batches import Mail

DIGEST_CHARACTERS = 16
HASHED_AT_ONCE = 16 * 1024**2


def fingerprint_frame(mail: "Mail") -> str:
    """Return the fingerprint of a frame's column names and values, in order, whatever its batches."""
    import pandas as pd

    from spam_assets.mail.mail_batches import iterate_frames

    hashes: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in mail.columns}
    for frame in iterate_frames(mail):
        for name in frame.columns:
            hashes[name].append(pd.util.hash_pandas_object(frame[name], index=False, categorize=False).to_numpy())
    digest = hashlib.sha256("\x1f".join(map(str, mail.columns)).encode())
    for of_column in hashes.values():
        for of_batch in of_column:
            digest.update(of_batch.tobytes())
    return digest.hexdigest()[:DIGEST_CHARACTERS]


def fingerprint_features(features: "MailFeatures") -> str:
    """Return the fingerprint of a day's features."""
    from spam_assets.learning.day_parts import give_back_pages

    digest = hashlib.sha256("\x1f".join(features.message_ids.tolist()).encode("utf-8", "surrogatepass"))
    digest.update(features.labels.tobytes())
    for name, rows in features.views.items():
        digest.update(name.encode())
        digest.update(rows.offsets.tobytes())
        for start in range(0, len(rows.indices), HASHED_AT_ONCE):
            digest.update(rows.indices[start : start + HASHED_AT_ONCE].tobytes())
            if len(rows.indices) > HASHED_AT_ONCE:
                give_back_pages(rows.indices)
    return digest.hexdigest()[:DIGEST_CHARACTERS]


def fingerprint_model(model: "TrainedModel") -> str:
    """Return the fingerprint of everything a model holds but its suspects."""
    return fingerprint_arrays(model.to_arrays())


def fingerprint_stored_model(content: bytes) -> str:
    """Return the fingerprint of a model in the bytes of its file, as it was when that was written.

    Later code may store more of a model; what was recorded of an older one holds all the same.
    """
    from spam_assets.learning.trained_model import read_arrays

    return fingerprint_arrays(read_arrays(content))


def fingerprint_arrays(arrays: "Mapping[str, npt.NDArray[Any]]") -> str:
    """Return the fingerprint of a model's named arrays but its suspects.

    Those name messages, for people to review: they are not logged with a model, and go when a message is forgotten. A
    model of before they were kept apart does not tell its version, and its fingerprint holds them.
    """
    apart = {"suspects"} if "model_version" in arrays else set()
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        if name in apart:
            continue
        digest.update(f"{name}{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:DIGEST_CHARACTERS]


def fingerprint_report(report: "DayReport") -> str:
    """Return the fingerprint of a champion report."""
    return hashlib.sha256(json.dumps(report.to_dict()).encode()).hexdigest()[:DIGEST_CHARACTERS]


def fingerprint_reported(features_version: str, champion_version: str | None) -> str:
    """Return the digest of what a champion report is made from, by data version: the day's features, the champion."""
    return hashlib.sha256(json.dumps([features_version, champion_version]).encode()).hexdigest()[:32]


def fingerprint_training(window: Mapping[str, str], settings: Settings, method: str) -> str:
    """Return the digest of what a model is made from: its days by data version, the settings and the method.

    The method is as `learning.methods.Method.reference`.
    """
    chosen = [settings.window_days, settings.target_fpr, sorted(settings.vouched & set(window))]
    made_from = [sorted(window.items()), *chosen, FEATURES_VERSION, MODEL_VERSION]
    made_from += [method] if method else []  # what our own method made stays what it was
    return hashlib.sha256(json.dumps(made_from).encode()).hexdigest()[:32]  # a tag takes 63 characters
