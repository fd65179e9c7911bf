"""Mail in any order that waits for the rest of its day."""

import sqlite3
from datetime import datetime, timedelta, timezone
from typing import Final, NamedTuple

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MAX_EXAMPLES: Final = 3


class SpooledMail(NamedTuple):
    """One row of the spool.

    Attributes:
        received_at: in UTC, to the microsecond.
        label: as it was given.
        content: as it was given: a message, or the cells of a table's row.
    """

    received_at: datetime
    label: str
    content: bytes


class DaySpool:
    """Rows that wait for the rest of their day.

    SQLite keeps a nameless database in memory while it is small, and else in a file that is gone when the
    connection is, however the process ends.

    Attributes:
        undated: number of rows that had no date and were not kept.
        undated_examples: where the first of those were found.
    """

    def __init__(self) -> None:
        self._rows = sqlite3.connect("", isolation_level=None)
        self._rows.execute("PRAGMA journal_mode = OFF")
        self._rows.execute("CREATE TABLE mail (day TEXT, microseconds INTEGER, source TEXT, label TEXT, content BLOB)")
        self._rows.execute("BEGIN")
        self.undated = 0
        self.undated_examples: list[str] = []

    def add(self, received_at: datetime | None, source: str, label: str, content: bytes) -> None:
        """Keep a row for the UTC day of its date, which is aware; without one it is only counted."""
        if received_at is None:
            self.undated += 1
            if len(self.undated_examples) < _MAX_EXAMPLES:
                self.undated_examples.append(source)
            return
        utc = received_at.astimezone(timezone.utc)
        microseconds = (utc - _EPOCH) // timedelta(microseconds=1)
        source = source.encode("utf-8", "replace").decode()  # file names may hold surrogates
        self._rows.execute(
            "INSERT INTO mail VALUES (?, ?, ?, ?, ?)", (str(utc.date()), microseconds, source, label, content)
        )

    def list_days(self) -> list[str]:
        """Return the days that have rows, in order."""
        self._rows.execute("CREATE INDEX IF NOT EXISTS by_day ON mail (day)")
        return [day for (day,) in self._rows.execute("SELECT DISTINCT day FROM mail ORDER BY day")]

    def read_day(self, day: str) -> list[SpooledMail]:
        """Return the rows of a day, by date and then by source."""
        # By length first, so that line 9 of a file comes before line 10.
        rows = self._rows.execute(
            "SELECT microseconds, label, content FROM mail WHERE day = ? ORDER BY microseconds, "
            "length(source), source, rowid",
            (day,),
        )
        return [
            SpooledMail(_EPOCH + timedelta(microseconds=microseconds), label, content)
            for microseconds, label, content in rows
        ]

    def close(self) -> None:
        """Forget all rows."""
        self._rows.close()
