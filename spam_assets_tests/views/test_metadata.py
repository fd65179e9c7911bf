"""What people see in the UI: previews that hostile mail cannot turn into markup."""

import html
import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spam_assets.mail.columns import COLUMN_DESCRIPTIONS, MAIL_COLUMNS
from spam_assets.mail.mail_frame import build_mail_frame
from spam_assets.registry.alias_changes import AliasMove, Change, Standing
from spam_assets.views.metadata import (
    PREVIEW_CHARACTERS,
    PREVIEW_ROWS,
    describe_columns,
    describe_history,
    describe_mail,
    escape_markdown,
    picture_metadata,
    preview_mail,
)
from spam_assets_tests.conftest import make_mail

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
