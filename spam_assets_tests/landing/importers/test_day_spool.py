"""What waits for the rest of its day, and what is left out because its date cannot be true."""

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from spam_assets.landing.errors import LandingError
from spam_assets.landing.importers import days as importer_days
from spam_assets.landing.importers import labelled_messages, mbox_files
from spam_assets.landing.importers.day_spool import DaySpool
from spam_assets.landing.importers.days import land_messages
from spam_assets.landing.importers.labelled_messages import LabelledMessage, read_message_file
from spam_assets.landing.importers.mbox_files import mbox_messages
from spam_assets.landing.importers.table import land_table
from spam_assets.landing.zone import LandingZone
from spam_assets_tests.landing.importers import make_mail

NOW = datetime(2024, 5, 17, 12, tzinfo=timezone.utc)


def with_date(text: str) -> bytes:
    return f"From: a@example.com\nDate: {text}\n\nbody\n".encode()


def with_delivery(text: str) -> bytes:
    return f"Received: from x by y; {text}\n".encode() + with_date("Mon, 1 Jan 2001 00:00:00 +0000")


@pytest.mark.parametrize(
    ("date", "is_kept"),
    [
        (datetime(2024, 5, 17, tzinfo=timezone.utc), True),
        (NOW + timedelta(hours=23), True),  # clocks differ
        (NOW + timedelta(hours=25), False),
        (datetime(2038, 1, 19, tzinfo=timezone.utc), False),
        (datetime(1990, 1, 1, tzinfo=timezone.utc), True),
        (datetime(1989, 12, 31, tzinfo=timezone.utc), False),
        (datetime(1970, 1, 1, tzinfo=timezone.utc), False),
    ],
)
def test_a_date_that_cannot_be_true_is_left_out_and_told(date: datetime, is_kept: bool) -> None:
    spool = DaySpool(NOW)
    spool.add(date, "here", "ham", b"x")
    assert spool.list_days() == ([str(date.date())] if is_kept else [])
    told = {"the date lies in the future or before 1990, as in here": 1}
    assert spool.tell_left_out() == ({} if is_kept else told)


def test_one_forged_date_makes_no_partition(zone: LandingZone) -> None:
    """A message that no server dated lands where its sender wants; years away from all mail it is left out."""
    delivered = [with_delivery(f"Wed, {day} May 2024 10:00:00 +0000") for day in range(10, 15)]
    forged = [with_date(f"Tue, 19 Jan {year} 03:14:07 +0000") for year in (2038, 1970, 1999)]
    near = with_date("Wed, 1 May 2024 10:00:00 +0000")
    messages = [LabelledMessage(raw, "ham", f"file{n}") for n, raw in enumerate([*delivered, *forged, near])]
    summary = land_messages(messages, zone, now=NOW)
    assert summary.days == ("2024-05-01", *(f"2024-05-{day}" for day in range(10, 15)))
    assert summary.messages == 6
    assert dict(summary.skipped) == {
        "the date lies in the future or before 1990, as in file5, file6": 2,
        "only the sender states the date, and it is years from all mail that a server dated, as in file7": 1,
    }


def test_mail_that_no_server_dated_lands_where_there_is_nothing_else(zone: LandingZone) -> None:
    raws = [with_date(f"Tue, 19 Jan {year} 03:14:07 +0000") for year in (1999, 2005, 2024)]
    raws.append(with_delivery("Wed, 15 May 2024 10:00:00 +0000"))
    assert len(land_messages([LabelledMessage(raw, "ham", "x") for raw in raws], zone, now=NOW).days) == 4


def test_a_table_with_one_forged_date_lands_the_rest(tmp_path: Path, zone: LandingZone) -> None:
    path = tmp_path / "all.csv"
    path.write_text("received_at,text,label\n2024-05-01,a,0\n2038-01-19,b,1\n1970-01-01,c,1\n")
    summary = land_table(path, "received_at", zone, now=NOW)
    assert summary.days == ("2024-05-01",)
    assert list(summary.skipped.values()) == [2]


def test_a_message_without_an_end_is_left_out_and_not_held_in_memory(
    tmp_path: Path, zone: LandingZone, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (importer_days, labelled_messages, mbox_files):
        monkeypatch.setattr(module, "MAX_MESSAGE_BYTES", 10_000)
    monkeypatch.setattr(mbox_files, "MAX_LINE_BYTES", 1000)
    envelope = b"From a@x Thu Aug  1 10:00:00 2002\n"
    for name, body in (("ham", b"x\n" * 100_000), ("spam", b"x" * 200_000 + b"\n")):
        (tmp_path / name).write_bytes(envelope + b"Subject: long\n\n" + body + b"\n" + envelope + b"Subject: y\n\nz\n")
    messages = list(mbox_messages(tmp_path / "ham", tmp_path / "spam"))
    assert [len(message.raw) for message in messages] == [10_001, 48, 10_001, 48]
    messages.append(read_message_file(tmp_path / "ham", "ham"))
    assert len(messages[-1].raw) == 10_001
    summary = land_messages(messages, zone)
    assert summary.messages == 2
    assert [reason.partition(",")[0] for reason in summary.skipped] == ["the message is longer than 10"]
    assert list(summary.skipped.values()) == [3]


def test_a_day_that_is_too_much_is_refused_before_it_is_read(tmp_path: Path) -> None:
    zone = LandingZone(str(tmp_path), max_day_bytes=1000)
    messages = [LabelledMessage(make_mail(body="x" * 200), "ham", "x") for _ in range(10)]
    with pytest.raises(LandingError, match="the mail of 2002-08-01 decodes to more than 1,000 bytes"):
        land_messages(messages, zone)


def test_a_line_of_a_table_that_does_not_end_is_refused(
    tmp_path: Path, zone: LandingZone, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spam_assets.landing.importers import table

    monkeypatch.setattr(table, "MAX_CELL_CHARACTERS", 1000)
    path = tmp_path / "all.csv"
    path.write_text("received_at,text,label\n2024-05-01," + "x" * 2000 + ",0\n")
    with pytest.raises(labelled_messages.MailImportError, match="a line of more than 1,000 characters"):
        land_table(path, "received_at", zone)
