"""Landing files of any size -> the mail of a day, decoded batch after batch: CSV, CSV.GZ, Parquet and JSON Lines."""

import codecs
import io
import json
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import IO, Any, Final, TypeVar

import pandas as pd

from spam_assets.landing.decoded_size import MAX_DAY_BYTES, DecodedSize
from spam_assets.landing.errors import LandingError
from spam_assets.landing.file_formats import (
    MAX_CELL_CHARACTERS,
    arrange_csv_cells,
    check_header,
    limit_decompressed_bytes,
    read_csv_rows,
)
from spam_assets.landing.parquet_columns import decode_cells
from spam_assets.mail.columns import LABEL, MAIL_COLUMNS, TEXT
from spam_assets.mail.errors import MailError
from spam_assets.mail.mail_batches import BATCH_BYTES, BATCH_ROWS, Mail, read_whole
from spam_assets.mail.mail_frame import Columns, MailFrameBuilder
from spam_assets.mail_files import collect_mail

MAX_ROWS: Final = 20_000_000
"""Of one Parquet file: a few bytes of it can stand for any number of equal rows."""
_BLOCK_BYTES: Final = 1 << 20
_PIECE_BYTES: Final = 1 << 24

Row = TypeVar("Row")


@dataclass(frozen=True)
class Table:
    """What a landing file holds.

    Attributes:
        header: the names of its columns.
        batches: its cells by column, batch after batch; at least one.
    """

    header: list[str]
    batches: Iterator[Columns]


def read_mail(
    file: IO[bytes], file_format: str, day: str, name: str, max_bytes: int = MAX_DAY_BYTES, *, has_labels: bool = True
) -> tuple[Mail, tuple[str, ...]]:
    """Read a landing file.

    Args:
        file: at its start; it can seek.
        file_format: one of `FILE_FORMATS`.
        day: the partition, YYYY-MM-DD.
        name: what to call the file in errors.
        max_bytes: the most that its cells may be, decoded.
        has_labels: whether the file must have the column `label`; otherwise it is not used, if it is there.

    Returns:
        The mail, see `LandedDay`, and notes.

    Raises:
        LandingError: the file cannot be read as a whole; names the file, the line if there is one, and the
            remedy.
    """
    size_bytes = file.seek(0, io.SEEK_END)
    file.seek(0)
    if not size_bytes:
        raise LandingError(f"{name} is empty; land the file again, a day without mail needs at least the header.")
    size = DecodedSize(name, max_bytes)
    if file_format == "parquet":
        table = _open_parquet(file, name, size, has_labels=has_labels)
    elif file_format == "jsonl":
        size.add(size_bytes)
        table = _open_jsonl(file, name, size, has_labels=has_labels)
    elif file_format == "csv.gz":
        blocks = decompress_blocks(file, name, limit_decompressed_bytes(size_bytes, max_bytes))
        table = _open_csv(_count_bytes(blocks, size), name, size, has_labels=has_labels)
    else:
        size.add(size_bytes)
        table = _open_csv(_read_blocks(file), name, size, has_labels=has_labels)
    unused = () if has_labels or LABEL not in table.header else (LABEL,)
    builder = MailFrameBuilder([column for column in table.header if column not in unused], day, name)
    try:
        mail = collect_mail(
            builder.build({column: cells for column, cells in columns.items() if column not in unused})
            for columns in table.batches
        )
    except MailError as error:
        raise LandingError(str(error)) from error
    return mail, (*builder.notes, *(f"columns not used: {column}" for column in unused))


def read_table(
    content: bytes, file_format: str, day: str, name: str, max_bytes: int = MAX_DAY_BYTES, *, has_labels: bool = True
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Read the bytes of a landing file into one frame, as `read_mail` does."""
    mail, notes = read_mail(io.BytesIO(content), file_format, day, name, max_bytes, has_labels=has_labels)
    return read_whole(mail), notes


def decompress(content: bytes, name: str, max_bytes: int) -> bytes:
    """Return what gzip of one or several members holds; raises LandingError beyond `limit_decompressed_bytes`."""
    return b"".join(decompress_blocks(io.BytesIO(content), name, limit_decompressed_bytes(len(content), max_bytes)))


def decompress_blocks(file: IO[bytes], name: str, limit_bytes: int) -> Iterator[bytes]:
    """Yield what gzip of one or several members holds, block by block.

    Raises:
        LandingError: it is damaged, cut off, or more than so many bytes.
    """
    stream = zlib.decompressobj(wbits=31)
    is_between = False  # members
    size_bytes = 0
    rest = b""
    try:
        while True:
            rest = rest or file.read(_BLOCK_BYTES)
            is_at_end = not rest
            if is_between:
                rest = rest.lstrip(b"\0")  # tape drives and some tools pad with zeros
                if not rest and not is_at_end:
                    continue
                if not rest:
                    return
                stream, is_between = zlib.decompressobj(wbits=31), False
            piece = stream.decompress(rest, _PIECE_BYTES)
            rest = stream.unconsumed_tail
            size_bytes += len(piece)
            if size_bytes > limit_bytes:
                raise LandingError(
                    f"{name} decompresses to more than {limit_bytes:,} bytes and looks like a decompression "
                    "bomb; split the day or land it uncompressed, or raise SPAM_ASSETS_MAX_DAY_MEGABYTES if you "
                    "trust what wrote it."
                )
            if stream.eof:
                rest, is_between = stream.unused_data, True
            elif is_at_end and not piece:
                raise LandingError(f"{name} is cut off in the middle of its gzip data; land the file again.")
            if piece:
                yield piece
    except zlib.error as error:
        raise LandingError(f"{name} is not sound gzip data ({error}); land the file again.") from error


def _read_blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(_BLOCK_BYTES):
        yield block


def _count_bytes(blocks: Iterable[bytes], size: DecodedSize) -> Iterator[bytes]:
    for block in blocks:
        size.add(len(block))
        yield block


def _read_lines(
    blocks: Iterable[bytes], name: str, split: Callable[[str], list[str]], line_ends: tuple[str, ...]
) -> Iterator[str]:
    """Yield the lines of UTF-8 text, with their ends as `split` leaves them.

    Raises:
        LandingError: with the line of the first byte that is not UTF-8.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    line = 1
    pieces: list[str] = []  # of a line that goes on
    for block in chain(blocks, [b""]):
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            line += error.object.count(b"\n", 0, error.start)
            raise LandingError(
                f"{name} is not UTF-8 in line {line} (byte 0x{error.object[error.start]:02x}); save it as UTF-8 and "
                "land it again."
            ) from error
        line += block.count(b"\n")
        pieces.append(text)
        if any(end in text for end in line_ends):
            *lines, rest = split("".join(pieces)) or [""]
            pieces = [rest]
            yield from lines
    yield from filter(None, split("".join(pieces)))


def _split_csv_lines(text: str) -> list[str]:
    """Split as a file opened with `newline=""` does; what comes last is no whole line, as far as is known yet."""
    lines = io.StringIO(text, newline="").readlines()
    return lines if lines and not lines[-1].endswith("\n") else [*lines, ""]


def _bundle(rows: Iterable[Row], measure: Callable[[Row], int]) -> Iterator[list[Row]]:
    """Yield batches of rows; one without rows where there are none."""
    batch: list[Row] = []
    size_bytes = 0
    is_first = True
    for row in rows:
        batch.append(row)
        size_bytes += measure(row)
        if len(batch) == BATCH_ROWS or size_bytes >= BATCH_BYTES:
            yield batch
            batch, size_bytes, is_first = [], 0, False
    if batch or is_first:
        yield batch


def _measure_cells(row: Iterable[Any]) -> int:
    return sum(len(cell) for cell in row if isinstance(cell, (str, bytes)))


def _open_csv(blocks: Iterable[bytes], name: str, size: DecodedSize, *, has_labels: bool) -> Table:
    lines = _read_lines(blocks, name, _split_csv_lines, ("\n", "\r"))
    rows = read_csv_rows(lines, name)
    header = [cell.strip() for cell in next(rows, (1, []))[1]]
    check_header(header, name, has_labels=has_labels)

    def count_rows() -> Iterator[list[str]]:
        for _, row in rows:
            size.add_row(len(row))
            yield row

    return Table(header, (arrange_csv_cells(header, batch) for batch in _bundle(count_rows(), _measure_cells)))


def _open_jsonl(file: IO[bytes], name: str, size: DecodedSize, *, has_labels: bool) -> Table:
    """Any line may name another column, so a file of more than one batch is gone through twice."""
    batches = _bundle(_read_records(file, name, size), lambda record: _measure_cells(record.values()))
    first = next(batches)
    header = dict.fromkeys(column for record in first for column in record)
    is_one_batch = True
    for batch in batches:
        is_one_batch = False
        header.update(dict.fromkeys(column for record in batch for column in record))
    check_header(list(header), name, has_labels=has_labels)
    if not is_one_batch:
        file.seek(0)
        again = _read_records(file, name, DecodedSize(name, sys.maxsize))
        batches = _bundle(again, lambda record: _measure_cells(record.values()))
    return Table(
        list(header),
        (
            {column: [record.get(column) for record in batch] for column in header}
            for batch in ([first] if is_one_batch else batches)
        ),
    )


def _read_records(file: IO[bytes], name: str, size: DecodedSize) -> Iterator[dict[str, Any]]:
    lines = _read_lines(_read_blocks(file), name, lambda text: text.split("\n"), ("\n",))
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if len(line) > MAX_CELL_CHARACTERS:
            raise LandingError(
                f"{name} has more than {MAX_CELL_CHARACTERS:,} characters in line {number}; write one message a line."
            )
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise LandingError(f"{name} is broken JSON in line {number} ({error}); land the file again.") from error
        if not isinstance(record, dict):
            raise LandingError(f"{name} has no JSON object in line {number}; write one object a line.")
        size.add_row(len(record))
        yield record


def _open_parquet(file: IO[bytes], name: str, size: DecodedSize, *, has_labels: bool) -> Table:
    import pyarrow.parquet as pq

    with _naming_damage(name):
        parquet = pq.ParquetFile(file, pre_buffer=False, buffer_size=_BLOCK_BYTES)
        metadata = parquet.metadata
        size_bytes = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
        if size_bytes > size.limit_bytes:
            size.add(size_bytes)  # by its own account
        if metadata.num_rows > MAX_ROWS:
            raise LandingError(
                f"{name} holds {metadata.num_rows:,} rows of {size_bytes:,} bytes, more than a day may; split the day."
            )
        header = list(parquet.schema_arrow.names)
        check_header(header, name, has_labels=has_labels)
    wanted = [column for column in header if column in (*MAIL_COLUMNS, TEXT)]

    def read_batches() -> Iterator[Columns]:
        with _naming_damage(name):
            rows = zip(*(decode_cells(parquet, column, size, name) for column in wanted), strict=True)
            for batch in _bundle(rows, _measure_cells):
                cells = zip(*batch, strict=True) if batch else [()] * len(wanted)
                yield dict(zip(wanted, map(list, cells), strict=True))

    return Table(header, read_batches())


@contextmanager
def _naming_damage(name: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())[:120]
        raise LandingError(f"{name} is not a sound Parquet file ({reason}); land the file again.") from error
