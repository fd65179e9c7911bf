"""A landed day for the tests of this room."""

import os
from pathlib import Path

from spam_assets.landing.day_content import FileState
from spam_assets.landing.landing_index import DayEntry, DayState, LandingIndex

DAY = "2024-05-17"
HEADER = "message_id,body,label\n"
NOON = 1_716_000_000.0


def write(path: Path, content: str | bytes, seconds: float) -> None:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    os.utime(path, (seconds, seconds))


def make_index(number: int = 0) -> LandingIndex:
    files = (("training-x.csv", number, '"etag\u2028"'),)
    return LandingIndex(
        {
            "2024-01-05": DayEntry(DayState.DELETED, "d" * 64, files),
            "2024-01-01": DayEntry(DayState.SETTLED, "a" * 64, files),
            "2024-01-02": DayEntry(DayState.WAITING, "", files, 12.5),
            "2024-01-03": DayEntry(DayState.WAITING, "c" * 64, files, 0.1, FileState("e" * 64, "is empty")),
            "2024-01-04": DayEntry(DayState.AMBIGUOUS, "", files * 2),
        }
    )
