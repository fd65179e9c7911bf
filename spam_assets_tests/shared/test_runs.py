"""Runs whose storage is shared in PostgreSQL: which may start, which start again, and a cancel from another machine."""

import threading
import time
from collections.abc import Iterator

import dagster as dg
import pytest
import sqlalchemy
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator

from spam_assets.engine import executor, many_machines
from spam_assets.engine.executor import day_by_day_executor
from spam_assets.engine.life import end_dead_runs, name_of_life
from spam_assets.engine.locks import TRAINING_POOL
from spam_assets.engine.many_machines import join
from spam_assets.partitions import DAYS
from spam_assets.shared import agreement, postgres
from spam_assets.shared.place import find_place
from spam_assets_tests.conftest import day_text
from spam_assets_tests.machines import Machine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
SECONDS_OF_WORK = 30.0


@dg.asset(partitions_def=DAYS)
def quick() -> None: ...


@dg.asset(partitions_def=DAYS)
def patient() -> None:
    time.sleep(SECONDS_OF_WORK)


def build_job(*assets: dg.AssetsDefinition) -> dg.JobDefinition:
    return dg.Definitions(
        assets=assets, executor=day_by_day_executor, jobs=[dg.define_asset_job("job")]
    ).resolve_job_def("job")  # fmt: skip


def run(instance: dg.DagsterInstance, *assets: dg.AssetsDefinition, **tags: str) -> dg.DagsterRun:
    """Run one day in this process."""
    tags = {"dagster/partition": day_text(0), **tags}
    job = build_job(*assets)
    created = instance.create_run_for_job(job, tags=tags)
    for _ in execute_run_iterator(InMemoryJob(job), created, instance):
        pass
    return find(instance, created.run_id)


def read_failure(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """What is said of why a run failed, in a step or before the first."""
    (entry,) = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    return str(entry.dagster_event)


def find(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRun:
    found = instance.get_run_by_id(run_id)
    assert found is not None
    return found


@pytest.fixture
def instance(here: Machine, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setattr(executor, "SETTINGS", here.settings)
    monkeypatch.setattr(many_machines, "SECONDS_BETWEEN_LOOKS", 0.1)
    with here.open_instance() as instance:
        yield instance


def test_the_training_pool_has_its_limit_before_anybody_looks_at_the_queue(
    here: Machine, instance: dg.DagsterInstance
) -> None:
    assert instance.event_log_storage.get_concurrency_keys() == set()
    join(here.settings)
    (pool,) = instance.event_log_storage.get_pool_limits()
    assert (pool.name, pool.limit) == (TRAINING_POOL, 1)

    instance.event_log_storage.set_concurrency_slots(TRAINING_POOL, 3)  # a person
    join(here.settings)
    (pool,) = instance.event_log_storage.get_pool_limits()
    assert pool.limit == 3


def test_a_run_is_started_again_when_its_worker_dies_and_keeps_what_it_was_told_of_retries(
    instance: dg.DagsterInstance,
) -> None:
    tags = run(instance, quick).tags
    assert (tags["dagster/max_retries"], tags["dagster/retry_strategy"]) == ("2", "ALL_STEPS")
    assert tags["dagster/priority"] == "1"  # of the retry, which gets these tags
    assert "dagster/retry_strategy" not in run(instance, quick, **{"dagster/max_retries": "0"}).tags
    of_a_command = run(instance, quick, **{"spam_assets/command": "spam-assets"}).tags
    assert of_a_command["dagster/max_retries"] == "0"


def test_a_run_keeps_its_connections_and_outlives_a_server_that_breaks_them(instance: dg.DagsterInstance) -> None:
    run(instance, quick)  # after which this process keeps them
    kept = instance.run_storage._engine  # type: ignore[attr-defined]
    made: list[object] = []
    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", lambda connection, _: made.append(connection))
    again = run(instance, quick)
    assert again.is_success
    assert len(made) < 25  # of locks and notes, which have connections of their own; else 44
    assert instance.run_storage._engine is kept  # type: ignore[attr-defined]

    with instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        connection.exec_driver_sql(f"{others} AND datname = current_database()")
        time.sleep(1)  # they were asked to end
    assert run(instance, quick).is_success


def test_a_run_that_is_canceled_elsewhere_stops_in_the_step_in_hand(instance: dg.DagsterInstance) -> None:
    def cancel() -> None:
        while not (started := instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))):
            time.sleep(0.1)
        time.sleep(0.5)
        instance.report_run_canceling(started[0])

    threading.Thread(target=cancel, daemon=True).start()
    began = time.monotonic()
    canceled = run(instance, patient)
    assert canceled.status == dg.DagsterRunStatus.CANCELED
    assert time.monotonic() - began < SECONDS_OF_WORK / 2


def test_a_run_does_not_start_in_a_process_that_differs_from_another_one(
    here: Machine, instance: dg.DagsterInstance, there: Machine
) -> None:
    has = {**agreement.describe_this_process(here.settings), "numpy": "1.0"}
    other = there.start(
        f"import sys; from spam_assets.shared import agreement; from spam_assets.settings import load_settings\n"
        f"agreement.describe_this_process = lambda _: {has!r}\n"
        "agreement.join_others(load_settings()); print('ready', flush=True); sys.stdin.read()"
    )
    refused = run(instance, quick)
    assert refused.status == dg.DagsterRunStatus.FAILURE
    assert "and 1.0 there: there is process" in read_failure(instance, refused)
    other.communicate("", timeout=30)
    assert run(instance, quick).is_success


def test_a_process_whose_dagster_yaml_names_another_storage_says_so(
    here: Machine, instance: dg.DagsterInstance
) -> None:
    (here.home / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    refused = run(instance, quick)
    said = f"the run is kept in PostgreSQL, and {here.home / 'dagster' / 'dagster.yaml'}, which this process reads"
    assert said in read_failure(instance, refused)


def test_a_run_whose_worker_was_killed_elsewhere_is_failed_and_will_be_retried(
    here: Machine, there: Machine, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying = instance.create_run_for_job(
        build_job(quick),
        tags={"dagster/partition": day_text(0), "dagster/max_retries": "2", "dagster/retry_strategy": "ALL_STEPS"},
    )
    instance.report_dagster_event(dg.DagsterEvent("PIPELINE_START", "job"), dying.run_id)
    worker = there.start(
        "import sys; from spam_assets.engine.life import show_life; from spam_assets.settings import load_settings\n"
        f"with show_life(load_settings(), '{name_of_life(dying.run_id)}'):\n"
        "    print('ready', flush=True); sys.stdin.read()"
    )
    monkeypatch.setattr(postgres.PostgresDatabase, "grace_seconds", 0.0)
    assert end_dead_runs(here.settings, instance) == []
    worker.kill()
    worker.communicate(timeout=30)
    assert end_dead_runs(here.settings, instance) == [dying.run_id]
    ended = find(instance, dying.run_id)
    assert ended.status == dg.DagsterRunStatus.FAILURE
    assert ended.tags["dagster/will_retry"] == "true"
    assert find_place(here.settings).lock(name_of_life(dying.run_id)).acquire(0)
