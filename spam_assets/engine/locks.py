"""Locks between processes that share a home folder. The operating system frees the lock of a process that dies."""

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock

from spam_assets.settings import Settings

TRAINING_POOL = "training"
"""Of Dagster's concurrency pools: runs that train wait for each other, see docs/backfills.md."""


def build_lock(settings: Settings, name: str) -> FileLock:
    """Return the lock of a name, which nobody holds yet."""
    folder = settings.home / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / f"{name}.lock")


@contextmanager
def hold_lock(settings: Settings, name: str) -> Iterator[None]:
    """Hold a lock, after waiting for whoever holds it now."""
    with build_lock(settings, name):
        yield
