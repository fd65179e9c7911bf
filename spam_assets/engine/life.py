"""Signs of life: whether the process of a run still lives, and what becomes of a run whose process died.

Dagster notices a dead worker only while the server that started it lives. After a power cut, or when a person kills
`spam-assets backfill`, the run would stay STARTED forever, with its backfill and everything that waits in the queue.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dagster as dg
from filelock import Timeout

from spam_assets.engine.locks import build_lock
from spam_assets.settings import Settings

ENDING = "ending"
"""In the mark of a run that an error or a cancel ends: it lets go of its lock before it notes how it ended."""
SECONDS_FOR_LAST_EVENT = 30.0
UNFINISHED = (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)


def name_of_life(run_id: str) -> str:
    """Return the name under which a run's process shows that it lives."""
    return f"run-{run_id}"


@contextmanager
def show_life(settings: Settings, name: str) -> Iterator[None]:
    """Hold a lock that nobody waits for: as long as it is held, `is_alive` says so.

    The mark beside it goes before the lock does, so a mark without a holder is of a process that died. It stays
    also when an error ends the life, and says so: a full disk, for instance, may keep a run from noting its failure.
    """
    mark = _mark(settings, name)
    lock = build_lock(settings, name)
    with lock:
        mark.touch()
        try:
            yield
        except BaseException:
            with suppress(OSError):
                mark.write_text(ENDING, encoding="ascii")
            raise
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


def _is_ending(settings: Settings, name: str) -> bool:
    try:
        mark = _mark(settings, name)
        return mark.read_text("ascii") == ENDING and time.time() - mark.stat().st_mtime < SECONDS_FOR_LAST_EVENT
    except FileNotFoundError:
        return True


def _mark(settings: Settings, name: str) -> Path:
    return settings.home / "locks" / f"{name}.alive"


def end_dead_runs(settings: Settings, instance: dg.DagsterInstance) -> list[str]:
    """Mark runs of this machine as over whose process is gone: as canceled if a person canceled them, else as failed.

    A run whose life has only just ended is left to note its own end, and one that has noted it by now keeps it.

    Returns:
        The ids of the runs that were marked.
    """
    ended = []
    for found in instance.get_runs(dg.RunsFilter(statuses=list(UNFINISHED))):
        name = name_of_life(found.run_id)
        if is_alive(settings, name) is not False or _is_ending(settings, name):
            continue
        run = instance.get_run_by_id(found.run_id)
        if run is None or run.status not in UNFINISHED:
            continue
        if run.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, "The run was canceled, and its process is gone.")
        else:
            instance.report_run_failed(run, "The run's process is gone. What it finished is kept; run its days again.")
        ended.append(run.run_id)
    return ended
