"""Locks between processes that share a home folder. The operating system frees the lock of a process that dies."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path

import dagster as dg
from filelock import FileLock, Timeout

from spam_assets.settings import Settings

LOGGER = dg.get_dagster_logger("spam_assets")
"""In a run what it is told is an event; the commands print it."""
SECONDS_OF_SILENCE = 5.0
TRAINING_POOL = "training"
"""Of Dagster's concurrency pools: runs that train wait for each other, see docs/backfills.md."""


def build_lock(settings: Settings, name: str) -> FileLock:
    """Return the lock of a name, which nobody holds yet."""
    folder = settings.home / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / f"{name}.lock")


@contextmanager
def hold_lock(settings: Settings, name: str) -> Iterator[None]:
    """Hold a lock, after waiting for whoever holds it now; a wait of some seconds is told."""
    lock = build_lock(settings, name)
    holder = Path(lock.lock_file).with_suffix(".holder")
    try:
        lock.acquire(timeout=SECONDS_OF_SILENCE)
    except Timeout:
        LOGGER.warning("waiting for the lock %s, held by %s", lock.lock_file, _read_holder(holder))
        lock.acquire()
    try:
        with suppress(OSError):  # a full disk must not keep anybody from going on
            holder.write_text(_describe_this_process(), encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            holder.unlink()
        lock.release()


def _describe_this_process() -> str:
    now = datetime.now(timezone.utc)
    return f"process {os.getpid()} ({Path(sys.argv[0]).name}) since {now:%Y-%m-%d %H:%M:%S} UTC"


def _read_holder(holder: Path) -> str:
    try:
        return holder.read_text(encoding="utf-8") or "a process that does not say which"
    except OSError:
        return "a process that does not say which"
