"""What people see in the UI: previews that hostile mail cannot turn into markup."""

import html
import re
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spam_assets.landing.zone import LandingZone
from spam_assets.mail.columns import COLUMN_DESCRIPTIONS, MAIL_COLUMNS
from spam_assets.mail.mail_frame import build_mail_frame
from spam_assets.mail.quarantine import OUTSIDE, QuarantinedMessage
from spam_assets.registry.alias_changes import AliasMove, Change, Standing
from spam_assets.views.metadata import (
    PREVIEW_CHARACTERS,
    PREVIEW_ROWS,
    SHOWS_MAIL,
    conceal_mail,
    describe_columns,
    describe_history,
    describe_landed_day,
    describe_mail,
    describe_quarantined,
    describe_removed_day,
    escape_markdown,
    picture_metadata,
    preview_mail,
)
from spam_assets_tests.conftest import PROJECT, make_mail

MARKUP = set("\\`*_{}[]()<>+|!~\n\r\t")


def make_frame(messages: int = 20, **cells: object) -> pd.DataFrame:
    mail = make_mail("2024-01-01", messages=messages).assign(**cells)
    return build_mail_frame(mail.to_dict("list"), "2024-01-01", "test")[0]


@pytest.mark.parametrize(
    "subject",
    [
        "<script>alert(1)</script>",
        "![x](https://evil.example/track.png)",
        "[win](javascript:alert(1))",
        "a | b | c",
        "**bold** _it_ `code` ~~no~~ # head",
        "https://evil.example/now",
        "www.evil.example",
        "me@evil.example",
        "&lt;script&gt;",
        "\\<b>",
        "line\none\r\ntwo",
    ],
)
def test_a_hostile_subject_leaves_no_markup(subject: str) -> None:
    shown = escape_markdown(subject)
    bare = re.sub(r"&#\d+;", "", shown)
    assert not MARKUP & set(bare)
    assert "://" not in shown
    assert not re.search(r"&(?!#\d+;)", shown), "no entity but our own"
    assert html.unescape(shown).replace("\N{ZERO WIDTH SPACE}", "") == " ".join(subject.split())


@given(st.text(max_size=300))
def test_any_text_is_one_short_line_without_markup(text: str) -> None:
    shown = escape_markdown(text)
    bare = re.sub(r"&#\d+;", "", shown)
    assert not MARKUP & set(bare)
    assert len(html.unescape(shown).replace("\N{ZERO WIDTH SPACE}", "")) <= PREVIEW_CHARACTERS
    assert len(shown.splitlines()) <= 1


@pytest.mark.parametrize(("value", "shown"), [(None, ""), ("", ""), ("plain words, 5 %", "plain words, 5 %")])
def test_harmless_values_are_shown_as_they_are(value: object, shown: str) -> None:
    assert escape_markdown(value) == shown


def test_a_preview_is_a_table_of_the_first_rows() -> None:
    lines = preview_mail(make_frame(subject="a|b\nc <i>")).splitlines()
    assert len(lines) == 2 + PREVIEW_ROWS
    assert {line.count("|") for line in lines} == {6}
    assert lines[0] == "| received_at | label | sender | subject | body |"


def test_a_preview_of_no_mail_and_of_missing_cells_is_still_a_table() -> None:
    assert len(preview_mail(make_frame()[:0]).splitlines()) == 2
    frame = make_frame(messages=2)
    frame[["subject", "label"]] = None
    frame["received_at"] = pd.NaT
    assert len(preview_mail(frame).splitlines()) == 4


def test_mail_is_described_by_rows_and_spam_share() -> None:
    described = describe_mail(make_frame())
    assert (described["dagster/partition_row_count"], described["spam"], described["spam_share"]) == (20, 8, 0.4)
    assert describe_mail(make_frame()[:0])["spam_share"] == 0.0


def test_the_history_is_a_table_of_the_last_changes_in_which_a_reason_forms_no_markup() -> None:
    changes = [
        Change(
            "gate", f"reason {number}", (AliasMove("champion", number - 1, number),), number=number, at="2024-03-01T10"
        )
        for number in range(1, 40)
    ]
    pin = Change("person", "**a|b**", (), pins=True, number=40, at="2024-03-02T10:00:00+00:00")
    described = describe_history(Standing({}, (*changes, pin), None, ()))
    table = str(described["history"].value)
    lines = table.splitlines()
    assert len(table) < 1000, "longer ones are behind a link"
    assert 2 + 5 <= len(lines) < 2 + 40
    assert lines[2].startswith("| 2024-03-02 10:00 | pinned | person | &#42;&#42;a&#124;b")
    assert "champion 38 to 39" in lines[3]
    assert described["pinned"] == "since 2024-03-02T10:00:00+00:00: **a|b**"
    assert described["last_manual_change"] == 40
    assert "pinned" not in describe_history(Standing({}, tuple(changes), None, ()))


def test_every_column_of_the_schema_is_described() -> None:
    columns = describe_columns(MAIL_COLUMNS).columns
    assert [column.name for column in columns] == list(MAIL_COLUMNS)
    assert all(column.description == COLUMN_DESCRIPTIONS[column.name] for column in columns)


def test_a_picture_is_shown_inline() -> None:
    assert re.fullmatch(r"!\[t\]\(data:image/svg\+xml;base64,[\w+/=]+\)", str(picture_metadata("<svg/>", "t").value))


@pytest.mark.parametrize("text", ["www.evil.example", "WWW.evil.example", "me@evil.example", "https://evil.example"])
def test_nothing_becomes_a_link_by_itself(text: str) -> None:
    assert not re.search(r"://|www\.|@\w+\.", escape_markdown(text), re.IGNORECASE)


def test_a_name_of_a_column_in_the_notes_of_a_day_loads_no_picture(landing: Path, zone: LandingZone) -> None:
    hostile = ["![x](http://evil.example/a.png)", "<img src=x>", "www.evil.example", "\x1b[31mred"]
    make_mail("2024-01-01").assign(**dict.fromkeys(hostile, "x")).to_csv(
        landing / "training-2024-01-01.csv", index=False
    )
    notes = str(describe_landed_day(zone.read("2024-01-01"))["notes"].value)
    assert notes.startswith("- columns not used: ")
    bare = re.sub(r"&#\d+;", "", notes.removeprefix("- "))
    assert not MARKUP & set(bare)
    assert not re.search(r"://|www\.|\x1b", notes)
    assert "evil.example/a.png" in html.unescape(notes)


def test_the_name_of_a_file_that_is_gone_forms_no_markup() -> None:
    notes = str(describe_removed_day(make_frame(), "/srv/![x](y)/a_b_ has no file")["notes"].value)
    assert "![x]" not in notes
    assert len(notes.splitlines()) == 2


def test_messages_that_are_put_aside_are_listed_with_row_and_reason_and_their_ids_form_no_markup() -> None:
    quarantined = [QuarantinedMessage(number, "<![x](http://evil)>", OUTSIDE) for number in range(1, 31)]
    described = describe_quarantined(quarantined)
    assert described["quarantined"] == 30
    lines = str(described["quarantined_messages"].value).splitlines()
    assert len(lines) == 22
    assert lines[2].startswith("| 1 | it was not received on the day | ")
    assert "![x]" not in lines[2]
    assert describe_quarantined([]) == {"quarantined": 0}


def test_without_previews_no_metadata_shows_mail_and_the_figures_stay() -> None:
    shows = {name: dg.MetadataValue.md("secret") for name in SHOWS_MAIL}
    metadata = {**shows, "spam": 3}
    assert conceal_mail(metadata, previews=True) == metadata
    concealed = conceal_mail(metadata, previews=False)
    assert concealed.keys() == metadata.keys()
    assert concealed["spam"] == 3
    assert "secret" not in str(concealed)


def test_every_asset_that_shows_mail_asks_whether_it_may() -> None:
    """A preview that is made without the setting would show what a person turned off."""
    modules = (PROJECT / "spam_assets" / "assets").glob("*.py")
    source = "\n".join(module.read_text() for module in modules)
    makers = ("describe_mail(", "describe_landed_day(", "describe_removed_day(", "describe_words(", "describe_model(")
    for function in re.split(r"\n *@daily_asset", source)[1:]:
        if any(maker in function for maker in makers):
            assert "conceal_mail(" in function, function[:200]
