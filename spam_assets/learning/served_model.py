"""What `mlflow.pyfunc.load_model` gives: something that judges mail in any of the forms that MLflow hands over."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spam_assets.mail.columns import RAW, TEXT

SPAM_PROBABILITY = "spam_probability"
IS_SPAM = "is_spam"


def frame_verdicts(probabilities: npt.NDArray[np.float64], threshold: float, index: "pd.Index[Any]") -> pd.DataFrame:
    """Return `spam_probability` (0 to 1) and `is_spam` for each of n messages."""
    return pd.DataFrame({SPAM_PROBABILITY: probabilities, IS_SPAM: probabilities >= threshold}, index=index)


class ServedModel:
    """What `mlflow.pyfunc.load_model` calls.

    Args:
        score: From a frame with any of the mail columns to the verdicts.
    """

    def __init__(self, score: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
        self._score = score

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> pd.DataFrame:  # noqa: ARG002
        """Return the verdicts for a frame of mail, or for a list, array or series of raw messages or texts.

        Bytes are raw messages; strings are texts.
        """
        return self._score(_as_frame(model_input))


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
