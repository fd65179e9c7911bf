"""Columns of a Parquet file, decoded piece by piece.

By dictionaries and compression 500 bytes of Parquet can stand for 20 GB, and the sizes that a file states are whatever
its writer chose. So cells of text are decoded one by one, and counted before the next.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from spam_assets.landing.decoded_size import CELL_BYTES, DecodedSize
from spam_assets.landing.errors import LandingError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

ROWS_AT_ONCE: Final = 8192
"""Of numbers, dates and the like, whose width is known."""


def decode_cells(file: "pq.ParquetFile", column: str, size: DecodedSize, name: str) -> Iterator[Any]:
    """Yield the cells of a column, None where one is missing.

    Args:
        file: opened with `pre_buffer=False`, so that no more is read than is decoded.
        column: one of its columns at the top.
        size: counts what is decoded.
        name: what to call the file in errors.

    Raises:
        LandingError: the column is of a type that no mail has, or there is more of it than a day may be.
        pyarrow.ArrowException, OSError: the file is damaged.
    """
    import pyarrow as pa

    kind = file.schema_arrow.field(column).type
    if pa.types.is_dictionary(kind):  # how pandas writes categories
        kind = kind.value_type
    if pa.types.is_nested(kind) or pa.types.is_fixed_size_binary(kind):
        raise LandingError(f"{name} has the type {str(kind)[:60]} in the column {column}; write it as text or bytes.")
    is_fixed = not (_is_text(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
    for batch in file.iter_batches(ROWS_AT_ONCE if is_fixed else 1, columns=[column], use_threads=False):
        values = batch.column(0)
        size.add(CELL_BYTES * len(values) + (0 if is_fixed else _count_text_bytes(values)))
        yield from _to_cells(values)


def _is_text(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _count_text_bytes(values: "pa.Array") -> int:
    import pyarrow as pa

    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    return int(values.nbytes)


def _to_cells(values: "pa.Array") -> list[Any]:
    import pyarrow as pa

    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        # Not to_pylist(): it fails on nanoseconds and on years that Python's datetime does not have.
        return list(values.cast(pa.timestamp("us", getattr(values.type, "tz", None)), safe=False).to_pandas())
    return list(values.to_pylist())
