"""Days run from Python: in this process, in the persistent instance, so that the UI shows them like any other run."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import dagster as dg

# `dg.execute_job` returns when a run is over and yields no event before; `dg.build_reconstructable_job` knows no
# repository, so its runs do not belong to the code location.
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.execution.api import execute_run_iterator
from dagster._utils.interrupts import check_captured_interrupt

from spam_assets.engine.code_location import DEFINITIONS, build_repository_origin
from spam_assets.engine.executor import read_day
from spam_assets.engine.failures import find_failure, is_failure_of_a_step, say_why_run_failed
from spam_assets.engine.tags import COMMAND_TAG, REPOSITORY_LABEL_TAG, tag_days

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
    is_told_by_checks: bool = False

    @property
    def skipped(self) -> str | None:
        """Why the day has no registered model although nothing failed; None if it has one."""
        return self.reasons_for_nothing.get("registered_model")

    @property
    def failure(self) -> str | None:
        """Why the day failed, in a sentence or two; None if it did not."""
        return " ".join(self.failures) or None


def run_days(instance: dg.DagsterInstance, job_name: str, first: str, last: str) -> Iterator[DayOutcome]:
    """Run a job for a range of days in one run, and yield each day when it is done.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM came, or somebody canceled the run in the UI; the run has ended, and days
            that were done by then have been yielded.
    """
    repository = ReconstructableRepository.for_module(DEFINITIONS, "defs")
    origin = build_repository_origin()
    job = repository.get_reconstructable_job(job_name)
    run = instance.create_run_for_job(
        job_def=job.get_definition(),
        run_config=QUIET_CONSOLE,
        tags={**tag_days(first, last), COMMAND_TAG: "spam-assets", REPOSITORY_LABEL_TAG: origin.get_label()},
        remote_job_origin=origin.get_job_origin(job_name),
        job_code_origin=job.get_python_origin(),
    )
    outcome: DayOutcome | None = None
    was_interrupted = False
    for event in execute_run_iterator(job, run, instance):
        was_interrupted = was_interrupted or check_captured_interrupt()  # after the last step nobody else asks
        day = read_day(event)
        if day is not None:
            if outcome is not None:
                yield outcome
            outcome = DayOutcome(day, run.run_id)
        elif outcome is not None:
            _note_event(outcome, event)
        elif event.event_type == dg.DagsterEventType.PIPELINE_FAILURE:
            raise dg.Failure(event.message or "the run failed before its first day")
    ended = instance.get_run_by_id(run.run_id)
    if ended is not None and ended.status == dg.DagsterRunStatus.CANCELED:
        raise KeyboardInterrupt
    if outcome is not None:
        yield outcome
    if was_interrupted:
        raise KeyboardInterrupt


def _note_event(outcome: DayOutcome, event: dg.DagsterEvent) -> None:
    if event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION:
        materialization = event.step_materialization_data.materialization
        reason = materialization.metadata.get("skipped")
        if reason is None:
            outcome.materialized.append(materialization.label)
        else:
            outcome.reasons_for_nothing[materialization.label] = str(reason.value)
    elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        evaluation = event.asset_check_evaluation_data
        if not evaluation.passed:
            is_error = evaluation.severity == dg.AssetCheckSeverity.ERROR
            outcome.is_told_by_checks = outcome.is_told_by_checks or is_error
            (outcome.failures if is_error else outcome.warnings).append(evaluation.description or evaluation.check_name)
    elif event.event_type == dg.DagsterEventType.STEP_FAILURE and not outcome.is_told_by_checks:
        failure = find_failure(event)
        if failure is not None:
            outcome.failures.append(
                failure.sentence if failure.is_said_by_us else f"{failure.step}: {failure.sentence}"
            )
    elif event.event_type == dg.DagsterEventType.PIPELINE_FAILURE and not is_failure_of_a_step(event):
        # What kept a day from starting, such as an MLflow that does not answer.
        outcome.failures.append(say_why_run_failed(event))
