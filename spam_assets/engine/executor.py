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
import time
from collections.abc import Generator, Iterator, Sequence

import dagster as dg

# Dagster documents how to write an executor (`dg.Executor`, `dg.executor`) and exports no more than that. What runs a
# plan in this process, once for each day, are the parts of its own in-process executor.
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.events import EngineEventData
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.context_creation_job import PlanExecutionContextManager
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.in_process import inprocess_execution_iterator
from dagster._utils.interrupts import check_captured_interrupt, pop_captured_interrupt
from typing_extensions import override

from spam_assets.engine.absent_packages import note_absent_packages
from spam_assets.engine.life import name_of_life, show_life
from spam_assets.engine.many_machines import prepare_run, watching_for_cancel
from spam_assets.engine.private_home import keep_home_private
from spam_assets.engine.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    COMMAND_TAG,
    DAYS_TO_REPEAT_TAG,
    PARTITION_NAME_TAG,
    RETRY_NUMBER_TAG,
    TRANSIENT_FAULT_TAG,
)
from spam_assets.engine.transient_faults import PAUSE_SECONDS, is_given_up, is_transient
from spam_assets.partitions import DAYS, SETTINGS

# On a day that makes nothing its checks are skipped, and Dagster warns that later steps go on ungated; they do not,
# they are skipped as well.
logging.getLogger("dagster._core.execution.plan.active").setLevel(logging.ERROR)

DAY_OF_EVENT = "spam_assets/day"
"""Metadata of the engine event that opens a day in a run's event log."""
SECONDS_FOR_AN_INTERRUPT = 2.0
"""A cancel in the UI first changes the run's status and then reaches for its process; were that gone, it would fail."""


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
        # As in `cli.main`: what Dagster and MLflow import stays, and looking through it for garbage is a waste. Once: a
        # command may make many runs, and what one of them leaves behind must not stay for good.
        if not gc.get_freeze_count():
            gc.freeze()
        gc.set_threshold(100_000, 50, 50)
        note_absent_packages()
        keep_home_private(SETTINGS)  # a run of plain `dagster dev` knows no command that did
        run, instance = plan_context.dagster_run, plan_context.instance
        prepare_run(SETTINGS, instance, run)
        with show_life(SETTINGS, name_of_life(run.run_id)), watching_for_cancel(SETTINGS, instance, run.run_id):
            try:
                yield from self._execute_days(plan_context, execution_plan)
            except (KeyboardInterrupt, DagsterExecutionInterruptedError):
                if COMMAND_TAG in plan_context.run_tags:  # a person did it; in a worker the machine may be going down
                    instance.report_run_canceling(run, "The command was stopped.")
                raise

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
        is_faulty = False
        lost: list[str] = []
        for number, run in enumerate(runs, start=1):
            if is_told_to_stop(run, plan_context.instance):
                raise DagsterExecutionInterruptedError
            if (day := run.tags.get(PARTITION_NAME_TAG)) is not None:
                yield dg.DagsterEvent.engine_event(
                    plan_context,
                    f"Day {day} ({number} of {len(runs)})",
                    event_specific_data=EngineEventData(metadata={DAY_OF_EVENT: dg.MetadataValue.text(day)}),
                )
            # Where a fault outlasted all tries, the next day need not wait for it once more.
            retry_mode = RetryMode.DISABLED if is_faulty else plan_context.retry_mode
            is_faulty = False
            try:
                for event in _execute_day(plan_context, execution_plan, run, retry_mode):
                    is_faulty = is_faulty or is_given_up(event)
                    yield event
            except Exception as error:
                if is_transient(error):
                    lost += [left.tags[PARTITION_NAME_TAG] for left in runs[number - 1 :] if day is not None]
                    note_days_to_repeat(plan_context, lost)
                raise
            if is_faulty and day is not None:
                lost.append(day)
                note_days_to_repeat(plan_context, lost)


def note_days_to_repeat(plan_context: PlanOrchestrationContext, days: Sequence[str]) -> None:
    """Note on the run which days a transient fault has failed, for `sensors.lost_days`."""
    tags = {TRANSIENT_FAULT_TAG: "true", DAYS_TO_REPEAT_TAG: ",".join(days)}
    plan_context.instance.add_run_tags(plan_context.run_id, tags)


def _execute_day(
    plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan, run: dg.DagsterRun, retry_mode: RetryMode
) -> Iterator[dg.DagsterEvent]:
    """Execute all steps for one day.

    Dagster's `ExecuteRunWithPlanIterable` without its capture of interrupts: the run has one round all its days, and
    the end of one inside of it forgets an interrupt that came after the day's last step.
    """
    manager = yield from _set_up_day(plan_context, execution_plan, run, retry_mode)
    is_closed = False
    try:
        if (context := manager.get_context()) is not None:
            yield from inprocess_execution_iterator(context, execution_plan)
    except GeneratorExit:
        is_closed = True
        raise
    finally:
        for event in manager.shutdown_context():
            if not is_closed:
                yield event


def _set_up_day(
    plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan, run: dg.DagsterRun, retry_mode: RetryMode
) -> Generator[dg.DagsterEvent, None, PlanExecutionContextManager]:
    """Set up the resources of a day; an MLflow server that does not answer is asked again, as it is in a step."""
    pauses = PAUSE_SECONDS if retry_mode.enabled else ()
    for pause in (*pauses, None):
        manager = PlanExecutionContextManager(
            job=plan_context.job,
            retry_mode=retry_mode,
            execution_plan=execution_plan,
            run_config=plan_context.run_config,
            dagster_run=run,
            instance=plan_context.instance,
            raise_on_error=plan_context.raise_on_error,
            output_capture=plan_context.output_capture,
        )
        try:
            yield from manager.prepare_context()
        except Exception as error:
            if pause is None or not is_transient(error):
                raise
            yield dg.DagsterEvent.engine_event(
                plan_context, f"The day's resources are set up again in {pause:g} s", EngineEventData()
            )
            _wait(pause)
        else:
            return manager
    raise AssertionError("the last try returns or raises")


def _wait(seconds: float) -> None:
    """Wait, but not when told to stop: while a run is set up, an interrupt is only noted."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check_captured_interrupt():
            raise DagsterExecutionInterruptedError
        time.sleep(min(0.1, seconds))


def is_told_to_stop(run: dg.DagsterRun, instance: dg.DagsterInstance) -> bool:
    """Return whether a run was interrupted, or called off or given up in Dagster and its process was not reached."""
    if pop_captured_interrupt():
        return True
    now = instance.get_run_by_id(run.run_id)
    if now is None or now.is_finished:
        return True
    if now.status != dg.DagsterRunStatus.CANCELING:
        return False
    deadline = time.monotonic() + SECONDS_FOR_AN_INTERRUPT
    while time.monotonic() < deadline and not pop_captured_interrupt():
        time.sleep(0.05)
    return True


@dg.executor(name="day_by_day")
def day_by_day_executor(_init_context: dg.InitExecutorContext) -> dg.Executor:
    """Run in the run's own process, one day after the other: a subprocess a step would import everything anew."""
    return DayByDayExecutor()
