"""Days and dates: as mail writes them, as tables hold them, and the days of partitions."""

import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta, timezone
from email.utils import parsedate_tz
from typing import Any, Final

import numpy as np
import pandas as pd

FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 2099
"""A date outside these years is forged or broken and counts as absent."""
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?!\d)")


def is_day(text: str) -> bool:
    """Return whether the text is a real date written YYYY-MM-DD."""
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def parse_mail_date(text: str) -> datetime | None:
    """Read a date as mail writes it, RFC 5322 with its obsolete forms, or as an mbox does.

    A zone that is unknown, absent or beyond a day counts as UTC. Years of two and three digits are read as
    RFC 5322, section 4.3, says.

    Returns:
        An aware datetime in UTC, or None if the text is no date or its year is absurd.
    """
    try:
        fields = parsedate_tz(text.replace("\n", " ")[:200])
        if fields is None:
            return None
        year, month, day, hour, minute, second = fields[:6]
        year += 1900 if 100 <= year < 1000 else 0
        if not FIRST_YEAR <= year <= LAST_YEAR:
            return None
        offset_seconds = fields[9] or 0
        if abs(offset_seconds) >= 24 * 3600:
            offset_seconds = 0
        local = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=timezone.utc)
        return local - timedelta(seconds=offset_seconds)
    except (ValueError, TypeError, IndexError, OverflowError):  # parsedate_tz raises these on odd input
        return None


def read_dates(cells: Sequence[Any]) -> pd.DatetimeIndex:
    """Read dates of any kind: datetimes, ISO 8601 or as mail writes them; without a zone they are UTC.

    Returns:
        datetime64[us, UTC], NaT where a cell is missing or no date.
    """
    microseconds = np.empty(len(cells), dtype=np.int64)
    for row, cell in enumerate(cells):
        value: Any = None
        if isinstance(cell, str):
            text = cell.strip()
            # The pattern, because pandas would also take "now" and "today".
            value = _read_iso_date(text) if _ISO_DATE.match(text) else parse_mail_date(text)
        elif isinstance(cell, (datetime, date, np.datetime64)):
            value = cell
        microseconds[row] = _to_microseconds(value)
    return pd.DatetimeIndex(microseconds.astype("datetime64[us]")).tz_localize("UTC")


def _read_iso_date(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)  # much faster than pandas, but strict before Python 3.11
    except ValueError:
        parsed = pd.to_datetime(text, format="ISO8601", errors="coerce")
        return None if pd.isna(parsed) else parsed.to_pydatetime(warn=False)


def _to_microseconds(value: Any) -> int:
    """Return microseconds since 1970 in UTC, or the number that stands for NaT."""
    try:
        stamp = pd.NaT if value is None else pd.Timestamp(value)
        if stamp is pd.NaT:
            return int(pd.NaT.value)
        return int(stamp.to_datetime64().astype("datetime64[us]").astype(np.int64))
    except (ValueError, OverflowError):
        return int(pd.NaT.value)
