"""The landing zone: a folder or bucket with one file a day, `training-{day}.csv` (or .csv.gz, .parquet, .jsonl)."""

import hashlib
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import fsspec
import pandas as pd
from fsspec.implementations.local import LocalFileSystem

from spam_assets.mail.errors import LandingError, LandingFileMissing
from spam_assets.mail.landing_files import read_table, write_table

_FILE_NAME = re.compile(r"training-([0-9]{4}-[0-9]{2}-[0-9]{2})\.(csv|csv\.gz|parquet|jsonl)")
_ATOMIC_PUT_PROTOCOLS: Final = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "memory"})


@dataclass(frozen=True)
class LandedDay:
    """What the landing zone holds for a day.

    Attributes:
        frame: every column of `MAIL_COLUMNS` in order; `received_at` datetime64[us, UTC], `raw` bytes or
            None, the rest str or None; one row a message, in the order of the file.
        path: path or URL of the file.
        size_bytes: of the file as stored.
        sha256: of the file's bytes, hexadecimal; of the same bytes that were read into the frame.
        notes: what a person should know about the file, one sentence each.
    """

    frame: pd.DataFrame
    path: str
    size_bytes: int
    sha256: str
    notes: tuple[str, ...]


class LandingZone:
    """A folder or bucket with one file a day.

    Args:
        url: a path, or a URL that fsspec understands.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def days(self) -> list[str]:
        """Return the days that have a file, in order. Files with other names are left alone.

        Raises:
            LandingError: the zone does not exist or cannot be reached.
        """
        return sorted(self._list_files())

    def has(self, day: str) -> bool:
        """Return whether the day has a file; raises LandingError as `days` does."""
        return _check_day(day) in self._list_files()

    def read(self, day: str) -> LandedDay:
        """Read the day's file, strictly: a file that is not what it seems raises instead of losing rows.

        Raises:
            LandingFileMissing: the day has no file.
            LandingError: the zone cannot be reached, the day has two files, or the file cannot be read.
        """
        names = self._list_files().get(_check_day(day), [])
        if not names:
            raise LandingFileMissing(
                f"{self._display()} has no file for {day}; land one as training-{day}.csv (or .csv.gz, "
                ".parquet, .jsonl)."
            )
        if len(names) > 1:
            raise LandingError(
                f"{self._display()} has {len(names)} files for {day}: {' and '.join(names)}; keep one and "
                "remove the other."
            )
        path = f"{self._root}/{names[0]}"
        with self._reaching():
            content: bytes = self._fs.cat_file(path)
        shown = self._display(names[0])
        frame, notes = read_table(content, names[0].partition(".")[2], day, shown)
        return LandedDay(frame, shown, len(content), hashlib.sha256(content).hexdigest(), notes)

    def write(self, day: str, frame: pd.DataFrame, file_format: str = "csv") -> str:
        """Store a day of mail, replacing the day's file whatever its format. Readers never see half a file.

        Args:
            day: YYYY-MM-DD.
            frame: `label` and at least one of `body`, `text` and `raw`; columns other than `text` and those
                of `MAIL_COLUMNS` are not stored.
            file_format: one of `FILE_FORMATS`. Equal frames give equal bytes.

        Returns:
            Path or URL of the file.

        Raises:
            LandingError: the frame does not fit the format, or the zone cannot be written.
        """
        _check_day(day)
        name = f"training-{day}.{file_format}"
        content = write_table(frame, file_format, self._display(name))
        with self._reaching():
            self._fs.makedirs(self._root, exist_ok=True)
            self._put(name, content)
        for other in self._list_files().get(day, []):
            if other != name:
                with self._reaching():
                    self._fs.rm_file(f"{self._root}/{other}")
        return self._display(name)

    def _put(self, name: str, content: bytes) -> None:
        path = f"{self._root}/{name}"
        protocols = {self._fs.protocol} if isinstance(self._fs.protocol, str) else set(self._fs.protocol)
        if protocols & _ATOMIC_PUT_PROTOCOLS:
            self._fs.pipe_file(path, content)
            return
        beside = f"{self._root}/.{name}.{os.getpid()}-{threading.get_ident()}.partial"
        try:
            if isinstance(self._fs, LocalFileSystem):
                with Path(beside).open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                Path(beside).replace(path)
            else:
                self._fs.pipe_file(beside, content)
                self._fs.mv(beside, path)
        except BaseException:
            if self._fs.exists(beside):
                self._fs.rm_file(beside)
            raise

    @cached_property
    def _fs_and_root(self) -> tuple[Any, str]:
        with self._reaching():
            fs, root = fsspec.core.url_to_fs(os.path.expanduser(self.url))  # noqa: PTH111 - may be a URL
        return fs, str(root).rstrip("/")

    @property
    def _fs(self) -> Any:
        return self._fs_and_root[0]

    @property
    def _root(self) -> str:
        return self._fs_and_root[1]

    def _list_files(self) -> dict[str, list[str]]:
        with self._reaching():
            self._fs.invalidate_cache(self._root)
            if isinstance(self._fs, LocalFileSystem) and Path(self._root).is_file():
                raise NotADirectoryError("it is a file, not a folder")
            paths = self._fs.ls(self._root or "/", detail=False)
        files: dict[str, list[str]] = {}
        for path in sorted(paths):
            name = str(path).rpartition("/")[2]
            match = _FILE_NAME.fullmatch(name)
            if match and is_day(match[1]):
                files.setdefault(match[1], []).append(name)
        return files

    def _display(self, name: str = "") -> str:
        """Return the URL of the zone or of a file in it, without a password."""
        url = re.sub(r"(://)[^/@]*@", r"\1", self.url).rstrip("/")
        return f"{url}/{name}" if name else url

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """Say in one sentence which zone cannot be reached; storages raise whatever they like."""
        try:
            yield
        except LandingError:
            raise
        except FileNotFoundError as error:
            raise LandingError(
                f"the landing zone {self._display()} does not exist or is empty; land mail there first, or "
                "name the right place in SPAM_ASSETS_LANDING."
            ) from error
        except Exception as error:
            reason = re.sub(r"(://)[^/@\s]*@", r"\1", " ".join(str(error).split()))[:200]
            raise LandingError(
                f"the landing zone {self._display()} cannot be used ({type(error).__name__}: {reason}); "
                "check that it can be reached and that you may read and write there."
            ) from error


def is_day(text: str) -> bool:
    """Return whether the text is a real date written YYYY-MM-DD."""
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _check_day(day: str) -> str:
    if not is_day(day):
        raise LandingError(f"{day[:40]!r} is no day; write a real date as YYYY-MM-DD.")
    return day
