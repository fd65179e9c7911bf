"""Which days of the landing zone have to be run, given what was known last time.

`watch_zone` lists the zone, reads what changed and is settled, and plans; `plan_days` is the rule, without files.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from spam_assets.files import LandedFile
from spam_assets.landing.day_content import FileState, read_day_state
from spam_assets.landing.errors import LandingError
from spam_assets.landing.landing_index import DayEntry, DayState, LandingIndex
from spam_assets.landing.zone import LandingZone, select_training_files

QUIET_SECONDS: Final = 5
"""Since its last change: after that a whole file is not waited for. Programs that write pause for less."""
SETTLE_SECONDS: Final = 600
"""Since its last change: after that a file that looks cut off is taken for what its writer meant."""


@dataclass(frozen=True)
class RequestedDay:
    """A day to run, with the digest of the content that is new."""

    day: str
    digest: str


@dataclass(frozen=True)
class NotedDay:
    """A day that is not run, and why, as part of a sentence."""

    day: str
    why: str


@dataclass(frozen=True)
class WatchPlan:
    """What to do after a look at the landing zone; days in order everywhere.

    Attributes:
        requested: days whose content is new.
        waiting: days whose files may still be written, or could not be read.
        deleted: days that were requested once and have no training file any more; each is told once.
        ambiguous: days with more than one training file; each is told once.
        index: what is known now; the same object as before where nothing changed.
    """

    requested: tuple[RequestedDay, ...]
    waiting: tuple[NotedDay, ...]
    deleted: tuple[str, ...]
    ambiguous: tuple[NotedDay, ...]
    index: LandingIndex


def watch_zone(
    zone: LandingZone,
    known: LandingIndex,
    now_seconds: float,
    settle_seconds: float = SETTLE_SECONDS,
    may_read: Callable[[], bool] = lambda: True,
    covers: Callable[[str], bool] = lambda _: True,
) -> WatchPlan:
    """List the zone, read the days that changed and are settled, and say which to run.

    Args:
        zone: the landing zone.
        known: the index of the last plan; an empty one requests every day.
        now_seconds: seconds since 1970.
        settle_seconds: see `plan_days`.
        may_read: asked before a day is read; where it says no, the day waits for a later look. The first day is
            read without asking, so that every look gets on.
        covers: whether a day is to be watched at all; the others are as if they had no files.

    Raises:
        LandingError: the zone does not exist or cannot be reached.
    """
    files = {day: landed for day, landed in zone.list_files().items() if covers(day)}
    count = 0

    def read_digest(day: str) -> FileState | None:
        nonlocal count
        if count and not may_read():
            return None
        count += 1
        return read_day_state(zone, files[day])

    return plan_days(known, files, read_digest, now_seconds, settle_seconds)


def plan_days(
    known: LandingIndex,
    files: Mapping[str, tuple[LandedFile, ...]],
    read_digest: Callable[[str], FileState | None],
    now_seconds: float,
    settle_seconds: float = SETTLE_SECONDS,
) -> WatchPlan:
    """Say which days to run, given what was known last time and what the zone lists now.

    A day whose files are listed as before needs nothing. One whose files changed waits until they are quiet (listed
    twice alike, or last changed `QUIET_SECONDS` ago); is then read, once; waits on while a file looks half written
    and changed less than `settle_seconds` ago; and is requested if its content is not the one that was requested
    last.

    Args:
        known: the index of the last plan.
        files: the files of every day, see `LandingZone.list_files`.
        read_digest: reads the files of a day; None means not now. Raising LandingError makes that day wait.
        now_seconds: seconds since 1970.
        settle_seconds: see above.
    """
    requested: list[RequestedDay] = []
    waiting: list[NotedDay] = []
    deleted: list[str] = []
    ambiguous: list[NotedDay] = []
    entries: dict[str, DayEntry] = {}

    for day in sorted(known.keys() | files.keys()):
        old = known.get(day, DayEntry(DayState.WAITING))
        landed = files.get(day, ())
        training = select_training_files(landed)
        if not training:
            if old.digest:
                # The files of a settled day stay, so that a folder that was away for a while is not read again.
                kept = old.files if old.state in (DayState.SETTLED, DayState.DELETED) else ()
                entries[day] = DayEntry(DayState.DELETED, old.digest, kept)
                if old.state is not DayState.DELETED:
                    deleted.append(day)
            continue

        listed = tuple((file.name, file.size_bytes, file.stamp) for file in landed)
        if listed == old.files and old.state is not DayState.WAITING:
            entries[day] = replace(old, state=DayState.SETTLED) if old.state is DayState.DELETED else old
            continue

        is_listed_again = listed == old.files
        new = DayEntry(DayState.WAITING, old.digest, listed, float(now_seconds))
        if is_listed_again:  # a clock that was put back must not make the day wait for ever
            new = replace(old, first_seen_seconds=min(old.first_seen_seconds, float(now_seconds)))
        seconds_since_change = min(_count_seconds_since_change(file, now_seconds) for file in landed)
        if not is_listed_again and seconds_since_change < QUIET_SECONDS:
            waiting.append(NotedDay(day, "it landed or changed a moment ago"))
            entries[day] = new
            continue
        if len(training) > 1:
            names = " and ".join(file.name for file in training)
            ambiguous.append(NotedDay(day, f"there are {names}; keep one and remove the other"))
            entries[day] = DayEntry(DayState.AMBIGUOUS, old.digest, listed)
            continue

        content = new.content
        if content is None:
            try:
                content = read_digest(day)
                why = "there was no time to read it"
            except LandingError as error:
                why = str(error)
            if content is None:
                waiting.append(NotedDay(day, why))
                entries[day] = new
                continue
        if content.flaw and max(seconds_since_change, now_seconds - new.first_seen_seconds) < settle_seconds:
            waiting.append(NotedDay(day, content.flaw))
            entries[day] = replace(new, content=content)
            continue
        entries[day] = DayEntry(DayState.SETTLED, content.digest, listed)
        if content.digest != old.digest:
            requested.append(RequestedDay(day, content.digest))

    index = known if entries == dict(known) else LandingIndex(entries)
    return WatchPlan(tuple(requested), tuple(waiting), tuple(deleted), tuple(ambiguous), index)


def _count_seconds_since_change(file: LandedFile, now_seconds: float) -> float:
    """Return how long ago the file changed; less than 0 where that is not known or lies in the future."""
    return -1.0 if file.modified_seconds is None else now_seconds - file.modified_seconds
