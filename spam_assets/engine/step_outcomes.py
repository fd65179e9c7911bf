"""What became of a step of a run, from Dagster's own events: for those who could not be there when it ended."""

from typing import Literal

import dagster as dg

Outcome = Literal["stored", "failed"]


def find_outcome(
    instance: dg.DagsterInstance, run_id: str, asset: str, day: str, since_seconds: float
) -> Outcome | None:
    """Return what became of an asset's day in a run since a time.

    Args:
        instance: Where the run is.
        run_id: Of the Dagster run.
        asset: The asset; its step has the same name.
        day: The partition.
        since_seconds: When the step began, seconds since 1970.

    Returns:
        ``stored`` if it was materialized, ``failed`` if its step failed, None if the run ended before either.
    """
    kinds = {dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.STEP_FAILURE}
    outcome: Outcome | None = None
    for entry in instance.all_logs(run_id, of_type=kinds):
        event = entry.dagster_event
        if event is None or entry.timestamp < since_seconds:
            continue
        if event.event_type == dg.DagsterEventType.STEP_FAILURE and event.step_key == asset:
            outcome = "failed"
        elif event.asset_key == dg.AssetKey(asset) and event.partition == day:
            outcome = "stored"
    return outcome


def is_being_cancelled(instance: dg.DagsterInstance | None, run_id: str) -> bool:
    """Return whether a person cancelled a run that goes on, or is over by now."""
    run = instance.get_run_by_id(run_id) if instance is not None else None
    return run is not None and run.status in (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)
