"""The sensor new_mail, a look at a time, on real landing zones."""

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from spam_assets.landing.landing_index import LandingIndex
from spam_assets.landing.watching import NotedDay, RequestedDay, WatchPlan
from spam_assets.sensors import new_mail
from spam_assets.settings import Settings
from spam_assets_tests.conftest import day_text, make_mail, open_instance
from spam_assets_tests.pipeline import run_days
from spam_assets_tests.sensors.ticks import END_TAG, START_TAG, land, make_old, say, tick, use_settings, write_old

LandDay = Callable[..., Path]


def look(instance: dg.DagsterInstance, cursor: str | None = None) -> dg.SensorResult:
    return tick(new_mail.new_mail_sensor, instance, cursor)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """An instance in which nothing ever runs."""
    with open_instance(tmp_path_factory.mktemp("bare")) as instance:
        yield instance


def ranges(result: dg.SensorResult) -> list[tuple[str, str]]:
    found = []
    for request in result.run_requests or []:
        day = request.partition_key
        found.append((day or request.tags[START_TAG], day or request.tags[END_TAG]))
    return found


def run_keys(result: dg.SensorResult) -> list[str | None]:
    return [request.run_key for request in result.run_requests or []]


def watch_days(patch: pytest.MonkeyPatch, settings: Settings, count: int) -> list[str]:
    """Let the sensor watch so many days from 1995 on."""
    first = date(1995, 1, 1)
    last = first + timedelta(days=count - 1)
    use_settings(patch, settings.model_copy(update={"start_date": first, "end_date": last}))
    return [(first + timedelta(days=offset)).isoformat() for offset in range(count)]


def test_days_spread_over_runs_of_as_many_days_as_the_settings_say(
    settings: Settings, bare: dg.DagsterInstance, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = watch_days(monkeypatch, settings.model_copy(update={"days_per_run": 2}), 5)
    for day in days:
        land(landing, day)
    assert ranges(look(bare)) == [(days[0], days[1]), (days[2], days[3]), (days[4], days[4])]


def test_the_first_look_at_a_thousand_days_asks_for_ten_ranges_in_order(
    settings: Settings, bare: dg.DagsterInstance, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = watch_days(monkeypatch, settings, 1000)
    for day in days:
        land(landing, day)
    result = look(bare)
    starts = range(0, 1000, new_mail.DAYS_PER_RUN)
    assert ranges(result) == [(days[start], days[start + new_mail.DAYS_PER_RUN - 1]) for start in starts]
    assert len(set(run_keys(result))) == 10
    assert result.run_requests is not None
    reason = result.run_requests[0].tags["spam_assets/reason"]
    assert reason == f"new or changed mail of 100 days, {days[0]} to {days[99]}"
    assert len(result.cursor or "") < 1000

    again = look(bare)
    assert (run_keys(again), again.cursor) == (run_keys(result), result.cursor)  # the tick is repeated after a crash
    after = look(bare, result.cursor)
    assert (ranges(after), after.cursor) == ([], result.cursor)
    assert say(after) == "nothing new in 1000 landed days"


OPENED: list[str] = []


IS_COUNTING = [False]


def note_opened_file(event: str, arguments: tuple[Any, ...]) -> None:
    if IS_COUNTING[0] and event == "open":
        OPENED.append(str(arguments[0]))


@pytest.mark.slow
def test_an_idle_look_at_ten_thousand_files_opens_none_of_them(
    settings: Settings, bare: dg.DagsterInstance, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = watch_days(monkeypatch, settings, 10_000)
    monkeypatch.setattr(new_mail, "SECONDS_FOR_READING", 100.0)
    for day in days:
        land(landing, day, "text,label\n")
    first = look(bare)
    assert len(ranges(first)) == 100
    sys.addaudithook(note_opened_file)  # for ever
    IS_COUNTING[0] = True
    idle = look(bare, first.cursor)
    IS_COUNTING[0] = False
    assert say(idle) == "nothing new in 10000 landed days"
    assert len(idle.cursor or "") < 1000
    assert any("landing-index" in name for name in OPENED)
    assert [name for name in OPENED if "training-" in name] == []


def test_content_that_comes_back_is_asked_for_each_time_with_another_key(
    watched: Settings, bare: dg.DagsterInstance, landing: Path
) -> None:
    """Even where its size and time come back as well, which is how buckets and `rsync -t` do it."""
    versions = {}
    for name, age_seconds in (("A", 3600), ("B", 1800)):
        versions[name] = write_old(landing / name, f"text,label\n{name},ham\n", age_seconds)
    cursor, keys = None, []
    for name in "ABABA":
        shutil.copy2(versions[name], landing / f"training-{day_text(0)}.csv")
        result = look(bare, cursor)
        assert ranges(result) == [(day_text(0), day_text(0))]
        assert run_keys(look(bare, cursor)) == run_keys(result)
        keys += run_keys(result)
        cursor = result.cursor
        assert ranges(look(bare, cursor)) == []
    assert len(set(keys)) == 5


def test_a_changed_day_is_asked_for_alone_between_known_ones(
    watched: Settings, bare: dg.DagsterInstance, landing: Path
) -> None:
    for offset in range(5):
        land(landing, day_text(offset))
    first = look(bare)
    assert ranges(first) == [(day_text(0), day_text(4))]
    for offset in (1, 3, 4):
        land(landing, day_text(offset), "text,label\nchanged,spam\n")
    (landing / f"training-{day_text(2)}.csv").touch()  # a newer time is no new content
    make_old(landing / f"training-{day_text(2)}.csv", 60)
    changed = look(bare, first.cursor)
    assert ranges(changed) == [(day_text(1), day_text(1)), (day_text(3), day_text(4))]
    assert changed.run_requests is not None
    assert changed.run_requests[0].tags["spam_assets/reason"] == f"new or changed mail of {day_text(1)}"


def test_corrections_that_land_late_ask_for_their_day(
    watched: Settings, bare: dg.DagsterInstance, landing: Path
) -> None:
    for offset in range(3):
        land(landing, day_text(offset))
    first = look(bare)
    write_old(landing / f"corrections-{day_text(1)}.csv", "message_id,label\n<1@x>,spam\n")
    assert ranges(look(bare, first.cursor)) == [(day_text(1), day_text(1))]


def test_days_outside_of_the_partitions_are_left_alone(
    watched: Settings, bare: dg.DagsterInstance, landing: Path
) -> None:
    for day in ("2023-12-31", day_text(0), "2024-03-31", "2024-04-01", "2031-01-01"):
        land(landing, day)
    result = look(bare)
    assert ranges(result) == [(day_text(0), "2024-03-31")]  # nothing landed between the two
    told = "nothing new in 2 landed days; 3 days, 2023-12-31 to 2031-01-01 outside of the partitions: left out"
    assert say(look(bare, result.cursor)) == told


def test_a_zone_that_cannot_be_reached_is_a_skip_with_the_reason_and_keeps_the_cursor(
    watched: Settings, bare: dg.DagsterInstance, landing: Path
) -> None:
    land(landing, day_text(0))
    known = look(bare).cursor
    landing.rename(landing.with_name("elsewhere"))
    for cursor in (None, known):
        result = look(bare, cursor)
        assert (ranges(result), result.cursor, list(result.asset_events)) == ([], cursor, [])
        assert f"the landing zone {landing} does not exist" in say(result)
    landing.with_name("elsewhere").rename(landing)
    assert ranges(look(bare, known)) == []


def test_a_storage_that_cannot_be_written_is_a_skip_with_the_reason_and_keeps_the_cursor(
    watched: Settings, bare: dg.DagsterInstance, landing: Path
) -> None:
    land(landing, day_text(0))
    Path(watched.storage_url).write_text("not a folder")
    result = look(bare)
    assert (ranges(result), result.cursor) == ([], None)
    assert "the folder of landing indexes" in say(result)


def test_a_deleted_file_is_observed_once(watched: Settings, bare: dg.DagsterInstance, landing: Path) -> None:
    path = land(landing, day_text(0))
    land(landing, day_text(1))
    known = look(bare).cursor
    path.unlink()
    result = look(bare, known)
    (observation,) = result.asset_events
    assert isinstance(observation, dg.AssetObservation)
    assert (observation.asset_key, observation.partition) == (dg.AssetKey("raw_mail"), day_text(0))
    assert "stays in use" in str(observation.metadata["landing_file"].value)
    after = look(bare, result.cursor)
    assert (list(after.asset_events), ranges(after)) == ([], [])
    assert f"nothing new in 1 landed days; the file of {day_text(0)} is gone" in say(after)


def test_a_half_file_waits_and_is_asked_for_when_it_is_whole(
    watched: Settings, bare: dg.DagsterInstance, landing: Path
) -> None:
    land(landing, day_text(0), "text,label\nhello,h", age_seconds=30)
    half = look(bare)
    assert ranges(half) == []
    assert f"{day_text(0)} waits: training-{day_text(0)}.csv does not end with a line break" in say(half)
    land(landing, day_text(0), age_seconds=20)
    assert ranges(look(bare, half.cursor)) == [(day_text(0), day_text(0))]


def test_two_files_for_a_day_are_said_and_not_run(watched: Settings, bare: dg.DagsterInstance, landing: Path) -> None:
    land(landing, day_text(0))
    write_old(landing / f"training-{day_text(0)}.jsonl", '{"text": "a", "label": "ham"}\n')
    result = look(bare)
    assert ranges(result) == []
    assert f"{day_text(0)} is left out: there are" in say(result)


def test_when_the_index_is_lost_what_ran_is_not_asked_for_again(
    watched: Settings, instance: dg.DagsterInstance, landing: Path, land_day: LandDay
) -> None:
    for offset in range(3):
        make_old(land_day(day_text(offset), make_mail(day_text(offset), messages=5)))
    known = look(instance).cursor
    run_days(watched, instance, day_text(0), day_text(1), selection=["raw_mail"])
    shutil.rmtree(Path(watched.storage_url) / "landing_index")
    land(landing, day_text(1), "text,label\nchanged,spam\n")
    result = look(instance, known)
    assert ranges(result) == [(day_text(1), day_text(2))]  # one changed, one never ran
    assert ranges(look(instance, result.cursor)) == []
    assert ranges(look(instance)) == ranges(result)  # nor when a person resets the cursor


@pytest.mark.parametrize(
    ("cursor", "expected"), [("", ("", 0)), ("0f" * 16 + ":12", ("0f" * 16, 12)), ("0f" * 16, ("0f" * 16, 0))]
)
def test_a_cursor_is_a_fingerprint_and_a_count(cursor: str, expected: tuple[str, int]) -> None:
    assert new_mail.read_cursor(cursor) == expected


@pytest.mark.parametrize(
    ("days", "expected"),
    [(["2024-01-01"], "2024-01-01"), (["2024-01-01", "2024-01-05"], "2 days, 2024-01-01 to 2024-01-05")],
)
def test_days_are_said_as_a_person_would(days: list[str], expected: str) -> None:
    assert new_mail.say_days(days) == expected


def plan(requested: Sequence[tuple[str, str]] = (), waiting: int = 0) -> WatchPlan:
    return WatchPlan(
        tuple(RequestedDay(day, digest) for day, digest in requested),
        tuple(NotedDay(day_text(number), "it is empty") for number in range(waiting)),
        (),
        (),
        LandingIndex.from_digests(dict(requested)),
    )


def test_a_run_key_tells_cursor_days_and_contents_apart() -> None:
    asked = [("", [("2024-01-01", "a")]), ("c", [("2024-01-01", "a")]), ("", [("2024-01-01", "b")]),
             ("", [("2024-01-02", "a")]), ("", [("2024-01-01", "a"), ("2024-01-02", "a")])]  # fmt: skip
    keys = [next(new_mail.request_days(plan(days), cursor)).run_key for cursor, days in asked]
    assert len(set(keys)) == len(asked)


def test_the_first_three_waiting_days_are_said() -> None:
    assert new_mail.say_why_nothing(plan(waiting=5)).count("waits: it is empty") == 3


def test_a_stray_file_outside_of_the_partitions_is_told_and_stops_nothing(
    settings: Settings, bare: dg.DagsterInstance, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (day,) = watch_days(monkeypatch, settings, 1)
    land(landing, day)
    land(landing, "2038-01-19")
    make_old(landing)
    result = look(bare)
    assert ranges(result) == [(day, day)]
    assert "2038-01-19 outside of the partitions: left out" in say(look(bare, result.cursor))
