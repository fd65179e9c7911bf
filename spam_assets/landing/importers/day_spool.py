"""Mail in any order that waits for the rest of its day."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Final, NamedTuple

from spam_assets.landing.missing_mail import FIRST_PLAUSIBLE_DAY

FIRST_PLAUSIBLE: Final = datetime.fromisoformat(FIRST_PLAUSIBLE_DAY).replace(tzinfo=timezone.utc)
CLOCKS_DIFFER: Final = timedelta(days=1)
"""So far beyond now a date is not called future."""
UNVOUCHED_MARGIN: Final = timedelta(days=366)
"""A date that only the sender states counts within this of mail whose delivery a server states."""
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

    A row whose date is none, or cannot be true, is left out: one message of 2038 would make partitions of all the days
    until then.

    Args:
        now: aware; no mail is from later. The clock of this machine if it is not given.
    """

    def __init__(self, now: datetime | None = None) -> None:
        self._last_plausible = (now or datetime.now(timezone.utc)) + CLOCKS_DIFFER
        self._left_out: dict[str, tuple[int, list[str]]] = {}
        self._rows = sqlite3.connect("", isolation_level=None)
        self._rows.execute("PRAGMA journal_mode = OFF")
        self._rows.execute(
            "CREATE TABLE mail (day TEXT, microseconds INTEGER, source TEXT, label TEXT, content BLOB, "
            "is_vouched INTEGER)"
        )
        self._rows.execute("BEGIN")

    def add(
        self, received_at: datetime | None, source: str, label: str, content: bytes, *, is_vouched: bool = True
    ) -> None:
        """Keep a row for the UTC day of its date, which is aware.

        Args:
            received_at: without a date, or with one that cannot be true, the row is left out.
            source: where it was found, for people.
            label: as it was given.
            content: as it was given.
            is_vouched: whether somebody else than the sender states the date.
        """
        if received_at is None:
            self.leave_out("no date can be read", [source])
            return
        if not FIRST_PLAUSIBLE <= received_at <= self._last_plausible:
            self.leave_out(f"the date lies in the future or before {FIRST_PLAUSIBLE.year}", [source])
            return
        utc = received_at.astimezone(timezone.utc)
        microseconds = (utc - _EPOCH) // timedelta(microseconds=1)
        source = source.encode("utf-8", "replace").decode()  # file names may hold surrogates
        self._rows.execute(
            "INSERT INTO mail VALUES (?, ?, ?, ?, ?, ?)",
            (str(utc.date()), microseconds, source, label, content, is_vouched),
        )

    def leave_out(self, reason: str, sources: Sequence[str], count: int = 1) -> None:
        """Count rows that are not kept, and remember where the first of them were found."""
        known, examples = self._left_out.get(reason, (0, []))
        self._left_out[reason] = (known + count, [*examples, *sources][:_MAX_EXAMPLES])

    def tell_left_out(self) -> dict[str, int]:
        """Return why rows were left out, with where the first of them are, and how many."""
        return {f"{reason}, as in {', '.join(examples)}": n for reason, (n, examples) in self._left_out.items()}

    def _leave_out_what_only_senders_date_far_away(self) -> None:
        """Where a server states most dates, do not believe a sender that states one of other years."""
        vouched, total, first, last = self._rows.execute(
            "SELECT COALESCE(SUM(is_vouched), 0), COUNT(*), MIN(CASE WHEN is_vouched THEN microseconds END), "
            "MAX(CASE WHEN is_vouched THEN microseconds END) FROM mail"
        ).fetchone()
        if 2 * vouched <= total:
            return
        margin = UNVOUCHED_MARGIN // timedelta(microseconds=1)
        span = (first - margin, last + margin)
        sources = [
            source
            for (source,) in self._rows.execute(
                "SELECT source FROM mail WHERE NOT is_vouched AND microseconds NOT BETWEEN ? AND ? ORDER BY rowid", span
            )
        ]
        if sources:
            reason = "only the sender states the date, and it is years from all mail that a server dated"
            self.leave_out(reason, sources[:_MAX_EXAMPLES], len(sources))
            self._rows.execute("DELETE FROM mail WHERE NOT is_vouched AND microseconds NOT BETWEEN ? AND ?", span)

    def list_days(self) -> list[str]:
        """Return the days that have rows, in order."""
        self._leave_out_what_only_senders_date_far_away()
        self._rows.execute("CREATE INDEX IF NOT EXISTS by_day ON mail (day)")
        return [day for (day,) in self._rows.execute("SELECT DISTINCT day FROM mail ORDER BY day")]

    def count_bytes(self, day: str) -> int:
        """Return how long the content of a day is."""
        (count,) = self._rows.execute("SELECT SUM(length(content)) FROM mail WHERE day = ?", (day,)).fetchone()
        return int(count or 0)

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
