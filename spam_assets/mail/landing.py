"""The files of a landing zone <-> frames: one a day, `training-{day}.csv` (.csv.gz, .parquet, .jsonl).

A CSV file holds what the mail says, so a cell may start with `=`, `+`, `-` or `@`. Opened in a spreadsheet
such a cell can run as a formula: import the column as text. Landing files never alter a cell for that reason.
"""

import base64
import csv
import gzip
import hashlib
import io
import json
import os
import re
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timezone
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import fsspec
import numpy as np
import pandas as pd
from fsspec.implementations.local import LocalFileSystem

from spam_assets.mail.columns import (
    BODY,
    HAM,
    LABEL,
    MAIL_COLUMNS,
    MESSAGE_ID,
    RAW,
    RECEIVED_AT,
    RECIPIENTS,
    SENDER,
    SPAM,
    SUBJECT,
    TEXT,
)
from spam_assets.mail.parsing import Message, make_storable, parse_mail_date, parse_message

FILE_FORMATS: Final = ("csv", "csv.gz", "parquet", "jsonl")
MAX_TABLE_BYTES: Final = 4 * 1024**3
"""Of one day, decompressed. A day of a million mails is about this much."""
MAX_COMPRESSION_RATIO: Final = 300
"""Text compresses 3 to 10 times, boilerplate 100 times, a decompression bomb 1000 times."""
MIN_SUSPICIOUS_BYTES: Final = 64 * 1024**2
"""Below this the ratio does not matter."""
MAX_CELL_CHARACTERS: Final = 128 * 1024**2
"""Of one CSV cell: the largest message that mail servers let through, in base64, with room to spare."""
MAX_ROWS: Final = 20_000_000
"""Of one Parquet file: a few bytes of it can stand for any number of equal rows."""

RECEIVED_AT_DTYPE: Final = "datetime64[us, UTC]"
_TEXT_COLUMNS: Final = (MESSAGE_ID, SENDER, RECIPIENTS, SUBJECT, BODY, LABEL)
# Where an empty CSV cell says that the value is missing. Elsewhere it is an empty text: mail has empty
# subjects.
_MISSING_WHEN_EMPTY: Final = (MESSAGE_ID, RECEIVED_AT, RAW, LABEL)
_BASE64_MARK: Final = "base64:"
_FILE_NAME = re.compile(r"training-([0-9]{4}-[0-9]{2}-[0-9]{2})\.(csv|csv\.gz|parquet|jsonl)")
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?!\d)")
_LABEL_SPELLINGS: Final = {"0": HAM, "false": HAM, "ham": HAM, "1": SPAM, "true": SPAM, "spam": SPAM}
# Storages where a PUT becomes visible whole or not at all; elsewhere a file is uploaded beside and then
# moved.
_ATOMIC_PUT_PROTOCOLS: Final = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "memory"})


class LandingError(Exception):
    """A landing file or zone cannot be used; the message is one sentence with the remedy."""


class LandingFileMissing(LandingError):  # noqa: N818
    """The zone can be read and holds no file for the day."""


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


# --- bytes -> columns -----------------------------------------------------------------------------

Columns = dict[str, list[Any]]
"""A table as read: a list of cells a column, None where the file says that a value is missing."""


def read_table(content: bytes, file_format: str, day: str, name: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Read the bytes of a landing file.

    Args:
        content: the file's bytes.
        file_format: one of `FILE_FORMATS`.
        day: the partition, YYYY-MM-DD.
        name: what to call the file in errors.

    Returns:
        The frame, see `LandedDay`, and notes.

    Raises:
        LandingError: the file cannot be read as a whole; names the file, the line if there is one, and the
            remedy.
    """
    if not content:
        raise LandingError(f"{name} is empty; land the file again, a day without mail needs at least the header.")
    if file_format == "parquet":
        columns = _read_parquet(content, name)
    elif file_format == "jsonl":
        columns = _read_jsonl(content, name)
    else:
        content = _decompress(content, name) if file_format == "csv.gz" else content
        columns = _read_csv(content, name)
    return build_mail_frame(columns, day, name)


def _decompress(content: bytes, name: str) -> bytes:
    """Decompress gzip, also of several members, up to a limit."""
    limit = min(MAX_TABLE_BYTES, max(MIN_SUSPICIOUS_BYTES, MAX_COMPRESSION_RATIO * len(content)))
    pieces: list[bytes] = []
    size_bytes = 0
    rest = content
    try:
        while rest.strip(b"\0"):  # tape drives and some tools pad with zeros
            stream = zlib.decompressobj(wbits=31)
            while not stream.eof:
                piece = stream.decompress(rest, 1 << 24)
                rest = stream.unconsumed_tail
                size_bytes += len(piece)
                if size_bytes > limit:
                    raise LandingError(
                        f"{name} decompresses to more than {limit:,} bytes and looks like a decompression "
                        "bomb; split the day or land it uncompressed."
                    )
                if not piece and not rest and not stream.eof:
                    raise LandingError(f"{name} is cut off in the middle of its gzip data; land the file again.")
                pieces.append(piece)
            rest = stream.unused_data
    except zlib.error as error:
        raise LandingError(f"{name} is not sound gzip data ({error}); land the file again.") from error
    return b"".join(pieces)


def _decode(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise LandingError(
            f"{name} is not UTF-8 in line {line} (byte 0x{content[error.start]:02x}); save it as UTF-8 and "
            "land it again."
        ) from error


def read_csv_rows(lines: Iterable[str], name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line number and the cells of every CSV row, the header first; blank lines are skipped.

    Args:
        lines: lines with their ends as they are, as from a file opened with `newline=""`.
        name: what to call the file in errors.

    Raises:
        LandingError: a row has another number of cells than the header, broken quotes, a NUL, or a huge cell.
    """
    # The limit is one for the whole process; it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_CELL_CHARACTERS))
    reader = csv.reader(_refuse_nul(lines, name), strict=True)
    width = 0
    line = 1
    try:
        for row in reader:
            if row:
                width = width or len(row)
                if len(row) != width:
                    raise LandingError(
                        f"{name} has {len(row)} cells in the row at line {line} and {width} in its header; "
                        "quote cells that hold commas, quotes or line breaks, and land the file again."
                    )
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise LandingError(
            f"{name} is broken CSV in the row at line {line} ({error}); check its quotes and land the file again."
        ) from error


def _refuse_nul(lines: Iterable[str], name: str) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        if "\0" in line:
            raise LandingError(
                f"{name} has a NUL byte in line {number}, which CSV cannot hold; write the file again as "
                "UTF-8 text, or land it as .jsonl or .parquet."
            )
        yield line


def _read_csv(content: bytes, name: str) -> Columns:
    rows = read_csv_rows(io.StringIO(_decode(content, name), newline=""), name)
    header = [cell.strip() for cell in next(rows, (1, []))[1]]
    check_header(header, name)
    return arrange_csv_cells(header, [row for _, row in rows])


def arrange_csv_cells(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Columns:
    """Return the cells by column; an empty one is missing in ids, dates, labels and raw, a text elsewhere."""
    cells: list[tuple[str, ...]] = list(zip(*rows, strict=True)) or [()] * len(header)
    return {
        column: [cell or None for cell in values] if column in _MISSING_WHEN_EMPTY else list(values)
        for column, values in zip(header, cells, strict=True)
    }


def _read_jsonl(content: bytes, name: str) -> Columns:
    records: list[dict[str, Any]] = []
    header: dict[str, None] = {}
    for number, line in enumerate(_decode(content, name).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise LandingError(f"{name} is broken JSON in line {number} ({error}); land the file again.") from error
        if not isinstance(record, dict):
            raise LandingError(f"{name} has no JSON object in line {number}; write one object a line.")
        records.append(record)
        header.update(dict.fromkeys(record))
    check_header(list(header), name)
    return {column: [record.get(column) for record in records] for column in header}


def _read_parquet(content: bytes, name: str) -> Columns:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(io.BytesIO(content))
        metadata = file.metadata
        size_bytes = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
        if metadata.num_rows > MAX_ROWS or size_bytes > MAX_TABLE_BYTES:
            raise LandingError(
                f"{name} holds {metadata.num_rows:,} rows of {size_bytes:,} bytes, more than a day may; split the day."
            )
        header = list(file.schema_arrow.names)
        check_header(header, name)
        columns: Columns = {column: [] for column in header}  # also what is not read, for the note about it
        for column in set(header) & {*MAIL_COLUMNS, TEXT}:
            values = file.read(columns=[column]).column(column)
            if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
                # Not to_pylist(): it fails on nanoseconds and on years that Python's datetime does not have.
                values = values.cast(pa.timestamp("us", getattr(values.type, "tz", None)), safe=False)
                columns[column] = list(values.to_pandas())
            else:
                columns[column] = values.to_pylist()
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())[:120]
        raise LandingError(f"{name} is not a sound Parquet file ({reason}); land the file again.") from error
    return columns


def check_header(header: Sequence[str], name: str) -> None:
    """Raise LandingError unless the columns are unique and hold `label` and one of `body`, `text`, `raw`."""
    repeated = [column for column, count in Counter(header).items() if count > 1]
    found = ", ".join(column[:40] for column in header[:20]) or "none"
    if repeated:
        raise LandingError(f"{name} has the column {repeated[0][:40]!r} twice; rename one and land the file again.")
    if LABEL not in header or not {BODY, TEXT, RAW} & set(header):
        missing = LABEL if LABEL not in header else f"one of {BODY}, {TEXT}, {RAW}"
        raise LandingError(
            f"{name} lacks the column {missing} (columns found: {found}); its header needs `label` and at "
            "least one of `body`, `text` and `raw`."
        )


# --- columns -> frame -----------------------------------------------------------------------------


def build_mail_frame(columns: Mapping[str, Sequence[Any]], day: str, name: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Bring a table to the schema of a day of mail.

    Columns that are absent are filled: from `raw` where there is one, else sender, recipients and subject
    with the empty text, `received_at` with the day's midnight in UTC, `message_id` with a hash of the
    content (repeats get an ordinal). Cells that are missing in a column that is there stay missing; the
    quality rules count them.

    Args:
        columns: cells by column, None or NaN where missing; `label` and one of `body`, `text`, `raw` are
            there.
        day: the partition, YYYY-MM-DD.
        name: what to call the file in errors.

    Returns:
        The frame, see `LandedDay`, and notes.

    Raises:
        LandingError: a cell of `raw` cannot be decoded.
    """
    notes: list[str] = []
    count = len(columns[LABEL])
    ignored = [column for column in columns if column not in (*MAIL_COLUMNS, TEXT)]
    if TEXT in columns and BODY in columns:
        ignored.append(TEXT)
    if ignored:
        shown = ", ".join(column[:40] for column in ignored[:10])
        notes.append(f"columns not used: {shown}{', ...' if len(ignored) > 10 else ''}")

    raws = [_decode_raw(cell, number, name) for number, cell in enumerate(columns.get(RAW, [None] * count), start=1)]
    derived = [column for column in MAIL_COLUMNS if column not in columns]
    if TEXT in columns and BODY in derived:
        derived.remove(BODY)
    messages: list[Message | None] = [None] * count
    if derived and RAW in columns:
        messages = [None if raw is None else parse_message(raw) for raw in raws]
        notes.append(f"columns read from raw: {', '.join(derived)}")

    data: dict[str, Any] = {RAW: _to_object_array(raws)}
    for column, absent in ((SENDER, ""), (RECIPIENTS, ""), (SUBJECT, ""), (BODY, None)):
        source = TEXT if column == BODY and BODY not in columns and TEXT in columns else column
        if source in columns:
            cells = _read_texts(columns[source], source, notes)
        else:
            cells = [absent if m is None else getattr(m, column) for m in messages]
        data[column] = _to_object_array(cells)

    if RECEIVED_AT in columns:
        data[RECEIVED_AT] = read_dates(columns[RECEIVED_AT])
        unreadable = int((pd.isna(data[RECEIVED_AT]) & ~pd.isna(_to_object_array(columns[RECEIVED_AT]))).sum())
        if unreadable:
            notes.append(f"{unreadable} values of received_at are no dates and count as missing")
    else:
        midnight = datetime.combine(date.fromisoformat(day), time(), tzinfo=timezone.utc)
        stamps = [(m.received_at if m else None) or midnight for m in messages]
        data[RECEIVED_AT] = read_dates(stamps)

    if MESSAGE_ID in columns:
        ids = _read_texts(columns[MESSAGE_ID], MESSAGE_ID, notes)
    else:
        content_ids = derive_message_ids(data[SENDER], data[RECIPIENTS], data[SUBJECT], data[BODY], data[RAW])
        ids = list(make_ids_unique([(m and m.message_id) or i for m, i in zip(messages, content_ids, strict=True)]))
    data[MESSAGE_ID] = _to_object_array(ids)
    data[LABEL] = _to_object_array([normalise_label(cell) for cell in columns[LABEL]])
    return pd.DataFrame({column: data[column] for column in MAIL_COLUMNS}), tuple(notes)


def normalise_label(cell: object) -> str | None:
    """Read a label: 0, 1, true, false, ham, spam in any case; else return the text, None if missing."""
    if _is_missing(cell):
        return None
    if isinstance(cell, (bool, int, float, np.generic)) and cell in (0, 1):
        return SPAM if cell else HAM
    text = make_storable(str(cell))
    return _LABEL_SPELLINGS.get(text.strip().lower(), text)


def read_dates(cells: Sequence[Any]) -> pd.DatetimeIndex:
    """Read dates of any kind: datetimes, ISO 8601 or as mail writes them; without a zone they are UTC.

    Returns:
        datetime64[us, UTC], NaT where a cell is missing or no date.
    """
    microseconds = np.empty(len(cells), dtype=np.int64)
    for row, cell in enumerate(cells):
        value: Any = None
        if isinstance(cell, str):
            text = cell.strip()
            # The pattern, because pandas would also take "now" and "today".
            value = _read_iso_date(text) if _ISO_DATE.match(text) else parse_mail_date(text)
        elif isinstance(cell, (datetime, date, np.datetime64)):
            value = cell
        microseconds[row] = _to_microseconds(value)
    return pd.DatetimeIndex(microseconds.astype("datetime64[us]")).tz_localize("UTC")


def _read_iso_date(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)  # much faster than pandas, but strict before Python 3.11
    except ValueError:
        parsed = pd.to_datetime(text, format="ISO8601", errors="coerce")
        return None if pd.isna(parsed) else parsed.to_pydatetime(warn=False)


def _to_microseconds(value: Any) -> int:
    """Return microseconds since 1970 in UTC, or the number that stands for NaT."""
    try:
        stamp = pd.NaT if value is None else pd.Timestamp(value)
        if stamp is pd.NaT:
            return int(pd.NaT.value)
        return int(stamp.to_datetime64().astype("datetime64[us]").astype(np.int64))
    except (ValueError, OverflowError):
        return int(pd.NaT.value)


def derive_message_ids(*columns: Sequence[Any]) -> list[str]:
    """Return an id for every row from its cells: str, bytes or missing. Equal rows have equal ids."""
    return [f"content-{_hash_cells(cells)}" for cells in zip(*columns, strict=True)]


def _hash_cells(cells: Iterable[Any]) -> str:
    digest = hashlib.sha256()
    for cell in cells:
        if isinstance(cell, bytes):
            content = b"b" + cell
        else:
            content = b"" if _is_missing(cell) else b"s" + str(cell).encode("utf-8", "surrogatepass")
        digest.update(len(content).to_bytes(8, "big"))  # so that cells cannot run into each other
        digest.update(content)
    return digest.hexdigest()[:32]


def make_ids_unique(ids: Iterable[str]) -> Iterator[str]:
    """Yield the ids in order, the second of equal ones as `id#2`, the third as `id#3` and so on."""
    used: set[str] = set()
    counts: dict[str, int] = {}
    for wanted in ids:
        unique = wanted
        while unique in used:
            counts[wanted] = counts.get(wanted, 1) + 1
            unique = f"{wanted}#{counts[wanted]}"
        used.add(unique)
        yield unique


def _is_missing(cell: object) -> bool:
    return cell is None or cell is pd.NaT or cell is pd.NA or (isinstance(cell, (float, np.floating)) and cell != cell)


def _read_texts(cells: Sequence[Any], column: str, notes: list[str]) -> list[str | None]:
    texts: list[str | None] = []
    converted = repaired = 0
    for cell in cells:
        if _is_missing(cell):
            texts.append(None)
            continue
        if isinstance(cell, str):
            text = cell
        else:
            converted += 1
            text = cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell)
        storable = make_storable(text)
        repaired += storable is not text
        texts.append(storable)
    if converted:
        notes.append(f"{converted} values of {column} are no text and were read as text")
    if repaired:
        notes.append(f"{repaired} values of {column} held NUL or broken Unicode, replaced by U+FFFD")
    return texts


def _to_object_array(cells: Sequence[Any]) -> "np.ndarray[Any, np.dtype[np.object_]]":
    array = np.empty(len(cells), dtype=object)
    array[:] = cells
    return array


# --- raw messages as text -------------------------------------------------------------------------


def encode_raw(raw: bytes) -> str:
    """Write a message as text: as UTF-8 where that gives the same bytes back, else `base64:` and base64."""
    if raw and b"\0" not in raw and not raw.startswith(_BASE64_MARK.encode()):
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            pass
    return _BASE64_MARK + base64.b64encode(raw).decode("ascii")


def decode_raw(text: str) -> bytes:
    """Undo `encode_raw`.

    Raises:
        ValueError: what follows `base64:` is no base64.
    """
    if text.startswith(_BASE64_MARK):
        return base64.b64decode(text[len(_BASE64_MARK) :], validate=True)
    return text.encode("utf-8", "surrogatepass")


def _decode_raw(cell: object, number: int, name: str) -> bytes | None:
    if _is_missing(cell):
        return None
    if isinstance(cell, bytes):
        return cell
    try:
        return decode_raw(str(cell))
    except ValueError as error:
        raise LandingError(
            f"{name} has a raw message in row {number} that starts with base64: and is no base64 ({error}); "
            "land the file again."
        ) from error


# --- frame -> bytes -------------------------------------------------------------------------------


def write_table(frame: pd.DataFrame, file_format: str, name: str) -> bytes:
    """Return the bytes of a landing file; the inverse of `read_table`. Equal frames give equal bytes.

    Raises:
        LandingError: unknown format, columns missing, or CSV asked for cells that it cannot hold.
    """
    writers: dict[str, Callable[[Columns, str], bytes]] = {
        "csv": _write_csv,
        "csv.gz": lambda columns, name: gzip.compress(_write_csv(columns, name), mtime=0),
        "jsonl": _write_jsonl,
        "parquet": _write_parquet,
    }
    if file_format not in writers:
        raise LandingError(f"{file_format!r} is no format of landing files; choose one of {', '.join(FILE_FORMATS)}.")
    check_header([str(column) for column in frame.columns], name)
    columns: Columns = {}
    for column in (*MAIL_COLUMNS, TEXT):
        if column in frame.columns:
            cells = [None if _is_missing(cell) else cell for cell in frame[column].astype(object)]
            if column == RECEIVED_AT:
                cells = [None if pd.isna(stamp) else stamp for stamp in read_dates(cells)]
            if column != RAW or any(cell is not None for cell in cells):  # a raw column without raw says nothing
                columns[column] = cells
    try:
        return writers[file_format](columns, name)
    except (UnicodeEncodeError, TypeError) as error:
        raise LandingError(f"{name} cannot be written ({error}); repair the cells that are no text.") from error


def _to_texts(columns: Columns) -> Columns:
    """Return the columns with dates and raw messages as text."""
    writers: dict[str, Callable[[Any], str]] = {
        RECEIVED_AT: lambda stamp: str(stamp.isoformat(sep=" ")),
        RAW: lambda raw: encode_raw(raw if isinstance(raw, bytes) else str(raw).encode()),
    }
    return {
        column: [None if cell is None else writers.get(column, str)(cell) for cell in cells]
        for column, cells in columns.items()
    }


def _write_csv(columns: Columns, name: str) -> bytes:
    for column, cells in columns.items():
        if column not in _MISSING_WHEN_EMPTY and None in cells:
            raise LandingError(
                f"{name} cannot hold the missing {column} of row {cells.index(None) + 1}, because an empty "
                "CSV cell is an empty text; write the day as jsonl or parquet."
            )
    texts = _to_texts(columns)
    output = io.StringIO(newline="")
    # CRLF as in RFC 4180, which also makes the writer quote cells with a lone CR or LF in every Python
    # version.
    writer = csv.writer(output, lineterminator="\r\n")
    writer.writerow(texts)
    for number, row in enumerate(zip(*texts.values(), strict=True), start=1):
        if any(cell and "\0" in cell for cell in row):
            raise LandingError(f"{name} cannot hold the NUL in row {number}; write the day as jsonl or parquet.")
        writer.writerow(row)
    return output.getvalue().encode("utf-8")


def _write_jsonl(columns: Columns, name: str) -> bytes:
    texts = _to_texts(columns)
    lines = (
        json.dumps(dict(zip(texts, row, strict=True)), ensure_ascii=False) + "\n"
        for row in zip(*texts.values(), strict=True)
    )
    content = "".join(lines).encode("utf-8")
    # JSON Lines has no header.
    if not content:
        raise LandingError(f"{name} cannot say which columns a day without mail has; write the day as csv or parquet.")
    return content


def _write_parquet(columns: Columns, name: str) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {RECEIVED_AT: pa.timestamp("us", "UTC"), RAW: pa.binary()}
    cells = {
        column: values if column in types else [None if value is None else str(value) for value in values]
        for column, values in columns.items()
    }
    try:
        table = pa.table({c: pa.array(v, types.get(c, pa.string())) for c, v in cells.items()})
        output = io.BytesIO()
        pq.write_table(table, output, compression="zstd")
    except pa.ArrowException as error:
        raise LandingError(f"{name} cannot be written as Parquet ({error}); check the cells of raw.") from error
    return output.getvalue()
