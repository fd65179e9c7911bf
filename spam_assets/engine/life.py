"""Signs of life: whether the process of a run still lives, and what becomes of a run whose process died.

Dagster notices a dead worker only while the server that started it lives. After a power cut, or when a person kills
`spam-assets backfill`, the run would stay STARTED forever, with its backfill and everything that waits in the queue.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import dagster as dg

from spam_assets.settings import Settings
from spam_assets.shared.place import find_place

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
    place, mark = find_place(settings), _name_mark(name)
    lock = place.lock(name)
    lock.acquire()
    try:
        place.write_note(mark, "")
        try:
            with place.keep(lock, mark):
                yield
        except BaseException:
            with suppress(Exception):
                place.write_note(mark, ENDING)
            raise
        place.remove_note(mark)
    except BaseException:
        lock.release()
        raise
    lock.release(for_good=True)


def is_alive(settings: Settings, name: str) -> bool | None:
    """Return whether a process shows life under a name; None if none that shares this place did, or it ended."""
    place, mark = find_place(settings), _name_mark(name)
    if place.read_note(mark) is None:
        return None
    lock = place.lock(name)
    if not lock.acquire(0):
        return True
    try:
        note = place.read_note(mark)
        return None if note is None else note.age_seconds < place.grace_seconds
    finally:
        lock.release()


def _is_ending(settings: Settings, name: str) -> bool:
    note = find_place(settings).read_note(_name_mark(name))
    return note is None or (note.text == ENDING and note.age_seconds < SECONDS_FOR_LAST_EVENT)


def _name_mark(name: str) -> str:
    return f"{name}.alive"


def end_dead_runs(settings: Settings, instance: dg.DagsterInstance) -> list[str]:
    """Mark runs as over that showed life here and whose process is gone.

    As canceled if a person canceled them, else as failed.

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
