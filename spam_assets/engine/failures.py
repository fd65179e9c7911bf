"""Why a step or a run failed, in a sentence for people, from Dagster's events."""

from dataclasses import dataclass

import dagster as dg
from dagster._core.errors import DagsterAssetCheckFailedError  # what a failed blocking check raises has no public name
from dagster._core.events import RunFailureReason  # nor has the reason in the public event of a failed run
from dagster_shared.error import SerializableErrorInfo  # nor has the type of the errors in public events


@dataclass(frozen=True)
class StepFailure:
    """What failed and why.

    Attributes:
        step: The asset of a failed check, else the step.
        sentence: Why.
        is_said_by_us: Whether a check or an asset wrote the sentence for people; else it is an error's own text.
    """

    step: str
    sentence: str
    is_said_by_us: bool


def find_failure(event: dg.DagsterEvent) -> StepFailure | None:
    """Return what failed, as its check or asset said it or else the error; None if nothing did."""
    if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        check = event.asset_check_evaluation_data
        if check.passed or check.severity != dg.AssetCheckSeverity.ERROR:
            return None
        return StepFailure(check.asset_key.to_user_string(), check.description or check.check_name, is_said_by_us=True)
    if event.event_type != dg.DagsterEventType.STEP_FAILURE:
        return None
    step = event.step_key or "run"
    failure = event.step_failure_data
    if failure.user_failure_data is not None and failure.user_failure_data.description:
        return StepFailure(step, failure.user_failure_data.description, is_said_by_us=True)
    if failure.error is None:
        return StepFailure(step, "it failed", is_said_by_us=False)
    if failure.error.cls_name == DagsterAssetCheckFailedError.__name__:  # the check itself has said why
        return None
    return StepFailure(step, _say_root_cause(failure.error), is_said_by_us=False)


def say_why_run_failed(event: dg.DagsterEvent) -> str:
    """Return why a run failed outside of its steps: its process is gone, or MLflow did not answer."""
    error = event.job_failure_data.error if event.event_specific_data is not None else None
    return _say_root_cause(error) if error is not None else event.message or "the run failed"


def is_failure_of_a_step(event: dg.DagsterEvent) -> bool:
    """Return whether a run failed because a step did, which has spoken for itself."""
    data = event.job_failure_data if event.event_specific_data is not None else None
    return data is not None and (data.failure_reason == RunFailureReason.STEP_FAILURE or data.error is None)


def _say_root_cause(error: SerializableErrorInfo) -> str:
    """Return what an error says in the end, without the name of an exception of ours."""
    while error.cause is not None:
        error = error.cause
    message = error.message.strip()
    return message.partition(": ")[2] if message.startswith("spam_assets.") else message
