"""Watching the landing zone: nothing is missed, nothing is run twice, and half a file is waited for."""

import hashlib
import itertools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spam_assets.files import LandedFile
from spam_assets.landing.day_content import FileState, digest_day
from spam_assets.landing.errors import LandingError
from spam_assets.landing.landing_index import DayState, LandingIndex
from spam_assets.landing.watching import WatchPlan, plan_days, watch_zone
from spam_assets.landing.zone import LandingZone
from spam_assets_tests.landing import DAY, HEADER, NOON, write

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
        plan = plan_days(self.index, self.list_files(), read or self.read, now_seconds)
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
    assert plan_days(known, world.list_files(), world.read, 160).index is known


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


@pytest.mark.parametrize("kind", ["memory", pytest.param("s3", marks=pytest.mark.slow)])
def test_a_bucket_is_watched_too(kind: str, request: pytest.FixtureRequest) -> None:
    url = f"memory://zone-{uuid4()}" if kind == "memory" else request.getfixturevalue("bucket")
    url += "/landing"
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
