"""A day of mail that is too much to hold at once, in a Parquet file: a row group a batch.

Days are made in temporary files, which go when nobody uses them; TMPDIR says where. Not here: where days are stored.
"""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import IO, TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from typing_extensions import override

from spam_assets.mail.columns import COLUMN_TYPES
from spam_assets.mail.mail_batches import BATCH_ROWS, Mail, MailBatches, iterate_frames

if TYPE_CHECKING:
    import pyarrow as pa

Item = TypeVar("Item")

_PLACE = "place"


class MailFile(MailBatches):
    """A day of mail in a Parquet file.

    Args:
        file: opened for reading; it stays open as long as the day is in use, so a file that takes its place in its
            folder does no harm.
    """

    def __init__(self, file: IO[bytes]) -> None:
        import pyarrow.parquet as pq

        self.file = file
        self._parquet = pq.ParquetFile(file, pre_buffer=False)

    def read_single_batch(self) -> pd.DataFrame | None:
        """Return the day as a frame, None if it is in more than one batch."""
        if self._parquet.num_row_groups > 1:
            return None
        frame: pd.DataFrame = self._parquet.read(use_threads=False).to_pandas()
        return frame

    @property
    @override
    def columns(self) -> tuple[str, ...]:
        return tuple(self._parquet.schema_arrow.names)

    @override
    def __len__(self) -> int:
        return int(self._parquet.metadata.num_rows)

    @override
    def read_frames(self, names: Sequence[str]) -> Iterator[pd.DataFrame]:
        wanted = [name for name in self.columns if name in names]
        numbers = range(self._parquet.num_row_groups)
        yield from run_ahead(self._parquet.read_row_group(n, wanted, use_threads=False).to_pandas() for n in numbers)

    @override
    def collect(self, frames: Iterable[pd.DataFrame]) -> Mail:
        return collect_mail(frames)

    @override
    def reorder(self, order: npt.NDArray[np.int64]) -> Mail:
        if np.array_equal(order, np.arange(len(order))):
            return self
        places = np.empty_like(order)
        places[order] = np.arange(len(order))
        return collect_mail(_read_in_order(self, places))


def open_mail(file: IO[bytes]) -> Mail:
    """Read a stored day: at once if it is one batch, else batch after batch, while the file stays open."""
    mail = MailFile(file)
    frame = mail.read_single_batch()
    if frame is None:
        return mail
    file.close()
    return frame


def collect_mail(frames: Iterable[pd.DataFrame]) -> Mail:
    """Return a day of frames, of which there is at least one: one alone as it is, else all of them in a file."""
    rest = iter(frames)
    first = next(rest)
    second = next(rest, None)
    if second is None:
        return first
    file = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the day is in use
    write_frames(chain((first, second), rest), file)
    return MailFile(file)


def write_frames(frames: Iterable[pd.DataFrame], file: IO[bytes]) -> None:
    """Write frames with columns of `COLUMN_TYPES` as Parquet, a row group each."""
    import pyarrow.parquet as pq

    writer: Any = None
    for table in run_ahead(map(_to_table, frames)):
        writer = writer or pq.ParquetWriter(file, table.schema, compression="zstd")
        writer.write_table(table, row_group_size=max(len(table), 1))
    writer.close()


def run_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Yield items, each made by another thread while the one before is in use: decoding and compressing take turns."""
    rest = iter(items)
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, rest, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, rest, None)
            yield item


def _to_table(frame: pd.DataFrame) -> "pa.Table":
    import pyarrow as pa

    types = {"string": pa.string(), "binary": pa.binary(), "uint64": pa.uint64(), "int64": pa.int64()}
    types["timestamp[us, UTC]"] = pa.timestamp("us", "UTC")
    kinds = {**COLUMN_TYPES, _PLACE: "int64"}
    schema = pa.schema([(name, types[kinds[name]]) for name in frame.columns])
    return pa.Table.from_pandas(frame, schema, preserve_index=False)


def _read_in_order(mail: Mail, places: npt.NDArray[np.int64]) -> Iterator[pd.DataFrame]:
    """Yield the rows of a day in batches so that each is at its place.

    Two passes through a temporary file, whatever the order: rows are written in bundles, one for each batch of the
    outcome that they belong to, and each batch is put together from its bundles. Mail that is nearly in order has few.
    """
    import pyarrow as pa

    bundles: dict[int, list[int]] = {}
    with tempfile.TemporaryFile() as file:
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        writer: Any = None
        first = count = 0
        for frame in iterate_frames(mail):
            here = places[first : first + len(frame)]
            first += len(frame)
            table = _to_table(frame.assign(**{_PLACE: here}))
            writer = writer or pa.ipc.new_file(file, table.schema, options=options)
            batches = here // BATCH_ROWS
            for batch in np.unique(batches):
                writer.write_batch(table.filter(pa.array(batches == batch)).combine_chunks().to_batches()[0])
                bundles.setdefault(int(batch), []).append(count)
                count += 1
        writer.close()
        reader = pa.ipc.open_file(file)
        for batch in sorted(bundles):
            together = pa.Table.from_batches([reader.get_batch(number) for number in bundles[batch]])
            ordered = together.to_pandas().sort_values(_PLACE, ignore_index=True)
            yield ordered.drop(columns=_PLACE)
