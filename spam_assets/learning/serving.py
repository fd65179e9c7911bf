"""A stored model as something that answers: the frame of verdicts, and the loader that plain MLflow calls.

This module travels with every model; it and what it imports need only NumPy, pandas and Numba.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spam_assets.learning.features import featurize_mail
from spam_assets.learning.model import SpamModel
from spam_assets.learning.trained_model import TrainedModel, read_arrays
from spam_assets.mail.columns import RAW, TEXT
from spam_assets.mail.completion import complete_mail

SPAM_PROBABILITY = "spam_probability"
IS_SPAM = "is_spam"


def score_mail(model: TrainedModel, mail: pd.DataFrame) -> pd.DataFrame:
    """Return `spam_probability` (0 to 1) and `is_spam` for each row, in the index of `mail`.

    Args:
        model: the model that judges.
        mail: any of the mail columns, `text` alone, or `raw` alone; see `mail.completion.complete_mail`.

    Raises:
        MailError: the frame has none of `raw`, `body` and `text`.
    """
    probabilities = model.score(featurize_mail(complete_mail(mail)))
    return pd.DataFrame({SPAM_PROBABILITY: probabilities, IS_SPAM: probabilities >= model.threshold}, index=mail.index)


class ServedModel:
    """What `mlflow.pyfunc.load_model` calls."""

    def __init__(self, model: TrainedModel) -> None:
        self._model = model

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> pd.DataFrame:  # noqa: ARG002
        """Return the verdicts for a frame of mail, or for a list, array or series of raw messages or texts.

        Bytes are raw messages; strings are texts.
        """
        return score_mail(self._model, _as_frame(model_input))


def _as_frame(model_input: Any) -> pd.DataFrame:
    if isinstance(model_input, pd.DataFrame):
        return _spread_lists(model_input)
    if isinstance(model_input, dict):
        return pd.DataFrame(
            {name: np.atleast_1d(np.asarray(value, dtype=object)) for name, value in model_input.items()}
        )
    if isinstance(model_input, str | bytes):
        model_input = [model_input]
    values = list(model_input)
    if values and isinstance(values[0], dict):
        return pd.DataFrame(values)
    return pd.DataFrame(
        {
            RAW: pd.Series([value if isinstance(value, bytes) else None for value in values], dtype=object),
            TEXT: pd.Series([None if isinstance(value, bytes) else value for value in values], dtype=object),
        }
    )


def _spread_lists(mail: pd.DataFrame) -> pd.DataFrame:
    """Undo what MLflow makes of a dict of lists of strings: one row whose cells are those lists."""
    if len(mail) == 1 and any(isinstance(cell, list) for cell in mail.iloc[0]):
        return pd.DataFrame(dict(mail.iloc[0].items()))
    return mail


def _load_pyfunc(path: str) -> ServedModel:
    """Load the model file, which is plain arrays; the name is MLflow's."""
    return ServedModel(SpamModel.from_arrays(read_arrays(Path(path).read_bytes())))
