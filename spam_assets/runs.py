"""Runs started from Python: in this process, in the persistent instance, so that the UI shows them like any other."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import dagster as dg
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.events import DagsterEvent, DagsterEventType, RunFailureReason
from dagster._core.execution.api import execute_run_iterator
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)
from dagster_shared.error import SerializableErrorInfo

from spam_assets.executor import DAY_OF_EVENT
from spam_assets.jobs import train_job

QUIET_CONSOLE = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class DayOutcome:
    """What became of one day in a run."""

    day: str
    run_id: str
    materialized: list[str] = field(default_factory=list)
    skipped: str | None = None
    failures: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def failure(self) -> str | None:
        """Why the day failed, in a sentence or two; None if it did not."""
        return " ".join(self.failures) or None


def materialize_days(instance: dg.DagsterInstance, first: str, last: str) -> Iterator[DayOutcome]:
    """Run all assets and checks for a range of days in one run, and yield each day when it is done."""
    job = _reconstruct_job()
    tags = {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}
    if first == last:
        tags = {PARTITION_NAME_TAG: first}
    run = instance.create_run_for_job(
        job_def=job.get_definition(),
        run_config=QUIET_CONSOLE,
        tags=tags,
        job_code_origin=job.get_python_origin(),
    )
    outcome: DayOutcome | None = None
    for event in execute_run_iterator(job, run, instance):
        day = _day_that_starts(event)
        if day is not None:
            if outcome is not None:
                yield outcome
            outcome = DayOutcome(day, run.run_id)
        elif outcome is not None:
            _note_event(outcome, event)
        elif event.event_type == DagsterEventType.PIPELINE_FAILURE:
            raise dg.Failure(event.message or "the run failed before its first day")
    if outcome is not None:
        yield outcome


def split_into_ranges(days: Iterable[str]) -> list[tuple[str, str]]:
    """Group days into ranges (first, last) of successive days, one run each.

    A range holds no other day: what a run covers without making it, Dagster shows as skipped.
    """
    ranges: list[list[date]] = []
    for day in sorted(map(date.fromisoformat, days)):
        if ranges and ranges[-1][-1] + timedelta(days=1) == day:
            ranges[-1].append(day)
        else:
            ranges.append([day])
    return [(members[0].isoformat(), members[-1].isoformat()) for members in ranges]


def find_unfinished_days(instance: dg.DagsterInstance, landed_days: Sequence[str]) -> list[str]:
    """Return the landed days that have neither a registered model nor a stated reason for having none."""
    registered = instance.get_materialized_partitions(dg.AssetKey("registered_model"))
    featurized = instance.get_materialized_partitions(dg.AssetKey("mail_features"))
    trained_nothing = _days_that_trained_nothing(instance)
    done = registered | (featurized & trained_nothing)
    return [day for day in landed_days if day not in done]


def _days_that_trained_nothing(instance: dg.DagsterInstance) -> set[str]:
    days: set[str] = set()
    cursor: str | None = None
    while True:
        page = instance.fetch_observations(dg.AssetKey("trained_model"), limit=1000, cursor=cursor)
        days.update(record.partition_key for record in page.records if record.partition_key)
        if not page.has_more:
            return days
        cursor = page.cursor


def _reconstruct_job() -> ReconstructableJob:
    repository = ReconstructableRepository.for_module("spam_assets.definitions", "defs")
    return repository.get_reconstructable_job(train_job.name)


def _day_that_starts(event: DagsterEvent) -> str | None:
    if event.event_type != DagsterEventType.ENGINE_EVENT:
        return None
    value = event.engine_event_data.metadata.get(DAY_OF_EVENT)
    return str(value.value) if value is not None else None


def _note_event(outcome: DayOutcome, event: DagsterEvent) -> None:
    if event.event_type == DagsterEventType.ASSET_MATERIALIZATION:
        outcome.materialized.append(event.step_materialization_data.materialization.label)
    elif event.event_type == DagsterEventType.ASSET_OBSERVATION:
        reason = event.asset_observation_data.asset_observation.metadata.get("skipped")
        outcome.skipped = str(reason.value) if reason else outcome.skipped
    elif event.event_type == DagsterEventType.ASSET_CHECK_EVALUATION:
        evaluation = event.asset_check_evaluation_data
        if not evaluation.passed:
            is_error = evaluation.severity == dg.AssetCheckSeverity.ERROR
            (outcome.failures if is_error else outcome.warnings).append(evaluation.description or evaluation.check_name)
    elif event.event_type == DagsterEventType.STEP_FAILURE and not outcome.failures:
        failure = event.step_failure_data
        if failure.user_failure_data is not None and failure.user_failure_data.description:
            outcome.failures.append(failure.user_failure_data.description)
        elif failure.error is not None:
            outcome.failures.append(f"{event.step_key}: {_say_root_cause(failure.error)}")
    elif event.event_type == DagsterEventType.PIPELINE_FAILURE:
        # Steps that fail have spoken for themselves; what is left is what kept a day from starting, such as an
        # MLflow that does not answer.
        run_failure = event.job_failure_data
        if run_failure.failure_reason != RunFailureReason.STEP_FAILURE and run_failure.error is not None:
            outcome.failures.append(_say_root_cause(run_failure.error))


def _say_root_cause(error: SerializableErrorInfo) -> str:
    while error.cause is not None:
        error = error.cause
    message = error.message.strip()
    return message.partition(": ")[2] if message.startswith("spam_assets.") else message
