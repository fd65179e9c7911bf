"""Messages that are put aside, so that what one sender forged does not keep the day's other mail from being learnt.

A `Date` where no server states one, and a `Message-ID`, are whatever the sender wrote. Rows whose id repeats and whose
content differs are different messages, and keep their place under an id that is made unique; see `validation`.
"""

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import pandas as pd

from spam_assets.mail.columns import BODY, LABEL, MESSAGE_ID, RAW, RECEIVED_AT, RECIPIENTS, SENDER, SUBJECT
from spam_assets.mail.dates import is_day, read_dates
from spam_assets.mail.mail_batches import Mail, get_column, iterate_frames
from spam_assets.mail.mail_frame import derive_message_ids
from spam_assets.mail.verdicts import present_cells

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


def find_quarantined(mail: Mail, day: str) -> tuple[QuarantinedMessage, ...]:
    """Return the messages of a day that are put aside, in the order of the file. Never raises, as a rule does not."""
    reasons: dict[int, str] = {**find_repeated(mail), **dict.fromkeys(find_outside(mail, day), OUTSIDE)}
    ids = present_cells(mail, MESSAGE_ID)
    return tuple(
        QuarantinedMessage(row + 1, None if ids[row] is None else str(ids[row]), reasons[row])
        for row in sorted(reasons)
    )


def find_outside(mail: Mail, day: str) -> list[int]:
    """Return the rows, from 0, whose date is there and not in the UTC day; all of them where the day is none."""
    cells = present_cells(mail, RECEIVED_AT)
    is_there = np.array([cell is not None for cell in cells], dtype=bool)
    if not is_day(day):
        return [int(row) for row in np.flatnonzero(is_there)]
    dates = read_dates([cell if isinstance(cell, (datetime, np.datetime64)) else None for cell in cells])
    start = read_dates([day])[0]
    is_inside = np.asarray((dates >= start) & (dates < start + pd.Timedelta(days=1)), dtype=bool)
    return [int(row) for row in np.flatnonzero(is_there & ~is_inside)]


def find_repeated(mail: Mail) -> dict[int, str]:
    """Return the rows, from 0, that repeat another row's id and content, and why each is put aside."""
    repeated = find_repeated_ids(mail)
    if not repeated:
        return {}
    contents = _hash_rows(mail, {row for rows in repeated.values() for row in rows})
    rows_of: dict[tuple[str, str], list[int]] = {}
    for rows in repeated.values():
        for row in rows:
            rows_of.setdefault((str(rows[0]), contents[row]), []).append(row)
    labels = present_cells(mail, LABEL)
    reasons: dict[int, str] = {}
    for rows in rows_of.values():
        if len({str(labels[row]) for row in rows}) > 1:
            reasons.update(dict.fromkeys(rows, CONTRADICTED))
        else:
            reasons.update(dict.fromkeys(rows[1:], REPEATED))
    return reasons


def find_repeated_ids(mail: Mail) -> dict[str, list[int]]:
    """Return the ids that several rows have, with those rows, from 0, in order; missing ids are no matter of this."""
    ids = [None if cell is None else str(cell) for cell in present_cells(mail, MESSAGE_ID)]
    rows_of: dict[str, list[int]] = {}
    for row in np.flatnonzero(pd.Series(ids, dtype=object).duplicated(keep=False)):
        message_id = ids[row]
        if message_id is not None:
            rows_of.setdefault(message_id, []).append(int(row))
    return rows_of


def _hash_rows(mail: Mail, rows: Set[int]) -> dict[int, str]:
    """Return a hash of the content of each of some rows."""
    names = (SENDER, RECIPIENTS, SUBJECT, BODY, RAW)
    hashes: dict[int, str] = {}
    first = 0
    for frame in iterate_frames(mail, names):
        here = [row for row in range(first, first + len(frame)) if row in rows]
        columns: list[list[Any]] = []
        for name in names:
            column = get_column(frame, name)
            columns.append([None] * len(here) if column is None else [column.iloc[row - first] for row in here])
        hashes.update(zip(here, derive_message_ids(*columns), strict=True))
        first += len(frame)
    return hashes
