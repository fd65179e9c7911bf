"""Runs over a range of days: each day on its own, in order, in one process."""

import os
from collections.abc import Iterator

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator

from spam_assets.executor import day_by_day_executor
from spam_assets.partitions import DAYS
from spam_assets_tests.conftest import day_text

SEEN: list[tuple[str, str, int]] = []


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


def run_range(instance: dg.DagsterInstance, tags: dict[str, str]) -> dg.DagsterRun:
    SEEN.clear()
    job = dg.Definitions(
        assets=[upstream, downstream], asset_checks=[is_good], executor=day_by_day_executor,
        jobs=[dg.define_asset_job("job")],
    ).resolve_job_def("job")  # fmt: skip
    run = instance.create_run_for_job(job, tags=tags)
    list(execute_run_iterator(InMemoryJob(job), run, instance))
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
