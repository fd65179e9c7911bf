"""Mail without labels in the landing zone: found by scoring only, in every format, with the care of labelled mail."""

import csv
import io
from pathlib import Path

import pandas as pd
import pytest
from upath import UPath

from spam_assets.files import open_path
from spam_assets.landing.day_content import fingerprint_source, read_day_state
from spam_assets.landing.errors import LandingError, LandingFileMissing
from spam_assets.landing.file_formats import FILE_FORMATS
from spam_assets.landing.incoming import IncomingZone
from spam_assets.landing.landing_index import LandingIndex
from spam_assets.landing.watching import watch_zone
from spam_assets.landing.zone import LandingZone
from spam_assets.mail.columns import MAIL_COLUMNS
from spam_assets_tests.conftest import make_mail
from spam_assets_tests.landing import DAY, NOON, write


def zones(folder: Path) -> tuple[LandingZone, IncomingZone]:
    return LandingZone(str(folder)), IncomingZone(str(folder))


@pytest.mark.parametrize("file_format", FILE_FORMATS)
def test_what_is_written_without_labels_is_read_back(place: UPath, file_format: str) -> None:
    zone = IncomingZone(str(place))
    mail = make_mail(DAY, messages=5)
    path = zone.write(DAY, mail.drop(columns="label"), file_format)
    assert open_path(path).name == f"incoming-{DAY}.{file_format}"
    landed = zone.read(DAY)
    assert tuple(landed.frame.columns) == MAIL_COLUMNS
    assert landed.frame["label"].isna().all()
    assert landed.frame["body"].tolist() == mail["body"].tolist()
    assert landed.notes == ()


def test_training_never_sees_incoming_files_nor_scoring_labelled_ones(place: UPath) -> None:
    labelled, incoming = zones(place)
    labelled.write("2024-05-16", make_mail("2024-05-16", messages=3))
    incoming.write(DAY, make_mail(DAY, messages=3).drop(columns="label"))
    (place / f"corrections-{DAY}.csv").write_text("message_id,label\n")
    assert labelled.days() == ["2024-05-16"]
    assert incoming.days() == [DAY]
    for zone, day, name in ((labelled, DAY, "training"), (incoming, "2024-05-16", "incoming")):
        with pytest.raises(LandingFileMissing, match=f"has no file for {day}; land one as {name}-{day}.csv"):
            zone.read(day)
    labelled.write(DAY, make_mail(DAY, messages=3), "jsonl")
    assert sorted(path.name for path in place.iterdir()) == [
        f"corrections-{DAY}.csv", "incoming-2024-05-17.csv", "training-2024-05-16.csv", "training-2024-05-17.jsonl",
    ]  # fmt: skip


def test_a_label_column_is_not_used_and_noted(folder: Path) -> None:
    zone = IncomingZone(str(folder))
    (folder / f"incoming-{DAY}.csv").write_text("text,label\nhello,spam\n")
    landed = zone.read(DAY)
    assert landed.frame["label"].tolist() == [None]
    assert landed.notes == ("columns not used: label",)


def test_what_is_absent_is_read_from_raw_and_a_label_is_not_looked_for(folder: Path) -> None:
    zone = IncomingZone(str(folder))
    (folder / f"incoming-{DAY}.jsonl").write_text('{"raw": "From: a@example.com\\nSubject: hi\\n\\nthere"}\n')
    landed = zone.read(DAY)
    assert landed.frame.loc[0, ["sender", "subject", "body"]].tolist() == ["a@example.com", "hi", "there"]
    assert landed.notes == ("columns read from raw: message_id, received_at, sender, recipients, subject, body",)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("csv", "subject\nhello\n", "at least one of `body`, `text` and `raw`"),
        ("csv", "text\nhel\0lo\n", "NUL byte in line 2"),
        ("csv", 'text\n"hello\n', "broken CSV"),
        ("jsonl", "[1]\n", "no JSON object in line 1"),
        ("parquet", "PAR1", "not a sound Parquet file"),
        ("csv.gz", "hello", "not sound gzip data"),
        ("csv", "", "is empty"),
    ],
)
def test_a_file_that_is_not_what_it_seems_is_refused(folder: Path, name: str, content: str, words: str) -> None:
    (folder / f"incoming-{DAY}.{name}").write_text(content)
    with pytest.raises(LandingError, match=words) as caught:
        IncomingZone(str(folder)).read(DAY)
    assert f"incoming-{DAY}.{name}" in str(caught.value)


def test_two_files_for_a_day_are_an_error_that_names_both(place: UPath) -> None:
    for name in ("csv", "jsonl"):
        (place / f"incoming-{DAY}.{name}").write_text("text\nhello\n")
    with pytest.raises(LandingError, match=f"incoming-{DAY}.csv and incoming-{DAY}.jsonl; keep one"):
        IncomingZone(str(place)).read(DAY)


def test_a_changed_file_is_noticed_and_its_digest_is_that_of_what_was_read(folder: Path) -> None:
    zone = IncomingZone(str(folder))
    path = folder / f"incoming-{DAY}.csv"
    write(path, "text\nhello\n", NOON)
    first = watch_zone(zone, LandingIndex(), NOON + 60)
    assert [found.digest for found in first.requested] == [fingerprint_source(zone.read(DAY))]
    assert read_day_state(zone, zone.list_files()[DAY]).digest == first.requested[0].digest
    assert watch_zone(zone, first.index, NOON + 120).requested == ()
    write(path, "text\nhello again\n", NOON + 60)
    assert [found.day for found in watch_zone(zone, first.index, NOON + 180).requested] == [DAY]
    assert watch_zone(LandingZone(str(folder)), LandingIndex(), NOON + 60).requested == ()


def test_scores_stand_beside_the_file_and_disturb_neither_zone(place: UPath) -> None:
    labelled, incoming = zones(place)
    incoming.write(DAY, make_mail(DAY, messages=3).drop(columns="label"))
    hostile = "=cmd|' /C calc'!A0\r,\"<x>"
    scores = pd.DataFrame(
        {
            "message_id": [hostile, "<2>"],
            "spam_probability": [0.1234567890123456, 1e-17],
            "challenger_version": [None, 2],
        }
    ).astype({"challenger_version": "Int64"})
    path = incoming.write_scores(DAY, scores)
    assert path == str(place / f"scored-{DAY}.csv")
    rows = list(csv.reader(io.StringIO(open_path(path).read_bytes().decode(), newline="")))
    assert rows[0] == ["message_id", "spam_probability", "challenger_version"]
    assert rows[1] == [hostile, "0.1234567890123456", ""]
    assert (rows[2][0], float(rows[2][1]), rows[2][2]) == ("<2>", 1e-17, "2")
    assert (labelled.days(), incoming.days()) == ([], [DAY])


@pytest.mark.parametrize("file_format", FILE_FORMATS)
def test_a_message_is_removed_from_the_file_and_from_the_scores_beside_it(place: UPath, file_format: str) -> None:
    zone = IncomingZone(str(place))
    mail = make_mail(DAY, messages=5).drop(columns="label")
    zone.write(DAY, mail, file_format)
    zone.write_scores(DAY, pd.DataFrame({"message_id": mail["message_id"], "spam_probability": 0.5}))
    gone, *stay = mail["message_id"]
    assert zone.remove_messages(DAY, lambda message_id: message_id == gone) == 1
    assert zone.read(DAY).frame["message_id"].tolist() == stay
    assert pd.read_csv(io.BytesIO((place / f"scored-{DAY}.csv").read_bytes()))["message_id"].tolist() == stay
