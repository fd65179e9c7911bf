"""Which days of the landing zone have to be run, given what was known last time.

`watch_zone` lists the zone, reads what changed and is settled, and plans; `plan_days` is the rule, without files.
"""

import gzip
import hashlib
import io
import json
import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta, timezone
from enum import Enum
from functools import cached_property
from typing import IO, Any, Final

from spam_assets.files import LandedFile
from spam_assets.landing.errors import LandingError
from spam_assets.landing.file_formats import MAX_COMPRESSION_RATIO, MAX_TABLE_BYTES, MIN_SUSPICIOUS_BYTES
from spam_assets.landing.zone import LandedDay, LandingZone, select_training_files
from spam_assets.mail.dates import is_day

QUIET_SECONDS: Final = 5
"""Since its last change: after that a whole file is not waited for. Programs that write pause for less."""
SETTLE_SECONDS: Final = 600
"""Since its last change: after that a file that looks cut off is taken for what its writer meant."""
INDEX_VERSION: Final = 1
_BLOCK_BYTES: Final = 1 << 20


class DayState(str, Enum):
    """What was made of a day's files."""

    SETTLED = "settled"
    """Their content is the digest's."""
    WAITING = "waiting"
    """They may still be written."""
    AMBIGUOUS = "ambiguous"
    """There are two training files, which was reported."""
    DELETED = "deleted"
    """There is no training file, which was reported."""


@dataclass(frozen=True)
class FileState:
    """The content of a day's files.

    Attributes:
        digest: see `digest_day`.
        flaw: what makes a file look half written; empty where all look whole.
    """

    digest: str
    flaw: str = ""


@dataclass(frozen=True)
class DayEntry:
    """What is known of a day.

    Attributes:
        state: what was made of the files.
        digest: of the content that was requested last; empty where there was none yet.
        files: name, size and stamp of the files that the state is about.
        first_seen_seconds: when these files were first listed as they are; of a waiting day, else 0.
        content: of these files, once read; of a waiting day.
    """

    state: DayState
    digest: str = ""
    files: tuple[tuple[str, int, str], ...] = ()
    first_seen_seconds: float = 0.0
    content: FileState | None = None


class LandingIndex(Mapping[str, DayEntry]):
    """What is known of every day; never changed, only replaced.

    Args:
        entries: by day, in any order.
    """

    def __init__(self, entries: Mapping[str, DayEntry] | None = None) -> None:
        self._entries = {day: entries[day] for day in sorted(entries)} if entries else {}

    def __getitem__(self, day: str) -> DayEntry:
        return self._entries[day]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    @classmethod
    def from_digests(cls, digests: Mapping[str, str]) -> "LandingIndex":
        """Return the index of days that were run with these contents, see `digest_day`; each is read once more."""
        return cls({day: DayEntry(DayState.SETTLED, digest) for day, digest in digests.items()})

    def to_bytes(self) -> bytes:
        """Return the index as JSON; equal indexes give equal bytes."""
        return self._content

    @classmethod
    def from_bytes(cls, content: bytes) -> "LandingIndex":
        """Undo `to_bytes`.

        Raises:
            ValueError: the bytes are no index, or one of another version.
        """
        try:
            table = json.loads(content)
            version = table["version"]
            if version == INDEX_VERSION:
                return cls({_check_day(day): _read_entry(row) for day, row in table["days"].items()})
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:120]
            raise ValueError(f"the landing index is damaged ({reason}); it has to be built anew.") from error
        raise ValueError(
            f"the landing index has version {str(version)[:20]!r} and not {INDEX_VERSION}; it has to be built anew."
        )

    def fingerprint(self) -> str:
        """Return 32 hexadecimal digits that stand for the content."""
        return hashlib.sha256(self._content).hexdigest()[:32]

    @cached_property
    def _content(self) -> bytes:
        days = {day: _write_entry(entry) for day, entry in self._entries.items()}
        return json.dumps({"version": INDEX_VERSION, "days": days}, separators=(",", ":")).encode("ascii")


def _check_day(day: str) -> str:
    if not is_day(day):
        raise ValueError(f"{day[:40]!r} is no day")
    return day


def _write_entry(entry: DayEntry) -> list[Any]:
    row: list[Any] = [entry.state.value, entry.digest, entry.files]
    if entry.state is DayState.WAITING:
        row += [entry.first_seen_seconds, entry.content and [entry.content.digest, entry.content.flaw]]
    return row


def _read_entry(row: list[Any]) -> DayEntry:
    state, digest, files, first_seen_seconds, content = row if len(row) == 5 else (*row, 0.0, None)
    content_digest, flaw = content or ("", "")
    for value, kind in (
        (digest, str), (files, list), (first_seen_seconds, float), (content_digest, str), (flaw, str)
    ):  # fmt: skip
        if not isinstance(value, kind):
            raise TypeError(f"{value!r} is no {kind.__name__}")
    return DayEntry(
        state=DayState(state),
        digest=digest,
        files=tuple((str(name), int(size_bytes), str(stamp)) for name, size_bytes, stamp in files),
        first_seen_seconds=first_seen_seconds,
        content=FileState(content_digest, flaw) if content else None,
    )


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


def find_missing_mail(landed: Iterable[str], now_seconds: float, grace_hours: float) -> tuple[str, float] | None:
    """Return the newest day that should have landed and has not, and how many hours late it is.

    A day is due `grace_hours` after its end, in UTC. Where nothing has landed yet, nothing is missed; neither is
    anything older than the newest landed day, which came late or never, and was told then.

    Args:
        landed: the days that have a file.
        now_seconds: seconds since 1970.
        grace_hours: see above.
    """
    newest = max(landed, default=None)
    due = datetime.fromtimestamp(now_seconds, timezone.utc) - timedelta(hours=grace_hours)
    day = due.date() - timedelta(days=1)
    if newest is None or newest >= day.isoformat():
        return None
    midnight = datetime.combine(due.date(), time(), timezone.utc)
    return day.isoformat(), (due - midnight).total_seconds() / 3600


def _count_seconds_since_change(file: LandedFile, now_seconds: float) -> float:
    """Return how long ago the file changed; less than 0 where that is not known or lies in the future."""
    return -1.0 if file.modified_seconds is None else now_seconds - file.modified_seconds


def group_days(days: Sequence[str], landed: Iterable[str], days_per_range: int) -> list[tuple[str, str]]:
    """Group days into ranges, as few as can be.

    Args:
        days: the days to run.
        landed: every day that has a file. A range holds none of them that is not to run; it may hold days without a
            file, for which a run makes nothing.
        days_per_range: the most calendar days that a range may span, 1 or more.

    Returns:
        First and last day of every range, in order.
    """
    if days_per_range < 1:
        raise ValueError(f"a range cannot span {days_per_range} days; give 1 or more.")
    wanted = set(days)
    ranges: list[tuple[str, str]] = []
    start = 0
    is_open = False
    for day in sorted(wanted.union(landed)):
        if day not in wanted:
            is_open = False
            continue
        number = date.fromisoformat(day).toordinal()
        if is_open and number - start < days_per_range:
            ranges[-1] = (ranges[-1][0], day)
        else:
            ranges.append((day, day))
            start, is_open = number, True
    return ranges


# --- the content of a day's files -----------------------------------------------------------------


def digest_day(sha256_by_name: Mapping[str, str]) -> str:
    """Return 32 hexadecimal digits for the files of a day: of the SHA-256 of lines `{sha256}  {name}`, by name."""
    lines = "".join(f"{sha256_by_name[name]}  {name}\n" for name in sorted(sha256_by_name))
    return hashlib.sha256(lines.encode()).hexdigest()[:32]


def fingerprint_source(landed: LandedDay) -> str:
    """Return the digest of the landing files that a day was read from, as `read_day_state` finds it."""
    digests = {landed.path.rpartition("/")[2]: landed.sha256}
    if landed.corrections.path is not None and landed.corrections_sha256 is not None:
        digests[landed.corrections.path.rpartition("/")[2]] = landed.corrections_sha256
    return digest_day(digests)


def read_day_state(zone: LandingZone, files: Iterable[LandedFile]) -> FileState:
    """Read the files of a day, each once and in blocks, and say whether they look whole.

    Raises:
        LandingError: a file or the zone cannot be read.
    """
    sha256_by_name: dict[str, str] = {}
    flaws: list[str] = []
    for file in files:
        with zone.open_file(file) as opened:
            hashed = _HashedFile(opened)
            content = io.BufferedReader(hashed, _BLOCK_BYTES)
            flaw = _find_flaw(content, file)
            while content.read(_BLOCK_BYTES):  # what the rule left unread
                pass
        sha256_by_name[file.name] = hashed.sha256.hexdigest()
        if flaw:
            flaws.append(f"{file.name} {flaw}")
    return FileState(digest_day(sha256_by_name), "; ".join(flaws))


class _HashedFile(io.RawIOBase):
    """Reads another file and hashes what it reads."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._file.read(len(buffer))
        buffer[: len(block)] = block
        self.sha256.update(block)
        return len(block)


def _find_flaw(content: "io.BufferedReader[Any]", file: LandedFile) -> str:
    """Return what makes a file look half written, as the rest of a sentence; empty where it looks whole."""
    if not content.peek(1):
        return "is empty"
    if file.name.endswith(".parquet"):
        return _find_parquet_flaw(content)
    if file.name.endswith(".jsonl"):
        return _find_jsonl_flaw(content)
    if file.name.endswith(".gz"):
        return _find_gzip_flaw(content, file.size_bytes)
    return _find_csv_flaw(content)


def _find_csv_flaw(content: IO[bytes] | gzip.GzipFile, limit_bytes: float = math.inf) -> str:
    quotes = size_bytes = 0
    last = b""
    while block := content.read(_BLOCK_BYTES):
        quotes += block.count(b'"')
        size_bytes += len(block)
        last = block[-1:]
        if size_bytes > limit_bytes:
            return f"decompresses to more than {limit_bytes:,} bytes"
    if quotes % 2:
        return "ends inside a quoted cell"
    return "" if last in (b"\n", b"\r") else "does not end with a line break"


def _find_gzip_flaw(content: "io.BufferedReader[Any]", size_bytes: int) -> str:
    limit_bytes = min(MAX_TABLE_BYTES, max(MIN_SUSPICIOUS_BYTES, MAX_COMPRESSION_RATIO * size_bytes))
    try:
        with gzip.GzipFile(fileobj=content) as decompressed:
            return _find_csv_flaw(decompressed, limit_bytes)
    except EOFError:
        return "is cut off in the middle of its gzip data"
    except (gzip.BadGzipFile, zlib.error):
        return "is not sound gzip data"


def _find_parquet_flaw(content: "io.BufferedReader[Any]") -> str:
    first = content.read(4)
    last = b""
    while block := content.read(_BLOCK_BYTES):
        last = (last + block)[-4:]
    return "" if first == last == b"PAR1" else "does not begin and end with PAR1"


def _find_jsonl_flaw(content: "io.BufferedReader[Any]") -> str:
    last = b""
    for line in content:
        if line.strip():
            last = line
    try:
        json.loads(last.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return "ends with a line that is no JSON"
    return ""
