"""The formats of landing files: bytes <-> columns of cells, for CSV, gzipped CSV, Parquet and JSON Lines.

A CSV file holds what the mail says, so a cell may start with `=`, `+`, `-` or `@`. Opened in a spreadsheet such
a cell can run as a formula: import the column as text. Landing files never alter a cell for that reason.
"""

import csv
import gzip
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import pandas as pd

from spam_assets.landing.errors import LandingError
from spam_assets.mail.columns import (
    BODY,
    LABEL,
    MAIL_COLUMNS,
    MESSAGE_ID,
    RAW,
    RECEIVED_AT,
    TEXT,
)
from spam_assets.mail.dates import read_dates
from spam_assets.mail.errors import MailError
from spam_assets.mail.mail_frame import Columns, build_mail_frame, encode_raw, is_missing

FILE_FORMATS: Final = ("csv", "csv.gz", "parquet", "jsonl")
MAX_COMPRESSION_RATIO: Final = 300
"""Text compresses 3 to 10 times, boilerplate 100 times, a decompression bomb 1000 times."""
MIN_SUSPICIOUS_BYTES: Final = 64 * 1024**2
"""Below this the ratio does not matter."""
MAX_CELL_CHARACTERS: Final = 128 * 1024**2
"""Of one CSV cell or JSON line: the largest message that mail servers let through, in base64, with room to spare."""
_MISSING_WHEN_EMPTY: Final = (MESSAGE_ID, RECEIVED_AT, RAW, LABEL)


def check_format(file_format: str) -> None:
    """Raise LandingError unless landing files can have this format."""
    if file_format not in FILE_FORMATS:
        raise LandingError(f"{file_format!r} is no format of landing files; choose one of {', '.join(FILE_FORMATS)}.")


def build_landed_frame(
    columns: Mapping[str, Sequence[Any]], day: str, name: str
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Do what `build_mail_frame` does; what is wrong with a cell is wrong with what landed, and a LandingError."""
    try:
        return build_mail_frame(columns, day, name)
    except MailError as error:
        raise LandingError(str(error)) from error


def limit_decompressed_bytes(compressed_bytes: int, max_bytes: int) -> int:
    """Return to how much so many bytes of gzip may decompress."""
    return min(max_bytes, max(MIN_SUSPICIOUS_BYTES, MAX_COMPRESSION_RATIO * compressed_bytes))


def decode_utf8(content: bytes, name: str) -> str:
    """Return the text of a file; raises LandingError with the line of the first byte that is not UTF-8."""
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


def arrange_csv_cells(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Columns:
    """Return the cells by column; an empty one is missing in ids, dates, labels and raw, a text elsewhere."""
    cells: list[tuple[str, ...]] = list(zip(*rows, strict=True)) or [()] * len(header)
    return {
        column: [cell or None for cell in values] if column in _MISSING_WHEN_EMPTY else list(values)
        for column, values in zip(header, cells, strict=True)
    }


def check_header(header: Sequence[str], name: str, *, has_labels: bool = True) -> None:
    """Raise LandingError unless columns are unique and hold `label`, if so wanted, and one of `body`, `text`, `raw`."""
    repeated = [column for column, count in Counter(header).items() if count > 1]
    found = ", ".join(column[:40] for column in header[:20]) or "none"
    if repeated:
        raise LandingError(f"{name} has the column {repeated[0][:40]!r} twice; rename one and land the file again.")
    lacks_label = has_labels and LABEL not in header
    if lacks_label or not {BODY, TEXT, RAW} & set(header):
        missing = LABEL if lacks_label else f"one of {BODY}, {TEXT}, {RAW}"
        raise LandingError(
            f"{name} lacks the column {missing} (columns found: {found}); its header needs "
            f"{'`label` and ' if has_labels else ''}at least one of `body`, `text` and `raw`."
        )


def write_table(frame: pd.DataFrame, file_format: str, name: str, *, has_labels: bool = True) -> bytes:
    """Return the bytes of a landing file; the inverse of `read_table`. Equal frames give equal bytes.

    Raises:
        LandingError: unknown format, columns missing, or CSV asked for cells that it cannot hold.
    """
    check_format(file_format)
    writers: dict[str, Callable[[Columns, str], bytes]] = {
        "csv": _write_csv,
        "csv.gz": lambda columns, name: gzip.compress(_write_csv(columns, name), mtime=0),
        "jsonl": _write_jsonl,
        "parquet": _write_parquet,
    }
    check_header([str(column) for column in frame.columns], name, has_labels=has_labels)
    columns: Columns = {}
    for column in (*MAIL_COLUMNS, TEXT):
        if column in frame.columns:
            cells = [None if is_missing(cell) else cell for cell in frame[column].astype(object)]
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
