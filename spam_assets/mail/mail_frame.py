"""Columns of cells, from whatever source -> the frame of a day of mail.

Not here: files and their formats (`landing.file_formats`), where they are (`landing.zone`).
"""

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timezone
from typing import Any, Final

import numpy as np
import pandas as pd

from spam_assets.mail.columns import (
    BODY,
    HAM,
    LABEL,
    MAIL_COLUMNS,
    MESSAGE_ID,
    RAW,
    RECEIVED_AT,
    RECIPIENTS,
    SENDER,
    SPAM,
    SUBJECT,
    TEXT,
)
from spam_assets.mail.dates import read_dates
from spam_assets.mail.errors import MailError
from spam_assets.mail.parsing import Message, parse_message
from spam_assets.mail.text import make_storable

_BASE64_MARK: Final = "base64:"
_LABEL_SPELLINGS: Final = {"0": HAM, "false": HAM, "ham": HAM, "1": SPAM, "true": SPAM, "spam": SPAM}


Columns = dict[str, list[Any]]
"""A table as read: a list of cells a column, None where the file says that a value is missing."""


def build_mail_frame(columns: Mapping[str, Sequence[Any]], day: str, name: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Bring a table to the schema of a day of mail; see `MailFrameBuilder`.

    Args:
        columns: cells by column, None or NaN where missing; one of `body`, `text`, `raw` is there. Without a column
            `label` every label is missing.
        day: the partition, YYYY-MM-DD.
        name: what to call the file in errors.

    Returns:
        The frame, see `LandedDay`, and notes.

    Raises:
        MailError: a cell of `raw` cannot be decoded.
    """
    builder = MailFrameBuilder(list(columns), day, name)
    return builder.build(columns), builder.notes


class MailFrameBuilder:
    """Brings a table to the schema of a day of mail, batch after batch.

    Columns that are absent are filled: from `raw` where there is one, else sender, recipients and subject
    with the empty text, `received_at` with the day's midnight in UTC, `message_id` with a hash of the
    content (repeats get an ordinal). Cells that are missing in a column that is there stay missing; the
    quality rules count them.

    Args:
        header: the names of the table's columns.
        day: the partition, YYYY-MM-DD.
        name: what to call the file in errors.
    """

    def __init__(self, header: Sequence[str], day: str, name: str) -> None:
        self._header = header
        self._name = name
        self._midnight = datetime.combine(date.fromisoformat(day), time(), tzinfo=timezone.utc)
        self._derived = [column for column in MAIL_COLUMNS if column not in header and column != LABEL]
        if TEXT in header and BODY in self._derived:
            self._derived.remove(BODY)
        self._unique_ids = UniqueIds()
        self._rows = 0
        self._converted: Counter[str] = Counter()
        self._repaired: Counter[str] = Counter()
        self._no_dates = 0

    def build(self, columns: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
        """Return the frame of the next rows, see `LandedDay`.

        Raises:
            MailError: a cell of `raw` cannot be decoded.
        """
        count = max(map(len, columns.values()))
        nothing = [None] * count
        raws = [_decode_raw(cell, n, self._name) for n, cell in enumerate(columns.get(RAW, nothing), self._rows + 1)]
        messages: list[Message | None] = list(nothing)
        if self._derived and RAW in columns:
            messages = [None if raw is None else parse_message(raw) for raw in raws]

        data: dict[str, Any] = {RAW: _to_object_array(raws)}
        for column, absent in ((SENDER, ""), (RECIPIENTS, ""), (SUBJECT, ""), (BODY, None)):
            source = TEXT if column == BODY and BODY not in columns and TEXT in columns else column
            if source in columns:
                cells = self._read_texts(columns[source], source)
            else:
                cells = [absent if m is None else getattr(m, column) for m in messages]
            data[column] = _to_object_array(cells)

        if RECEIVED_AT in columns:
            data[RECEIVED_AT] = read_dates(columns[RECEIVED_AT])
            self._no_dates += int((pd.isna(data[RECEIVED_AT]) & ~pd.isna(_to_object_array(columns[RECEIVED_AT]))).sum())
        else:
            data[RECEIVED_AT] = read_dates([(m.received_at if m else None) or self._midnight for m in messages])

        if MESSAGE_ID in columns:
            ids = self._read_texts(columns[MESSAGE_ID], MESSAGE_ID)
        else:
            content_ids = derive_message_ids(data[SENDER], data[RECIPIENTS], data[SUBJECT], data[BODY], data[RAW])
            wanted = [(m and m.message_id) or i for m, i in zip(messages, content_ids, strict=True)]
            ids = [self._unique_ids.make_unique(message_id) for message_id in wanted]
        data[MESSAGE_ID] = _to_object_array(ids)
        data[LABEL] = _to_object_array([normalise_label(cell) for cell in columns.get(LABEL, nothing)])
        self._rows += count
        return pd.DataFrame({column: data[column] for column in MAIL_COLUMNS})

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about the rows that were built, one sentence each."""
        notes: list[str] = []
        ignored = [column for column in self._header if column not in (*MAIL_COLUMNS, TEXT)]
        if TEXT in self._header and BODY in self._header:
            ignored.append(TEXT)
        if ignored:
            shown = ", ".join(column[:40] for column in ignored[:10])
            notes.append(f"columns not used: {shown}{', ...' if len(ignored) > 10 else ''}")
        if self._derived and RAW in self._header:
            notes.append(f"columns read from raw: {', '.join(self._derived)}")
        for column in (SENDER, RECIPIENTS, SUBJECT, BODY, TEXT, RECEIVED_AT, MESSAGE_ID):
            if self._converted[column]:
                notes.append(f"{self._converted[column]} values of {column} are no text and were read as text")
            if self._repaired[column]:
                notes.append(
                    f"{self._repaired[column]} values of {column} held NUL or broken Unicode, replaced by U+FFFD"
                )
            if column == RECEIVED_AT and self._no_dates:
                notes.append(f"{self._no_dates} values of received_at are no dates and count as missing")
        return tuple(notes)

    def _read_texts(self, cells: Sequence[Any], column: str) -> list[str | None]:
        texts: list[str | None] = []
        for cell in cells:
            if is_missing(cell):
                texts.append(None)
                continue
            if isinstance(cell, str):
                text = cell
            else:
                self._converted[column] += 1
                text = cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell)
            storable = make_storable(text)
            self._repaired[column] += storable is not text
            texts.append(storable)
        return texts


def normalise_label(cell: object) -> str | None:
    """Read a label: 0, 1, true, false, ham, spam in any case; else return the text, None if missing."""
    if is_missing(cell):
        return None
    if isinstance(cell, (bool, int, float, np.generic)) and cell in (0, 1):
        return SPAM if cell else HAM
    text = make_storable(str(cell))
    return _LABEL_SPELLINGS.get(text.strip().lower(), text)


def derive_message_ids(*columns: Sequence[Any]) -> list[str]:
    """Return an id for every row from its cells: str, bytes or missing. Equal rows have equal ids."""
    return [f"content-{_hash_cells(cells)}" for cells in zip(*columns, strict=True)]


def _hash_cells(cells: Iterable[Any]) -> str:
    digest = hashlib.sha256()
    for cell in cells:
        if isinstance(cell, bytes):
            content = b"b" + cell
        else:
            content = b"" if is_missing(cell) else b"s" + str(cell).encode("utf-8", "surrogatepass")
        digest.update(len(content).to_bytes(8, "big"))  # so that cells cannot run into each other
        digest.update(content)
    return digest.hexdigest()[:32]


class UniqueIds:
    """The ids of a day so far, each once."""

    def __init__(self) -> None:
        self._used: set[str] = set()
        self._counts: dict[str, int] = {}

    def make_unique(self, wanted: str) -> str:
        """Return an id, the second of equal ones as `id#2`, the third as `id#3` and so on."""
        unique = wanted
        while unique in self._used:
            self._counts[wanted] = self._counts.get(wanted, 1) + 1
            unique = f"{wanted}#{self._counts[wanted]}"
        self._used.add(unique)
        return unique


def is_missing(cell: object) -> bool:
    """Return whether a cell is None, NaT, NA or NaN; an empty text is not missing."""
    return cell is None or cell is pd.NaT or cell is pd.NA or (isinstance(cell, (float, np.floating)) and cell != cell)


def _to_object_array(cells: Sequence[Any]) -> "np.ndarray[Any, np.dtype[np.object_]]":
    array = np.empty(len(cells), dtype=object)
    array[:] = cells
    return array


def encode_raw(raw: bytes) -> str:
    """Write a message as text: as UTF-8 where that gives the same bytes back, else `base64:` and base64."""
    if raw and b"\0" not in raw and not raw.startswith(_BASE64_MARK.encode()):
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            pass
    return _BASE64_MARK + base64.b64encode(raw).decode("ascii")


def decode_raw(text: str) -> bytes:
    """Undo `encode_raw`.

    Raises:
        ValueError: what follows `base64:` is no base64.
    """
    if text.startswith(_BASE64_MARK):
        return base64.b64decode(text[len(_BASE64_MARK) :], validate=True)
    return text.encode("utf-8", "surrogatepass")


def _decode_raw(cell: object, number: int, name: str) -> bytes | None:
    if is_missing(cell):
        return None
    if isinstance(cell, bytes):
        return cell
    try:
        return decode_raw(str(cell))
    except ValueError as error:
        raise MailError(
            f"{name} has a raw message in row {number} that starts with base64: and is no base64 ({error}); "
            "land the file again."
        ) from error
