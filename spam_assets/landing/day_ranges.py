"""Days to run -> as few ranges of days as can be, each of which is one run."""

from collections.abc import Iterable, Sequence
from datetime import date

DAYS_PER_RUN = 100
"""The most days that one run covers, unless a person asks for another number."""


def group_days(days: Sequence[str], landed: Iterable[str], days_per_range: int) -> list[tuple[str, str]]:
    """Group days into ranges, as few as can be.

    Args:
        days: the days to run.
        landed: every day that has a file. A range holds none of them that is not to run; it may hold days without a
            file, for which a run makes nothing.
        days_per_range: the most calendar days that a range may span, 1 or more.

    Returns:
        First and last day of every range, in order.
    """
    if days_per_range < 1:
        raise ValueError(f"a range cannot span {days_per_range} days; give 1 or more.")
    wanted = set(days)
    ranges: list[tuple[str, str]] = []
    start = 0
    is_open = False
    for day in sorted(wanted.union(landed)):
        if day not in wanted:
            is_open = False
            continue
        number = date.fromisoformat(day).toordinal()
        if is_open and number - start < days_per_range:
            ranges[-1] = (ranges[-1][0], day)
        else:
            ranges.append((day, day))
            start, is_open = number, True
    return ranges
