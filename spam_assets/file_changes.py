"""A file that is read, changed and written back, while another process or machine may do the same."""

from collections.abc import Callable
from enum import Enum
from typing import Any, Final

from spam_assets.files import Content, read_stamp, replace_file, upload_file

MOST_TRIES: Final = 20
_S3_PROTOCOLS: Final = frozenset({"s3", "s3a"})
_SOMEBODY_WAS_FASTER: Final = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409", "NoSuchKey"})
_NO_CONDITIONS: Final = frozenset({"NotImplemented", "501"})
_MOST_BYTES_AT_ONCE: Final = 5 * 1024**3
"""As much as S3 takes in one request; s3fs states no condition for what it uploads in parts."""


class Instead(Enum):
    """What else than new content may become of a file."""

    KEEP = "keep"
    REMOVE = "remove"


Change = Callable[[], Content | Instead]
"""Reads the file and returns what is to become of it; asked again when somebody else wrote it meanwhile."""


Take = Callable[[], tuple[Content | None, int]]
"""Reads the file and returns what is left of it, None for nothing, and how much it took; if 0, the file is kept."""


class FileChangesTooOftenError(OSError):
    """Others write a file again and again, so that nobody else gets to change it."""


def change_file(fs: Any, path: str, change: Change) -> None:
    """Make of a file what `change` makes of it, and never of an older one.

    S3 is told to write or remove the file only while it is the one that was read. Other storages are looked at just
    before: what somebody writes in the moment between is lost there, but not what is written while the file is read
    and changed, which of a large one takes seconds.

    Args:
        fs: an fsspec file system.
        path: the file's path in it.
        change: see `Change`. What it raises goes on, and the file stays as it is.

    Raises:
        FileNotFoundError: the file is not there, or no longer.
        FileChangesTooOftenError: `MOST_TRIES` times somebody else was faster.
        OSError: the file cannot be read or written. Storages other than a disk raise whatever they like.
    """
    for _ in range(MOST_TRIES):
        stamp = read_stamp(fs, path)  # before it is read: then what is read is this or newer, and is not this one's
        changed = change()
        if changed is Instead.KEEP:
            return
        if read_stamp(fs, path) == stamp and _is_done(fs, path, changed, stamp[1]):
            return
    raise FileChangesTooOftenError(f"others write {path.rpartition('/')[2]} again and again; try once more later")


def take_out(fs: Any, path: str, take: Take) -> int:
    """Make of a file what `take` leaves of it, see `change_file`; returns how much it took."""
    count = 0

    def change() -> Content | Instead:
        nonlocal count
        left, count = take()
        if left is None:
            return Instead.REMOVE
        return left if count else Instead.KEEP

    change_file(fs, path, change)
    return count


def _is_done(fs: Any, path: str, changed: Content | Instead, etag: str) -> bool:
    """Write or remove a file, and return whether it was still the one that was read."""
    protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
    if protocols & _S3_PROTOCOLS:
        try:
            _do_if_it_matches(fs, path, changed, etag)
        except OSError as error:
            code = str(getattr(error.__cause__, "response", {}).get("Error", {}).get("Code", ""))
            if code in _SOMEBODY_WAS_FASTER:
                return False
            if code not in _NO_CONDITIONS:
                raise
        else:
            return True
    if isinstance(changed, Instead):
        fs.rm_file(path)
    else:
        replace_file(fs, path, changed)
    return True


def _do_if_it_matches(fs: Any, path: str, changed: Content | Instead, etag: str) -> None:
    """Ask S3 to do it only while the object has this ETag; servers that know no conditions do it in any case."""
    if isinstance(changed, Instead):
        bucket, key, _ = fs.split_path(path)
        fs.call_s3("delete_object", Bucket=bucket, Key=key, IfMatch=etag)
    else:
        upload_file(fs, path, changed, chunksize=_MOST_BYTES_AT_ONCE, IfMatch=etag)
