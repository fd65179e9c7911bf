"""The index of the landing zone: what was made of every day's files at the last look, as a value and as bytes."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any, Final

from spam_assets.landing.day_content import FileState
from spam_assets.mail.dates import is_day

INDEX_VERSION: Final = 1


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
