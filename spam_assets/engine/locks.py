"""Locks between processes that share a home folder. The operating system frees the lock of a process that dies."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from spam_assets.settings import Settings

TRAINING_POOL = "training"
"""Of Dagster's concurrency pools: runs that train wait for each other, see docs/backfills.md."""


def _lock(settings: Settings, name: str) -> FileLock:
    folder = settings.home / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / f"{name}.lock")


@contextmanager
def hold_lock(settings: Settings, name: str) -> Iterator[None]:
    """Hold a lock, after waiting for whoever holds it now."""
    with _lock(settings, name):
        yield


@contextmanager
def show_life(settings: Settings, name: str) -> Iterator[None]:
    """Hold a lock that nobody waits for: as long as it is held, `is_alive` says so.

    The mark beside it goes before the lock does, so a mark without a holder is of a process that died. It stays
    also when an error ends the life: a full disk, for instance, may keep a run from noting its own failure.
    """
    mark = _mark(settings, name)
    lock = _lock(settings, name)
    with lock:
        mark.touch()
        yield
        mark.unlink(missing_ok=True)
    with suppress(OSError):
        Path(lock.lock_file).unlink()


def is_alive(settings: Settings, name: str) -> bool | None:
    """Return whether a process shows life under a name; None if none of this machine did, or it ended in order."""
    mark = _mark(settings, name)
    if not mark.exists():
        return None
    try:
        with _lock(settings, name).acquire(timeout=0):
            return False if mark.exists() else None
    except Timeout:
        return True


def _mark(settings: Settings, name: str) -> Path:
    return settings.home / "locks" / f"{name}.alive"
