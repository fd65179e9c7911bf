"""The mail behind some features: for models that read words, where ours reads hashes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from spam_assets.mail.columns import BODY, MESSAGE_ID, RAW, RECEIVED_AT, RECIPIENTS, SENDER, SUBJECT

ESTIMATOR_COLUMNS = (MESSAGE_ID, RECEIVED_AT, SENDER, RECIPIENTS, SUBJECT, BODY, RAW)
"""What an estimator is given, always all of it and in this order."""


class TextVectors(Protocol):
    """Keeps what stateless vectorisers made of days of mail."""

    def look_up(self, day: str, version: str, key: str, make: Callable[[], Any]) -> Any:
        """Return the sparse matrix of a day, shape (messages, features), made if it is not known.

        Args:
            day: Which day.
            version: Of the day's mail.
            key: Of the vectoriser and its parameters.
            make: Makes it.
        """


@dataclass(frozen=True)
class MailText:
    """Mail that is read when it is asked for.

    Attributes:
        load: Reads the day's mail, a frame with the mail columns: the very messages of the features.
        day: Which day it is; empty where it is none that is stored.
        find_version: Names what `load` reads, so that what was made of it can be kept; None where nobody knows.
        vectors: Keeps what stateless vectorisers make of it; None where nobody does.
        rows: The messages meant, by position; None: all of the day's.
    """

    load: Callable[[], pd.DataFrame]
    day: str = ""
    find_version: Callable[[], str] | None = None
    vectors: TextVectors | None = None
    rows: npt.NDArray[np.int64] | None = None

    def select(self, rows: npt.NDArray[np.int64]) -> MailText:
        """Some of these messages, by position."""
        return replace(self, rows=rows if self.rows is None else self.rows[rows])

    def read(self) -> pd.DataFrame:
        """The messages, columns ``ESTIMATOR_COLUMNS``; text is never missing, and `raw` is empty where there is none.

        Raises whatever `load` raises.
        """
        mail = shape_mail(self.load())
        return mail if self.rows is None else mail.iloc[self.rows].reset_index(drop=True)

    def vectorise(self, key: str, transform: Callable[[pd.DataFrame], Any]) -> Any:
        """What a stateless vectoriser makes of the messages: a sparse matrix, shape (messages, features).

        Args:
            key: Of the vectoriser and its parameters; empty: what it makes is not kept.
            transform: From a frame as ``read`` gives it.
        """
        if self.vectors is None or not key or self.find_version is None:
            return transform(self.read())
        version = self.find_version()
        matrix = self.vectors.look_up(self.day, version, key, lambda: transform(shape_mail(self.load())))
        return matrix if self.rows is None else matrix[self.rows]


def join_mail(parts: Sequence[MailText | None]) -> MailText | None:
    """Mail one after the other, read when it is asked for; None where a part's is not known."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    return MailText(lambda: pd.concat([part.read() for part in known], ignore_index=True))


def hold_mail(mail: pd.DataFrame) -> MailText:
    """Mail that is in memory already, with any of the mail columns."""
    return MailText(lambda: mail)


def shape_mail(mail: pd.DataFrame) -> pd.DataFrame:
    """Mail as an estimator is given it, from any of the mail columns: ``ESTIMATOR_COLUMNS``, never the label."""
    count = len(mail)
    columns: dict[str, Any] = {}
    for name in ESTIMATOR_COLUMNS:
        if name == RECEIVED_AT:
            times = mail[name].to_numpy() if name in mail else np.full(count, None)
            columns[name] = pd.to_datetime(pd.Series(times), utc=True)
            continue
        nothing: str | bytes = b"" if name == RAW else ""
        cells = mail[name].to_numpy(dtype=object) if name in mail else np.full(count, None, dtype=object)
        cells = np.where(pd.isna(cells), np.array(nothing, dtype=object), cells)
        columns[name] = pd.Series(cells, dtype=object)
    return pd.DataFrame(columns)
