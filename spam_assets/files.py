"""A folder or bucket, through fsspec: listing it with details, and replacing a file in one step."""

import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

import fsspec
from fsspec.implementations.local import LocalFileSystem

_ATOMIC_PUT_PROTOCOLS: Final = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "memory"})
# What storages call the time of the last change, and a value that differs whenever the content does.
_TIME_KEYS: Final = ("LastModified", "last_modified", "updated", "mtime", "modified", "last_write_time", "created")
_STAMP_KEYS: Final = ("ETag", "etag", "md5Hash", "md5", *_TIME_KEYS)


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
    fs, root = fsspec.core.url_to_fs(os.path.expanduser(url))  # noqa: PTH111 - may be a URL
    return fs, str(root).rstrip("/")


def list_folder(fs: Any, root: str, wanted: re.Pattern[str]) -> list[LandedFile]:
    """Return the files whose whole name matches, by name. A folder that is not there raises, as any other trouble."""
    if isinstance(fs, LocalFileSystem):
        return _list_local_folder(root or "/", wanted)
    fs.invalidate_cache(root)
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


def replace_file(fs: Any, root: str, name: str, content: bytes) -> None:
    """Write a file, replacing the one of that name; readers never see half of it. The folder must be there."""
    path = f"{root}/{name}"
    protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
    if protocols & _ATOMIC_PUT_PROTOCOLS:
        fs.pipe_file(path, content)
        return
    beside = f"{root}/.{name}.{os.getpid()}-{threading.get_ident()}.partial"
    try:
        if isinstance(fs, LocalFileSystem):
            with Path(beside).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(beside).replace(path)
        else:
            fs.pipe_file(beside, content)
            fs.mv(beside, path)
    except BaseException:
        if fs.exists(beside):
            fs.rm_file(beside)
        raise
