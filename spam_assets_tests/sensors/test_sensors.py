"""The sensors and the schedule, a tick at a time: real instances, real landing zones, real MLflow, real servers."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import StepMaterializationData
from mlflow import MlflowClient
from pydantic import SecretStr

from spam_assets.alerts import channels as alert_channels
from spam_assets.alerts.channels import Alert, describe_landing_problem, describe_missing_mail
from spam_assets.engine.life import name_of_life
from spam_assets.landing.landing_index import LandingIndex
from spam_assets.landing.watching import NotedDay, RequestedDay, WatchPlan
from spam_assets.landing.zone import LandingZone
from spam_assets.learning.retraining_rule import RetrainingSettings
from spam_assets.partitions import build_daily_partitions
from spam_assets.registry.registered_models import CHAMPION, ModelRegistry
from spam_assets.registry.training_runs import RUN_KILLED, RUN_OPEN
from spam_assets.sensors import dead_runs, new_mail, retraining
from spam_assets.sensors import decision_alerts as alerts
from spam_assets.settings import Settings
from spam_assets_tests.conftest import FIRST_DAY, day_text, make_mail, open_instance
from spam_assets_tests.pipeline import run_days
from spam_assets_tests.servers import SECRET, MailServer, WebhookServer, run_mail_server, run_webhook

LandDay = Callable[..., Path]
MAIL_ASSETS = ["raw_mail", "validated_mail", "mail_features", "champion_report"]
START_TAG, END_TAG = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
SUCCEEDED, FAILED = dg.DagsterEventType.RUN_SUCCESS, dg.DagsterEventType.RUN_FAILURE


def use_settings(patch: pytest.MonkeyPatch, settings: Settings) -> None:
    for module in (new_mail, retraining, dead_runs, alerts):
        patch.setattr(module, "SETTINGS", settings)
    for watching in (new_mail, retraining):
        patch.setattr(watching, "DAYS", build_daily_partitions(settings))


@pytest.fixture
def watched(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of the test are those of the sensors."""
    use_settings(monkeypatch, settings)
    return settings


def tick(sensor: dg.SensorDefinition, instance: dg.DagsterInstance, cursor: str | None = None) -> dg.SensorResult:
    """One look of a sensor; a skip is shown as the result that Dagster makes of it, which keeps the cursor."""
    result = sensor(dg.build_sensor_context(instance=instance, cursor=cursor))
    if isinstance(result, dg.SkipReason):
        return dg.SensorResult(skip_reason=result, cursor=cursor)
    assert isinstance(result, dg.SensorResult)
    return result


def say(result: dg.SensorResult) -> str:
    reason = result.skip_reason
    return (reason.skip_message if isinstance(reason, dg.SkipReason) else reason) or ""


# --- new_mail -----------------------------------------------------------------------------------------------------


def write_old(path: Path, text: str, age_seconds: float = 3600) -> Path:
    """Write a file that has been quiet for a while."""
    path.write_text(text)
    return make_old(path, age_seconds)


def make_old(path: Path, age_seconds: float = 3600) -> Path:
    changed = time.time() - age_seconds
    os.utime(path, (changed, changed))
    return path


def land(folder: Path, day: str, text: str = "text,label\nhello,ham\n", age_seconds: float = 3600) -> Path:
    return write_old(folder / f"training-{day}.csv", text, age_seconds)


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
    assert say(look(bare, result.cursor)) == "nothing new in 2 landed days"


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


# --- retraining ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trained:
    """A home folder where four days have run, the last of which gave the champion, and its instance."""

    settings: Settings
    instance: dg.DagsterInstance


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, prepared_mlflow: Path) -> Iterator[Trained]:
    folder = tmp_path_factory.mktemp("trained")
    home = folder / "home"
    (home / "landing").mkdir(parents=True)
    shutil.copy(prepared_mlflow, home / "mlflow.db")
    for offset in range(4):
        make_mail(day_text(offset)).to_csv(home / "landing" / f"training-{day_text(offset)}.csv", index=False)
    with pytest.MonkeyPatch.context() as patch, open_instance(folder) as instance:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        settings = Settings(home=home, start_date=FIRST_DAY, end_date=date(2024, 3, 31))
        assert run_days(settings, instance, day_text(0), day_text(3)).is_success
        champion = ModelRegistry(settings).aliased(CHAMPION)
        assert champion is not None
        assert champion.training_date == day_text(3)
        yield Trained(settings, instance)


@pytest.fixture
def with_champion(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A copy of that home for the test to change; models are read from where they were logged."""
    home = tmp_path / "copy"
    shutil.copytree(trained.settings.home, home)
    settings = trained.settings.model_copy(update={"home": home})
    use_settings(monkeypatch, settings)
    return settings


def judge(instance: dg.DagsterInstance, cursor: str | None = None) -> dg.SensorResult:
    return tick(retraining.retraining_sensor, instance, cursor)


def run_mail(settings: Settings, instance: dg.DagsterInstance, offsets: Sequence[int], flipped: float = 0) -> None:
    """Land days, a share of their labels wrong, and do what the sensor new_mail does with them."""
    for offset in offsets:
        mail = make_mail(day_text(offset))
        wrong = mail.index % 100 < flipped * 100 / 2
        mail.loc[wrong, "label"] = mail.loc[wrong, "label"].map({"ham": "spam", "spam": "ham"})
        LandingZone(settings.landing_url).write(day_text(offset), mail)
    run = run_days(settings, instance, day_text(offsets[0]), day_text(offsets[-1]), selection=MAIL_ASSETS)
    assert run.is_success


def test_without_featurized_mail_the_retraining_sensor_says_what_to_do(
    watched: Settings, instance: dg.DagsterInstance
) -> None:
    result = judge(instance)
    assert (result.run_requests, result.cursor) == (None, None) or not result.run_requests
    assert "no mail has been featurized yet" in say(result)


def test_without_a_champion_a_model_is_trained_for_the_newest_day_once(
    watched: Settings, instance: dg.DagsterInstance
) -> None:
    run_mail(watched, instance, [0, 1])
    result = judge(instance)
    assert result.run_requests is not None
    (request,) = result.run_requests
    assert (request.run_key, request.partition_key) == (f"train-{day_text(1)}", day_text(1))
    assert request.tags["spam_assets/reason"] == "there is no champion yet"
    assert request.tags["spam_assets/reason.no_champion"] == "true"
    assert result.cursor == day_text(1)
    assert judge(instance).run_requests == result.run_requests  # the tick is repeated after a crash
    run_mail(watched, instance, [0, 1])  # days that run again
    again = judge(instance, result.cursor)
    assert not again.run_requests
    assert f"{day_text(1)} has been judged, and no newer day has come" in say(again)
    assert again.cursor == result.cursor


def test_a_day_waits_for_runs_in_progress_and_is_judged_afterwards(
    watched: Settings, instance: dg.DagsterInstance
) -> None:
    run_mail(watched, instance, [0])
    run = start_run(instance)
    result = judge(instance)
    assert not result.run_requests
    assert result.cursor is None
    assert say(result) == f"1 runs are in progress (job); {day_text(0)} waits"
    end_run(instance, run, SUCCEEDED)
    assert judge(instance).run_requests


def test_a_champion_that_does_well_stays_and_the_cursor_moves(
    with_champion: Settings, instance: dg.DagsterInstance
) -> None:
    run_mail(with_champion, instance, [4, 5])
    result = judge(instance, day_text(3))
    assert not result.run_requests
    assert say(result) == f"{day_text(5)}: the champion does as well as ever"
    assert result.cursor == day_text(5)


def test_a_champion_that_is_below_the_bar_is_retrained_for_that_reason(
    with_champion: Settings, instance: dg.DagsterInstance
) -> None:
    run_mail(with_champion, instance, [4, 5], flipped=0.3)
    result = judge(instance, day_text(3))
    assert result.run_requests is not None
    (request,) = result.run_requests
    assert request.run_key == f"train-{day_text(5)}"
    assert "2 of the last 2 days were below the bar" in request.tags["spam_assets/reason"]
    assert request.tags["spam_assets/reason.performance"] == "true"
    assert result.cursor == day_text(5)


def test_just_after_a_training_even_a_bad_day_waits(with_champion: Settings, instance: dg.DagsterInstance) -> None:
    run_mail(with_champion, instance, [4], flipped=0.5)
    stricter = with_champion.model_copy(update={"retrain_new_messages": 1})
    with pytest.MonkeyPatch.context() as patch:
        use_settings(patch, stricter)
        result = judge(instance, day_text(3))
    assert not result.run_requests
    assert "less than 2 days ago" in say(result)


def test_days_that_are_stored_but_no_partitions_any_more_are_left_alone(
    watched: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_mail(watched, instance, [0, 1, 2])
    shorter = watched.model_copy(update={"end_date": date.fromisoformat(day_text(1))})
    use_settings(monkeypatch, shorter)
    result = judge(instance)
    assert result.run_requests is not None
    assert [request.partition_key for request in result.run_requests] == [day_text(1)]


def test_a_person_chooses_age_messages_and_cool_down(settings: Settings) -> None:
    chosen = settings.model_copy(
        update={"retrain_max_age_days": 3, "retrain_new_messages": 7, "retrain_cool_down_days": 1}
    )
    built = retraining.build_retraining_settings(chosen)
    assert (built.max_age_days, built.new_messages, built.cool_down_days) == (3, 7, 1)
    assert retraining.build_retraining_settings(settings) == RetrainingSettings()


def ask_schedule(instance: dg.DagsterInstance) -> dg.RunRequest | str | None:
    answer = retraining.train_daily_schedule(dg.build_schedule_context(instance=instance))
    return answer.skip_message if isinstance(answer, dg.SkipReason) else answer


def test_the_schedule_trains_for_the_newest_day_and_says_when_there_is_none(
    watched: Settings, instance: dg.DagsterInstance
) -> None:
    assert ask_schedule(instance) == "no mail has been featurized yet"
    run_mail(watched, instance, [0, 1])
    request = ask_schedule(instance)
    assert isinstance(request, dg.RunRequest)
    assert request.partition_key == day_text(1)
    assert request.tags["spam_assets/reason"] == "the schedule train_daily"


def test_a_day_that_sensor_and_schedule_both_want_is_trained_once(
    with_champion: Settings, instance: dg.DagsterInstance
) -> None:
    assert ask_schedule(instance) == f"a model was trained for {day_text(3)}, and no newer day has come"
    assert "the next one wants newer mail" in say(judge(instance))
    run_mail(with_champion, instance, [4, 5], flipped=0.3)
    assert judge(instance, day_text(3)).run_requests
    run = start_run(instance, {"dagster/partition": day_text(5)}, "retrain_job")
    assert ask_schedule(instance) == f"a model of {day_text(5)} is being trained"
    end_run(instance, run, FAILED)
    assert isinstance(ask_schedule(instance), dg.RunRequest)


# --- dead runs ----------------------------------------------------------------------------------------------------


def start_run(instance: dg.DagsterInstance, tags: dict[str, str] | None = None, job_name: str = "job") -> dg.DagsterRun:
    @dg.job(name=job_name)
    def job() -> None: ...

    run = instance.create_run_for_job(job, tags=tags)
    return end_run(instance, run, dg.DagsterEventType.RUN_START)


def end_run(
    instance: dg.DagsterInstance, run: dg.DagsterRun, how: dg.DagsterEventType, message: str = "it is over"
) -> dg.DagsterRun:
    event = dg.DagsterEvent(how.value, run.job_name, message=message)
    instance.report_dagster_event(event, run.run_id)
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found


def open_mlflow_run(settings: Settings, run: dg.DagsterRun) -> Callable[[], str]:
    """Open the MLflow run of a Dagster run; returns what tells its status."""
    client = MlflowClient(settings.tracking_uri)
    known = client.get_experiment_by_name(settings.experiment)
    experiment = known.experiment_id if known else client.create_experiment(settings.experiment)
    run_id = client.create_run(experiment, tags={"dagster_run_id": run.run_id}).info.run_id
    return lambda: str(client.get_run(run_id).info.status)


def test_a_run_whose_process_is_gone_is_failed_by_the_sensor(watched: Settings, instance: dg.DagsterInstance) -> None:
    dead, elsewhere = start_run(instance), start_run(instance)
    status = open_mlflow_run(watched, dead)
    (watched.home / "locks").mkdir()
    (watched.home / "locks" / f"{name_of_life(dead.run_id)}.alive").touch()
    result = tick(dead_runs.dead_runs_sensor, instance)
    assert say(result) == f"failed {dead.run_id}: their processes are gone"
    assert status() == RUN_KILLED
    found = instance.get_run_by_id(elsewhere.run_id)
    assert found is not None
    assert found.status == dg.DagsterRunStatus.STARTED
    assert say(tick(dead_runs.dead_runs_sensor, instance)) == "no run is dead"


def test_the_mlflow_run_of_a_run_that_died_is_ended(watched: Settings, instance: dg.DagsterInstance) -> None:
    died, goes_on = start_run(instance), start_run(instance)
    statuses = [open_mlflow_run(watched, run) for run in (died, goes_on)]
    died = end_run(instance, died, FAILED)
    (entry,) = instance.all_logs(died.run_id, of_type=FAILED)
    assert entry.dagster_event is not None
    context = dg.build_run_status_sensor_context(
        sensor_name="abandoned_mlflow_runs",
        dagster_event=entry.dagster_event,
        dagster_run=died,
        dagster_instance=instance,
    ).for_run_failure()
    dead_runs.abandoned_mlflow_runs_sensor(context)
    assert [status() for status in statuses] == [RUN_KILLED, RUN_OPEN]


# --- alerts -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """Both channels and the settings that name them."""

    webhook: WebhookServer
    mail: MailServer
    settings: Settings

    @property
    def texts(self) -> list[str]:
        """What was told; both channels were told the same."""
        assert len(self.mail.mails) == len(self.webhook.requests)
        return self.webhook.texts


@pytest.fixture
def told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(alert_channels, "WAIT_SECONDS", 0.01)
    monkeypatch.setattr(alert_channels, "TIMEOUT_SECONDS", 0.3)
    with run_webhook() as webhook, run_mail_server() as mail:
        configured = Settings(
            home=settings.home,
            start_date=settings.start_date,
            end_date=settings.end_date,
            alert_webhook=webhook.url,
            alert_email_to="ops@example.com",
            alert_email_from="spam-assets@example.org",
            alert_smtp=mail.url(),
        )
        use_settings(monkeypatch, configured)
        yield Told(webhook, mail, configured)


def look_for_failures(instance: dg.DagsterInstance, cursor: str | None) -> dg.SensorResult:
    return tick(alerts.alert_failures_sensor, instance, cursor)


def look_for_news(instance: dg.DagsterInstance, cursor: str | None) -> dg.SensorResult:
    return tick(alerts.alerts_sensor, instance, cursor)


def test_a_failed_run_is_one_message_with_day_reason_and_link(
    told: Told, instance: dg.DagsterInstance, land_day: LandDay
) -> None:
    cursor = look_for_failures(instance, None).cursor
    land_day(day_text(0), make_mail(day_text(0)).assign(label="junk"))
    run = run_days(told.settings, instance, day_text(0), selection=["raw_mail", "validated_mail"])
    result = look_for_failures(instance, cursor)
    (text,) = told.texts
    assert f"failed for {day_text(0)}" in text
    assert "40 labels are neither ham nor spam" in text
    assert f"{told.settings.dagster_url}/runs/{run.run_id}" in text
    assert say(result) == f"job failed for {day_text(0)}"
    assert say(look_for_failures(instance, result.cursor)) == "nothing to tell"
    assert len(told.texts) == 1


def test_a_failed_range_names_the_days_that_failed_and_a_run_that_never_came_to_one_its_own_reason(
    told: Told, instance: dg.DagsterInstance, land_day: LandDay, monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor = look_for_failures(instance, None).cursor
    for offset in range(4):
        land_day(day_text(offset), make_mail(day_text(offset), messages=10))
    land_day(day_text(1)).write_text("text,label\nhello,ham,too many\n")
    run_days(told.settings, instance, day_text(0), day_text(3), selection=["raw_mail", "validated_mail"])
    cursor = look_for_failures(instance, cursor).cursor
    assert f"job failed for {day_text(1)}\nReason: raw_mail: " in told.texts[0]
    assert f"training-{day_text(1)}.csv" in told.texts[0]

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    nowhere = told.settings.model_copy(update={"mlflow_tracking_uri": SecretStr(f"http://me:{SECRET}@127.0.0.1:9")})
    run_days(nowhere, instance, day_text(0), selection=["raw_mail", "trained_model"])
    look_for_failures(instance, cursor)
    assert f"job failed for {day_text(0)}\nReason: run: MLflow failed while opening the experiment" in told.texts[1]
    assert SECRET not in told.texts[1]


def test_failures_from_before_the_sensor_was_turned_on_are_no_news(told: Told, instance: dg.DagsterInstance) -> None:
    end_run(instance, start_run(instance), FAILED)
    first = look_for_failures(instance, None)
    assert say(first) == "watching from now on"
    end_run(instance, start_run(instance, {START_TAG: day_text(0), END_TAG: day_text(9)}), FAILED, "no memory left")
    assert (
        say(look_for_failures(instance, first.cursor)) == f"job failed for 10 days from {day_text(0)} to {day_text(9)}"
    )
    (text,) = told.texts
    assert "no memory left" in text


def test_a_crashed_run_that_is_tried_again_is_told_only_if_a_day_failed(
    told: Told, instance: dg.DagsterInstance, land_day: LandDay
) -> None:
    cursor = look_for_failures(instance, None).cursor
    end_run(instance, start_run(instance, {"dagster/max_retries": "2"}), FAILED)
    result = look_for_failures(instance, cursor)
    assert (say(result), told.texts) == ("nothing to tell", [])

    land_day(day_text(0), make_mail(day_text(0)).assign(label="junk"))
    run = run_days(told.settings, instance, day_text(0), selection=["raw_mail", "validated_mail"])
    instance.add_run_tags(run.run_id, {"dagster/will_retry": "true"})
    look_for_failures(instance, result.cursor)
    assert len(told.texts) == 1  # the next try goes on after that day, so nobody else tells of it


def test_a_failure_that_could_not_be_told_is_told_at_the_next_tick_in_order(
    told: Told, instance: dg.DagsterInstance
) -> None:
    cursor = look_for_failures(instance, None).cursor
    runs = [end_run(instance, start_run(instance), FAILED) for _ in range(3)]
    told.webhook.answers = [(200, {}), (404, {})]
    told.mail.answers = {"RCPT": [b"250 ok", b"550 nobody"]}
    failing = look_for_failures(instance, cursor)
    assert "the webhook answers HTTP 404" in say(failing)
    assert "the e-mail server 127.0.0.1 refuses every recipient" in say(failing)
    assert SECRET not in say(failing) + str(failing.cursor)
    assert "/services/" not in say(failing)
    assert [run.run_id for run in runs if run.run_id in "".join(told.webhook.texts)] == [
        run.run_id for run in runs[:2]
    ]  # the second was refused
    told.webhook.requests.clear()
    told.mail.mails.clear()
    result = look_for_failures(instance, failing.cursor)
    assert [text.rpartition("/")[2] for text in told.texts] == [run.run_id for run in runs[1:]]
    assert say(look_for_failures(instance, result.cursor)) == "nothing to tell"


def test_a_message_that_one_channel_took_is_told_and_the_trouble_is_said(
    told: Told, instance: dg.DagsterInstance
) -> None:
    cursor = look_for_failures(instance, None).cursor
    end_run(instance, start_run(instance), FAILED)
    told.webhook.answers = [(404, {})]
    result = look_for_failures(instance, cursor)
    assert "the webhook answers HTTP 404" in say(result)
    assert say(look_for_failures(instance, result.cursor)) == "nothing to tell"
    assert (len(told.webhook.requests), len(told.mail.mails)) == (1, 1)


def test_a_tick_with_many_messages_and_a_hanging_channel_ends_in_time_and_the_next_one_goes_on(
    told: Told, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "SECONDS_FOR_SENDING", 0.5)
    cursor = look_for_failures(instance, None).cursor
    for _ in range(3):
        end_run(instance, start_run(instance), FAILED)
    told.webhook.answers = [(0, {})] * 3
    first = look_for_failures(instance, cursor)
    assert "the other messages follow at the next look" in say(first)
    assert 1 <= len(told.mail.mails) < 3
    while say(result := look_for_failures(instance, first.cursor)) != "nothing to tell":
        first = result
    assert len(told.mail.mails) == 3


def test_a_kind_that_nobody_wants_is_not_sent_and_not_kept(
    told: Told, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor = look_for_failures(instance, None).cursor
    use_settings(monkeypatch, told.settings.model_copy(update={"alert_on": "no_mail"}))
    end_run(instance, start_run(instance), FAILED)
    result = look_for_failures(instance, cursor)
    assert (say(result), told.texts) == ("nothing to tell", [])
    use_settings(monkeypatch, told.settings)
    assert say(look_for_failures(instance, result.cursor)) == "nothing to tell"


def decide(instance: dg.DagsterInstance, run: dg.DagsterRun, day: str, version: int, promoted: bool = True) -> None:
    """What registered_model says about a candidate."""
    materialization = dg.AssetMaterialization(
        "registered_model",
        partition=day,
        metadata={"model_version": version, "promoted": promoted, "reason": f"reason {version}"},
    )
    event = dg.DagsterEvent(
        dg.DagsterEventType.ASSET_MATERIALIZATION.value,
        run.job_name,
        event_specific_data=StepMaterializationData(materialization),
    )
    instance.report_dagster_event(event, run.run_id)


def test_a_promotion_and_a_refusal_are_told_once_each(told: Told, instance: dg.DagsterInstance) -> None:
    first = look_for_news(instance, None)
    assert say(first) == "watching from now on"
    for version, promoted in ((1, True), (2, False)):
        run = start_run(instance)
        decide(instance, run, day_text(version), version, promoted)
        end_run(instance, run, SUCCEEDED)
    result = look_for_news(instance, first.cursor)
    promotion, refusal = told.texts
    assert f"Model version 1, trained for {day_text(1)}, is the new champion\nReason: reason 1" in promotion
    assert f"Model version 2, trained for {day_text(2)}, was refused\nReason: reason 2" in refusal
    assert f"partition={day_text(2)}" in refusal
    assert len(result.cursor or "") < 1000
    assert say(look_for_news(instance, result.cursor)) == "nothing to tell"

    run = start_run(instance)  # the day is run again, with the same outcome
    decide(instance, run, day_text(2), 2, promoted=False)
    end_run(instance, run, SUCCEEDED)
    assert say(look_for_news(instance, result.cursor)) == "nothing to tell"
    assert len(told.texts) == 2


def test_a_backfill_of_many_candidates_is_one_message_when_it_is_over(
    told: Told, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "EVENTS_PER_PAGE", 7)
    cursor = look_for_news(instance, None).cursor
    run = start_run(instance)
    for number in range(20):
        decide(instance, run, day_text(number), number, promoted=number % 2 == 0)
        if number % 5 == 0:
            cursor = look_for_news(instance, cursor).cursor
    assert told.texts == []
    end_run(instance, run, SUCCEEDED)
    result = look_for_news(instance, cursor)
    (text,) = told.texts
    assert "Model version 19" in text
    assert say(look_for_news(instance, result.cursor)) == "nothing to tell"


def test_a_run_that_never_ends_does_not_hold_up_alerts_for_ever(told: Told, instance: dg.DagsterInstance) -> None:
    run = start_run(instance)
    decide(instance, run, day_text(0), 1)
    assert alerts.find_decisions(instance, 0, time.time()) == ([], 0)
    ((event_id, alert),), last_seen = alerts.find_decisions(instance, 0, time.time() + alerts.SILENT_RUN_SECONDS)
    assert "version 1" in alert.title
    assert event_id == last_seen > 0


def test_what_a_real_run_decided_is_told(told: Told, trained: Trained) -> None:
    ((_, alert),), _ = alerts.find_decisions(trained.instance, 0, time.time())
    assert alert.kind == "champion_promoted"
    assert alert.day == day_text(3)
    assert "(1-ROCA)%" in alert.reason


def test_decisions_that_could_not_be_told_are_told_later_and_no_other_twice(
    told: Told, instance: dg.DagsterInstance
) -> None:
    cursor = look_for_news(instance, None).cursor
    for version in range(3):
        run = start_run(instance)
        decide(instance, run, day_text(version), version)
        end_run(instance, run, SUCCEEDED)
    told.webhook.answers = [(200, {}), (404, {})]
    told.mail.answers = {"RCPT": [b"250 ok", b"550 nobody"]}
    failing = look_for_news(instance, cursor)
    assert "HTTP 404" in say(failing)
    told.webhook.requests.clear()
    told.mail.mails.clear()
    result = look_for_news(instance, failing.cursor)
    assert ["version 1" in told.texts[0], "version 2" in told.texts[1]] == [True, True]
    assert say(look_for_news(instance, result.cursor)) == "nothing to tell"
    assert len(told.texts) == 2


def test_missing_mail_is_told_once(
    told: Told, instance: dg.DagsterInstance, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_settings(monkeypatch, told.settings.model_copy(update={"end_date": None}))
    cursor = look_for_news(instance, None).cursor
    assert say(look_for_news(instance, cursor)) == "nothing to tell"  # nothing has landed, so nothing is missed
    land(landing, day_text(0))
    result = look_for_news(instance, cursor)
    assert say(result).startswith("No mail of 20")
    for _ in range(2):
        result = look_for_news(instance, result.cursor)
        assert say(result) == "nothing to tell"
    assert len(told.texts) == 1


def test_missing_mail_of_an_archive_is_no_news(told: Told, instance: dg.DagsterInstance, landing: Path) -> None:
    land(landing, day_text(0))
    assert say(look_for_news(instance, look_for_news(instance, None).cursor)) == "nothing to tell"


def test_a_zone_that_fails_is_told_once_and_again_after_it_recovered(
    told: Told, instance: dg.DagsterInstance, landing: Path
) -> None:
    land(landing, day_text(0))
    cursor = look_for_news(instance, None).cursor
    said = []
    for is_there in (False, False, True, True, False, False):
        away = landing.with_name("away")
        if is_there and away.exists():
            away.rename(landing)
        elif not is_there and landing.exists():
            landing.rename(away)
        result = look_for_news(instance, cursor)
        said.append(say(result))
        cursor = result.cursor
    trouble, calm = "The landing zone cannot be read", "nothing to tell"
    assert said == [trouble, calm, calm, calm, trouble, calm]
    assert all("does not exist" in text for text in told.texts)


def land_twice(folder: Path, offset: int, age_seconds: float = 3600) -> None:
    land(folder, day_text(offset), age_seconds=age_seconds)
    write_old(folder / f"training-{day_text(offset)}.jsonl", '{"text": "a", "label": "ham"}\n', age_seconds)


def test_two_files_for_a_day_are_told_once_when_they_are_quiet(
    told: Told, instance: dg.DagsterInstance, landing: Path
) -> None:
    cursor = look_for_news(instance, None).cursor
    land_twice(landing, 0, age_seconds=0)
    assert say(look_for_news(instance, cursor)) == "nothing to tell"  # being landed again in another format
    land_twice(landing, 0)
    result = look_for_news(instance, cursor)
    assert say(result) == f"The landed file of {day_text(0)} cannot be used"
    assert say(look_for_news(instance, result.cursor)) == "nothing to tell"
    assert "keep one and remove the other" in told.texts[0]


def test_problems_of_many_days_are_one_message_and_stay_told(
    told: Told, instance: dg.DagsterInstance, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "KEYS_REMEMBERED", 5)
    cursor = look_for_news(instance, None).cursor
    for offset in range(30):
        land_twice(landing, offset)
    for _ in range(3):
        cursor = look_for_news(instance, cursor).cursor
    (text,) = told.texts
    assert f"The landed files of 30 days from {day_text(0)} to {day_text(29)} cannot be used" in text
    assert "and 27 more" in text
    land_twice(landing, 30)
    cursor = look_for_news(instance, cursor).cursor
    assert f"The landed file of {day_text(30)} cannot be used" in told.texts[1]
    for path in landing.glob("*.jsonl"):
        path.unlink()
    known = alerts.AlertState.from_cursor(look_for_news(instance, cursor).cursor)
    assert known is not None
    assert len(known.keys) == 5
    assert len(told.texts) == 2


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, []),
        ({"dagster/partition": "2024-01-02"}, ["2024-01-02"]),
        ({START_TAG: "2024-02-28", END_TAG: "2024-03-01"}, ["2024-02-28", "2024-02-29", "2024-03-01"]),
        ({START_TAG: "2024-01-01", END_TAG: "2024-01-01"}, ["2024-01-01"]),
    ],
)
def test_the_days_of_a_run_are_those_of_its_tags(tags: dict[str, str], expected: list[str]) -> None:
    assert alerts.list_days_of_run(tags) == expected


@pytest.mark.parametrize(("days", "messages"), [(0, 1), (1, 2), (3, 4), (4, 2), (50, 2)])
def test_more_than_three_landing_problems_are_joined(days: int, messages: int) -> None:
    missing = describe_missing_mail("2024-06-01", 7)
    problems: list[Alert] = [describe_landing_problem(day_text(offset), "two files") for offset in range(days)]
    joined = alerts.join_problems([*problems, missing])
    assert len(joined) == messages
    assert {key for keys in joined.values() for key in keys} == {alert.key for alert in [*problems, missing]}


def test_what_was_told_survives_the_cursor_and_what_is_still_the_matter_is_never_forgotten() -> None:
    state = alerts.AlertState(7, ()).with_keys(f"k{number}" for number in range(300))
    current = {f"k{number}" for number in range(150)}
    kept = state.forget_old(current)
    assert current <= set(kept.keys)
    assert len(kept.keys) == 150 + alerts.KEYS_REMEMBERED
    assert kept.keys[-1] == "k299"
    assert alerts.AlertState.from_cursor(kept.to_cursor()) == kept
    assert alerts.AlertState.from_cursor(None) is None
    assert kept.without("k299").keys == kept.keys[:-1]
