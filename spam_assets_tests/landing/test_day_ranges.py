"""Ranges of days: every wanted day, no other landed one, and as few ranges as can be."""

import itertools
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spam_assets.landing.day_ranges import group_days


@pytest.mark.parametrize(
    ("days", "landed", "most", "ranges"),
    [
        ([], ["2024-01-01"], 5, []),
        (["2024-01-01"], [], 1, [("2024-01-01", "2024-01-01")]),
        (["2024-01-01", "2024-01-02"], [], 1, [("2024-01-01", "2024-01-01"), ("2024-01-02", "2024-01-02")]),
        (["2024-01-02", "2024-01-01"], [], 2, [("2024-01-01", "2024-01-02")]),
        (["2024-01-01", "2024-01-04"], ["2024-01-01", "2024-01-04"], 4, [("2024-01-01", "2024-01-04")]),
        (["2024-01-01", "2024-01-05"], [], 4, [("2024-01-01", "2024-01-01"), ("2024-01-05", "2024-01-05")]),
        (["2024-01-01", "2024-01-03"], ["2024-01-02"], 9, [("2024-01-01", "2024-01-01"), ("2024-01-03", "2024-01-03")]),
        (["2024-02-28", "2024-03-01"], [], 3, [("2024-02-28", "2024-03-01")]),
        (["2024-02-28", "2024-03-01"], [], 2, [("2024-02-28", "2024-02-28"), ("2024-03-01", "2024-03-01")]),
    ],
)
def test_days_are_grouped_into_ranges(
    days: list[str], landed: list[str], most: int, ranges: list[tuple[str, str]]
) -> None:
    assert group_days(days, landed, most) == ranges


def test_a_range_of_no_days_is_refused() -> None:
    with pytest.raises(ValueError, match="give 1 or more"):
        group_days([], [], 0)


@settings(max_examples=200, deadline=None)
@given(st.sets(st.integers(0, 40)), st.sets(st.integers(0, 40)), st.integers(1, 12))
def test_ranges_hold_every_wanted_day_and_no_other_landed_one(days: set[int], landed: set[int], most: int) -> None:
    first = datetime(2024, 2, 10)  # noqa: DTZ001

    def name(number: int) -> str:
        return (first + timedelta(days=number)).date().isoformat()

    numbers = {name(number): number for number in range(41)}
    ranges = [(numbers[a], numbers[b]) for a, b in group_days([name(n) for n in days], map(name, landed), most)]
    held = [number for start, end in ranges for number in range(start, end + 1)]
    assert held == sorted(set(held))
    assert days <= set(held)
    assert not set(held) & (landed - days)
    assert all(end - start < most for start, end in ranges)
    for (start, _), (following, _) in itertools.pairwise(ranges):  # none could have been longer
        assert following - start >= most or set(range(start, following)) & (landed - days)
