"""A stored model as something that answers: the frame of verdicts, and the loader that plain MLflow calls.

This module travels with every model; it and what it imports need only NumPy, pandas and Numba.
"""

from functools import partial
from pathlib import Path

import pandas as pd

from spam_assets.learning.features import read_frame
from spam_assets.learning.model import SpamModel
from spam_assets.learning.served_model import ServedModel, frame_verdicts
from spam_assets.learning.trained_model import TrainedModel, read_arrays
from spam_assets.mail.completion import complete_mail


def score_mail(model: TrainedModel, mail: pd.DataFrame) -> pd.DataFrame:
    """Return `spam_probability` (0 to 1) and `is_spam` for each row, in the index of `mail`.

    Args:
        model: the model that judges.
        mail: any of the mail columns, `text` alone, or `raw` alone; see `mail.completion.complete_mail`.

    Raises:
        MailError: the frame has none of `raw`, `body` and `text`.
    """
    return frame_verdicts(model.score(read_frame(complete_mail(mail))), model.threshold, mail.index)


def _load_pyfunc(path: str) -> ServedModel:
    """Load the model file, which is plain arrays; the name is MLflow's."""
    return ServedModel(partial(score_mail, SpamModel.from_arrays(read_arrays(Path(path).read_bytes()))))
