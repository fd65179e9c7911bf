"""Made-up messages and days for the tests of this room."""

from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd

from spam_assets.mail.dates import read_dates
from spam_assets.mail.day_summary import DaySummary
from spam_assets.mail.parsing import Message
from spam_assets.mail.verdicts import Verdict

DAY = "2002-08-01"
MIDNIGHT = datetime(2002, 8, 1, tzinfo=timezone.utc)
AUGUST_1 = datetime(2002, 8, 1, 10, 20, 30, tzinfo=timezone.utc)
MB = 1_000_000


def utc(*fields: int) -> datetime:
    return datetime(*fields, tzinfo=timezone.utc)  # type: ignore[misc,arg-type]


def multipart(*parts: bytes, kind: bytes = b"mixed", boundary: bytes = b"B") -> bytes:
    inside = b"".join(b"--" + boundary + b"\n" + part + b"\n" for part in parts)
    head = b'MIME-Version: 1.0\nContent-Type: multipart/%s; boundary="%s"\n\nold reader\n' % (kind, boundary)
    return head + inside + b"--" + boundary + b"--\nepilogue\n"


def assert_storable(message: Message) -> None:
    names = [attachment.name for attachment in message.attachments]
    for text in (
        message.message_id or "",
        message.sender,
        message.recipients,
        message.subject,
        message.body,
        *names,
    ):
        text.encode("utf-8")
        assert "\0" not in text


def make_frame(count: int = 100, spam: int = 30, start: int = 0, **columns: list[Any]) -> pd.DataFrame:
    """A good day of `count` mails, with the given columns replaced."""
    numbers = range(start, start + count)
    data: dict[str, list[Any]] = {
        "message_id": [f"<{n}@x>" for n in numbers],
        "received_at": [MIDNIGHT + timedelta(seconds=n - start) for n in numbers],
        "sender": ["a@x"] * count,
        "recipients": ["b@x"] * count,
        "subject": [f"subject {n}" for n in numbers],
        "body": [f"body {n}" for n in numbers],
        "raw": [None] * count,
        "label": ["spam"] * spam + ["ham"] * (count - spam),
        **columns,
    }
    frame = pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in data.items()})
    if "received_at" not in columns:
        frame["received_at"] = read_dates(data["received_at"])
    return frame


def make_history(days: int = 28, messages: int = 100, spam: int = 30) -> list[DaySummary]:
    """Days before DAY that vary a little."""
    history = []
    for back in range(days, 0, -1):
        wobble = (back % 5) - 2
        day = str((MIDNIGHT - timedelta(days=back)).date())
        hashes = np.arange(messages, dtype=np.uint64) + np.uint64(10_000 * back)
        history.append(DaySummary(day, messages + 5 * wobble, spam + 2 * wobble, hashes))
    return history


def assert_fails(verdict: Verdict, *words: str) -> None:
    assert not verdict.passed
    assert verdict.sentence.startswith(f"training day {DAY}: ")
    assert verdict.sentence.endswith(".")
    assert "\n" not in verdict.sentence
    for word in words:
        assert word in verdict.sentence
