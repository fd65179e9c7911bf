"""Missing mail: the newest day that is due and not there is told, and nothing else is."""

from datetime import datetime, timezone

import pytest

from spam_assets.landing.missing_mail import find_future_days, find_missing_mail, find_plausible_days

NEW_YEAR = datetime(2024, 1, 1, tzinfo=timezone.utc).timestamp()
HOUR = 3600


@pytest.mark.parametrize(
    ("landed", "hours", "missing"),
    [
        (["2023-12-30"], 5.9, None),  # the last day of the year is not due yet
        (["2023-12-29"], 5.9, ("2023-12-30", 23.9)),
        (["2023-12-30"], 6, ("2023-12-31", 0)),
        (["2023-12-30"], 8.5, ("2023-12-31", 2.5)),
        (["2023-12-31"], 8.5, None),
        (["2024-01-01"], 8.5, None),  # later than what is due
        (["2023-01-01", "2023-12-31"], 8.5, None),  # what is older is not told again
        ([], 8.5, None),
        (["2023-12-30", "2038-01-19"], 8.5, ("2023-12-31", 2.5)),  # a file of a day to come silences nothing
        (["2024-01-02"], 8.5, None),  # it has begun in the east
        (["2038-01-19"], 8.5, None),
    ],
)
def test_a_day_is_missed_from_so_many_hours_after_its_end(
    landed: list[str], hours: float, missing: tuple[str, float] | None
) -> None:
    found = find_missing_mail(landed, NEW_YEAR + hours * HOUR, grace_hours=6)
    assert found == (missing and (missing[0], pytest.approx(missing[1])))


def test_a_day_that_has_begun_nowhere_lies_in_the_future() -> None:
    days = ["2038-01-19", "2024-01-03", "2024-01-02", "2024-01-01", "1970-01-01"]
    assert find_future_days(days, NEW_YEAR) == ["2024-01-03", "2038-01-19"]
    assert find_plausible_days(days, NEW_YEAR) == ["2024-01-01", "2024-01-02"]
