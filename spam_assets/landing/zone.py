"""The landing zone: a folder or bucket with one file a day, `training-{day}.csv` (or .csv.gz, .parquet, .jsonl).

Beside it there may be `corrections-{day}.csv` with labels that came late. Mail without labels is `landing.incoming`'s.
"""

import hashlib
import io
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, ClassVar, Final

import pandas as pd
from fsspec.implementations.local import LocalFileSystem

from spam_assets.file_changes import take_out
from spam_assets.files import LandedFile, hash_file, list_folder, replace_file
from spam_assets.landing.corrections import NO_CORRECTIONS, Corrections, apply_corrections, read_corrections
from spam_assets.landing.decoded_size import MAX_DAY_BYTES, DecodedSize
from spam_assets.landing.errors import LandingError, LandingFileMissing, LandingZoneError
from spam_assets.landing.file_formats import write_table
from spam_assets.landing.folder import Folder
from spam_assets.landing.removal import IsMeant, remove_from_corrections, remove_from_table
from spam_assets.landing.table_batches import read_mail
from spam_assets.mail.dates import is_day
from spam_assets.mail.mail_batches import Mail, read_whole

_ANY_DAY: Final = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
MAX_CORRECTIONS_BYTES: Final = 64 * 1024**2
"""Of one file; a million corrections are about this much."""
_READ_AT_ONCE_BYTES: Final = 16 * 1024**2
"""One request to a bucket, where opening a file is another; larger files are not held in memory."""


@dataclass(frozen=True)
class LandedDay:
    """What the landing zone holds for a day.

    Attributes:
        mail: every column of `MAIL_COLUMNS` in order; `received_at` datetime64[us, UTC], `raw` bytes or
            None, the rest str or None; one row a message, in the order of the file.
        path: path or URL of the file.
        size_bytes: of the file as stored.
        sha256: of the file's bytes, hexadecimal; of the same bytes that were read into the frame.
        notes: what a person should know about the file, one sentence each.
        corrections: what the day's corrections file did; its labels are in the frame.
        corrections_sha256: of the corrections file's bytes, hexadecimal; None where there is none.
    """

    mail: Mail
    path: str
    size_bytes: int
    sha256: str
    notes: tuple[str, ...]
    corrections: Corrections = NO_CORRECTIONS
    corrections_sha256: str | None = None

    @property
    def frame(self) -> pd.DataFrame:
        """The mail as one frame, however much memory that takes."""
        return read_whole(self.mail)


class LandingZone(Folder):
    """A folder or bucket with one file a day.

    Args:
        url: a path, or a URL that fsspec understands.
        max_day_bytes: the most that a day may be, stored and decoded; a day beyond it cannot be read.
    """

    title: ClassVar[str] = "the landing zone"
    fault: ClassVar[type[LandingError]] = LandingZoneError
    stem: ClassVar[str] = "training"
    """What the name of a day's file begins with."""
    has_labels: ClassVar[bool] = True
    _file_name: ClassVar[str] = r"(?:training-(DAY)\.(?:csv|csv\.gz|parquet|jsonl)|corrections-(DAY)\.csv)"

    def __init__(self, url: str, max_day_bytes: int = MAX_DAY_BYTES) -> None:
        super().__init__(url)
        self.max_day_bytes = max_day_bytes

    def list_files(self) -> dict[str, tuple[LandedFile, ...]]:
        """Return the files of every day, from one listing: the training file or files and the corrections file.

        Returns:
            Files by name, days in order. Files with other names are left alone, and so are corrections of a day
            that has no training file.

        Raises:
            LandingError: the zone does not exist or cannot be reached.
        """
        return self._list_files(_ANY_DAY)

    def days(self) -> list[str]:
        """Return the days that have a training file, in order.

        Raises:
            LandingError: the zone does not exist or cannot be reached.
        """
        return list(self.list_files())

    def read(self, day: str) -> LandedDay:
        """Read the day's file, strictly: a file that is not what it seems raises instead of losing rows.

        Labels of the day's corrections file replace those of the messages that it names.

        Raises:
            LandingFileMissing: the day has no file.
            LandingError: the zone cannot be reached, the day has two files, or the file cannot be read.
        """
        files = self._list_day(day)
        training = select_training_files(files)
        if not training:
            raise LandingFileMissing(
                f"{self._display()} has no file for {day}; land one as {self.stem}-{day}.csv (or .csv.gz, "
                ".parquet, .jsonl)."
            )
        if len(training) > 1:
            raise LandingError(
                f"{self._display()} has {len(training)} files for {day}: "
                f"{' and '.join(file.name for file in training)}; keep one and remove the other."
            )
        name = training[0].name
        shown = self._display(name)
        DecodedSize(shown, self.max_day_bytes).add(training[0].size_bytes)
        with self._open_to_seek(training[0]) as opened:
            sha256 = hash_file(opened)
            mail, notes = read_mail(
                opened, name.partition(".")[2], day, shown, self.max_day_bytes, has_labels=self.has_labels
            )
            size_bytes = opened.seek(0, io.SEEK_END)
        landed = LandedDay(mail, shown, size_bytes, sha256, notes)
        for file in files:
            if file not in training:
                landed = self._correct(landed, file)
        return landed

    def read_corrections(self, day: str) -> dict[str, str]:
        """Read the labels that came late for a day: label by message id; empty where there are none.

        Raises:
            LandingError: the zone cannot be reached, or the file cannot be read.
        """
        labels: dict[str, str] = {}
        for file in self._list_day(day):
            if file.name.startswith("corrections-"):
                labels |= read_corrections(self._read_file(file.name), self._display(file.name))
        return labels

    def _correct(self, landed: LandedDay, file: LandedFile) -> LandedDay:
        shown = self._display(file.name)
        if file.size_bytes > MAX_CORRECTIONS_BYTES:
            raise LandingError(
                f"{shown} has more than {MAX_CORRECTIONS_BYTES:,} bytes; land only the labels that changed."
            )
        content = self._read_file(file.name)
        mail, corrections, notes = apply_corrections(landed.mail, read_corrections(content, shown), shown)
        return replace(
            landed,
            mail=mail,
            notes=(*landed.notes, *notes),
            corrections=corrections,
            corrections_sha256=hashlib.sha256(content).hexdigest(),
        )

    @contextmanager
    def open_file(self, file: LandedFile) -> Iterator[IO[bytes]]:
        """Open a file of the zone for reading from its start to its end, a large one without holding it in memory.

        Raises:
            LandingFileMissing: the file is gone since it was listed.
            LandingError: the file or the zone cannot be read, also while it is open.
        """
        path = f"{self._root}/{file.name}"
        with self._reaching():
            try:
                if not isinstance(self._fs, LocalFileSystem) and file.size_bytes <= _READ_AT_ONCE_BYTES:
                    opened: IO[bytes] = io.BytesIO(self._fs.cat_file(path))
                else:
                    opened = self._fs.open(path, "rb")
            except FileNotFoundError as error:
                raise LandingFileMissing(
                    f"{self._display(file.name)} is gone since the zone was listed; land it again if it is needed."
                ) from error
            with opened:
                yield opened

    @contextmanager
    def _open_to_seek(self, file: LandedFile) -> Iterator[IO[bytes]]:
        """Open a file that is gone through more than once; a large one of a bucket is fetched to a temporary file."""
        path = f"{self._root}/{file.name}"
        if file.size_bytes <= _READ_AT_ONCE_BYTES:
            yield io.BytesIO(self._read_file(file.name))
        elif isinstance(self._fs, LocalFileSystem):
            with self._reaching():
                opened = Path(path).open("rb")  # noqa: SIM115 - what is done with it is not the zone's fault
            with opened:
                before = os.fstat(opened.fileno())
                yield opened
                after = os.fstat(opened.fileno())
            if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size):
                raise LandingError(f"{self._display(file.name)} was written while it was read; run the day again.")
        else:
            with tempfile.TemporaryFile() as copy:
                with self.open_file(file) as fetched:
                    shutil.copyfileobj(fetched, copy, _READ_AT_ONCE_BYTES)
                copy.seek(0)
                yield copy

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
        name = f"{self.stem}-{day}.{file_format}"
        self._replace_file(name, write_table(frame, file_format, self._display(name), has_labels=self.has_labels))
        for other in select_training_files(self._list_day(day)):
            if other.name != name:
                with self._reaching():
                    self._fs.rm_file(f"{self._root}/{other.name}")
        return self._display(name)

    def remove_messages(self, day: str, is_meant: IsMeant) -> int:
        """Rewrite the day's files, corrections too, without the messages that are meant; a file without any goes.

        Returns:
            How many messages the day's files held.

        Raises:
            LandingError: a file cannot be read or written.
        """
        count = 0
        for file in self._list_day(day):
            name = file.name
            if file in select_training_files([file]):
                remove = partial(
                    remove_from_table,
                    file_format=name.partition(".")[2],
                    day=day,
                    name=self._display(name),
                    is_meant=is_meant,
                    max_bytes=self.max_day_bytes,
                    has_labels=self.has_labels,
                )
                count += self._remove_from_file(name, remove)
            else:
                self._remove_from_file(
                    name, partial(remove_from_corrections, name=self._display(name), is_meant=is_meant)
                )
        return count

    def _remove_from_file(self, name: str, remove: Callable[[bytes], tuple[bytes | None, int]]) -> int:
        """Rewrite a file; `remove` returns what is left of a content, None for nothing, and how many rows went."""
        path = f"{self._root}/{name}"
        with self._reaching():
            return take_out(self._fs, path, lambda: remove(self._fs.cat_file(path)))

    def _list_day(self, day: str) -> tuple[LandedFile, ...]:
        # Only this day's files are asked for their details, which for ten thousand files takes most of the time.
        return self._list_files(_check_day(day)).get(day, ())

    def _list_files(self, day_pattern: str) -> dict[str, tuple[LandedFile, ...]]:
        names = re.compile(self._file_name.replace("DAY", day_pattern))
        with self._reaching():
            listed = list_folder(self._fs, self._root, names)
        files: dict[str, list[LandedFile]] = {}
        for file in listed:
            match = names.fullmatch(file.name)
            day = match[match.lastindex or 0] if match else ""
            if is_day(day):
                files.setdefault(day, []).append(file)
        return {day: tuple(files[day]) for day in sorted(files) if select_training_files(files[day])}

    def _replace_file(self, name: str, content: bytes) -> None:
        with self._reaching():
            self._fs.makedirs(self._root, exist_ok=True)
            replace_file(self._fs, f"{self._root}/{name}", content)

    def _read_file(self, name: str) -> bytes:
        with self._reaching():
            content: bytes = self._fs.cat_file(f"{self._root}/{name}")
        return content

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        with super()._reaching():
            try:
                yield
            except FileNotFoundError as error:
                raise LandingZoneError(
                    f"the landing zone {self._display()} does not exist or is empty; land mail there first, or "
                    "name the right place in SPAM_ASSETS_LANDING."
                ) from error


def select_training_files(files: Iterable[LandedFile]) -> list[LandedFile]:
    """Return those of a day's files that hold its mail; the other one holds corrections. More than one is too many."""
    return [file for file in files if not file.name.startswith("corrections-")]


def _check_day(day: str) -> str:
    if not is_day(day):
        raise LandingError(f"{day[:40]!r} is no day; write a real date as YYYY-MM-DD.")
    return day
