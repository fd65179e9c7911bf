"""Locks between processes that work on the same days, wherever they share them: see `shared.place`."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path

import dagster as dg

from spam_assets.settings import Settings
from spam_assets.shared.place import Lock, Place, find_place

LOGGER = dg.get_dagster_logger("spam_assets")
"""In a run what it is told is an event; the commands print it."""
SECONDS_OF_SILENCE = 5.0
TRAINING_POOL = "training"
"""Of Dagster's concurrency pools: runs that train wait for each other, see docs/backfills.md."""


def build_lock(settings: Settings, name: str) -> Lock:
    """Return the lock of a name, which nobody holds yet."""
    return find_place(settings).lock(name)


@contextmanager
def hold_lock(settings: Settings, name: str) -> Iterator[None]:
    """Hold a lock, after waiting for whoever holds it now; a wait of some seconds is told."""
    place = find_place(settings)
    lock, holder = place.lock(name), f"{name}.holder"
    if not lock.acquire(SECONDS_OF_SILENCE):
        LOGGER.warning("waiting for the lock %s, held by %s", lock.where, _read_holder(place, holder))
        lock.acquire()
    try:
        with suppress(OSError):  # a full disk must not keep anybody from going on
            place.write_note(holder, _describe_this_process(place))
        yield
    finally:
        with suppress(OSError):
            place.remove_note(holder)
        lock.release()


def _describe_this_process(place: Place) -> str:
    where = f" on {socket.gethostname()}" if place.is_shared else ""
    now = datetime.now(timezone.utc)
    return f"process {os.getpid()}{where} ({Path(sys.argv[0]).name}) since {now:%Y-%m-%d %H:%M:%S} UTC"


def _read_holder(place: Place, holder: str) -> str:
    with suppress(OSError):
        note = place.read_note(holder)
        if note is not None and note.text:
            return note.text
    return "a process that does not say which"
