"""The file of a model: its arrays as an NumPy archive, which cannot hold code."""

import io

import numpy as np

from spam_assets.learning.model import SpamModel


def dump_model(model: SpamModel) -> bytes:
    """Return the model as the bytes of an `.npz` file; equal models give equal bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **model.to_arrays())
    return buffer.getvalue()


def load_model(content: bytes) -> SpamModel:
    """Return the model in the bytes of an `.npz` file.

    Raises:
        ValueError: the file holds something else than plain arrays; nothing of it is executed.
        zipfile.BadZipFile: the file is damaged.
        KeyError: an array is missing.
    """
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return SpamModel.from_arrays({name: arrays[name] for name in arrays.files})
