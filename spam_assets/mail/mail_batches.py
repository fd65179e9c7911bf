"""A day of mail of any size: a frame, or, where it is too much to hold at once, frames of bounded size one by one.

What works on a day goes through `iterate_frames` and holds on to narrow columns only: ids, labels, dates, hashes. A day
that fits into one batch is a plain frame, and costs nothing more.
"""

import gc
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

BATCH_ROWS: Final = 8192
BATCH_BYTES: Final = 32 * 1024**2
"""A batch ends with the row that reaches either, so that neither many short messages nor a few long ones are too much.
"""


class MailBatches(ABC):
    """A day of mail in more than one batch, read anew each time that it is gone through; it never changes."""

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, in order."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of messages."""

    @abstractmethod
    def read_frames(self, names: Sequence[str]) -> Iterator[pd.DataFrame]:
        """Read some columns: a frame for each batch, in order, each with an index from 0."""

    @abstractmethod
    def collect(self, frames: Iterable[pd.DataFrame]) -> "Mail":
        """Return a day of other frames, kept where this one is."""

    @abstractmethod
    def reorder(self, order: npt.NDArray[np.int64]) -> "Mail":
        """Return a day with the same messages: row i is row `order[i]` of this one."""


Mail = pd.DataFrame | MailBatches


def iterate_frames(mail: Mail, names: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
    """Yield a day's frames in order. With names, other columns may be left out of them."""
    if isinstance(mail, pd.DataFrame):
        yield mail
    else:
        yield from mail.read_frames(mail.columns if names is None else names)


def free_between(frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Yield frames, and before each but the first free what was left of the one before.

    Pandera leaves its copy of a frame in a cycle of references. Those of a long day would pile up until Python looks
    for garbage, which runs do seldom; a young one is found at once.
    """
    for number, frame in enumerate(frames):
        if number:
            gc.collect(1)
        yield frame


def read_columns(mail: Mail, names: Sequence[str]) -> pd.DataFrame:
    """Return some columns of a day at once, index from 0: for those that are narrow."""
    return pd.concat([frame[list(names)] for frame in iterate_frames(mail, names)], ignore_index=True)


def read_whole(mail: Mail) -> pd.DataFrame:
    """Return a day as one frame, however much memory that takes."""
    return mail if isinstance(mail, pd.DataFrame) else pd.concat(mail.read_frames(mail.columns), ignore_index=True)


def read_first_rows(mail: Mail, count: int) -> pd.DataFrame:
    """Return the first rows of a day, so many or all that there are."""
    rows: list[pd.DataFrame] = []
    missing = count
    for frame in iterate_frames(mail):
        rows.append(frame.head(missing))
        missing -= len(rows[-1])
        if not missing:
            break
    return rows[0] if len(rows) == 1 else pd.concat(rows, ignore_index=True)


def collect_like(mail: Mail, frames: Iterable[pd.DataFrame]) -> Mail:
    """Return a day of other frames, one for each of the day's own."""
    return next(iter(frames)) if isinstance(mail, pd.DataFrame) else mail.collect(frames)


def reorder_mail(mail: Mail, order: npt.NDArray[np.int64]) -> Mail:
    """Return a day with its messages in another order: row i is row `order[i]`; index from 0."""
    return mail.iloc[order].reset_index(drop=True) if isinstance(mail, pd.DataFrame) else mail.reorder(order)


def iterate_cells(mail: Mail, name: str) -> Iterator[Any]:
    """Yield the cells of a column, None where one is missing or the day lacks the column."""
    for frame in iterate_frames(mail, [name]):
        column = get_column(frame, name)
        if column is None:
            yield from [None] * len(frame)
        else:
            yield from (
                None if missing else cell for cell, missing in zip(column.astype(object), column.isna(), strict=True)
            )


def get_column(frame: pd.DataFrame, name: str) -> "pd.Series[Any] | None":
    """Return the first column of that name, None if there is none; the other columns may have any names."""
    positions = [i for i, column in enumerate(frame.columns) if isinstance(column, str) and column == name]
    return frame.iloc[:, positions[0]] if positions else None
