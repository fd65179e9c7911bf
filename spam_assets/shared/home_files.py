"""What the processes of one machine share: files of the home folder.

The operating system frees the lock of a process that dies.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout


@dataclass(frozen=True)
class FileNote:
    """A note in a file."""

    text: str
    age_seconds: float


class FileLockOfHome:
    """A lock in a file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(path)

    @property
    def where(self) -> str:
        """The file."""
        return str(self._lock.lock_file)

    def acquire(self, timeout_seconds: float | None = None) -> bool:
        """See `Lock`."""
        try:
            self._lock.acquire(timeout=-1 if timeout_seconds is None else timeout_seconds)
        except Timeout:
            return False
        return True

    def release(self, *, for_good: bool = False) -> None:
        """See `Lock`."""
        self._lock.release()
        if for_good:
            with suppress(OSError):
                Path(self.where).unlink()


@dataclass(frozen=True)
class HomeFiles:
    """Locks and notes in a folder."""

    folder: Path
    is_shared = False
    grace_seconds = 0.0

    def lock(self, name: str) -> FileLockOfHome:
        """See `Place`."""
        return FileLockOfHome(self.folder / f"{name}.lock")

    @contextmanager
    def keep(self, lock: FileLockOfHome, note: str) -> Iterator[None]:  # noqa: ARG002 - of other places
        """See `Place`; a file stays locked."""
        yield

    def write_note(self, name: str, text: str) -> None:
        """See `Place`."""
        (self.folder / name).write_text(text, encoding="utf-8")

    def read_note(self, name: str) -> FileNote | None:
        """See `Place`."""
        path = self.folder / name
        try:
            return FileNote(path.read_text(encoding="utf-8"), time.time() - path.stat().st_mtime)
        except FileNotFoundError:
            return None

    def remove_note(self, name: str) -> None:
        """See `Place`."""
        (self.folder / name).unlink(missing_ok=True)

    def list_notes(self, beginning: str) -> list[str]:
        """See `Place`."""
        return sorted(path.name for path in self.folder.glob(f"{beginning}*"))
