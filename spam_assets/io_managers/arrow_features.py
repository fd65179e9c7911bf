"""Features: `MailFeatures` as memory-mapped Arrow tables."""

import io
import mmap
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import IO, TYPE_CHECKING, ClassVar

from typing_extensions import override
from upath import UPath

from spam_assets.files import BlockWriter, Content, Stamp, read_stamp
from spam_assets.io_managers.daily_files import DailyFileIOManager, open_to_map
from spam_assets.io_managers.fingerprints import fingerprint_features
from spam_assets.learning.code_versions import FEATURES_VERSION, OtherVersionError

if TYPE_CHECKING:
    from spam_assets.learning.features import MailFeatures


UNRECORDED_VERSION = "1"
"""The version of features in files of before it was recorded."""


BLOCK_BYTES = 16 * 1024**2


@dataclass(frozen=True)
class StoredFeatures:
    """A stored day, its data version, and the version of the code that made it."""

    features: "MailFeatures"
    data_version: str
    features_version: str


class FeaturesIOManager(DailyFileIOManager):
    """`MailFeatures` as one Arrow table: a row a message, a list of hashed features for each view.

    Each file holds the version of the code that made it, and none of another version is ever read for the present one.
    A window moves on by a day, so files are mapped, those of a bucket fetched, once and not for every model that learns
    them.

    Args:
        base_path: Where the days are stored.
        days_kept_open: So many files stay mapped, those of a bucket as temporary files: a window of them.
    """

    extension = ".arrow"
    VIEW_PREFIX: ClassVar[str] = "view:"
    DATA_VERSION: ClassVar[bytes] = b"data_version"
    FEATURES_VERSION: ClassVar[bytes] = b"features_version"

    def __init__(self, base_path: UPath, days_kept_open: int = 1) -> None:
        super().__init__(base_path)
        self._map_once = lru_cache(days_kept_open)(self._map_file)

    @override
    def to_bytes(self, value: "MailFeatures") -> bytes:
        buffer = io.BytesIO()
        self._write(value, buffer)
        return buffer.getvalue()

    @override
    def to_content(self, value: "MailFeatures") -> Content:
        from spam_assets.learning.day_parts import PART_MESSAGES

        return partial(self._write, value) if len(value) > PART_MESSAGES else self.to_bytes(value)

    def _write(self, value: "MailFeatures", file: IO[bytes]) -> None:
        import pyarrow as pa

        from spam_assets.learning.day_parts import give_back_pages

        def give_back(block: memoryview) -> None:
            """Give back the pages that a long day was written from; what is mapped is mapped again when needed."""
            if len(block) == BLOCK_BYTES:
                for rows in value.views.values():
                    give_back_pages(rows.indices)

        columns: dict[str, pa.Array] = {
            "message_id": pa.array(value.message_ids, pa.string()),
            "label": pa.array(value.labels, pa.int8()),
        }
        for name, rows in value.views.items():
            columns[self.VIEW_PREFIX + name] = pa.LargeListArray.from_arrays(rows.offsets, rows.indices)
        batch = pa.record_batch(columns)
        batch = batch.replace_schema_metadata(
            {self.DATA_VERSION: self.fingerprint(value), self.FEATURES_VERSION: FEATURES_VERSION}
        )
        with pa.ipc.new_file(BlockWriter(file, BLOCK_BYTES, give_back), batch.schema) as writer:
            writer.write_batch(batch)

    @override
    def fingerprint(self, value: "MailFeatures") -> str:
        return fingerprint_features(value)

    @override
    def read_data_version(self, path: UPath) -> str:
        return self._open_current(path).data_version

    @override
    def from_path(self, path: UPath) -> "MailFeatures":
        return self._open_current(path).features

    def load_with_version(self, asset: str, day: str, stamp: Stamp | None = None) -> StoredFeatures:
        """Read one day of an asset and the data version of just what was read; raises as `load_day` does.

        With the stamp of its file, see `list_days`, a day that was read before is not looked at again.
        """
        path = self.path_of(asset, day)
        with self._telling_what_to_do(asset, day, path):
            return self._open_current(path, stamp)

    def _open_current(self, path: UPath, stamp: Stamp | None = None) -> StoredFeatures:
        stored = self.open_any_version(path, stamp)
        if stored.features_version != FEATURES_VERSION:
            raise OtherVersionError(
                f"its features are of version {stored.features_version}, this code makes version {FEATURES_VERSION}"
            )
        return stored

    def open_any_version(self, path: UPath, stamp: Stamp | None = None) -> StoredFeatures:
        """Read a file, whatever version of the code made it."""
        return self._map_once(path, stamp or read_stamp(path.fs, path.path))

    def _map_file(self, path: UPath, _stamp: Stamp) -> StoredFeatures:
        with open_to_map(path) as file:
            return self._read(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    def _read(self, content: bytes | mmap.mmap) -> StoredFeatures:
        import numpy as np
        import pyarrow as pa

        from spam_assets.learning.features import MailFeatures, SparseRows

        buffer = pa.py_buffer(content)
        batch = pa.ipc.open_file(buffer).get_batch(0)
        views = {}
        for name in batch.schema.names:
            if name.startswith(self.VIEW_PREFIX):
                lists = batch.column(name)
                indices = lists.values.to_numpy()
                if len(indices):  # straight from the mapping, whose pages can then be given back
                    place = lists.values.buffers()[1].address - buffer.address
                    indices = np.frombuffer(content, np.uint32, len(indices), place)
                views[name.removeprefix(self.VIEW_PREFIX)] = SparseRows(indices, lists.offsets.to_numpy())
        features = MailFeatures(
            message_ids=batch.column("message_id").to_numpy(zero_copy_only=False),
            labels=batch.column("label").to_numpy(),
            views=views,
        )
        metadata = batch.schema.metadata
        features_version = metadata.get(self.FEATURES_VERSION, UNRECORDED_VERSION.encode())
        return StoredFeatures(features, str(metadata[self.DATA_VERSION], "ascii"), str(features_version, "ascii"))
