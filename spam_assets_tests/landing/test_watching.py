"""Watching the landing zone: nothing is missed, nothing is run twice, and half a file is waited for."""

import gzip
import hashlib
import io
import itertools
import json
import os
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spam_assets.files import LandedFile
from spam_assets.landing import watching
from spam_assets.landing.errors import LandingError, LandingFileMissing
from spam_assets.landing.index_store import IndexMissing, IndexStore
from spam_assets.landing.watching import (
    DayEntry,
    DayState,
    FileState,
    LandingIndex,
    WatchPlan,
    digest_day,
    group_days,
    plan_days,
    read_day_state,
    watch_zone,
)
from spam_assets.landing.zone import LandingZone

DAY = "2024-05-17"
HEADER = "message_id,body,label\n"
NOON = 1_716_000_000.0


# --- the rule, without files


class World:
    """Files that have a text and a time; a text that begins with `half` looks half written, `bad` cannot be read."""

    def __init__(self, *, tells_times: bool = True) -> None:
        self.index = LandingIndex()
        self.files: dict[str, tuple[str, float, int]] = {}
        self.reads: list[str] = []
        self.writes = 0
        self.tells_times = tells_times

    def change(self, changes: Mapping[str, tuple[str, float] | None], day: str = DAY) -> None:
        for kind, change in changes.items():
            name = f"corrections-{day}.csv" if kind == "corrections" else f"training-{day}.{kind}"
            if change is None:
                self.files.pop(name, None)
            else:
                self.writes += 1
                self.files[name] = (*change, self.writes)

    def list_files(self) -> dict[str, tuple[LandedFile, ...]]:
        listed: dict[str, tuple[LandedFile, ...]] = {}
        for name in sorted(self.files):
            text, seconds, write = self.files[name]
            file = LandedFile(name, len(text), str(write), seconds if self.tells_times else None)
            day = name.partition("-")[2].partition(".")[0]
            listed[day] = (*listed.get(day, ()), file)
        return listed

    def read(self, day: str) -> FileState:
        texts = {name: text for name, (text, _, _) in self.files.items() if day in name}
        self.reads.append(day)
        if any(text.startswith("bad") for text in texts.values()):
            raise LandingError("the file cannot be read.")
        digest = digest_day({name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()})
        return FileState(digest, "is half written" if any(t.startswith("half") for t in texts.values()) else "")

    def look(self, now_seconds: float, read: Callable[[str], FileState | None] | None = None) -> WatchPlan:
        plan = plan_days(self.index, self.list_files(), read or self.read, now_seconds, settle_seconds=600)
        self.index = LandingIndex.from_bytes(plan.index.to_bytes())  # as the sensor does between two looks
        assert self.index == plan.index
        return plan


def name_outcome(plan: WatchPlan) -> str:
    """Say what the plan says of the one day of a test, which has one outcome at most."""
    outcomes = {
        "requested": [request.day for request in plan.requested],
        "waiting": [noted.day for noted in plan.waiting],
        "deleted": list(plan.deleted),
        "ambiguous": [noted.day for noted in plan.ambiguous],
    }
    told = [outcome for outcome, days in outcomes.items() if days]
    assert [days for days in outcomes.values() if days] == [[DAY]] * len(told)
    assert len(told) <= 1
    return told[0] if told else "nothing"


Look = tuple[float, dict[str, tuple[str, float] | None], str, int]
CASES: dict[str, list[Look]] = {
    # at which second, which files have changed by then (text and time of change), what is said, how often it is read
    "a whole file that has been quiet is requested at the first look, once": [
        (100, {"csv": ("a", 90)}, "requested", 1),
        (130, {}, "nothing", 0),
    ],
    "a file of exactly five seconds is quiet": [(100, {"csv": ("a", 95)}, "requested", 1)],
    "a file that has just changed waits for a second look that finds it alike, and is not read before": [
        (100, {"csv": ("a", 96)}, "waiting", 0),
        (101, {}, "requested", 1),
    ],
    "a file that keeps growing waits and is not read": [
        (100, {"csv": ("half", 99)}, "waiting", 0),
        (130, {"csv": ("half o", 129)}, "waiting", 0),
        (160, {"csv": ("half of", 159)}, "waiting", 0),
        (190, {"csv": ("a", 165)}, "requested", 1),
        (220, {}, "nothing", 0),
    ],
    "a file that looks half written is read once and waited for until it has not changed for long": [
        (100, {"csv": ("half", 90)}, "waiting", 1),
        (130, {}, "waiting", 0),
        (689, {}, "waiting", 0),
        (690, {}, "requested", 0),
        (720, {}, "nothing", 0),
    ],
    "a file that looks half written and is old is taken as it is": [(1000, {"csv": ("half", 400)}, "requested", 1)],
    "a half-written file that is completed is requested": [
        (100, {"csv": ("half", 90)}, "waiting", 1),
        (130, {"csv": ("a", 120)}, "requested", 1),
    ],
    "a file from the future waits for a second look": [
        (100, {"csv": ("a", 9999)}, "waiting", 0),
        (130, {}, "requested", 1),
    ],
    "a half-written file from the future settles by how long it has been seen": [
        (100, {"csv": ("half", 9999)}, "waiting", 0),
        (130, {}, "waiting", 1),
        (699, {}, "waiting", 0),
        (700, {}, "requested", 0),
    ],
    "a clock that is put back does not make a file wait for longer": [
        (5000, {"csv": ("half", 4999)}, "waiting", 0),
        (100, {}, "waiting", 1),
        (699, {}, "waiting", 0),
        (700, {}, "requested", 0),
    ],
    "a file that is touched is read and needs nothing": [
        (100, {"csv": ("a", 50)}, "requested", 1),
        (130, {"csv": ("a", 120)}, "nothing", 1),
        (160, {}, "nothing", 0),
    ],
    "a file that is rewritten with other content is requested": [
        (100, {"csv": ("a", 50)}, "requested", 1),
        (130, {"csv": ("b", 129)}, "waiting", 0),
        (160, {}, "requested", 1),
        (190, {"csv": ("a", 170)}, "requested", 1),
    ],
    "corrections that come later, change and go are requested each time": [
        (100, {"csv": ("a", 50)}, "requested", 1),
        (200, {"corrections": ("c", 199)}, "waiting", 0),
        (230, {}, "requested", 1),
        (300, {"corrections": ("d", 250)}, "requested", 1),
        (330, {"corrections": ("d", 310)}, "nothing", 1),
        (400, {"corrections": None}, "requested", 1),
        (430, {}, "nothing", 0),
    ],
    "half-written corrections make the day wait": [
        (100, {"csv": ("a", 50), "corrections": ("half", 90)}, "waiting", 1),
        (130, {"corrections": ("c", 120)}, "requested", 1),
    ],
    "corrections without a landing file are no day": [
        (100, {"corrections": ("c", 50)}, "nothing", 0),
        (130, {"csv": ("a", 50)}, "requested", 1),
    ],
    "a deleted file is told once and its return with the same content needs nothing": [
        (100, {"csv": ("a", 50)}, "requested", 1),
        (130, {"csv": None}, "deleted", 0),
        (160, {}, "nothing", 0),
        (190, {"csv": ("a", 180)}, "nothing", 1),
        (220, {"csv": None}, "deleted", 0),
    ],
    "a deleted file that comes back with other content is requested": [
        (100, {"csv": ("a", 50)}, "requested", 1),
        (130, {"csv": None}, "deleted", 0),
        (190, {"csv": ("b", 189)}, "waiting", 0),
        (220, {}, "requested", 1),
    ],
    "a landing file that goes while its corrections stay is deleted": [
        (100, {"csv": ("a", 50), "corrections": ("c", 50)}, "requested", 1),
        (130, {"csv": None}, "deleted", 0),
    ],
    "a file that changes and goes before it was quiet comes back unknown": [
        (100, {"csv": ("a", 50)}, "requested", 1),
        (130, {"csv": ("b", 129)}, "waiting", 0),
        (160, {"csv": None}, "deleted", 0),
        (190, {"csv": ("b", 129)}, "requested", 1),
    ],
    "a file that goes before it was requested is forgotten": [
        (100, {"csv": ("a", 99)}, "waiting", 0),
        (130, {"csv": None}, "nothing", 0),
    ],
    "two landing files are told once, until they change": [
        (100, {"csv": ("a", 50), "parquet": ("p", 50)}, "ambiguous", 0),
        (130, {}, "nothing", 0),
        (160, {"parquet": ("q", 150)}, "ambiguous", 0),
        (190, {"csv": None}, "requested", 1),
    ],
    "a format that is replaced by another is requested and never ambiguous while that takes a moment": [
        (100, {"csv": ("a", 50)}, "requested", 1),
        (130, {"parquet": ("p", 129)}, "waiting", 0),
        (160, {"csv": None}, "requested", 1),
    ],
    "a second landing file that goes again needs nothing": [
        (100, {"csv": ("a", 50)}, "requested", 1),
        (130, {"parquet": ("p", 110)}, "ambiguous", 0),
        (160, {"parquet": None}, "nothing", 1),
    ],
    "two landing files that both go are deleted if the day was requested": [
        (100, {"csv": ("a", 50)}, "requested", 1),
        (130, {"parquet": ("p", 110)}, "ambiguous", 0),
        (160, {"parquet": None, "csv": None}, "deleted", 0),
    ],
    "a file that cannot be read is tried at every look": [
        (100, {"csv": ("bad", 50)}, "waiting", 1),
        (1000, {}, "waiting", 1),
        (1030, {"csv": ("a", 1020)}, "requested", 1),
    ],
}


@pytest.mark.parametrize("name", CASES)
def test_a_day_in_turn(name: str) -> None:
    world = World()
    for now_seconds, changes, outcome, reads in CASES[name]:
        world.change(changes)
        before = len(world.reads)
        plan = world.look(now_seconds)
        assert (now_seconds, name_outcome(plan), len(world.reads) - before) == (now_seconds, outcome, reads)


def test_a_storage_that_tells_no_times_takes_two_looks_and_settles_by_how_long_a_file_was_seen() -> None:
    world = World(tells_times=False)
    world.change({"csv": ("a", 0)})
    assert [name_outcome(world.look(now)) for now in (100, 130, 160)] == ["waiting", "requested", "nothing"]
    world.change({"csv": ("half", 0)})
    outcomes = [name_outcome(world.look(now)) for now in (200, 230, 799, 800)]
    assert outcomes == ["waiting", "waiting", "waiting", "requested"]


def test_the_reasons_say_what_is_the_matter() -> None:
    world = World()
    world.change({"csv": ("a", 99)}, "2024-01-01")
    world.change({"csv": ("half", 50)}, "2024-01-02")
    world.change({"csv": ("bad", 50)}, "2024-01-03")
    world.change({"csv": ("a", 50), "jsonl": ("b", 50)}, "2024-01-04")
    plan = world.look(100)
    assert [(noted.day, noted.why) for noted in plan.waiting] == [
        ("2024-01-01", "it landed or changed a moment ago"),
        ("2024-01-02", "is half written"),
        ("2024-01-03", "the file cannot be read."),
    ]
    assert [(noted.day, noted.why) for noted in plan.ambiguous] == [
        ("2024-01-04", "there are training-2024-01-04.csv and training-2024-01-04.jsonl; keep one and remove the other")
    ]


def test_days_are_in_order_and_digests_are_those_of_the_files() -> None:
    world = World()
    for day in ("2024-01-03", "2024-01-01", "2024-01-02"):
        world.change({"csv": (day, 50)}, day)
    plan = world.look(100)
    assert [request.day for request in plan.requested] == list(plan.index) == ["2024-01-01", "2024-01-02", "2024-01-03"]
    for request in plan.requested:
        sha256 = hashlib.sha256(request.day.encode()).hexdigest()
        assert request.digest == digest_day({f"training-{request.day}.csv": sha256})


def test_a_look_that_finds_nothing_new_gives_the_same_index_back() -> None:
    world = World()
    world.change({"csv": ("a", 50)}, "2024-01-01")
    world.change({"csv": ("half", 50)}, "2024-01-02")
    world.change({"csv": ("a", 50), "jsonl": ("a", 50)}, "2024-01-03")
    world.change({"csv": ("a", 50)}, "2024-01-04")
    world.look(100)
    world.change({"csv": None}, "2024-01-04")
    world.look(110)
    assert world.look(130).index is not world.index  # the world reads its index back, as a sensor does
    known = world.index
    assert plan_days(known, world.list_files(), world.read, 160, 600).index is known


def test_days_that_there_is_no_time_to_read_are_read_later() -> None:
    world = World()
    days = [f"2024-01-{number:02}" for number in range(1, 6)]
    for day in days:
        world.change({"csv": (day, 50)}, day)
    requested: list[str] = []
    for look in range(3):
        left = [2]

        def read(day: str, left: list[int] = left) -> FileState | None:
            left[0] -= 1
            return world.read(day) if left[0] >= 0 else None

        plan = world.look(100 + look, read)
        requested += [request.day for request in plan.requested]
        assert [noted.why for noted in plan.waiting] == ["there was no time to read it"] * (5 - len(requested))
    assert requested == days
    assert world.reads == days


def test_days_that_were_run_before_there_was_an_index_are_read_once_and_not_requested() -> None:
    world = World()
    world.change({"csv": ("a", 50)}, "2024-01-01")
    world.change({"csv": ("b", 50)}, "2024-01-02")
    ran = {"2024-01-01": world.read("2024-01-01").digest, "2024-01-02": "another", "2024-01-03": "gone"}
    world.index = LandingIndex.from_digests(ran)
    plan = world.look(100)
    assert [request.day for request in plan.requested] == ["2024-01-02"]
    assert plan.deleted == ("2024-01-03",)
    before = len(world.reads)
    assert world.look(130).requested == ()
    assert len(world.reads) == before


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["csv", "jsonl", "corrections"]),
        st.sampled_from(["a", "b", "half", None]),
        st.sampled_from([0.0, 3.0, 30.0, 700.0]),
        st.booleans(),
    ),
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(EVENTS, st.booleans())
def test_whatever_happens_the_content_that_stays_is_what_was_requested_last(events: list[Any], tells: bool) -> None:
    world = World(tells_times=tells)
    requests: list[str] = []
    now = 1000.0
    for kind, text, pause, looks in events:
        world.change({kind: None if text is None else (text, now)})
        now += pause
        if looks:
            requests += [request.digest for request in world.look(now).requested]
    for pause in (30, 30, 700, 30):
        now += pause
        plan = world.look(now)
        requests += [request.digest for request in plan.requested]
    assert name_outcome(plan) == "nothing"
    assert all(first != second for first, second in itertools.pairwise(requests))
    training = [name for name in world.files if name.startswith("training-")]
    if len(training) == 1:
        assert requests[-1] == world.read(DAY).digest
        assert world.index[DAY].state is DayState.SETTLED
    elif training:
        assert world.index[DAY].state is DayState.AMBIGUOUS
    elif requests:
        assert world.index[DAY].state is DayState.DELETED
    else:
        assert DAY not in world.index


# --- the listing


def write(path: Path, content: str | bytes, seconds: float) -> None:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    os.utime(path, (seconds, seconds))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "landing"
    path.mkdir()
    return path


def test_a_listing_has_the_files_of_every_day_with_their_details(folder: Path) -> None:
    write(folder / f"training-{DAY}.csv", "abc", NOON)
    write(folder / f"training-{DAY}.csv.gz", "de", NOON + 0.5)
    write(folder / f"corrections-{DAY}.csv", "", NOON)
    write(folder / "training-2024-01-01.jsonl", "f", NOON)
    for other in ("corrections-2024-02-02.csv", "training-2024-02-30.csv", ".training-2024-03-03.csv", "notes.txt"):
        write(folder / other, "x", NOON)
    (folder / "training-2024-04-04.csv").symlink_to(folder / "nothing")
    files = LandingZone(str(folder)).list_files()
    assert list(files) == ["2024-01-01", DAY]
    assert files[DAY] == (
        LandedFile(f"corrections-{DAY}.csv", 0, f"{NOON:.0f}000000000", NOON),
        LandedFile(f"training-{DAY}.csv", 3, f"{NOON:.0f}000000000", NOON),
        LandedFile(f"training-{DAY}.csv.gz", 2, f"{NOON:.0f}500000000", NOON + 0.5),
    )


def test_a_zone_that_cannot_be_listed_is_an_error_and_not_empty(tmp_path: Path) -> None:
    for call in (LandingZone.list_files, lambda zone: watch_zone(zone, LandingIndex(), NOON)):
        with pytest.raises(LandingError, match="does not exist or is empty"):
            call(LandingZone(str(tmp_path / "gone")))
        with pytest.raises(LandingError, match="does not exist or is empty"):
            call(LandingZone(f"memory://gone-{uuid4()}"))
        with pytest.raises(LandingError, match="cannot be used"):
            call(LandingZone("nosuchprotocol://bucket"))
    (tmp_path / "file").write_text("x")
    with pytest.raises(LandingError, match="is a file"):
        LandingZone(str(tmp_path / "file")).list_files()


# --- real files


def watch(folder: Path | str, index: LandingIndex, now_seconds: float) -> WatchPlan:
    return watch_zone(LandingZone(str(folder)), index, now_seconds)


def test_a_file_that_is_written_slowly_is_requested_when_it_is_whole(folder: Path) -> None:
    path = folder / f"training-{DAY}.csv"
    write(path, HEADER + '<1>,"a long\n', NOON)
    plan = watch(folder, LandingIndex(), NOON + 10)
    assert [noted.why for noted in plan.waiting] == [f"training-{DAY}.csv ends inside a quoted cell"]
    write(path, HEADER + '<1>,"a long\nbody",ham\n<2>', NOON + 20)
    plan = watch(folder, plan.index, NOON + 30)
    assert [noted.why for noted in plan.waiting] == [f"training-{DAY}.csv does not end with a line break"]
    write(path, HEADER + '<1>,"a long\nbody",ham\n<2>,b,spam\n', NOON + 38)
    plan = watch(folder, plan.index, NOON + 40)
    assert name_outcome(plan) == "waiting"
    plan = watch(folder, plan.index, NOON + 70)
    assert name_outcome(plan) == "requested"
    plan = watch(folder, plan.index, NOON + 100)
    assert name_outcome(plan) == "nothing"


def test_a_touched_file_is_not_requested_and_a_file_in_the_same_second_with_other_bytes_is(folder: Path) -> None:
    path = folder / f"training-{DAY}.csv"
    write(path, HEADER + "<1>,a,ham\n", NOON)
    plan = watch(folder, LandingIndex(), NOON + 10)
    assert name_outcome(plan) == "requested"
    os.utime(path, (NOON + 20, NOON + 20))
    plan = watch(folder, plan.index, NOON + 30)
    assert name_outcome(plan) == "nothing"
    write(path, HEADER + "<1>,a,spam\n", NOON + 20)
    plan = watch(folder, plan.index, NOON + 40)
    assert name_outcome(plan) == "requested"


def test_a_known_zone_is_not_read(folder: Path) -> None:
    for number in range(1, 29):
        write(folder / f"training-2024-02-{number:02}.csv", HEADER, NOON)
    first = watch(folder, LandingIndex(), NOON + 10)
    assert len(first.requested) == 28
    for path in folder.iterdir():  # with the same size and time, so that only reading would tell
        write(path, "x" * len(HEADER), NOON)
    again = watch(folder, first.index, NOON + 40)
    assert again == WatchPlan((), (), (), (), first.index)
    assert again.index is first.index


def test_a_folder_that_is_emptied_and_filled_again_is_not_run_again(folder: Path) -> None:
    days = ("2024-01-01", "2024-01-02")
    for day in days:
        write(folder / f"training-{day}.csv", HEADER, NOON)
    plan = watch(folder, LandingIndex(), NOON + 10)
    for day in days:
        (folder / f"training-{day}.csv").unlink()
    plan = watch(folder, plan.index, NOON + 20)
    assert plan.deleted == days
    for day in days:  # with the same size and time, so that only reading would tell
        write(folder / f"training-{day}.csv", "x" * len(HEADER), NOON)
    plan = watch_zone(LandingZone(str(folder)), plan.index, NOON + 30)
    assert plan.requested == plan.deleted == ()
    assert {entry.state for entry in plan.index.values()} == {DayState.SETTLED}


def test_a_changed_file_that_was_moved_away_before_it_was_read_is_requested_when_it_is_back(folder: Path) -> None:
    path = folder / f"training-{DAY}.csv"
    write(path, HEADER, NOON)
    plan = watch(folder, LandingIndex(), NOON + 10)
    write(path, HEADER + "<1>,a,ham\n", NOON + 19)
    plan = watch(folder, plan.index, NOON + 20)
    assert name_outcome(plan) == "waiting"
    path.rename(folder / "away")
    plan = watch(folder, plan.index, NOON + 30)
    assert name_outcome(plan) == "deleted"
    (folder / "away").rename(path)
    assert name_outcome(watch(folder, plan.index, NOON + 40)) == "requested"


def test_a_zone_in_memory_is_watched_too() -> None:
    url = f"memory://zone-{uuid4()}/landing"
    zone = LandingZone(url)
    mail = pd.DataFrame({"message_id": ["<1>"], "body": ["a"], "label": ["ham"]})
    zone.write(DAY, mail)
    (file,) = zone.list_files()[DAY]
    assert file.modified_seconds is not None
    now = file.modified_seconds
    plan = watch(url, LandingIndex(), now + 1)
    assert name_outcome(plan) == "waiting"
    plan = watch(url, plan.index, now + 10)
    assert name_outcome(plan) == "requested"
    assert plan.requested[0].digest == digest_day({f"training-{DAY}.csv": zone.read(DAY).sha256})
    zone._fs.pipe_file(f"{zone._root}/corrections-{DAY}.csv", b"message_id,label\n<1>,spam\n")
    plan = watch(url, plan.index, now + 100)
    assert name_outcome(plan) == "requested"
    landed = zone.read(DAY)
    assert landed.corrections_sha256 is not None
    assert plan.requested[0].digest == digest_day(
        {f"training-{DAY}.csv": landed.sha256, f"corrections-{DAY}.csv": landed.corrections_sha256}
    )
    zone.write(DAY, mail, "parquet")
    assert name_outcome(watch(url, plan.index, now + 1000)) == "requested"


def test_the_first_day_is_read_however_little_time_there_is(folder: Path) -> None:
    for number in range(1, 4):
        write(folder / f"training-2024-02-{number:02}.csv", HEADER, NOON)
    zone, index = LandingZone(str(folder)), LandingIndex()
    requested: list[str] = []
    for _ in range(3):
        plan = watch_zone(zone, index, NOON + 10, may_read=lambda: False)
        requested += [request.day for request in plan.requested]
        index = plan.index
    assert requested == ["2024-02-01", "2024-02-02", "2024-02-03"]


def test_a_day_that_cannot_be_read_waits_and_holds_up_no_other(folder: Path) -> None:
    (folder / "training-2024-01-01.csv").mkdir()
    os.utime(folder / "training-2024-01-01.csv", (NOON, NOON))
    write(folder / "training-2024-01-02.csv", HEADER, NOON)
    plan = watch(folder, LandingIndex(), NOON + 10)
    assert [request.day for request in plan.requested] == ["2024-01-02"]
    assert [noted.day for noted in plan.waiting] == ["2024-01-01"]
    assert "cannot be used" in plan.waiting[0].why


def test_a_file_that_goes_between_listing_and_reading_is_no_trouble_of_the_zone(folder: Path) -> None:
    for zone in (LandingZone(str(folder)), LandingZone(f"memory://zone-{uuid4()}")):
        zone.write(DAY, pd.DataFrame({"body": ["a"], "label": ["ham"]}))
        files = zone.list_files()[DAY]
        zone._fs.rm_file(f"{zone._root}/{files[0].name}")
        with pytest.raises(LandingFileMissing, match="is gone since the zone was listed"):
            read_day_state(zone, files)


# --- whether a file looks whole


def to_parquet() -> bytes:
    output = io.BytesIO()
    pd.DataFrame({"body": ["a"] * 5, "label": ["ham"] * 5}).to_parquet(output)
    return output.getvalue()


CSV = HEADER.encode() + b'<1>,"a ""quoted"" word",ham\n'
GZIP = gzip.compress(CSV, mtime=0)
JSONL = b'{"body": "a", "label": "ham"}\n{"body": "b", "label": "spam"}'


@pytest.mark.parametrize(
    ("suffix", "content", "flaw"),
    [
        ("csv", CSV, ""),
        ("csv", CSV.replace(b"\n", b"\r\n"), ""),
        ("csv", b"", "is empty"),
        ("csv", CSV[:-1], "does not end with a line break"),
        ("csv", CSV[:-8] + b"\n", "ends inside a quoted cell"),
        ("csv", CSV + b"\0" * 4096, "does not end with a line break"),
        ("csv.gz", GZIP, ""),
        ("csv.gz", GZIP + GZIP + b"\0\0", ""),
        ("csv.gz", GZIP[:-1], "is cut off in the middle of its gzip data"),
        ("csv.gz", GZIP[:5], "is cut off in the middle of its gzip data"),
        ("csv.gz", GZIP + GZIP[:-1], "is cut off in the middle of its gzip data"),
        ("csv.gz", gzip.compress(CSV[:-1], mtime=0), "does not end with a line break"),
        ("csv.gz", gzip.compress(b"", mtime=0), "does not end with a line break"),
        ("csv.gz", CSV, "is not sound gzip data"),
        ("csv.gz", GZIP + b"garbage", "is not sound gzip data"),
        ("csv.gz", GZIP[:12] + b"\xff\xff" + GZIP[14:], "is not sound gzip data"),
        ("csv.gz", gzip.compress(b"\n" * 2_000_000, mtime=0), "decompresses to more than 1,048,576 bytes"),
        ("parquet", to_parquet(), ""),
        ("parquet", to_parquet()[:-1], "does not begin and end with PAR1"),
        ("parquet", b"x" + to_parquet(), "does not begin and end with PAR1"),
        ("parquet", b"PAR1", "does not begin and end with PAR1"),
        ("jsonl", JSONL, ""),
        ("jsonl", JSONL + b"\n\n  \n", ""),
        ("jsonl", JSONL[:-1], "ends with a line that is no JSON"),
        ("jsonl", b"\xef\xbb\xbf" + JSONL[:29], ""),
        ("jsonl", b"\n\n", "ends with a line that is no JSON"),
        ("jsonl", JSONL[:-3] + b'\xe2"}', "ends with a line that is no JSON"),
        ("jsonl", b"[" * 100_000, "ends with a line that is no JSON"),
    ],
)
@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_a_file_looks_whole_or_it_is_said_why_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str, suffix: str, content: bytes, flaw: str
) -> None:
    monkeypatch.setattr(watching, "MIN_SUSPICIOUS_BYTES", 1024**2)
    zone = LandingZone(str(folder) if kind == "folder" else f"memory://zone-{uuid4()}")
    zone._fs.makedirs(zone._root, exist_ok=True)
    name = f"training-{DAY}.{suffix}"
    zone._fs.pipe_file(f"{zone._root}/{name}", content)
    state = read_day_state(zone, zone.list_files()[DAY])
    assert state.flaw == (f"{name} {flaw}" if flaw else "")
    # However early the rule knew, the digest is of the whole content.
    assert state.digest == digest_day({name: hashlib.sha256(content).hexdigest()})


@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_a_file_larger_than_a_block_is_read_to_its_end(folder: Path, kind: str) -> None:
    zone = LandingZone(str(folder) if kind == "folder" else f"memory://zone-{uuid4()}")
    zone._fs.makedirs(zone._root, exist_ok=True)
    body = os.urandom(9_000_000).hex().encode()
    for suffix, content in {
        "csv": HEADER.encode() + b'<1>,"' + body + b'",ham\n',
        "csv.gz": gzip.compress(HEADER.encode() + b"<1>," + body + b",ham\n", compresslevel=1),
        "parquet": b"PAR1" + body + b"PAR1",
        "jsonl": b'{"body": "' + body + b'"}\n{"body": "a"}\n',
    }.items():
        zone._fs.pipe_file(f"{zone._root}/training-{DAY}.{suffix}", content)
        (file,) = (file for file in zone.list_files()[DAY] if file.name.endswith(f".{suffix}"))
        digest = digest_day({file.name: hashlib.sha256(content).hexdigest()})
        assert read_day_state(zone, [file]) == FileState(digest)
    broken = b"no gzip" + body
    zone._fs.pipe_file(f"{zone._root}/training-{DAY}.csv.gz", broken)
    digest = digest_day({f"training-{DAY}.csv.gz": hashlib.sha256(broken).hexdigest()})
    gzipped = LandedFile(f"training-{DAY}.csv.gz", len(broken), "")
    assert read_day_state(zone, [gzipped]) == FileState(digest, f"training-{DAY}.csv.gz is not sound gzip data")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80), st.sampled_from(["csv", "csv.gz", "parquet", "jsonl"]), st.booleans())
def test_any_bytes_are_judged(content: bytes, suffix: str, is_compressed: bool) -> None:
    zone = LandingZone("memory://any-bytes")
    content = gzip.compress(content, mtime=0) if is_compressed else content
    zone._fs.makedirs(zone._root, exist_ok=True)
    zone._fs.pipe_file(f"{zone._root}/training-{DAY}.{suffix}", content)
    file = LandedFile(f"training-{DAY}.{suffix}", len(content), "")
    assert read_day_state(zone, [file]).digest == digest_day({file.name: hashlib.sha256(content).hexdigest()})


def test_the_digest_of_a_day_tells_names_and_contents_apart() -> None:
    digests = [
        digest_day({"training-x.csv": "1"}),
        digest_day({"training-x.csv": "2"}),
        digest_day({"training-x.jsonl": "1"}),
        digest_day({"training-x.csv": "1", "corrections-x.csv": "1"}),
    ]
    assert len(set(digests)) == 4
    assert digest_day({"b": "1", "a": "2"}) == digest_day({"a": "2", "b": "1"})


# --- the index


def make_index(number: int = 0) -> LandingIndex:
    files = (("training-x.csv", number, '"etag\u2028"'),)
    return LandingIndex(
        {
            "2024-01-05": DayEntry(DayState.DELETED, "d" * 64, files),
            "2024-01-01": DayEntry(DayState.SETTLED, "a" * 64, files),
            "2024-01-02": DayEntry(DayState.WAITING, "", files, 12.5),
            "2024-01-03": DayEntry(DayState.WAITING, "c" * 64, files, 0.1, FileState("e" * 64, "is empty")),
            "2024-01-04": DayEntry(DayState.AMBIGUOUS, "", files * 2),
        }
    )


def test_an_index_survives_its_bytes_and_equal_ones_have_equal_bytes() -> None:
    index = make_index()
    assert LandingIndex.from_bytes(index.to_bytes()) == index
    assert LandingIndex.from_bytes(LandingIndex().to_bytes()) == LandingIndex()
    backwards = LandingIndex(dict(reversed(list(index.items()))))
    assert backwards.to_bytes() == index.to_bytes()
    assert backwards.fingerprint() == index.fingerprint()
    assert make_index(1).fingerprint() != index.fingerprint()
    assert len(index.fingerprint()) == 32


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"null",
        b"[]",
        b"{}",
        b"[" * 100_000,
        make_index().to_bytes()[:-5],
        b'{"version":1,"days":[]}',
        b'{"version":1,"days":{"2024-01-01":[]}}',
        b'{"version":1,"days":{"2024-01-01":null}}',
        b'{"version":1,"days":{"2024-02-30":["settled","",[]]}}',
        b'{"version":1,"days":{"2024-01-01":["lost","",[]]}}',
        b'{"version":1,"days":{"2024-01-01":["settled",1,[]]}}',
        b'{"version":1,"days":{"2024-01-01":["settled","",[["a","b","c"]]]}}',
        b'{"version":1,"days":{"2024-01-01":["waiting","",[],null,null]}}',
        b'{"version":1,"days":{"2024-01-01":["waiting","",[],1.0,["a"]]}}',
    ],
)
def test_a_damaged_index_is_refused_in_one_sentence(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"the landing index is damaged .* has to be built anew") as caught:
        LandingIndex.from_bytes(content)
    assert "\n" not in str(caught.value)


def test_an_index_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="has version '2' and not 1; it has to be built anew"):
        LandingIndex.from_bytes(b'{"version":2,"pages":[]}')


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=3))
def test_any_damage_is_refused_or_gives_an_index(position: int, noise: bytes) -> None:
    content = bytearray(make_index().to_bytes())
    position %= len(content)
    content[position : position + len(noise)] = noise
    try:
        LandingIndex.from_bytes(bytes(content))
    except ValueError as error:
        assert "landing index" in str(error)  # noqa: PT017


# --- where indexes are kept


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> IndexStore:
    return IndexStore(str(tmp_path / "a" / "b") if request.param == "folder" else f"memory://indexes-{uuid4()}/a")


def list_names(store: IndexStore) -> list[str]:
    return sorted(path.rpartition("/")[2] for path in store._fs.ls(store._root, detail=False))


def test_an_index_is_loaded_as_it_was_saved(store: IndexStore) -> None:
    fingerprint = store.save(make_index())
    assert fingerprint == make_index().fingerprint()
    assert store.load(fingerprint) == make_index()
    assert list_names(store) == [f"landing-index-{fingerprint}.json"]


def test_an_index_that_is_there_is_not_written_again(tmp_path: Path) -> None:
    store = IndexStore(str(tmp_path))
    path = tmp_path / f"landing-index-{store.save(make_index())}.json"
    os.utime(path, (NOON, NOON))
    store.save(make_index())
    assert path.stat().st_mtime == NOON
    path.write_bytes(b"damaged")
    fingerprint = store.save(make_index())
    assert store.load(fingerprint) == make_index()


def test_a_missing_or_damaged_index_is_told_apart_from_a_folder_that_cannot_be_reached(
    store: IndexStore, tmp_path: Path
) -> None:
    fingerprint = make_index().fingerprint()
    with pytest.raises(IndexMissing, match=f"{fingerprint} is not in .*; build the index anew"):
        store.load(fingerprint)
    for cursor in ("", "../../etc/passwd", "F" * 32, fingerprint + "\n"):
        with pytest.raises(IndexMissing, match="is no fingerprint"):
            store.load(cursor)
    store.save(make_index())
    path = f"{store._root}/landing-index-{fingerprint}.json"
    for content in (b"", make_index().to_bytes()[:-1], make_index(1).to_bytes()):
        store._fs.pipe_file(path, content)
        with pytest.raises(IndexMissing, match="damaged"):
            store.load(fingerprint)

    (tmp_path / "file").write_text("x")
    for url in ("nosuchprotocol://user:secret@host/x", str(tmp_path / "file")):
        for call in (lambda s: s.load(fingerprint), lambda s: s.save(make_index())):
            with pytest.raises(LandingError, match="cannot be used") as caught:
                call(IndexStore(url))
            assert not isinstance(caught.value, IndexMissing)
            assert "secret" not in str(caught.value)


def test_the_newest_three_stay_and_the_one_to_keep_however_old(tmp_path: Path) -> None:
    store = IndexStore(str(tmp_path))
    (tmp_path / "other.json").write_text("x")
    saved: list[str] = []
    for number in range(6):
        saved.append(store.save(make_index(number), keep=saved[0] if saved else ""))
        path = tmp_path / f"landing-index-{saved[-1]}.json"
        os.utime(path, (NOON + number, NOON + number))
    left = {f"landing-index-{saved[number]}.json" for number in (0, 4, 5)}
    assert set(list_names(store)) == {*left, "other.json"}
    store.save(make_index(6))
    left = {f"landing-index-{make_index(number).fingerprint()}.json" for number in (4, 5, 6)}
    assert set(list_names(store)) == {*left, "other.json"}


def test_old_indexes_go_from_a_zone_in_memory_too() -> None:
    store = IndexStore(f"memory://indexes-{uuid4()}")
    for number in range(5):
        last = store.save(make_index(number))
    assert len(list_names(store)) == 3
    assert store.load(last) == make_index(4)


# --- ranges


@pytest.mark.parametrize(
    ("days", "landed", "most", "ranges"),
    [
        ([], ["2024-01-01"], 5, []),
        (["2024-01-01"], [], 1, [("2024-01-01", "2024-01-01")]),
        (["2024-01-01", "2024-01-02"], [], 1, [("2024-01-01", "2024-01-01"), ("2024-01-02", "2024-01-02")]),
        (["2024-01-02", "2024-01-01"], [], 2, [("2024-01-01", "2024-01-02")]),
        (["2024-01-01", "2024-01-04"], ["2024-01-01", "2024-01-04"], 4, [("2024-01-01", "2024-01-04")]),
        (["2024-01-01", "2024-01-05"], [], 4, [("2024-01-01", "2024-01-01"), ("2024-01-05", "2024-01-05")]),
        (["2024-01-01", "2024-01-03"], ["2024-01-02"], 9, [("2024-01-01", "2024-01-01"), ("2024-01-03", "2024-01-03")]),
        (["2024-02-28", "2024-03-01"], [], 3, [("2024-02-28", "2024-03-01")]),
        (["2024-02-28", "2024-03-01"], [], 2, [("2024-02-28", "2024-02-28"), ("2024-03-01", "2024-03-01")]),
    ],
)
def test_days_are_grouped_into_ranges(
    days: list[str], landed: list[str], most: int, ranges: list[tuple[str, str]]
) -> None:
    assert group_days(days, landed, most) == ranges


def test_a_range_of_no_days_is_refused() -> None:
    with pytest.raises(ValueError, match="give 1 or more"):
        group_days([], [], 0)


@settings(max_examples=200, deadline=None)
@given(st.sets(st.integers(0, 40)), st.sets(st.integers(0, 40)), st.integers(1, 12))
def test_ranges_hold_every_wanted_day_and_no_other_landed_one(days: set[int], landed: set[int], most: int) -> None:
    first = datetime(2024, 2, 10)  # noqa: DTZ001

    def name(number: int) -> str:
        return (first + timedelta(days=number)).date().isoformat()

    numbers = {name(number): number for number in range(41)}
    ranges = [(numbers[a], numbers[b]) for a, b in group_days([name(n) for n in days], map(name, landed), most)]
    held = [number for start, end in ranges for number in range(start, end + 1)]
    assert held == sorted(set(held))
    assert days <= set(held)
    assert not set(held) & (landed - days)
    assert all(end - start < most for start, end in ranges)
    for (start, _), (following, _) in itertools.pairwise(ranges):  # none could have been longer
        assert following - start >= most or set(range(start, following)) & (landed - days)


def test_the_json_of_an_index_is_compact() -> None:
    days = {f"20{year:02}-01-{day:02}": "a" * 64 for year in range(100) for day in range(1, 29)}
    files = (("training-2024-01-01.csv", 123_456, "1716000000123456789"),)
    index = LandingIndex({day: DayEntry(DayState.SETTLED, digest, files) for day, digest in days.items()})
    assert len(index.to_bytes()) / len(index) < 200
    assert json.loads(index.to_bytes())["version"] == 1
