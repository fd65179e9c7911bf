"""Signs of life: whether the process of a run still lives, and what becomes of a run whose process died.

Dagster notices a dead worker only while the server that started it lives. After a power cut, or when a person kills
`spam-assets backfill`, the run would stay STARTED forever, with its backfill and everything that waits in the queue.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dagster as dg
from filelock import Timeout

from spam_assets.engine.locks import build_lock
from spam_assets.settings import Settings


def name_of_life(run_id: str) -> str:
    """Return the name under which a run's process shows that it lives."""
    return f"run-{run_id}"


@contextmanager
def show_life(settings: Settings, name: str) -> Iterator[None]:
    """Hold a lock that nobody waits for: as long as it is held, `is_alive` says so.

    The mark beside it goes before the lock does, so a mark without a holder is of a process that died. It stays
    also when an error ends the life: a full disk, for instance, may keep a run from noting its own failure.
    """
    mark = _mark(settings, name)
    lock = build_lock(settings, name)
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
        with build_lock(settings, name).acquire(timeout=0):
            return False if mark.exists() else None
    except Timeout:
        return True


def _mark(settings: Settings, name: str) -> Path:
    return settings.home / "locks" / f"{name}.alive"


def fail_dead_runs(settings: Settings, instance: dg.DagsterInstance) -> list[str]:
    """Mark runs as failed whose process of this machine is gone; return their ids."""
    filters = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING])
    dead = [run for run in instance.get_runs(filters) if is_alive(settings, name_of_life(run.run_id)) is False]
    for run in dead:
        instance.report_run_failed(run, "The run's process is gone. What it finished is kept; run its days again.")
    return [run.run_id for run in dead]
