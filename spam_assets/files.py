"""A folder or bucket, through fsspec: listing it with details, and replacing a file in one step.

The only place of the project where files are written so that no reader sees half of one.
"""

import hashlib
import io
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any, Final, cast
from uuid import uuid4

import fsspec
from fsspec.implementations.local import LocalFileSystem
from typing_extensions import override
from upath import UPath

_BLOCK_BYTES: Final = 1 << 20
_ATOMIC_PUT_PROTOCOLS: Final = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "memory"})
# What storages call the time of the last change, and a value that differs whenever the content does.
_TIME_KEYS: Final = ("LastModified", "last_modified", "updated", "mtime", "modified", "last_write_time", "created")
_STAMP_KEYS: Final = ("ETag", "etag", "md5Hash", "md5", *_TIME_KEYS)


Stamp = tuple[int, str]
"""Size and stamp of a file, see `LandedFile`: one of them differs when it is written anew."""
Content = bytes | Callable[[IO[bytes]], None]
"""The bytes of a file, or what writes them into an open one."""


@dataclass(frozen=True)
class LandedFile:
    """A file as the listing of its folder shows it.

    Attributes:
        name: without the folder.
        size_bytes: as stored.
        stamp: a text that changes when the file is rewritten: nanoseconds of the last change in a local folder,
            else an ETag, a checksum or a time; empty where the storage says nothing but the size.
        modified_seconds: time of the last change, seconds since 1970, None where the storage does not tell.
    """

    name: str
    size_bytes: int
    stamp: str
    modified_seconds: float | None = None


def open_folder(url: str) -> tuple[Any, str]:
    """Return the file system of a path or URL, and the folder's path in it. Storages raise whatever they like."""
    fs, root = fsspec.core.url_to_fs(os.path.expanduser(url), **_choose_options(url))  # noqa: PTH111 - may be a URL
    return fs, str(root).rstrip("/")


def open_path(url: str) -> UPath:
    """Return a path or URL as a path that files are opened below."""
    path: UPath = UPath(url, **_choose_options(url))
    return path


def _choose_options(url: str) -> dict[str, Any]:
    """Return options for the file system of a URL.

    fsspec keeps listings of buckets for as long as a process lives: what other processes write would never be seen.
    """
    is_local = fsspec.core.split_protocol(url)[0] in (None, "file", "local")
    return {} if is_local else {"use_listings_cache": False}


def list_folder(fs: Any, root: str, wanted: re.Pattern[str]) -> list[LandedFile]:
    """Return the files whose whole name matches, by name. A folder that is not there raises, as any other trouble."""
    if isinstance(fs, LocalFileSystem):
        return _list_local_folder(root or "/", wanted)
    files = {}
    for info in fs.ls(root or "/", detail=True):
        name = str(info["name"]).rstrip("/").rpartition("/")[2]
        if wanted.fullmatch(name):
            files[name] = _read_details(name, info)
    return [files[name] for name in sorted(files)]


def _list_local_folder(root: str, wanted: re.Pattern[str]) -> list[LandedFile]:
    if Path(root).is_file():
        raise NotADirectoryError("it is a file, not a folder")
    files = []
    with os.scandir(root) as entries:
        for entry in entries:
            if not wanted.fullmatch(entry.name):
                continue
            try:
                status = entry.stat()
            except FileNotFoundError:  # removed since the folder was opened, or a link to nothing
                continue
            files.append(
                LandedFile(entry.name, status.st_size, str(status.st_mtime_ns), status.st_mtime_ns / 1_000_000_000)
            )
    return sorted(files, key=lambda file: file.name)


def _read_details(name: str, info: Mapping[str, Any]) -> LandedFile:
    stamps = (info[key] for key in _STAMP_KEYS if info.get(key) is not None)
    times = (info[key] for key in _TIME_KEYS if info.get(key) is not None)
    return LandedFile(name, int(info.get("size") or 0), str(next(stamps, "")), _read_seconds(next(times, None)))


def _read_seconds(moment: object) -> float | None:
    """Return seconds since 1970; storages give a number, a datetime or ISO 8601, in UTC if nothing else is said."""
    if isinstance(moment, (int, float)):
        return float(moment)
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment.replace("Z", "+00:00"))
        except ValueError:
            return None
    if not isinstance(moment, datetime):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


def copy_file(source: IO[bytes], target: IO[bytes]) -> None:
    """Copy a file from its start, in blocks."""
    source.seek(0)
    shutil.copyfileobj(source, target, _BLOCK_BYTES)


class BlockWriter(io.RawIOBase):
    """Writes into another file, a block at a time.

    Args:
        file: what is written into.
        block_bytes: the most that is written at once.
        after: is told each block when it is written.
    """

    def __init__(self, file: IO[bytes], block_bytes: int, after: Callable[[memoryview], None]) -> None:
        self._file = file
        self._block_bytes = block_bytes
        self._after = after

    @override
    def writable(self) -> bool:
        return True

    @override
    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        for start in range(0, len(view), self._block_bytes):
            block = view[start : start + self._block_bytes]
            self._file.write(block)
            self._after(block)
        return len(view)


class MeasuredContent:
    """Content that is measured while it is written.

    Attributes:
        size_bytes: how much was written.
        sha256: of what was written.
    """

    def __init__(self, write: Callable[[IO[bytes]], None]) -> None:
        self._write = write
        self.size_bytes = 0
        self.sha256 = hashlib.sha256()

    def __call__(self, file: IO[bytes]) -> None:
        """Write the content into an open file."""
        self._write(cast("IO[bytes]", BlockWriter(file, _BLOCK_BYTES, self._measure)))

    def _measure(self, block: memoryview) -> None:
        self.sha256.update(block)
        self.size_bytes += len(block)


def read_stamp(fs: Any, path: str) -> Stamp:
    """Return the size of a file and a text that changes when it is written anew; see `LandedFile`."""
    if isinstance(fs, LocalFileSystem):
        status = Path(path).stat()
        return status.st_size, str(status.st_mtime_ns)
    details = _read_details(path, fs.info(path))
    return details.size_bytes, details.stamp


def hash_file(file: IO[bytes]) -> str:
    """Return the SHA-256 of an open file, hexadecimal; the file is at its start again."""
    file.seek(0)
    digest = hashlib.sha256()
    while block := file.read(_BLOCK_BYTES):
        digest.update(block)
    file.seek(0)
    return digest.hexdigest()


def _is_object_store(fs: Any) -> bool:
    protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
    return bool(protocols & _ATOMIC_PUT_PROTOCOLS)


def make_folder(fs: Any, path: str) -> None:
    """Make a folder and those above it where files need one; in an object store they do not."""
    if not _is_object_store(fs):
        fs.makedirs(path, exist_ok=True)


def replace_file(fs: Any, path: str, content: Content) -> None:
    """Write a file, or replace the one that is there, so that a reader sees all of it or what was there before.

    Object stores publish an object only when its upload is complete. Elsewhere the file is written beside its place
    and then renamed; where that fails, what was there stays and nothing is left beside it.

    Args:
        fs: an fsspec file system.
        path: the file's path in it. Its folder must be there.
        content: the file's bytes, or what writes them.

    Raises:
        OSError: a local file cannot be written. Other storages raise whatever they like.
    """
    if isinstance(fs, LocalFileSystem):
        replace_local_file(Path(path), content)
        return
    if _is_object_store(fs):
        upload_file(fs, path, content)
        return
    folder, _, name = path.rpartition("/")
    beside = f"{folder}/{_name_beside(name)}"
    try:
        upload_file(fs, beside, content)
        fs.mv(beside, path)
    except BaseException:
        if fs.exists(beside):
            fs.rm_file(beside)
        raise


def upload_file(fs: Any, path: str, content: Content, **options: Any) -> None:
    """Write a file of a storage as it is written there; `options` are those of its file system."""
    if isinstance(content, bytes):
        fs.pipe_file(path, content, **options)
        return
    with tempfile.NamedTemporaryFile() as file:
        content(file)
        file.flush()
        fs.put_file(file.name, path, **options)


def replace_local_file(path: Path, content: Content) -> None:
    """Do what `replace_file` does on this machine's disk.

    The content is on disk before the file takes its place. A file that is replaced keeps its permissions, and a
    symbolic link stays one: the file that it leads to is replaced.

    Raises:
        OSError: the file cannot be written: no folder, a full disk, no permission.
    """
    target = path.resolve()
    try:
        mode = stat.S_IMODE(target.stat().st_mode)
    except FileNotFoundError:
        mode = None
    beside = target.with_name(_name_beside(target.name))

    def create(name: str, flags: int) -> int:  # what only its owner may read is never anybody's to read
        return os.open(name, flags, 0o666 if mode is None else mode)

    try:
        with open(beside, "xb", opener=create) as file:
            if isinstance(content, bytes):
                file.write(content)
            else:
                content(file)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            beside.chmod(mode)  # the umask took some of it
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _name_beside(name: str) -> str:
    return f".{name}.{uuid4().hex}.partial"
