"""A trained model of any method as the bytes of a file, and back."""

from __future__ import annotations

import io
from collections.abc import Collection

import numpy as np

from spam_assets.learning.trained_model import TrainedModel, read_arrays


def dump_model(model: TrainedModel) -> bytes:
    """Return the model as the bytes of an `.npz` file; equal models give equal bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **model.to_arrays())
    return buffer.getvalue()


def load_model(content: bytes, trusted_types: Collection[str] = ()) -> TrainedModel:
    """Return the model in the bytes of an `.npz` file.

    Nothing of the file is executed. An estimator of somebody else's method is only taken out when it is to score, and
    only if it is of types that are known to be safe or trusted; ``TrainedModel.check_usable`` tells.

    Args:
        content: The bytes.
        trusted_types: Types, by full name, that may be loaded beside those that are known to be safe.

    Raises:
        OtherVersionError: the model reads features of another version than this code makes.
        ValueError: the file holds something else than plain arrays; nothing of it is executed.
        zipfile.BadZipFile: the file is damaged.
        KeyError: an array is missing.
    """
    arrays = read_arrays(content)
    if "estimator" in arrays:
        from spam_assets.learning.estimator_model import EstimatorModel

        return EstimatorModel.from_arrays(arrays, trusted_types)
    from spam_assets.learning.model import SpamModel

    return SpamModel.from_arrays(arrays)
