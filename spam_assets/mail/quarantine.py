"""Messages that are put aside, so that what one sender forged does not keep the day's other mail from being learnt.

A `Date` where no server states one, and a `Message-ID`, are whatever the sender wrote. Rows whose id repeats and whose
content differs are different messages, and keep their place under an id that is made unique; see `validation`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import pandas as pd

from spam_assets.mail.columns import BODY, LABEL, MESSAGE_ID, RAW, RECEIVED_AT, RECIPIENTS, SENDER, SUBJECT
from spam_assets.mail.dates import is_day, read_dates
from spam_assets.mail.mail_frame import derive_message_ids
from spam_assets.mail.verdicts import get_column, present_cells

MAX_QUARANTINED_PERCENT: Final = 5
"""Of a day's messages, for each reason; beyond it the file is wrong and not a sender."""
MAX_QUARANTINED_OF_SMALL_DAYS: Final = 3
"""So many may be put aside of a day with fewer than 60 messages, but no more than a tenth of it."""

OUTSIDE: Final = "it was not received on the day"
REPEATED: Final = "it repeats an earlier row: the same message_id and the same content"
CONTRADICTED: Final = "the same message is called ham and spam"


@dataclass(frozen=True)
class QuarantinedMessage:
    """A message that is put aside.

    Attributes:
        row: in the landing file, from 1.
        message_id: as it landed, None if there is none; hostile text.
        reason: one of the reasons of this module.
    """

    row: int
    message_id: str | None
    reason: str


def count_allowed(messages: int) -> int:
    """Return how many of a day's messages may be put aside for one reason."""
    return max(messages * MAX_QUARANTINED_PERCENT // 100, min(MAX_QUARANTINED_OF_SMALL_DAYS, messages // 10))


def find_quarantined(frame: pd.DataFrame, day: str) -> tuple[QuarantinedMessage, ...]:
    """Return the messages of a day that are put aside, in the order of the file. Never raises, as a rule does not."""
    reasons: dict[int, str] = {**find_repeated(frame), **dict.fromkeys(find_outside(frame, day), OUTSIDE)}
    ids = present_cells(frame, MESSAGE_ID)
    return tuple(
        QuarantinedMessage(row + 1, None if ids[row] is None else str(ids[row]), reasons[row])
        for row in sorted(reasons)
    )


def find_outside(frame: pd.DataFrame, day: str) -> list[int]:
    """Return the rows, from 0, whose date is there and not in the UTC day; all of them where the day is none."""
    cells = present_cells(frame, RECEIVED_AT)
    is_there = np.array([cell is not None for cell in cells], dtype=bool)
    if not is_day(day):
        return [int(row) for row in np.flatnonzero(is_there)]
    dates = read_dates([cell if isinstance(cell, (datetime, np.datetime64)) else None for cell in cells])
    start = read_dates([day])[0]
    is_inside = np.asarray((dates >= start) & (dates < start + pd.Timedelta(days=1)), dtype=bool)
    return [int(row) for row in np.flatnonzero(is_there & ~is_inside)]


def find_repeated(frame: pd.DataFrame) -> dict[int, str]:
    """Return the rows, from 0, that repeat another row's id and content, and why each is put aside."""
    rows_of: dict[tuple[str, str], list[int]] = {}
    for rows in find_repeated_ids(frame).values():
        for row, content in zip(rows, _hash_rows(frame, rows), strict=True):
            rows_of.setdefault((str(rows[0]), content), []).append(row)
    labels = present_cells(frame, LABEL)
    reasons: dict[int, str] = {}
    for rows in rows_of.values():
        if len({str(labels[row]) for row in rows}) > 1:
            reasons.update(dict.fromkeys(rows, CONTRADICTED))
        else:
            reasons.update(dict.fromkeys(rows[1:], REPEATED))
    return reasons


def find_repeated_ids(frame: pd.DataFrame) -> dict[str, list[int]]:
    """Return the ids that several rows have, with those rows, from 0, in order; missing ids are no matter of this."""
    rows_of: dict[str, list[int]] = {}
    for row, cell in enumerate(present_cells(frame, MESSAGE_ID)):
        if cell is not None:
            rows_of.setdefault(str(cell), []).append(row)
    return {message_id: rows for message_id, rows in rows_of.items() if len(rows) > 1}


def _hash_rows(frame: pd.DataFrame, rows: Sequence[int]) -> list[str]:
    columns: list[list[Any]] = []
    for name in (SENDER, RECIPIENTS, SUBJECT, BODY, RAW):
        column = get_column(frame, name)
        columns.append([None] * len(rows) if column is None else [column.iloc[row] for row in rows])
    return derive_message_ids(*columns)
