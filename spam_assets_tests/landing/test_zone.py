"""Landing files: nothing is lost, nothing is guessed, and every refusal says what to do."""

import gzip
import hashlib
import io
import json
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upath import UPath

from spam_assets.files import open_path
from spam_assets.landing import file_formats as landing_files
from spam_assets.landing import table_batches
from spam_assets.landing.errors import LandingError, LandingFileMissing
from spam_assets.landing.file_formats import FILE_FORMATS, write_table
from spam_assets.landing.table_batches import read_table
from spam_assets.landing.zone import LandedDay, LandingZone
from spam_assets.mail.columns import MAIL_COLUMNS
from spam_assets.mail.dates import read_dates
from spam_assets.mail.mail_frame import decode_raw, encode_raw, normalise_label

DAY = "2002-08-01"
NOON = datetime(2002, 8, 1, 12, tzinfo=timezone.utc)


def make_frame(**columns: list[Any]) -> pd.DataFrame:
    """Three mails in the schema of memory, with the given columns replaced."""
    data: dict[str, list[Any]] = {
        "message_id": ["<1>", "<2>", "<3>"],
        "received_at": [NOON, NOON, NOON],
        "sender": ["a@x", "", "=cmd()"],
        "recipients": ["", "b@x", "NA"],
        "subject": ["", 'quotes "and", commas', "line\r\nbreaks\rin\nhere"],
        "body": ["null", "NaN", "\ufeffEmoji 🐍 \u2028 and\x0bcontrols\x1c"],
        "raw": [b"Subject: a\r\n\r\nb", b"\xff\x00 binary", b""],
        "label": ["ham", "spam", "ham"],
        **columns,
    }
    frame = pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in data.items()})
    frame["received_at"] = read_dates(data["received_at"])
    return frame


def read_text(folder: Path, text: str | bytes, suffix: str = "csv") -> LandedDay:
    content = text if isinstance(text, bytes) else text.encode()
    (folder / f"training-{DAY}.{suffix}").write_bytes(content)
    return LandingZone(str(folder)).read(DAY)


def assert_refuses(folder: Path, text: str | bytes, *words: str, suffix: str = "csv") -> None:
    with pytest.raises(LandingError) as caught:
        read_text(folder, text, suffix)
    sentence = str(caught.value)
    assert f"training-{DAY}.{suffix}" in sentence
    assert "\n" not in sentence
    for word in words:
        assert word in sentence


# --- the zone


@pytest.mark.parametrize("file_format", FILE_FORMATS)
def test_what_is_written_is_read_back_to_the_letter(place: UPath, file_format: str) -> None:
    zone = LandingZone(str(place))
    path = zone.write(DAY, make_frame(), file_format)
    landed = zone.read(DAY)
    pd.testing.assert_frame_equal(landed.frame, make_frame())
    assert tuple(landed.frame.columns) == MAIL_COLUMNS
    assert str(landed.frame["received_at"].dtype) == "datetime64[us, UTC]"
    content = open_path(path).read_bytes()
    assert (landed.path, landed.size_bytes, landed.notes) == (path, len(content), ())
    assert landed.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("file_format", FILE_FORMATS)
def test_equal_frames_give_equal_bytes(file_format: str) -> None:
    assert write_table(make_frame(), file_format, "x") == write_table(make_frame(), file_format, "x")


@pytest.mark.parametrize("file_format", FILE_FORMATS)
def test_a_zone_in_memory_works_like_a_folder(file_format: str) -> None:
    zone = LandingZone(f"memory://zone-{uuid4()}/landing")
    zone.write(DAY, make_frame(), "csv" if file_format != "csv" else "jsonl")
    path = zone.write(DAY, make_frame(), file_format)
    assert path.startswith("memory://")
    assert zone.days() == [DAY]
    pd.testing.assert_frame_equal(zone.read(DAY).frame, make_frame())


def test_days_are_sorted_and_other_files_are_left_alone(place: UPath) -> None:
    others = [
        "training-2002-02-30.csv",
        "notes.txt",
        ".training-2002-08-03.csv.1.partial",
        "xtraining-2002-08-05.csv",
    ]
    for name in (
        "training-2002-08-02.csv",
        "training-2002-08-01.jsonl",
        "training-2002-08-04.csv.bak",
        *others,
    ):
        (place / name).write_text("x")
    zone = LandingZone(str(place))
    assert zone.days() == ["2002-08-01", "2002-08-02"]
    assert "2002-08-02" in zone.days()
    assert "2002-08-03" not in zone.days()


def test_a_day_without_a_file_is_told_apart_from_a_zone_that_is_not_there(place: UPath) -> None:
    with pytest.raises(LandingFileMissing, match=f"no file for {DAY}; land one as"):
        LandingZone(str(place)).read(DAY)
    gone = LandingZone(str(place / "gone"))
    for call in (gone.days, lambda: gone.read(DAY)):
        with pytest.raises(LandingError, match="does not exist or is empty; land mail there first") as caught:
            call()
        assert not isinstance(caught.value, LandingFileMissing)


def test_a_zone_that_is_a_file_or_needs_a_missing_library_is_an_error_and_not_empty(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(LandingError, match="is a file, not a folder"):
        LandingZone(str(tmp_path / "file")).days()
    with pytest.raises(LandingError, match="cannot be used"):
        LandingZone("nosuchprotocol://bucket").days()


def test_a_password_in_the_url_is_not_shown() -> None:
    with pytest.raises(LandingError) as caught:
        LandingZone("nosuchprotocol://user:secret@host/landing").days()
    assert "secret" not in str(caught.value)


def test_two_files_for_a_day_are_an_error_that_names_both(place: UPath) -> None:
    for suffix in ("csv", "parquet"):
        (place / f"training-{DAY}.{suffix}").write_text("x")
    with pytest.raises(LandingError, match=rf"training-{DAY}\.csv and training-{DAY}\.parquet; keep one"):
        LandingZone(str(place)).read(DAY)


@pytest.mark.parametrize(
    "day", ["../../etc", "2002-8-1", "2002-02-30", "2002-08-01\n", "\uff12002-08-01", "", "2002-08-01/.."]
)
def test_a_day_that_is_no_date_is_refused(folder: Path, day: str) -> None:
    zone = LandingZone(str(folder))
    for call in (zone.read, lambda d: zone.write(d, make_frame())):
        with pytest.raises(LandingError, match="is no day"):
            call(day)


def test_writing_replaces_the_day_in_every_format_and_leaves_nothing_beside(place: UPath) -> None:
    zone = LandingZone(str(place))
    for file_format in FILE_FORMATS:
        zone.write(DAY, make_frame(), file_format)
        assert [path.name for path in place.iterdir()] == [f"training-{DAY}.{file_format}"]


def test_a_failed_write_leaves_the_old_file_and_nothing_beside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zone = LandingZone(str(folder))
    zone.write(DAY, make_frame())
    before = (folder / f"training-{DAY}.csv").read_bytes()

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(LandingError, match="No space left on device"):
        zone.write(DAY, make_frame(label=["spam"] * 3))
    assert [path.read_bytes() for path in folder.iterdir()] == [before]


def test_an_unknown_format_and_a_frame_without_labels_are_refused(folder: Path) -> None:
    zone = LandingZone(str(folder))
    with pytest.raises(LandingError, match=r"choose one of csv, csv\.gz, parquet, jsonl"):
        zone.write(DAY, make_frame(), "xlsx")
    with pytest.raises(LandingError, match="lacks the column label"):
        zone.write(DAY, make_frame().drop(columns="label"))


def test_csv_refuses_to_turn_a_missing_text_into_an_empty_one(folder: Path) -> None:
    frame = make_frame(body=["a", None, "b"])
    with pytest.raises(LandingError, match="missing body of row 2"):
        LandingZone(str(folder)).write(DAY, frame)
    for file_format in ("parquet", "jsonl"):
        LandingZone(str(folder)).write(DAY, frame, file_format)
        pd.testing.assert_frame_equal(LandingZone(str(folder)).read(DAY).frame, frame)


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"])
def test_csv_refuses_text_that_it_cannot_hold(place: UPath, text: str) -> None:
    with pytest.raises(LandingError):
        LandingZone(str(place)).write(DAY, make_frame(body=["x", text, "y"]))
    assert list(place.iterdir()) == []


YEARS = (datetime(1700, 1, 1), datetime(2200, 1, 1))  # noqa: DTZ001 - what Hypothesis wants
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            TEXTS,
            TEXTS,
            st.one_of(st.binary(max_size=12), TEXTS.map(str.encode), st.just(b"base64:x")),
            st.datetimes(*YEARS),
            st.sampled_from(["ham", "spam", "junk", None]),
        ),
        min_size=1,
        max_size=5,
    ),
    file_format=st.sampled_from(FILE_FORMATS),
)
def test_any_mail_survives_every_format(
    rows: list[tuple[str, str, bytes, datetime, str | None]], file_format: str
) -> None:
    subjects, bodies, raws, dates, labels = (list(column) for column in zip(*rows, strict=True))
    count = len(rows)
    frame = make_frame(
        message_id=[f"<{n}>" for n in range(count)],
        received_at=dates,
        sender=subjects,
        recipients=bodies,
        subject=subjects,
        body=bodies,
        raw=raws,
        label=labels,
    )
    read, notes = read_table(write_table(frame, file_format, "x"), file_format, DAY, "x")
    pd.testing.assert_frame_equal(read, frame)
    assert notes == ()


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(), st.text().map(lambda text: text.encode("utf-8", "replace")), st.just(b"base64:")))
def test_a_raw_message_survives_as_text(raw: bytes) -> None:
    text = encode_raw(raw)
    assert decode_raw(text) == raw
    assert "\0" not in text
    assert text


# --- CSV


def test_a_file_with_text_and_label_only_is_enough(folder: Path) -> None:
    frame = read_text(folder, "text,label\nhi,0\nhi,0\nwin,1\n").frame
    assert frame["body"].tolist() == ["hi", "hi", "win"]
    assert frame["label"].tolist() == ["ham", "ham", "spam"]
    assert frame["sender"].tolist() == frame["subject"].tolist() == frame["recipients"].tolist() == ["", "", ""]
    assert frame["raw"].tolist() == [None] * 3
    assert frame["received_at"].tolist() == [pd.Timestamp(DAY, tz="UTC")] * 3
    first, second, third = frame["message_id"]
    assert second == f"{first}#2"
    assert third != first


def test_empty_cells_are_texts_but_for_ids_dates_and_labels(folder: Path) -> None:
    frame = read_text(
        folder,
        "message_id,received_at,sender,recipients,subject,body,raw,label\n,,,,,,,\nNA,NA,NA,NA,NA,NA,NA,NA\n",
    ).frame
    assert frame.loc[0, ["sender", "recipients", "subject", "body"]].tolist() == [""] * 4
    assert frame.loc[0, ["message_id", "raw", "label"]].tolist() == [None] * 3
    assert frame["received_at"].isna().all()
    assert frame.loc[1, ["message_id", "sender", "subject", "body", "label"]].tolist() == ["NA"] * 5


def test_columns_that_are_absent_are_read_from_raw(folder: Path) -> None:
    head = "From a@x Thu Aug  1 09:00:00 2002\r\nFrom: a@x\r\nTo: b@x\r\nSubject: hi\r\nMessage-ID: <7>"
    raw = f'"{head}\r\n\r\nbody\r\n"'
    landed = read_text(folder, f"raw,label\n{raw},ham\n{raw},ham\n")
    row = landed.frame.iloc[0]
    assert (row["message_id"], row["sender"], row["recipients"], row["subject"]) == (
        "<7>",
        "a@x",
        "b@x",
        "hi",
    )
    assert row["body"] == "body\n"
    assert row["received_at"] == pd.Timestamp("2002-08-01 09:00", tz="UTC")
    assert b"\r\n" in row["raw"]
    assert landed.frame["message_id"].tolist() == ["<7>", "<7>#2"]
    assert "columns read from raw" in landed.notes[0]


@pytest.mark.parametrize(
    ("cell", "label"),
    [
        ("0", "ham"),
        ("1", "spam"),
        (" TRUE ", "spam"),
        ("False", "ham"),
        ("Ham", "ham"),
        ("SPAM", "spam"),
        ("junk", "junk"),
        (True, "spam"),
        (False, "ham"),
        (1, "spam"),
        (0.0, "ham"),
        (2, "2"),
        (None, None),
        (float("nan"), None),
        (pd.NA, None),
    ],
)
def test_labels_are_read_in_all_their_spellings_and_others_stay(cell: object, label: str | None) -> None:
    assert normalise_label(cell) == label


def test_dates_are_read_in_their_spellings_and_others_are_missing_and_noted(folder: Path) -> None:
    cells = [
        "2002-08-01T12:00:00Z",
        "2002-08-01 14:00:00+02:00",
        "2002-08-01 12:00",
        '"Thu, 1 Aug 2002 12:00:00 +0000"',
        "2002-08-01",
    ]
    broken = ["now", "today", "2002-13-01", "12/08/2002", "2002-08-01nonsense", "1028203200"]
    landed = read_text(
        folder, "received_at,body,label\n" + "".join(f"{cell},b,ham\n" for cell in [*cells, *broken, ""])
    )
    dates = landed.frame["received_at"]
    assert dates[:4].tolist() == [pd.Timestamp(NOON)] * 4
    assert dates[4] == pd.Timestamp(DAY, tz="UTC")
    assert dates[5:].isna().all()
    assert landed.notes == ("6 values of received_at are no dates and count as missing",)


def test_unknown_columns_are_ignored_with_a_note(folder: Path) -> None:
    landed = read_text(folder, "body,label,colour,text\nb,ham,red,t\n")
    assert landed.frame["body"].tolist() == ["b"]
    assert landed.notes == ("columns not used: colour, text",)


def test_a_byte_order_mark_and_blank_lines_do_not_matter(folder: Path) -> None:
    assert read_text(folder, "\ufefflabel,body\r\n\r\nham,b\r\n\r\n").frame["label"].tolist() == ["ham"]


def test_a_header_without_rows_is_a_day_without_mail(folder: Path) -> None:
    frame = read_text(folder, "label,body\n").frame
    assert len(frame) == 0
    assert tuple(frame.columns) == MAIL_COLUMNS
    assert str(frame["received_at"].dtype) == "datetime64[us, UTC]"


def test_cells_of_a_megabyte_are_read(folder: Path) -> None:
    assert len(read_text(folder, f"body,label\n{'x' * 1_000_000},ham\n").frame["body"][0]) == 1_000_000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", ["is empty"]),
        (b"\n\n", ["lacks the column label", "columns found: none"]),
        ("subject,label\na,ham\n", ["lacks the column one of body, text, raw", "subject, label"]),
        ("body\na\n", ["lacks the column label"]),
        ("body,label,body\na,ham,b\n", ["'body' twice"]),
        ("body,label\na,ham\nb\n", ["1 cells", "line 3", "2 in its header"]),
        ('body,label\n"two\nlines",ham\na,b,c\n', ["3 cells", "line 4"]),
        ('body,label\n"open,ham\n', ["broken CSV", "line 2"]),
        ('body,label\n"a"b,ham\n', ["broken CSV", "line 2"]),
        (b"body,label\na\0b,ham\n", ["NUL", "line 2"]),
        (b"body,label\nok,ham\ncaf\xe9,ham\n", ["not UTF-8 in line 3", "0xe9"]),
        ("raw,label\nbase64:%%%,ham\n", ["row 1", "base64"]),
    ],
)
def test_a_broken_csv_is_refused_in_one_sentence(folder: Path, text: str | bytes, words: list[str]) -> None:
    assert_refuses(folder, text, *words)


def test_a_cell_beyond_the_limit_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import csv

    before = csv.field_size_limit(1000)
    monkeypatch.setattr(landing_files, "MAX_CELL_CHARACTERS", 1000)
    try:
        assert_refuses(folder, f"body,label\n{'x' * 1001},ham\n", "field larger than field limit", "line 2")
    finally:
        csv.field_size_limit(before)


# --- gzip, parquet, JSON lines


def test_a_gzip_of_several_members_is_read_whole(folder: Path) -> None:
    content = gzip.compress(b"body,label\na,ham\n") + gzip.compress(b"b,spam\n") + b"\0\0"
    assert read_text(folder, content, "csv.gz").frame["body"].tolist() == ["a", "b"]


def test_a_gzip_that_is_cut_off_or_none_is_refused(folder: Path) -> None:
    content = gzip.compress(b"body,label\n" + os.urandom(5000).hex().encode() + b",ham\n")
    assert_refuses(folder, content[:-20], "cut off", suffix="csv.gz")
    assert_refuses(folder, content[:-4] + b"abcd", "not sound gzip", suffix="csv.gz")
    assert_refuses(folder, b"body,label\n", "not sound gzip", suffix="csv.gz")
    assert_refuses(folder, content + b"garbage", "not sound gzip", suffix="csv.gz")


def test_a_gzip_bomb_is_refused_before_it_fills_the_memory(folder: Path) -> None:
    bomb = gzip.compress(b"0" * (200 * 1024**2), compresslevel=9)
    assert_refuses(folder, bomb, "decompression bomb", suffix="csv.gz")


def to_parquet(columns: dict[str, Any]) -> bytes:
    output = io.BytesIO()
    pq.write_table(pa.table(columns), output)
    return output.getvalue()


def test_parquet_columns_of_other_types_are_brought_to_the_schema(folder: Path) -> None:
    content = to_parquet(
        {
            "received_at": pa.array([1028203200_000_000_000, None], pa.timestamp("ns")),
            "body": pa.array(["a", None]).dictionary_encode(),
            "subject": pa.array([7, None]),
            "label": pa.array([True, None]),
            "raw": pa.array(["text", None]),
            "extra": pa.array([[1], None]),
        }
    )
    landed = read_text(folder, content, "parquet")
    assert landed.frame["received_at"].tolist() == [pd.Timestamp(NOON), pd.NaT]
    assert landed.frame["subject"].tolist() == ["7", None]
    assert landed.frame["body"].tolist() == ["a", None]
    assert landed.frame["label"].tolist() == ["spam", None]
    assert landed.frame["raw"].tolist() == [b"text", None]
    assert any("extra" in note for note in landed.notes)
    assert any("values of subject are no text" in note for note in landed.notes)


def test_parquet_labels_that_are_numbers_with_gaps_are_read(folder: Path) -> None:
    content = to_parquet({"text": ["a", "b", "c"], "label": pa.array([1.0, 0.0, None])})
    assert read_text(folder, content, "parquet").frame["label"].tolist() == ["spam", "ham", None]


def test_parquet_dates_in_other_zones_and_days_are_utc(folder: Path) -> None:
    moment = pa.array([1028203200], pa.timestamp("s", "America/New_York"))
    assert read_text(folder, to_parquet({"received_at": moment, "body": ["a"], "label": ["ham"]}), "parquet").frame[
        "received_at"
    ].tolist() == [pd.Timestamp(NOON)]
    day = pa.array([11900], pa.date32())
    assert read_text(folder, to_parquet({"received_at": day, "body": ["a"], "label": ["ham"]}), "parquet").frame[
        "received_at"
    ].tolist() == [pd.Timestamp("2002-08-01", tz="UTC")]


def test_a_parquet_file_that_is_none_or_too_large_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = to_parquet({"body": ["a"] * 10, "label": ["ham"] * 10})
    assert_refuses(folder, content[:-10], "not a sound Parquet file", suffix="parquet")
    assert_refuses(folder, b"body,label\na,ham\n", "not a sound Parquet file", suffix="parquet")
    assert_refuses(folder, to_parquet({"body": ["a"]}), "lacks the column label", suffix="parquet")
    monkeypatch.setattr(table_batches, "MAX_ROWS", 9)
    assert_refuses(folder, content, "10 rows", suffix="parquet")


def test_json_lines_keep_nulls_and_fill_columns_that_no_line_has(folder: Path) -> None:
    lines = [{"body": "a\u2028b", "label": 1}, {"body": None, "label": None, "subject": ""}, {"label": "ham"}]
    frame = read_text(folder, "\n".join(map(json.dumps, lines)) + "\n\n", "jsonl").frame
    assert frame["body"].tolist() == ["a\u2028b", None, None]
    assert frame["label"].tolist() == ["spam", None, "ham"]
    assert frame["subject"].tolist() == [None, "", None]
    assert frame["sender"].tolist() == ["", "", ""]


def test_json_text_that_utf8_cannot_hold_is_replaced_and_noted(folder: Path) -> None:
    landed = read_text(folder, '{"body": "a\\ud800b\\u0000", "label": "ham"}', "jsonl")
    assert landed.frame["body"].tolist() == ["a\ufffdb\ufffd"]
    assert landed.notes == ("1 values of body held NUL or broken Unicode, replaced by U+FFFD",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"body": "a", "label": "ham"}\n{"body": ', ["broken JSON in line 2"]),
        ('{"body": "a", "label": "ham"}\n[1]\n', ["no JSON object in line 2"]),
        ("[" * 100_000, ["broken JSON in line 1"]),
        ('{"body": "a", "label": ' + "9" * 10_000 + "}", ["broken JSON in line 1"]),
        ('{"body": "a"}', ["lacks the column label"]),
        (b"\n", ["lacks the column label"]),
    ],
)
def test_broken_json_lines_are_refused_in_one_sentence(folder: Path, text: str | bytes, words: list[str]) -> None:
    assert_refuses(folder, text, *words, suffix="jsonl")


@settings(max_examples=100, deadline=None)
@given(
    st.tuples(st.sampled_from([b"", b"body,label\n"]), st.binary(max_size=60)).map(b"".join),
    st.sampled_from(FILE_FORMATS),
)
def test_any_bytes_give_a_frame_or_one_sentence(content: bytes, file_format: str) -> None:
    try:
        frame, _ = read_table(content, file_format, DAY, "file")
    except LandingError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert tuple(frame.columns) == MAIL_COLUMNS
