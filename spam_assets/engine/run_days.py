"""Runs started from Python: in this process, in the persistent instance, so that the UI shows them like any other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import dagster as dg
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.events import DagsterEvent, DagsterEventType, RunFailureReason
from dagster._core.execution.api import execute_run_iterator
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

from spam_assets.engine.day_records import fingerprint_training, read_day_records
from spam_assets.engine.executor import read_day, say_root_cause
from spam_assets.io_managers.daily_files import first_day_of_window
from spam_assets.jobs import train_job
from spam_assets.landing.watching import read_day_state
from spam_assets.landing.zone import LandingZone
from spam_assets.partitions import SETTINGS

QUIET_CONSOLE = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class DayOutcome:
    """What became of one day in a run."""

    day: str
    run_id: str
    materialized: list[str] = field(default_factory=list)
    reasons_for_nothing: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def skipped(self) -> str | None:
        """Why the day has no registered model although nothing failed; None if it has one."""
        return self.reasons_for_nothing.get("registered_model")

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
        day = read_day(event)
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


def find_days_to_run(instance: dg.DagsterInstance, zone: LandingZone, landed_days: Sequence[str]) -> list[str]:
    """Return the landed days that are not complete or not up to date.

    A day is both when it ran with what its landing file holds now, its model was made from what its window holds
    now (or there was too little of it), and that model is registered. Where a window holds a landed day that never
    ran, its model took that day from the landing zone, and can be judged once the day has run.
    """
    raw, features, trained, registered = (
        read_day_records(instance, asset)
        for asset in ("raw_mail", "mail_features", "trained_model", "registered_model")
    )
    files = zone.list_files()
    made = {day: record.data_version for day, record in features.items() if not record.skipped}
    never_run = {day for day in files if day not in raw or raw[day].skipped}

    def is_done(day: str) -> bool:
        if day not in made or day not in trained or day not in registered or day not in raw:
            return False
        first = first_day_of_window(day, SETTINGS.window_days)
        window = {other: version for other, version in made.items() if first <= other <= day}
        has_unknown_days = any(first <= other <= day for other in never_run)
        return (
            raw[day].source == read_day_state(zone, files[day]).digest
            and (has_unknown_days or trained[day].source == fingerprint_training(window))
            and registered[day].data_version == trained[day].data_version
        )

    return [day for day in landed_days if not is_done(day)]


def _reconstruct_job() -> ReconstructableJob:
    repository = ReconstructableRepository.for_module("spam_assets.definitions", "defs")
    return repository.get_reconstructable_job(train_job.name)


def _note_event(outcome: DayOutcome, event: DagsterEvent) -> None:
    if event.event_type == DagsterEventType.ASSET_MATERIALIZATION:
        materialization = event.step_materialization_data.materialization
        reason = materialization.metadata.get("skipped")
        if reason is None:
            outcome.materialized.append(materialization.label)
        else:
            outcome.reasons_for_nothing[materialization.label] = str(reason.value)
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
            outcome.failures.append(f"{event.step_key}: {say_root_cause(failure.error)}")
    elif event.event_type == DagsterEventType.PIPELINE_FAILURE:
        # Steps that fail have spoken for themselves; what is left is what kept a day from starting, such as an
        # MLflow that does not answer.
        run_failure = event.job_failure_data
        if run_failure.failure_reason != RunFailureReason.STEP_FAILURE and run_failure.error is not None:
            outcome.failures.append(say_root_cause(run_failure.error))
