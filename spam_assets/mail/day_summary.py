"""What later days need to know about a day of mail: how much there was, and what it said."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from spam_assets.mail.columns import BODY, CONTENT_HASH, LABEL, SPAM, SUBJECT
from spam_assets.mail.mail_batches import Mail, iterate_cells, iterate_frames

SUMMARY_COLUMNS: Final = (LABEL, CONTENT_HASH)
"""The columns of validated mail that `summarize_day` reads."""


@dataclass(frozen=True, eq=False)
class DaySummary:
    """What later days need to know about a day.

    Attributes:
        day: YYYY-MM-DD.
        messages: number of rows.
        spam: number of rows labelled spam.
        content_hashes: uint64[messages], see `hash_contents`.
    """

    day: str
    messages: int
    spam: int
    content_hashes: npt.NDArray[np.uint64]


def summarize_day(validated: pd.DataFrame, day: str) -> DaySummary:
    """Return what the warning rules of later days need to know about a day of validated mail."""
    return DaySummary(
        day,
        len(validated),
        int((validated[LABEL] == SPAM).sum()),
        validated[CONTENT_HASH].to_numpy(np.uint64),
    )


def hash_contents(mail: Mail) -> npt.NDArray[np.uint64]:
    """Return uint64[n]: a hash of subject and body of each message, whatever their case and white space."""
    return np.concatenate([_hash_frame(frame) for frame in iterate_frames(mail, [SUBJECT, BODY])])


def _hash_frame(frame: pd.DataFrame) -> npt.NDArray[np.uint64]:
    columns = [iterate_cells(frame, name) for name in (SUBJECT, BODY)]
    contents = np.empty(len(frame), dtype=object)
    for row, cells in enumerate(zip(*columns, strict=True)):
        words = "\0".join(" ".join(str(cell).lower().split()) if cell is not None else "" for cell in cells)
        contents[row] = words if words.isascii() else words.encode("utf-8", "replace").decode("utf-8")
    return pd.util.hash_array(contents, categorize=False)
