"""What a change of the aliases is, as it is written down, and what all changes together say.

Not here: how they are written, see `registry.alias_history`.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any, Literal

CHAMPION = "champion"
PREVIOUS = "previous"
CHALLENGER = "challenger"
ALIASES = (CHAMPION, PREVIOUS, CHALLENGER)
CARRIED_OUT = "changes_carried_out"
"""Tag of the registered model: the tag of the last change that was carried out."""
BEST = "best_version"
"""Tag of the registered model: the best champion until now, which later candidates are held against."""
CHANGE_TAG = re.compile(r"change\.([0-9]{6,})\.[0-9a-f]*")
"""Tags of the registered model that hold the changes, `change.{number}.{token}`."""
WHY_CHARACTERS = 1000
"""A tag of a registered model holds 5,000 characters."""

Who = Literal["gate", "person", "rollback", "outside"]


@dataclass(frozen=True)
class AliasMove:
    """An alias that goes from one version to another; None is no version."""

    alias: str
    before: int | None
    after: int | None


@dataclass(frozen=True)
class Change:
    """One entry of the history.

    Attributes:
        who: ``gate``; ``person`` (promote, unpin, bar, unbar); ``rollback``; ``outside`` for what was moved without
            this project, in MLflow's UI for instance.
        why: One sentence: the gate's, or a person's reason.
        moves: The aliases that move.
        pins: True where the champion is pinned from now on, False where no longer; None says nothing of it.
        bars: Version that may not serve from now on.
        unbars: Version that may serve again.
        best: Version that later candidates are held against from now on.
        number: From 1 on, without a gap.
        at: When, in UTC, ISO 8601.
        key: The tag that holds it.
    """

    who: Who
    why: str
    moves: tuple[AliasMove, ...] = ()
    pins: bool | None = None
    bars: int | None = None
    unbars: int | None = None
    best: int | None = None
    number: int = 0
    at: str = ""
    key: str = ""

    @property
    def champion_move(self) -> AliasMove | None:
        """How the champion moves; None where it stays."""
        return next((move for move in self.moves if move.alias == CHAMPION), None)

    def to_tag(self) -> str:
        """Return the entry as the value of its tag."""
        entry: dict[str, Any] = {"at": self.at, "who": self.who, "why": self.why[:WHY_CHARACTERS]}
        entry["moves"] = {move.alias: [move.before, move.after] for move in self.moves}
        for name in ("pins", "bars", "unbars", "best"):
            if getattr(self, name) is not None:
                entry[name] = getattr(self, name)
        return json.dumps(entry, ensure_ascii=False)

    @classmethod
    def from_tag(cls, key: str, value: str) -> "Change":
        """Undo `to_tag`."""
        entry = json.loads(value)
        moves = tuple(AliasMove(alias, before, after) for alias, (before, after) in entry.pop("moves").items())
        return cls(moves=moves, number=read_number(key), key=key, **entry)


def name_change(number: int, token: str) -> str:
    """Return the tag of a change; the token tells two writers of one number apart."""
    return f"change.{number:06}.{token}"


def read_number(key: str) -> int:
    """Return the number of the change that a tag holds; 0 where it holds something else."""
    found = CHANGE_TAG.fullmatch(key)
    return int(found[1]) if found else 0


@dataclass(frozen=True)
class Standing:
    """What the registered model says of its aliases, and what was written about them.

    Attributes:
        aliases: Alias to version, as they are.
        changes: In order, one a number.
        unfinished: The change that was written and not carried out to its end, if there is one.
        leftovers: Tags of changes that lost a number to another writer.
        best: The best champion until now, which later candidates are held against; None if there was no champion.
    """

    aliases: Mapping[str, int]
    changes: tuple[Change, ...]
    unfinished: Change | None
    leftovers: tuple[str, ...]
    best: int | None = None

    @classmethod
    def read(cls, aliases: Mapping[str, int], tags: Mapping[str, str]) -> "Standing":
        """Make sense of a registered model."""
        carried_out = tags.get(CARRIED_OUT, "")
        found = [Change.from_tag(key, value) for key, value in tags.items() if read_number(key)]
        found.sort(key=lambda change: (change.number, change.key != carried_out, change.at, change.key))
        by_number: dict[int, Change] = {}
        for change in found:
            by_number.setdefault(change.number, change)
        changes = tuple(by_number.values())
        last = read_number(carried_out)
        return cls(
            aliases,
            changes,
            changes[-1] if changes and changes[-1].number > last else None,
            tuple(change.key for change in found if change not in changes),
            int(tags[BEST]) if BEST in tags else None,
        )

    def follow(self, change: Change) -> "Standing":
        """Return what stands after a change that was carried out."""
        aliases = {**self.aliases, **{move.alias: move.after for move in change.moves}}
        return replace(
            self,
            aliases={alias: version for alias, version in aliases.items() if version is not None},
            changes=(*self.changes, change),
            best=self.best if change.best is None else change.best,
        )

    @property
    def last_number(self) -> int:
        """Of the newest change; 0 where there is none."""
        return self.changes[-1].number if self.changes else 0

    @property
    def last_manual_number(self) -> int:
        """Of the newest change that the gate did not make; 0 where there is none."""
        return next((change.number for change in reversed(self.changes) if change.who != "gate"), 0)

    @property
    def pin(self) -> Change | None:
        """The change that pinned the champion; None if it is not pinned."""
        last = next((change for change in reversed(self.changes) if change.pins is not None), None)
        return last if last is not None and last.pins else None

    def find_outside_moves(self) -> tuple[AliasMove, ...]:
        """Return how the aliases differ from what the history says of them."""
        said: dict[str, int | None] = {}
        for change in self.changes:
            said.update({move.alias: move.after for move in change.moves})
        return tuple(
            AliasMove(alias, said.get(alias), self.aliases.get(alias))
            for alias in ALIASES
            if said.get(alias) != self.aliases.get(alias)
        )


def tell_change(change: Change) -> str:
    """Return what a change did, in a few words."""
    parts = [
        f"{move.alias} {_tell_version(move.before)} to {_tell_version(move.after)}"
        for move in sorted(change.moves, key=lambda move: ALIASES.index(move.alias))
    ]
    if change.pins is not None:
        parts.append("pinned" if change.pins else "unpinned")
    if change.bars is not None:
        parts.append(f"version {change.bars} barred")
    if change.unbars is not None:
        parts.append(f"version {change.unbars} unbarred")
    return ", ".join(parts) or f"version {change.best} is the best"


def _tell_version(version: int | None) -> str:
    return "none" if version is None else str(version)


@dataclass(frozen=True)
class Service:
    """A time during which a version was the champion; `until` is None while it is."""

    version: int
    since: str
    until: str | None
    change: Change


def list_services(changes: Iterable[Change]) -> list[Service]:
    """Return who served when, oldest first."""
    moving = [(change, move) for change in changes if (move := change.champion_move) is not None]
    ends: list[str | None] = [change.at for change, _ in moving[1:]]
    return [
        Service(move.after, change.at, until, change)
        for (change, move), until in zip_longest(moving, ends)
        if move.after is not None
    ]


def find_services_on(changes: Iterable[Change], day: str) -> list[Service]:
    """Return who served on a day, in UTC by the clock: one version, or several if the champion moved on it."""
    return [
        service
        for service in list_services(changes)
        if service.since[: len(day)] <= day and (service.until is None or service.until[: len(day)] >= day)
    ]
