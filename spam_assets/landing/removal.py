"""Messages taken out of landing files: the bytes of a file without some of its rows; all others stay as they are."""

import gzip
import io
from collections.abc import Callable, Collection

from spam_assets.landing.corrections import complete_ids, read_corrections, write_corrections
from spam_assets.landing.decoded_size import MAX_DAY_BYTES
from spam_assets.landing.file_formats import read_csv_rows
from spam_assets.landing.table_batches import decompress, read_table

IsMeant = Callable[[str], bool]
"""Given the id of a message, as `validated_mail` shows it."""


def remove_from_table(
    content: bytes,
    file_format: str,
    day: str,
    name: str,
    is_meant: IsMeant,
    max_bytes: int = MAX_DAY_BYTES,
    *,
    has_labels: bool = True,
) -> tuple[bytes | None, int]:
    """Return a day's file without some messages, and how many they were.

    Args:
        content: the file's bytes.
        file_format: one of `FILE_FORMATS`.
        day: the partition, YYYY-MM-DD.
        name: what to call the file in errors.
        is_meant: whether a message is to go.
        max_bytes: as `read_table` has it.
        has_labels: as `read_table` has it.

    Returns:
        The new bytes, None where no message is left; and a count.

    Raises:
        LandingError: the file cannot be read.
    """
    frame, _ = read_table(content, file_format, day, name, max_bytes, has_labels=has_labels)
    rows = {row for row, message_id in enumerate(complete_ids(frame)) if is_meant(message_id)}
    if not rows or len(rows) == len(frame):
        return (content if not rows else None), len(rows)
    if file_format == "parquet":
        return _remove_parquet_rows(content, rows), len(rows)
    if file_format == "jsonl":
        lines = content.split(b"\n")
        numbers = [number for number, line in enumerate(lines) if line.strip()]
        gone = {numbers[row] for row in rows}
        return b"\n".join(line for number, line in enumerate(lines) if number not in gone), len(rows)
    text = decompress(content, name, max_bytes) if file_format == "csv.gz" else content
    left = _remove_csv_rows(text, name, rows)
    return (gzip.compress(left, mtime=0) if file_format == "csv.gz" else left), len(rows)


def remove_from_corrections(content: bytes, name: str, is_meant: IsMeant) -> tuple[bytes | None, int]:
    """Do to a corrections file what `remove_from_table` does."""
    labels = read_corrections(content, name)
    left = {message_id: label for message_id, label in labels.items() if not is_meant(message_id)}
    count = len(labels) - len(left)
    return (write_corrections(left) if left else None) if count else content, count


def _remove_csv_rows(content: bytes, name: str, rows: Collection[int]) -> bytes:
    lines = io.StringIO(content.decode("utf-8"), newline="").readlines()
    starts = [line for line, _ in read_csv_rows(lines, name)][1:]
    ends = [*starts[1:], len(lines) + 1]
    gone = {number for row in rows for number in range(starts[row], ends[row])}
    return "".join(line for number, line in enumerate(lines, start=1) if number not in gone).encode()


def _remove_parquet_rows(content: bytes, rows: Collection[int]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(content))
    output = io.BytesIO()
    pq.write_table(table.filter(pa.array([row not in rows for row in range(len(table))])), output, compression="zstd")
    return output.getvalue()
