"""Dates: read as mail writes them, whatever is wrong with them."""

from datetime import datetime

import pytest

from spam_assets.mail.dates import parse_mail_date
from spam_assets_tests.mail import AUGUST_1, utc


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Thu, 1 Aug 2002 10:20:30 +0000", AUGUST_1),
        ("Thu, 1 Aug 2002 12:20:30 +0200 (CEST)", AUGUST_1),
        ("1 Aug 02 06:20:30 EDT", AUGUST_1),
        ("Thu, 1 Aug 2002 10:20:30 UT", AUGUST_1),
        ("Thu, 1 Aug 2002 10:20:30 XYZT", AUGUST_1),  # unknown: as UTC
        ("Thu, 1 Aug 2002 10:20:30 +9999", AUGUST_1),  # no place on earth
        ("Thu, 1 Aug 102 10:20:30 GMT", AUGUST_1),  # the year 2000 bug
        ("Thu Aug  1 10:20:30 2002", AUGUST_1),
        ("1 Jan 70 00:00:00 GMT", utc(1970, 1, 1)),
        ("31 Dec 1998 23:59:60 GMT", utc(1998, 12, 31, 23, 59, 59)),
        ("Thu, 1 Aug 12002 10:20:30 GMT", None),
        ("Thu, 1 Aug 1902 10:20:30 GMT", None),
        ("Thu, 31 Feb 2002 10:20:30 GMT", None),
        ("Thu, 1 Aug 2002 25:20:30 GMT", None),
        ("tomorrow", None),
        ("", None),
        ("1 " * 500, None),
    ],
)
def test_dates_are_read_as_mail_writes_them(text: str, expected: datetime | None) -> None:
    assert parse_mail_date(text) == expected
