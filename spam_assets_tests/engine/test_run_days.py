"""Which days a backfill runs, what becomes of runs whose process died, and that results do not depend on the way."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, InstigatorType
from mlflow import MlflowClient

from spam_assets.cli.outdated_days import find_days_to_run, find_reports_to_make
from spam_assets.engine.code_location import build_repository_origin
from spam_assets.engine.day_records import read_day_records
from spam_assets.engine.instance import is_sensor_on
from spam_assets.engine.life import SECONDS_FOR_LAST_EVENT, end_dead_runs, name_of_life, show_life
from spam_assets.landing.zone import LandingZone
from spam_assets.partitions import SETTINGS
from spam_assets.registry.registered_models import CHAMPION, ModelRegistry
from spam_assets.registry.training_runs import RUN_KILLED, RUN_OPEN, end_abandoned_runs
from spam_assets.settings import Settings
from spam_assets_tests.conftest import LandDays, day_text, make_mail, open_instance
from spam_assets_tests.pipeline import reason_for_nothing, run_days

LandDay = Callable[..., Path]
COMPARED = ("validated_mail", "mail_features", "trained_model")


def versions_of_days(instance: dg.DagsterInstance) -> dict[str, dict[str, str]]:
    return {
        asset: {day: record.data_version for day, record in read_day_records(instance, asset).items()}
        for asset in COMPARED
    }


def champion_of(settings: Settings) -> tuple[str, str]:
    champion = ModelRegistry(settings).aliased(CHAMPION)
    assert champion is not None
    return champion.training_date, champion.data_version


def land_awkward_days(land_day: LandDay) -> list[str]:
    """Twelve days over the end of a month: no mail on two of them, one without spam, one bad, a small first one."""
    offsets = [offset for offset in range(24, 36) if offset not in (27, 32)]
    for offset in offsets:
        mail = make_mail(day_text(offset), messages=12 if offset == 24 else 40)
        if offset == 28:
            mail = make_mail(day_text(offset), spam_share=0)
        if offset == 30:
            mail.loc[:9, "label"] = "junk"
        land_day(day_text(offset), mail)
    return [day_text(offset) for offset in range(24, 36)]


def run_chunks(days: list[str]) -> list[tuple[str, str]]:
    return [(days[0], days[4]), (days[5], days[9]), (days[10], days[-1])]


def run_backwards(days: list[str]) -> list[tuple[str, str]]:
    return [(day, day) for day in reversed(days)]


def run_shuffled(days: list[str]) -> list[tuple[str, str]]:
    shuffled = random.Random(7).sample(days, len(days))
    return [(day, day) for day in shuffled]


@pytest.fixture(scope="module")
def in_one_run() -> dict[str, object]:
    """What a single run over all days makes; filled by whichever test comes first."""
    return {}


@pytest.mark.slow
@pytest.mark.parametrize("split", [run_chunks, run_shuffled, run_backwards])
def test_every_way_to_run_days_gives_what_one_run_over_all_of_them_gives(
    split: Callable[[list[str]], list[tuple[str, str]]],
    settings: Settings,
    instance: dg.DagsterInstance,
    land_day: LandDay,
    in_one_run: dict[str, object],
    tmp_path: Path,
) -> None:
    days = land_awkward_days(land_day)
    if not in_one_run:
        other = settings.model_copy(update={"home": tmp_path / "other", "landing": settings.landing_url})
        with open_instance(tmp_path) as instance_of_one_run:
            run_days(other, instance_of_one_run, days[0], days[-1])
            in_one_run.update(versions=versions_of_days(instance_of_one_run), champion=champion_of(other))
    for first, last in split(days):
        run_days(settings, instance, first, last)

    assert versions_of_days(instance) == in_one_run["versions"]
    assert champion_of(settings) == in_one_run["champion"]
    trained = {day for day, version in versions_of_days(instance)["trained_model"].items() if version != "nothing"}
    assert len(trained) >= 7


def test_only_days_that_are_missing_or_out_of_date_are_to_run(
    settings: Settings, instance: dg.DagsterInstance, land_day: LandDay, zone: LandingZone
) -> None:
    days = [day_text(offset) for offset in range(5)]
    for day in days[:4]:
        land_day(day)
    land_day(days[1], make_mail(days[1]).assign(label="junk"))

    assert find_days_to_run(SETTINGS, instance, zone, zone.days()) == days[:4]
    run_days(settings, instance, days[0], days[3])
    assert find_days_to_run(SETTINGS, instance, zone, zone.days()) == [days[1]]  # the bad one

    land_day(days[4])
    assert find_days_to_run(SETTINGS, instance, zone, zone.days()) == [days[1], days[4]]
    land_day(days[2], make_mail(days[2], seed=1))
    assert find_days_to_run(SETTINGS, instance, zone, zone.days()) == [days[1], days[2], days[4]]
    run_days(settings, instance, days[2])
    assert find_days_to_run(SETTINGS, instance, zone, zone.days()) == [
        days[1],
        days[3],
        days[4],
    ]  # 3 learnt the old day 2
    assert find_days_to_run(SETTINGS, instance, zone, []) == []

    (zone_file,) = Path(settings.landing_url).glob(f"*{days[3]}*")
    zone_file.touch()  # a newer time is no new content
    run_days(settings, instance, days[3], days[4])
    assert find_days_to_run(SETTINGS, instance, zone, zone.days()) == [days[1]]


def test_a_day_whose_file_cannot_be_read_is_to_run_and_hides_no_other(
    settings: Settings, instance: dg.DagsterInstance, land_day: LandDay, zone: LandingZone
) -> None:
    days = [day_text(offset) for offset in range(2)]
    files = [land_day(day) for day in days]
    run_days(settings, instance, days[0], days[1])
    assert find_days_to_run(settings, instance, zone, days) == []
    files[0].unlink()
    files[0].mkdir()
    assert find_days_to_run(settings, instance, zone, days) == [days[0]]


def test_where_the_rule_decides_what_is_trained_a_day_without_a_model_is_complete(
    settings: Settings, instance: dg.DagsterInstance, land_day: LandDay, zone: LandingZone
) -> None:
    days = [day_text(offset) for offset in range(2)]
    for day in days:
        land_day(day)
    run_days(settings, instance, days[0], selection=["raw_mail", "validated_mail", "mail_features", "champion_report"])
    automatic = settings.model_copy(update={"automate": True})
    assert find_days_to_run(settings, instance, zone, days) == days
    assert find_days_to_run(automatic, instance, zone, days) == [days[1]]
    land_day(days[0], make_mail(days[0], seed=1))
    assert find_days_to_run(automatic, instance, zone, days) == days


@pytest.mark.slow
def test_reports_that_are_missing_or_not_of_the_champion_before_the_day_are_to_be_made(
    settings: Settings, instance: dg.DagsterInstance, land_day: LandDay
) -> None:
    days = [day_text(offset) for offset in range(5)]
    for day in days:
        land_day(day)
    mail_assets = ["raw_mail", "validated_mail", "mail_features"]
    run_days(settings, instance, days[4], selection=[*mail_assets, "champion_report"])
    assert reason_for_nothing(instance, "champion_report", days[4]) == f"there was no champion before {days[4]}"
    assert find_reports_to_make(settings, instance, days) == []
    run_days(settings, instance, days[0], days[3])  # older days, which give a champion
    run_days(settings, instance, days[3], selection=mail_assets)
    to_make = find_reports_to_make(settings, instance, days)
    assert days[4] in to_make
    run_days(settings, instance, days[0], days[4], selection=["champion_report"])
    assert find_reports_to_make(settings, instance, days) == []
    assert read_day_records(instance, "champion_report")[days[4]].skipped is False
    land_day(days[4], make_mail(days[4], seed=1))
    run_days(settings, instance, days[4], selection=mail_assets)  # the report failed, say
    assert find_reports_to_make(settings, instance, days) == [days[4]]


@pytest.mark.slow
def test_where_days_run_newest_first_the_older_reports_keep_the_answer_that_there_was_no_champion(
    settings: Settings, instance: dg.DagsterInstance, land_days: LandDays
) -> None:
    days = land_days(5)
    for day in reversed(days):
        run_days(settings, instance, day)
    assert champion_of(settings) is not None
    for day in days:
        assert reason_for_nothing(instance, "champion_report", day) == f"there was no champion before {day}"
    assert find_reports_to_make(settings, instance, days) == []


@pytest.mark.slow
def test_the_champions_before_many_days_are_those_before_each(
    settings: Settings, instance: dg.DagsterInstance, land_day: LandDay
) -> None:
    days = [day_text(offset) for offset in range(6)]
    for day in days:
        land_day(day)
    run_days(settings, instance, days[0], days[-1])
    registry = ModelRegistry(settings)
    found = {day: version and version.version for day, version in registry.champions_before(days).items()}
    assert found == {day: version and version.version for day in days for version in [registry.champion_before(day)]}
    assert len(set(found.values())) > 1


@pytest.mark.parametrize(
    ("status", "is_on"),
    [(InstigatorStatus.RUNNING, True), (InstigatorStatus.STOPPED, False), (InstigatorStatus.DECLARED_IN_CODE, None)],
)
def test_a_sensor_is_on_as_a_person_set_it_else_by_default(
    instance: dg.DagsterInstance, status: InstigatorStatus, is_on: bool | None
) -> None:
    origin = build_repository_origin().get_instigator_origin("retraining")
    instance.add_instigator_state(InstigatorState(origin, InstigatorType.SENSOR, status))
    for by_default in (True, False):
        assert is_sensor_on(instance, "retraining", by_default=by_default) == (by_default if is_on is None else is_on)
        assert is_sensor_on(instance, "new_mail", by_default=by_default) == by_default


def start_run(instance: dg.DagsterInstance) -> dg.DagsterRun:
    @dg.job
    def job() -> None: ...

    run = instance.create_run_for_job(job)
    instance.handle_run_event(run.run_id, _event_of_start(run))
    return run


def _event_of_start(run: dg.DagsterRun) -> dg.DagsterEvent:
    return dg.DagsterEvent(event_type_value=dg.DagsterEventType.RUN_START.value, job_name=run.job_name)


def test_a_run_whose_process_died_is_failed_and_its_mlflow_run_ends_killed(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    living, dead, elsewhere = start_run(instance), start_run(instance), start_run(instance)
    client = MlflowClient(settings.tracking_uri)
    experiment = client.create_experiment(settings.experiment)
    runs = {
        run.run_id: client.create_run(experiment, tags={"dagster_run_id": run.run_id}).info.run_id
        for run in (living, dead, elsewhere)
    }
    (settings.home / "locks").mkdir()
    (settings.home / "locks" / f"{name_of_life(dead.run_id)}.alive").touch()  # left by a process that is gone

    with show_life(settings, name_of_life(living.run_id)):
        assert end_dead_runs(settings, instance) == [dead.run_id]
        end_abandoned_runs(settings, instance, again=True)

    statuses = {run.run_id: instance.get_run_by_id(run.run_id).status for run in (living, dead, elsewhere)}  # type: ignore[union-attr]
    assert statuses[dead.run_id] == dg.DagsterRunStatus.FAILURE
    assert statuses[living.run_id] == statuses[elsewhere.run_id] == dg.DagsterRunStatus.STARTED
    assert client.get_run(runs[dead.run_id]).info.status == RUN_KILLED
    assert client.get_run(runs[living.run_id]).info.status == RUN_OPEN
    assert list((settings.home / "locks").glob(f"{name_of_life(living.run_id)}.*")) == []


def test_a_run_that_was_canceled_and_whose_process_is_gone_is_canceled_not_failed(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    run = start_run(instance)
    instance.report_run_canceling(run)
    (settings.home / "locks").mkdir()
    (settings.home / "locks" / f"{name_of_life(run.run_id)}.alive").touch()
    assert end_dead_runs(settings, instance) == [run.run_id]
    assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.CANCELED  # type: ignore[union-attr]


def test_a_run_that_an_error_ended_has_a_while_to_note_that_and_is_then_dead(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    run = start_run(instance)
    with pytest.raises(OSError, match="disk full"), show_life(settings, name_of_life(run.run_id)):
        raise OSError("disk full")
    assert end_dead_runs(settings, instance) == []
    mark = settings.home / "locks" / f"{name_of_life(run.run_id)}.alive"
    long_ago = mark.stat().st_mtime - SECONDS_FOR_LAST_EVENT
    os.utime(mark, (long_ago, long_ago))
    assert end_dead_runs(settings, instance) == [run.run_id]
