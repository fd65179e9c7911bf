"""Locks between processes that share a home folder. The operating system frees the lock of a process that dies."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from filelock import FileLock, Timeout

from spam_assets.settings import Settings


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
    """Hold a lock that nobody waits for: as long as it is held, `is_alive` says so. Its file goes at the end."""
    lock = _lock(settings, name)
    with lock:
        try:
            yield
        finally:
            with suppress(OSError):
                (settings.home / "locks" / f"{name}.lock").unlink()


def is_alive(settings: Settings, name: str) -> bool | None:
    """Return whether a process shows life under a name; None if none of this machine ever did."""
    if not (settings.home / "locks" / f"{name}.lock").exists():
        return None
    try:
        with _lock(settings, name).acquire(timeout=0):
            return False
    except Timeout:
        return True
