"""Landing messages: every one lands on the day it was delivered, or is counted as left out."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from spam_assets.landing.errors import LandingError
from spam_assets.landing.file_formats import FILE_FORMATS
from spam_assets.landing.importers.days import land_messages
from spam_assets.landing.importers.labelled_messages import LabelledMessage
from spam_assets.landing.zone import LandingZone
from spam_assets.mail.blocking_rules import judge_day
from spam_assets_tests.landing.importers import make_mail


@pytest.mark.parametrize("file_format", FILE_FORMATS)
def test_messages_land_on_the_day_they_were_delivered_and_pass_every_rule(zone: LandingZone, file_format: str) -> None:
    messages = [
        LabelledMessage(make_mail(day, f"body {day}"), label, "x") for day in (3, 1, 2, 1) for label in ("ham", "spam")
    ]
    summary = land_messages(messages, zone, file_format)
    assert summary.days == ("2002-08-01", "2002-08-02", "2002-08-03")
    assert (summary.messages, summary.spam, dict(summary.skipped)) == (8, 4, {})
    assert zone.days() == list(summary.days)
    for day in summary.days:
        frame = zone.read(day).frame
        assert all(verdict.passed for verdict in judge_day(frame, day))
        assert frame["raw"].tolist()[0] == make_mail(int(day[-2:]), f"body {int(day[-2:])}")


def test_a_message_without_a_date_is_counted_and_named(zone: LandingZone) -> None:
    messages = [
        LabelledMessage(make_mail(), "ham", "good"),
        *(LabelledMessage(b"\nx", "ham", f"bad{n}") for n in range(9)),
    ]
    summary = land_messages(messages, zone)
    assert summary.messages == 1
    assert dict(summary.skipped) == {"no date can be read, as in bad0, bad1, bad2": 9}


def test_nothing_but_undated_mail_lands_nothing(zone: LandingZone) -> None:
    assert land_messages([LabelledMessage(b"x", "ham", "y")], zone).days == ()


def test_ids_that_repeat_within_a_day_get_a_suffix_and_absent_ones_come_from_the_content(
    zone: LandingZone,
) -> None:
    raws = [
        make_mail(hour=1, message_id="<1>"),
        make_mail(hour=2, message_id="<1>"),
        make_mail(hour=3),
        make_mail(hour=3),
    ]
    land_messages([LabelledMessage(raw, "ham", f"file:{n}") for n, raw in enumerate(raws)], zone)
    ids = zone.read("2002-08-01").frame["message_id"].tolist()
    assert ids[:2] == ["<1>", "<1>#2"]
    assert ids[2].startswith("content-")
    assert ids[3] == f"{ids[2]}#2"


def test_landing_the_same_mail_in_another_order_gives_the_same_bytes(tmp_path: Path) -> None:
    messages = [LabelledMessage(make_mail(hour=n % 3 + 1, body=str(n)), "ham", f"file:{n}") for n in range(20)]
    contents = []
    for name, order in (("a", messages), ("b", messages[::-1])):
        land_messages(order, LandingZone(str(tmp_path / name)))
        contents.append((tmp_path / name / "training-2002-08-01.csv").read_bytes())
    assert contents[0] == contents[1]


def test_a_day_that_is_there_is_replaced(zone: LandingZone) -> None:
    land_messages([LabelledMessage(make_mail(1), "ham", "x"), LabelledMessage(make_mail(2), "ham", "x")], zone)
    summary = land_messages([LabelledMessage(make_mail(2, "new"), "ham", "x")], zone, "parquet")
    assert summary.days == ("2002-08-02",)
    assert zone.days() == ["2002-08-01", "2002-08-02"]
    assert zone.read("2002-08-02").frame["body"].tolist() == ["new\n"]


def test_hostile_mail_lands_and_passes(zone: LandingZone) -> None:
    head = make_mail().partition(b"\n\n")[0]
    raws = [
        head + b"\n\n" + tail
        for tail in (b"\0\xff\xfe", b"=1+1", b'"\r\n"",', "\udcff".encode("utf-8", "surrogatepass"), b"")
    ]
    land_messages([LabelledMessage(raw, "spam", "\udcff") for raw in raws], zone)
    landed = zone.read("2002-08-01")
    assert sorted(landed.frame["raw"]) == sorted(raws)
    assert all(verdict.passed for verdict in judge_day(landed.frame, "2002-08-01"))


def test_progress_is_reported(zone: LandingZone) -> None:
    calls: list[tuple[int, int | None, str]] = []
    messages = [LabelledMessage(make_mail(n % 9 + 1), "ham", str(n)) for n in range(250)]
    land_messages(messages, zone, report=lambda *call: calls.append(call), total=250)
    assert (200, 250, "messages read") in calls
    assert calls[-1] == (9, 9, "days written")


def test_an_unknown_format_is_refused_before_anything_is_read(zone: LandingZone) -> None:
    def explode() -> Iterator[LabelledMessage]:
        raise AssertionError
        yield

    with pytest.raises(LandingError, match="choose one of"):
        land_messages(explode(), zone, "xlsx")
