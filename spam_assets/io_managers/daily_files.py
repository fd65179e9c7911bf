"""Where assets are stored: one file a day and asset, on disk or at any fsspec URL.

| manager | format | why |
|---|---|---|
| frames | Parquet | every tool reads it |
| features | Arrow IPC | memory-mapped: a window of days costs only the pages that training touches |
| models | NumPy `.npz` | plain arrays: loading cannot run code |
| reports | JSON | small, and read by sensors |

Not here: what the data means. A file is written beside its place and then renamed, so that no reader ever sees
half of one, and a file that is missing or damaged is reported with what to do about it.
"""

import io
import json
import os
import uuid
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import dagster as dg
from typing_extensions import override
from upath import UPath

from spam_assets.io_managers.fingerprints import (
    fingerprint_features,
    fingerprint_frame,
    fingerprint_model,
    fingerprint_report,
)

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from spam_assets.learning.features import MailFeatures
    from spam_assets.learning.model import SpamModel
    from spam_assets.learning.reporting import DayReport

WINDOW_DAYS = "window_days"
"""Metadata of an input that wants the days up to its partition instead of one: how many."""

LOCAL_PROTOCOLS = ("", "file", "local")


class StorageError(dg.Failure):
    """A stored file is missing, damaged or cannot be written; the description names path and remedy."""


def first_day_of_window(last_day: str, window_days: int) -> str:
    """Return the first of so many days that end with `last_day`."""
    return (date.fromisoformat(last_day) - timedelta(days=window_days - 1)).isoformat()


def write_atomically(path: UPath, content: bytes) -> None:
    """Write a file so that a reader sees all of it or what was there before.

    Local files are written beside their place, synced and renamed. Object stores publish an object only when its
    upload is complete.

    Raises:
        StorageError: it cannot be written: a full disk, a folder that may not be written. What was there stays.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.protocol in LOCAL_PROTOCOLS:
            _write_and_rename(Path(str(path)), content)
        else:
            path.write_bytes(content)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        raise StorageError(
            f"{path} cannot be written ({reason}); what was stored before is unharmed: "
            "make room or give write access, then run the day again"
        ) from error


def _write_and_rename(target: Path, content: bytes) -> None:
    beside = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        with beside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


class WindowOfDays(Mapping[str, Any]):
    """The days of a window, oldest first; a stored day is read when it is asked for.

    A model streams through its window, so holding every day at once would cost memory for nothing. Days that are
    not in storage can be given as values.
    """

    def __init__(
        self, manager: "DailyFileIOManager", asset: str, stored_days: Iterable[str], values: Mapping[str, Any]
    ) -> None:
        self._manager = manager
        self._asset = asset
        self._values = values
        self._days = sorted({*stored_days, *values})

    def __getitem__(self, day: str) -> Any:
        if day in self._values:
            return self._values[day]
        if day not in self._days:
            raise KeyError(day)
        return self._manager.load_day(self._asset, day)

    def __iter__(self) -> Iterator[str]:
        return iter(self._days)

    def __len__(self) -> int:
        return len(self._days)

    def with_values(self, values: Mapping[str, Any]) -> "WindowOfDays":
        """Return the window with more days, given as values."""
        return WindowOfDays(self._manager, self._asset, self._days, {**self._values, **values})

    def require(self, day: str) -> None:
        """Raise StorageError if a day is not there."""
        if day not in self._days:
            raise StorageError(
                f"{self._asset} of {day} is not in storage; materialize {self._asset} for {day} first "
                "(a day whose mail breaks a rule never gets there)"
            )

    def data_versions(self) -> dict[str, str]:
        """Return the data version of each day."""
        return {
            day: self._manager.fingerprint(self._values[day])
            if day in self._values
            else self._manager.read_data_version(self._manager.path_of(self._asset, day))
            for day in self._days
        }


class DailyFileIOManager(dg.UPathIOManager):
    """One file for each day of an asset.

    An input whose metadata has `window_days` is a window: it arrives as a `WindowOfDays` of so many days up to the
    partition's own, those of them that are stored. Any other input is one day's value.
    """

    @abstractmethod
    def to_bytes(self, value: Any) -> bytes:
        """Return the file's content; the same value gives the same bytes."""

    @abstractmethod
    def from_path(self, path: UPath) -> Any:
        """Read the file."""

    @abstractmethod
    def fingerprint(self, value: Any) -> str:
        """Return the data version of a value."""

    def read_data_version(self, path: UPath) -> str:
        """Return the data version that the file holds or, where it holds none, that of its value."""
        return self.fingerprint(self.from_path(path))

    def has_day(self, asset: str, day: str) -> bool:
        """Return whether a day of an asset is stored."""
        return bool(self.path_of(asset, day).exists())

    def path_of(self, asset: str, day: str) -> UPath:
        """Return where a day of an asset is stored."""
        return self._with_extension(self._base_path / asset / day)

    def stored_days(self, asset: str) -> list[str]:
        """Return the days of an asset that are stored, oldest first."""
        folder = self._base_path / asset
        if not folder.exists():
            return []
        return sorted(path.stem for path in folder.iterdir() if path.suffix == self.extension)

    def load_day(self, asset: str, day: str) -> Any:
        """Read one day of an asset.

        Raises:
            StorageError: the file is missing or damaged.
        """
        path = self.path_of(asset, day)
        with self._telling_what_to_do(asset, day, path):
            return self.from_path(path)

    @staticmethod
    @contextmanager
    def _telling_what_to_do(asset: str, day: str, path: UPath) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise StorageError(
                f"{asset} of {day} is not in storage ({path}); materialize {asset} for {day} first"
            ) from None
        except Exception as error:
            raise StorageError(
                f"{asset} of {day} is damaged ({path}: {type(error).__name__}); materialize {asset} for {day} again"
            ) from error

    @override
    def dump_to_path(self, context: dg.OutputContext, obj: Any, path: UPath) -> None:
        content = self.to_bytes(obj)
        write_atomically(path, content)
        context.add_output_metadata({"size_bytes": len(content)})

    @override
    def load_from_path(self, context: dg.InputContext, path: UPath) -> Any:
        return self.load_day(context.asset_key.to_user_string(), context.asset_partition_key)

    @override
    def load_input(self, context: dg.InputContext) -> Any:
        window_days = (context.definition_metadata or {}).get(WINDOW_DAYS)
        if window_days is None:
            return super().load_input(context)
        asset = context.asset_key.to_user_string()
        last = context.asset_partition_keys[-1]
        first = first_day_of_window(last, window_days)
        return WindowOfDays(self, asset, [day for day in self.stored_days(asset) if first <= day <= last], {})


class FrameIOManager(DailyFileIOManager):
    """pandas frames as Parquet."""

    extension = ".parquet"

    @override
    def to_bytes(self, value: "pd.DataFrame") -> bytes:
        buffer = io.BytesIO()
        value.to_parquet(buffer, index=False, compression="zstd")
        return buffer.getvalue()

    @override
    def fingerprint(self, value: "pd.DataFrame") -> str:
        return fingerprint_frame(value)

    @override
    def from_path(self, path: UPath) -> "pd.DataFrame":
        import pandas as pd

        return pd.read_parquet(io.BytesIO(path.read_bytes()))

    def load_columns(self, asset: str, day: str, columns: list[str]) -> "pd.DataFrame":
        """Read some columns of one stored day without the cost of the others; raises as `load_day` does."""
        import pyarrow.parquet as pq

        path = self.path_of(asset, day)
        with self._telling_what_to_do(asset, day, path), path.open("rb") as file:
            frame: pd.DataFrame = pq.read_table(file, columns=columns).to_pandas()
        return frame


class FeaturesIOManager(DailyFileIOManager):
    """`MailFeatures` as one Arrow table: a row a message, a list of hashed features for each view.

    A window moves on by a day, so local files are mapped once and not for every model that learns them.

    Args:
        base_path: Where the days are stored.
        days_kept_open: So many files stay mapped: a window of them.
    """

    extension = ".arrow"
    VIEW_PREFIX: ClassVar[str] = "view:"
    DATA_VERSION: ClassVar[bytes] = b"data_version"

    def __init__(self, base_path: UPath, days_kept_open: int = 1) -> None:
        super().__init__(base_path)
        self._map_once = lru_cache(days_kept_open)(self._map_file)

    @override
    def to_bytes(self, value: "MailFeatures") -> bytes:
        import pyarrow as pa

        columns: dict[str, pa.Array] = {
            "message_id": pa.array(value.message_ids, pa.string()),
            "label": pa.array(value.labels, pa.int8()),
        }
        for name, rows in value.views.items():
            columns[self.VIEW_PREFIX + name] = pa.LargeListArray.from_arrays(rows.offsets, rows.indices)
        buffer = io.BytesIO()
        batch = pa.record_batch(columns)
        batch = batch.replace_schema_metadata({self.DATA_VERSION: self.fingerprint(value)})
        with pa.ipc.new_file(buffer, batch.schema) as writer:
            writer.write_batch(batch)
        return buffer.getvalue()

    @override
    def fingerprint(self, value: "MailFeatures") -> str:
        return fingerprint_features(value)

    @override
    def read_data_version(self, path: UPath) -> str:
        return self._open(path)[1]

    @override
    def from_path(self, path: UPath) -> "MailFeatures":
        return self._open(path)[0]

    def _open(self, path: UPath) -> "tuple[MailFeatures, str]":
        """Return a stored day and its data version."""
        import pyarrow as pa

        if path.protocol in LOCAL_PROTOCOLS:
            file = Path(str(path)).stat()
            return self._map_once(str(path), file.st_ino, file.st_mtime_ns, file.st_size)
        return self._read(pa.BufferReader(path.read_bytes()))

    def _map_file(self, path: str, *_identity: int) -> "tuple[MailFeatures, str]":
        import pyarrow as pa

        return self._read(pa.memory_map(path))

    def _read(self, source: "pa.NativeFile") -> "tuple[MailFeatures, str]":
        import pyarrow as pa

        from spam_assets.learning.features import MailFeatures, SparseRows

        batch = pa.ipc.open_file(source).get_batch(0)
        views = {}
        for name in batch.schema.names:
            if name.startswith(self.VIEW_PREFIX):
                lists = batch.column(name)
                views[name.removeprefix(self.VIEW_PREFIX)] = SparseRows(
                    indices=lists.values.to_numpy(), offsets=lists.offsets.to_numpy()
                )
        features = MailFeatures(
            message_ids=batch.column("message_id").to_numpy(zero_copy_only=False),
            labels=batch.column("label").to_numpy(),
            views=views,
        )
        return features, str(batch.schema.metadata[self.DATA_VERSION], "ascii")


class ModelIOManager(DailyFileIOManager):
    """`SpamModel` as plain arrays."""

    extension = ".npz"

    @override
    def to_bytes(self, value: "SpamModel") -> bytes:
        from spam_assets.learning.model_file import dump_model

        return dump_model(value)

    @override
    def fingerprint(self, value: "SpamModel") -> str:
        return fingerprint_model(value)

    @override
    def from_path(self, path: UPath) -> "SpamModel":
        from spam_assets.learning.model_file import load_model

        return load_model(path.read_bytes())


class ReportIOManager(DailyFileIOManager):
    """`DayReport` as JSON."""

    extension = ".json"

    @override
    def to_bytes(self, value: "DayReport") -> bytes:
        return json.dumps(value.to_dict(), indent=1).encode()

    @override
    def fingerprint(self, value: "DayReport") -> str:
        return fingerprint_report(value)

    @override
    def from_path(self, path: UPath) -> "DayReport":
        from spam_assets.learning.reporting import DayReport

        return DayReport.from_dict(json.loads(path.read_bytes()))
