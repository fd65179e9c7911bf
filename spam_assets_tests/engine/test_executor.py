"""Runs over a range of days: each day on its own, in order, in one process."""

import gc
import importlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from importlib.abc import MetaPathFinder

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator
from dagster._core.execution.context_creation_job import PlanExecutionContextManager
from dagster._utils.interrupts import capture_interrupts

from spam_assets.engine import absent_packages
from spam_assets.engine.executor import day_by_day_executor, read_day
from spam_assets.engine.life import end_dead_runs
from spam_assets.engine.tags import COMMAND_TAG
from spam_assets.partitions import DAYS, SETTINGS
from spam_assets_tests.conftest import day_text

SEEN: list[tuple[str, str, int]] = []
Tags = dict[str, str]


@dg.asset(partitions_def=DAYS)
def upstream(context: dg.AssetExecutionContext) -> None:
    SEEN.append(("upstream", context.partition_key, os.getpid()))
    if context.partition_key == day_text(1):
        raise dg.Failure("bad day", allow_retries=False)


@dg.asset(partitions_def=DAYS, deps=[upstream])
def downstream(context: dg.AssetExecutionContext) -> None:
    SEEN.append(("downstream", context.partition_key, os.getpid()))


@dg.multi_asset_check(specs=[dg.AssetCheckSpec("is_good", asset="upstream", blocking=True, partitions_def=DAYS)])
def is_good(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
    yield dg.AssetCheckResult(check_name="is_good", passed=context.partition_key != day_text(2))


def build_job() -> dg.JobDefinition:
    return dg.Definitions(
        assets=[upstream, downstream], asset_checks=[is_good], executor=day_by_day_executor,
        jobs=[dg.define_asset_job("job")],
    ).resolve_job_def("job")  # fmt: skip


def run_range(instance: dg.DagsterInstance, tags: Tags, parent: dg.DagsterRun | None = None) -> dg.DagsterRun:
    return execute(instance, create_run(instance, tags, parent))


def create_run(
    instance: dg.DagsterInstance, tags: dict[str, str], parent: dg.DagsterRun | None = None
) -> dg.DagsterRun:
    return instance.create_run_for_job(
        build_job(),
        tags=tags,
        parent_run_id=parent.run_id if parent else None,
        root_run_id=(parent.root_run_id or parent.run_id) if parent else None,
    )


def execute(instance: dg.DagsterInstance, run: dg.DagsterRun, until_day: str | None = None) -> dg.DagsterRun:
    """Execute a run, or only until a day of it has begun, as if the process died then."""
    SEEN.clear()
    events = execute_run_iterator(InMemoryJob(build_job()), run, instance)
    for event in events:
        if until_day is not None and read_day(event) == until_day:
            break
    events.close()  # type: ignore[attr-defined]
    finished = instance.get_run_by_id(run.run_id)
    assert finished is not None
    return finished


def range_tags(first: str, last: str) -> dict[str, str]:
    return {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}


def test_days_run_in_order_in_this_process_and_a_bad_day_stops_only_itself(
    instance: dg.DagsterInstance,
) -> None:
    run = run_range(instance, range_tags(day_text(0), day_text(3)))

    assert run.status == dg.DagsterRunStatus.FAILURE
    assert [(asset, day) for asset, day, _ in SEEN] == [
        ("upstream", day_text(0)),
        ("downstream", day_text(0)),
        ("upstream", day_text(1)),
        ("upstream", day_text(2)),
        ("upstream", day_text(3)),
        ("downstream", day_text(3)),
    ]
    assert {pid for _, _, pid in SEEN} == {os.getpid()}
    good = {day_text(0), day_text(3)}
    assert instance.get_materialized_partitions(downstream.key) == good
    assert instance.get_materialized_partitions(upstream.key) == good | {day_text(2)}


def test_a_blocking_check_binds_to_its_own_day(instance: dg.DagsterInstance) -> None:
    run = run_range(instance, range_tags(day_text(2), day_text(3)))
    results = {}
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        assert entry.dagster_event is not None
        evaluation = entry.dagster_event.asset_check_evaluation_data
        results[evaluation.partition] = evaluation.passed
    assert results == {day_text(2): False, day_text(3): True}


def test_a_run_of_one_day_is_a_plain_dagster_run(instance: dg.DagsterInstance) -> None:
    run = run_range(instance, {"dagster/partition": day_text(4)})
    assert run.is_success
    assert instance.get_materialized_partitions(downstream.key) == {day_text(4)}


def test_the_days_of_a_failed_range_are_shown_as_failed_and_the_others_as_materialized(
    instance: dg.DagsterInstance,
) -> None:
    from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

    run_range(instance, range_tags(day_text(0), day_text(3)))
    status = get_and_update_asset_status_cache_value(instance, downstream.key, DAYS)
    assert status is not None
    assert set(status.deserialize_failed_partition_subsets(DAYS).get_partition_keys()) == {
        day_text(1),
        day_text(2),
    }
    assert set(status.deserialize_materialized_partition_subsets(DAYS).get_partition_keys()) == {
        day_text(0),
        day_text(3),
    }


def test_a_command_of_many_runs_freezes_what_was_imported_once_and_no_garbage_of_its_runs(
    instance: dg.DagsterInstance,
) -> None:
    counts = []
    for _ in range(3):
        run_range(instance, {"dagster/partition": day_text(4)})
        counts.append(gc.get_freeze_count())
    assert counts[0] == counts[1] == counts[2] > 0


def test_a_run_looks_for_no_package_that_libraries_ask_for_at_every_request(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "dbruntime", raising=False)
    run_range(instance, {"dagster/partition": day_text(4)})
    looked_for: list[str] = []

    class Spy(MetaPathFinder):
        def find_spec(self, name: str, *_: object) -> None:
            looked_for.append(name)

    monkeypatch.setattr(sys, "meta_path", [Spy(), *sys.meta_path])
    for name in ("dbruntime.databricks_repl_context", "no_such_package"):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(name)
    assert looked_for == ["no_such_package"]


def test_a_package_that_is_there_is_still_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(absent_packages, "ASKED_FOR", ("tabnanny", "no_such_package"))
    monkeypatch.delitem(sys.modules, "tabnanny", raising=False)
    absent_packages.note_absent_packages()
    monkeypatch.delitem(sys.modules, "no_such_package")
    assert importlib.import_module("tabnanny").__name__ == "tabnanny"


# --- stopped ------------------------------------------------------------------------------------------------------

CANCELED, FAILURE = dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE
Stop = Callable[[dg.DagsterInstance, dg.DagsterRun], None]


def cancel(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """As Dagster's launcher does: the status is changed, the process gets a signal."""
    instance.report_run_canceling(run)
    os.kill(os.getpid(), signal.SIGINT)


def cancel_without_a_signal(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """As the UI's "force termination" does where the process cannot be reached."""
    instance.report_run_canceled(run)


def interrupt(_instance: dg.DagsterInstance, _run: dg.DagsterRun) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def execute_until_stopped(
    instance: dg.DagsterInstance, run: dg.DagsterRun, stop: Stop, is_moment: Callable[[dg.DagsterEvent], bool]
) -> dg.DagsterRun:
    """Execute a run as a worker does, and stop it once at a moment."""
    SEEN.clear()
    is_stopped = False
    with capture_interrupts():
        for event in execute_run_iterator(InMemoryJob(build_job()), run, instance):
            if not is_stopped and is_moment(event):
                stop(instance, run)
                is_stopped = True
    finished = instance.get_run_by_id(run.run_id)
    assert finished is not None
    return finished


def has_ended_a_step(event: dg.DagsterEvent) -> bool:
    return event.event_type == dg.DagsterEventType.STEP_SUCCESS


def has_ended_a_day(event: dg.DagsterEvent) -> bool:
    return event.event_type == dg.DagsterEventType.STEP_SUCCESS and event.step_key == "downstream"


@pytest.mark.parametrize("stop", [cancel, cancel_without_a_signal])
def test_a_cancel_between_two_days_lets_no_other_day_begin(
    instance: dg.DagsterInstance, stop: Stop, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = create_run(instance, RANGE)
    shut_down = PlanExecutionContextManager.shutdown_context

    def stop_after_the_last_step(manager: PlanExecutionContextManager) -> Iterator[dg.DagsterEvent]:
        yield from shut_down(manager)
        monkeypatch.undo()
        stop(instance, run)

    monkeypatch.setattr(PlanExecutionContextManager, "shutdown_context", stop_after_the_last_step)
    assert execute_until_stopped(instance, run, stop, lambda _: False).status == CANCELED
    assert days_seen() == [day_text(0)]


def test_a_cancel_in_a_step_lets_no_other_step_begin(instance: dg.DagsterInstance) -> None:
    run = create_run(instance, RANGE)
    assert execute_until_stopped(instance, run, cancel, has_ended_a_step).status == CANCELED
    assert [(asset, day) for asset, day, _ in SEEN] == [("upstream", day_text(0))]


def test_a_cancel_before_the_first_day_lets_none_begin(instance: dg.DagsterInstance) -> None:
    def has_started(event: dg.DagsterEvent) -> bool:
        return event.event_type == dg.DagsterEventType.RUN_START

    assert execute_until_stopped(instance, create_run(instance, RANGE), cancel, has_started).status == CANCELED
    assert days_seen() == []


@pytest.mark.parametrize(("tags", "status"), [({COMMAND_TAG: "spam-assets"}, CANCELED), ({}, FAILURE)])
def test_an_interrupt_cancels_a_run_of_the_command_line_and_fails_one_of_a_worker(
    instance: dg.DagsterInstance, tags: Tags, status: dg.DagsterRunStatus
) -> None:
    run = create_run(instance, {**RANGE, **tags})
    assert execute_until_stopped(instance, run, interrupt, has_ended_a_day).status == status
    assert days_seen() == [day_text(0)]


def test_a_run_that_is_being_canceled_is_not_taken_for_dead_before_its_last_event(instance: dg.DagsterInstance) -> None:
    run = create_run(instance, RANGE)
    events = execute_run_iterator(InMemoryJob(build_job()), run, instance)
    with capture_interrupts():
        for event in events:
            if has_ended_a_day(event):
                cancel(instance, run)
                break
        store_event = instance.handle_new_event

        def look_before_the_last_event(entry: dg.EventLogEntry, **options: object) -> None:
            if entry.dagster_event is not None and entry.dagster_event.event_type == dg.DagsterEventType.RUN_CANCELED:
                assert end_dead_runs(SETTINGS, instance) == []
                looks.append(run.run_id)
            store_event(entry, **options)  # type: ignore[arg-type]

        looks: list[str] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(instance, "handle_new_event", look_before_the_last_event)
            list(events)
    assert looks == [run.run_id]
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    assert found.status == CANCELED


# --- tried again --------------------------------------------------------------------------------------------------

RANGE = range_tags(day_text(0), day_text(5))


def retry_tags(number: int) -> dict[str, str]:
    return {**RANGE, "dagster/retry_number": str(number)}


def days_seen() -> list[str]:
    return sorted({day for _, day, _ in SEEN})


def test_an_automatic_retry_goes_on_with_the_day_in_hand_and_repeats_no_day_that_failed(
    instance: dg.DagsterInstance,
) -> None:
    died = execute(instance, create_run(instance, RANGE), until_day=day_text(4))
    assert days_seen() == [day_text(offset) for offset in range(4)]
    retried = run_range(instance, retry_tags(1), died)
    assert days_seen() == [day_text(4), day_text(5)]
    assert retried.is_success  # the days that failed are told of by the run that died
    assert died.status == dg.DagsterRunStatus.FAILURE


def test_a_retry_of_a_retry_goes_on_where_the_last_one_was(instance: dg.DagsterInstance) -> None:
    died = execute(instance, create_run(instance, RANGE), until_day=day_text(3))
    again = execute(instance, create_run(instance, retry_tags(1), died), until_day=day_text(4))
    assert days_seen() == [day_text(3)]
    run_range(instance, retry_tags(2), again)
    assert days_seen() == [day_text(4), day_text(5)]


def test_a_retry_of_a_retry_that_never_began_goes_on_where_the_one_before_was(instance: dg.DagsterInstance) -> None:
    died = execute(instance, create_run(instance, RANGE), until_day=day_text(3))
    never_began = create_run(instance, retry_tags(1), died)
    run_range(instance, retry_tags(2), never_began)
    assert days_seen() == [day_text(3), day_text(4), day_text(5)]


def test_a_person_who_re_executes_a_run_gets_all_its_days(instance: dg.DagsterInstance) -> None:
    died = execute(instance, create_run(instance, RANGE), until_day=day_text(4))
    retried = run_range(instance, retry_tags(1), died)
    for parent in (died, retried):
        run_range(instance, RANGE, parent)
        assert days_seen() == [day_text(offset) for offset in range(6)]


def test_a_retry_of_a_persons_run_that_never_began_does_all_its_days(instance: dg.DagsterInstance) -> None:
    died = execute(instance, create_run(instance, RANGE), until_day=day_text(4))
    never_began = create_run(instance, RANGE, died)
    run_range(instance, retry_tags(1), never_began)
    assert days_seen() == [day_text(offset) for offset in range(6)]


def test_a_retry_of_one_day_does_that_day(instance: dg.DagsterInstance) -> None:
    one_day = {"dagster/partition": day_text(4)}
    died = execute(instance, create_run(instance, one_day), until_day=day_text(4))
    assert run_range(instance, {**one_day, "dagster/retry_number": "1"}, died).is_success
    assert days_seen() == [day_text(4)]
