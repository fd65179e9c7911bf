"""One file for each day of an asset.

No reader ever sees half of one, and a file that is missing or damaged is reported with what to do about it.
"""

import hashlib
import io
import os
import re
import tempfile
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import dagster as dg
from typing_extensions import override
from upath import UPath

from spam_assets.engine.one_day import check_one_day
from spam_assets.engine.transient_faults import retrying_storage
from spam_assets.file_changes import Take, take_out
from spam_assets.files import Content, MeasuredContent, Stamp, list_folder, make_folder, read_stamp, replace_file
from spam_assets.learning.code_versions import OtherVersionError
from spam_assets.urls import hide_credentials

LOCAL_PROTOCOLS = ("", "file", "local")
MOST_BYTES_AT_ONCE = 64 * 1024**2


class StorageError(dg.Failure):
    """A stored file is missing, damaged or cannot be written; the description names path and remedy."""


class OutdatedFileError(StorageError):
    """A stored file is whole, but another version of the code made it, and this one cannot use it."""


def show_path(path: UPath) -> str:
    """Return where a day is stored, for people: a bucket's URL may hold a password."""
    return hide_credentials(str(path))


def write_day(path: UPath, content: Content) -> None:
    """Write a file, see `files.replace_file`; its folder is made.

    Raises:
        StorageError: it cannot be written: a full disk, a folder that may not be written. What was there stays.
    """
    with _telling_what_stays(path):
        make_folder(path.fs, path.parent.path)
        replace_file(path.fs, path.path, content)


def take_out_of_day(path: UPath, take: Take) -> int:
    """Take something out of a stored file, see `file_changes.take_out`: nothing that a run stores meanwhile is lost.

    Raises:
        StorageError: as `write_day`.
    """
    with _telling_what_stays(path):
        return take_out(path.fs, path.path, take)


@contextmanager
def _telling_what_stays(path: UPath) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        raise StorageError(
            f"{show_path(path)} cannot be written ({reason}); what was stored before is unharmed: "
            "make room or give write access, then run the day again"
        ) from error


def open_to_read(path: UPath) -> IO[bytes]:
    """Open a stored day for reading back and forth; one of a bucket is fetched first."""
    if path.protocol in LOCAL_PROTOCOLS:
        return open_to_map(path)
    content = path.fs.cat_file(path.path, start=0, end=MOST_BYTES_AT_ONCE + 1)
    return io.BytesIO(content) if len(content) <= MOST_BYTES_AT_ONCE else open_to_map(path)


def read_file(path: UPath) -> bytes:
    """Return the content of a stored day; of a bucket in one request."""
    content: bytes = path.fs.cat_file(path.path, start=0)  # without a range s3fs asks for the size first
    return content


def open_to_map(path: UPath) -> IO[bytes]:
    """Open a stored day as a file of this machine; one of a bucket is fetched to a temporary file first."""
    if path.protocol in LOCAL_PROTOCOLS:
        return Path(str(path)).open("rb")
    file = tempfile.NamedTemporaryFile()  # noqa: SIM115 - returned open
    path.fs.get_file(path.path, file.name)
    return cast("IO[bytes]", file)


class DailyFileIOManager(dg.UPathIOManager):
    """One file for each day of an asset."""

    @abstractmethod
    def to_bytes(self, value: Any) -> bytes:
        """Return the file's content; the same value gives the same bytes."""

    def to_content(self, value: Any) -> Content:
        """Return the file's content, or, of a value too large for memory, what writes it."""
        return self.to_bytes(value)

    @abstractmethod
    def from_path(self, path: UPath) -> Any:
        """Read the file."""

    @abstractmethod
    def fingerprint(self, value: Any) -> str:
        """Return the data version of a value."""

    def read_data_version(self, path: UPath) -> str:
        """Return the data version that the file holds or, where it holds none, that of its value."""
        return self.fingerprint(self.from_path(path))

    def data_version_of(self, asset: str, day: str) -> str:
        """Return the data version of a stored day; raises as `load_day` does."""
        path = self.path_of(asset, day)
        with self._telling_what_to_do(asset, day, path):
            return self.read_data_version(path)

    def has_day(self, asset: str, day: str) -> bool:
        """Return whether a day of an asset is stored."""
        return bool(self.path_of(asset, day).exists())

    def path_of(self, asset: str, day: str) -> UPath:
        """Return where a day of an asset is stored."""
        return self._base_path.joinpath(asset, f"{day}{self.extension}")

    def stored_days(self, asset: str) -> list[str]:
        """Return the days of an asset that are stored, oldest first."""
        return list(self.list_days(asset))

    def list_days(self, asset: str) -> dict[str, Stamp]:
        """Return the days of an asset that are stored, oldest first, each with the stamp of its file.

        It takes one request however many days there are. Who has the stamps need not ask for each day whether its file
        is still the one that was read before.
        """
        folder, extension = self._base_path / asset, str(self.extension)
        try:
            files = list_folder(folder.fs, folder.path, re.compile(f".*{re.escape(extension)}"))
        except (FileNotFoundError, NotADirectoryError):  # nothing was ever stored; a bucket has no folders
            return {}
        return {file.name.removesuffix(extension): (file.size_bytes, file.stamp) for file in files}

    def read_stamp(self, asset: str, day: str) -> Stamp:
        """Return the stamp of a stored day, as `list_days` does."""
        path = self.path_of(asset, day)
        return read_stamp(path.fs, path.path)

    def load_day(self, asset: str, day: str) -> Any:
        """Read one day of an asset.

        Raises:
            StorageError: the file is missing or damaged.
            OutdatedFileError: another version of the code made it.
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
                f"{asset} of {day} is not in storage ({show_path(path)}); materialize {asset} for {day} first"
            ) from None
        except OtherVersionError as error:
            raise OutdatedFileError(f"{asset} of {day}: {error}; materialize {asset} for {day} again") from None
        except Exception as error:
            raise StorageError(
                f"{asset} of {day} is damaged ({show_path(path)}: {type(error).__name__}); "
                f"materialize {asset} for {day} again"
            ) from error

    @override
    def make_directory(self, path: UPath) -> None:
        """Make none: `write_day` does, and tells what stands in the way."""

    @override
    def _handle_transition_to_partitioned_asset(self, context: dg.OutputContext, path: UPath) -> None:
        """Look for nothing: Dagster's own asks for a file in the folder's place, which no asset here ever was."""

    @override
    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        with retrying_storage(context):
            super().handle_output(context, obj)

    @override
    def load_input(self, context: dg.InputContext) -> Any:
        check_one_day(context)
        with retrying_storage(context):
            return super().load_input(context)

    @override
    def dump_to_path(self, context: dg.OutputContext, obj: Any, path: UPath) -> None:
        content = self.to_content(obj)
        if isinstance(content, bytes):
            write_day(path, content)
            size_bytes, sha256 = len(content), hashlib.sha256(content).hexdigest()
        else:
            measured = MeasuredContent(content)
            write_day(path, measured)
            size_bytes, sha256 = measured.size_bytes, measured.sha256.hexdigest()
        context.add_output_metadata({"size_bytes": size_bytes, "sha256": sha256})

    @override
    def get_metadata(self, context: dg.OutputContext, obj: Any) -> dict[str, dg.MetadataValue[Any]]:
        path = self.path_of(context.asset_key.to_user_string(), context.asset_partition_key)
        return {"path": dg.MetadataValue.path(show_path(path))}

    @override
    def get_writing_output_log_message(self, path: UPath) -> str:
        return f"Writing {show_path(path)}"

    @override
    def get_loading_input_log_message(self, path: UPath) -> str:
        return f"Loading {show_path(path)}"

    @override
    def get_loading_input_partition_log_message(self, path: UPath, partition_key: str) -> str:
        return f"Loading {show_path(path)}"

    @override
    def load_from_path(self, context: dg.InputContext, path: UPath) -> Any:
        return self.load_day(context.asset_key.to_user_string(), context.asset_partition_key)
