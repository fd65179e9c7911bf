"""Whether mail that should have landed by now has not."""

from collections.abc import Iterable
from datetime import datetime, time, timedelta, timezone
from typing import Final

FIRST_PLAUSIBLE_DAY: Final = "1990-01-01"
"""Mail of before is older than the archives that people have; a date there is forged or a clock that was not set."""


def find_future_days(landed: Iterable[str], now_seconds: float) -> list[str]:
    """Return the landed days that lie in the future, in order; tomorrow has begun where clocks are ahead of UTC."""
    tomorrow = (datetime.fromtimestamp(now_seconds, timezone.utc) + timedelta(days=1)).date().isoformat()
    return sorted(day for day in landed if day > tomorrow)


def find_plausible_days(landed: Iterable[str], now_seconds: float) -> list[str]:
    """Return the landed days that partitions may be made for, in order: none of the future, none of before 1990."""
    known = set(landed)
    return sorted(day for day in known.difference(find_future_days(known, now_seconds)) if day >= FIRST_PLAUSIBLE_DAY)


def find_missing_mail(landed: Iterable[str], now_seconds: float, grace_hours: float) -> tuple[str, float] | None:
    """Return the newest day that should have landed and has not, and how many hours late it is.

    A day is due `grace_hours` after its end, in UTC. Where nothing has landed yet, nothing is missed; neither is
    anything older than the newest landed day, which came late or never, and was told then. A file of a day that has
    not begun anywhere says nothing: it landed by mistake, see `find_future_days`.

    Args:
        landed: the days that have a file.
        now_seconds: seconds since 1970.
        grace_hours: see above.
    """
    known = set(landed)
    newest = max(known.difference(find_future_days(known, now_seconds)), default=None)
    due = datetime.fromtimestamp(now_seconds, timezone.utc) - timedelta(hours=grace_hours)
    day = due.date() - timedelta(days=1)
    if newest is None or newest >= day.isoformat():
        return None
    midnight = datetime.combine(due.date(), time(), timezone.utc)
    return day.isoformat(), (due - midnight).total_seconds() / 3600
