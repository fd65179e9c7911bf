"""How a run executes: in its own process, and day after day when it covers a range of days.

A backfill in Dagster is either one run a day, which starts a process for each, or one run for a range, in which
each asset gets all days at once: then one bad day fails every day, a blocking check cannot bind to its day, and
all days share one data version. This executor keeps the good half of both. A run that covers a range goes
through its days in order and executes all its steps for one day as if the run were for that day alone, so an
asset body, an IO manager and a check only ever see one partition; the next day follows whatever became of this
one; the run fails at the end when any day failed.
"""

import gc
import logging
import os
from collections.abc import Iterator

import dagster as dg

# Dagster documents how to write an executor (`dg.Executor`, `dg.executor`) and exports no more than that. What runs a
# plan in this process, once for each day, are the parts of its own in-process executor.
from dagster._core.events import EngineEventData
from dagster._core.execution.api import ExecuteRunWithPlanIterable
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.context_creation_job import PlanExecutionContextManager
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.in_process import inprocess_execution_iterator
from typing_extensions import override

from spam_assets.engine.life import name_of_life, show_life
from spam_assets.engine.private_home import keep_home_private
from spam_assets.engine.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
    RETRY_NUMBER_TAG,
)
from spam_assets.partitions import DAYS, SETTINGS

# On a day that makes nothing its checks are skipped, and Dagster warns that later steps go on ungated; they do not,
# they are skipped as well.
logging.getLogger("dagster._core.execution.plan.active").setLevel(logging.ERROR)

DAY_OF_EVENT = "spam_assets/day"
"""Metadata of the engine event that opens a day in a run's event log."""


def split_run_by_day(run: dg.DagsterRun) -> list[dg.DagsterRun]:
    """Return the run once for each day it covers, oldest first, tagged as a run of that day alone."""
    start = run.tags.get(ASSET_PARTITION_RANGE_START_TAG)
    end = run.tags.get(ASSET_PARTITION_RANGE_END_TAG)
    if start is None or end is None:
        return [run]
    other_tags = {
        name: value
        for name, value in run.tags.items()
        if name not in (ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG)
    }
    days = DAYS.get_partition_keys_in_range(dg.PartitionKeyRange(start, end))
    return [run.with_tags({**other_tags, PARTITION_NAME_TAG: day}) for day in days]


def skip_finished_days(runs: list[dg.DagsterRun], instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Return the days that an automatic retry still has to do: the one that was in hand when the process died, and on.

    A person who re-executes a run gets all its days.
    """
    run = runs[0]
    while RETRY_NUMBER_TAG in run.tags and run.parent_run_id is not None:
        parent = instance.get_run_by_id(run.parent_run_id)
        entries = instance.all_logs(run.parent_run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
        started = [day for entry in entries if entry.dagster_event and (day := read_day(entry.dagster_event))]
        if started:
            return [left for left in runs if left.tags[PARTITION_NAME_TAG] >= started[-1]]
        if parent is None:
            break
        run = parent
    return runs


def read_day(event: dg.DagsterEvent) -> str | None:
    """Return the day that an event opens, or None."""
    if event.event_type != dg.DagsterEventType.ENGINE_EVENT:
        return None
    value = event.engine_event_data.metadata.get(DAY_OF_EVENT)
    return str(value.value) if value is not None else None


class DayByDayExecutor(dg.Executor):
    """Executes a run in its own process, one day of its range after the other."""

    @property
    @override
    def retries(self) -> RetryMode:
        return RetryMode.ENABLED

    @override
    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        # As in `cli.main`: what Dagster and MLflow import stays, and looking through it for garbage is a waste.
        gc.freeze()
        gc.set_threshold(100_000, 50, 50)
        keep_home_private(SETTINGS)  # a run of plain `dagster dev` knows no command that did
        with show_life(SETTINGS, name_of_life(plan_context.run_id)):
            yield from self._execute_days(plan_context, execution_plan)

    @staticmethod
    def _execute_days(
        plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        runs = skip_finished_days(split_run_by_day(plan_context.dagster_run), plan_context.instance)
        yield dg.DagsterEvent.engine_event(
            plan_context,
            f"Executing {len(execution_plan.step_keys_to_execute)} steps for {len(runs)} day(s) in this process",
            event_specific_data=EngineEventData.in_process(os.getpid(), execution_plan.step_keys_to_execute),
        )
        for number, run in enumerate(runs, start=1):
            if (day := run.tags.get(PARTITION_NAME_TAG)) is not None:
                yield dg.DagsterEvent.engine_event(
                    plan_context,
                    f"Day {day} ({number} of {len(runs)})",
                    event_specific_data=EngineEventData(metadata={DAY_OF_EVENT: dg.MetadataValue.text(day)}),
                )
            yield from ExecuteRunWithPlanIterable(
                execution_plan=execution_plan,
                iterator=inprocess_execution_iterator,
                execution_context_manager=PlanExecutionContextManager(
                    job=plan_context.job,
                    retry_mode=plan_context.retry_mode,
                    execution_plan=execution_plan,
                    run_config=plan_context.run_config,
                    dagster_run=run,
                    instance=plan_context.instance,
                    raise_on_error=plan_context.raise_on_error,
                    output_capture=plan_context.output_capture,
                ),
            )


@dg.executor(name="day_by_day")
def day_by_day_executor(_init_context: dg.InitExecutorContext) -> dg.Executor:
    """Run in the run's own process, one day after the other: a subprocess a step would import everything anew."""
    return DayByDayExecutor()
