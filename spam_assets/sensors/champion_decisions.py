"""What was decided about who serves, as alerts.

The gate's decisions are read from the materializations of `registered_model`, those of people from the history that
the registry keeps.
"""

from collections.abc import Iterator
from contextlib import suppress

import dagster as dg

from spam_assets.alerts.events import describe_decision_alert, describe_manual_change
from spam_assets.alerts.message import Alert
from spam_assets.partitions import SETTINGS

EVENTS_PER_PAGE = 500
SILENT_RUN_SECONDS = 3600.0
"""A run that goes on is waited for until it has decided nothing for so long."""


def find_decisions(
    instance: dg.DagsterInstance, last_seen: int, now_seconds: float
) -> tuple[list[tuple[int, Alert]], int]:
    """Return what to tell about decisions on candidates since an event id, oldest first.

    A backfill decides about hundreds of candidates of the past; what counts is what came out. So there is one alert
    for each run, about its last decision, and from the first decision of a run that goes on everything waits.

    Returns:
        Event id and alert, by the last decision of every run; and the newest event id that was looked at.
    """
    records = list(_read_decisions(instance, last_seen))
    last_of_run = {record.run_id: record for record in records}
    open_runs = {
        run_id
        for run_id, record in last_of_run.items()
        if now_seconds - record.timestamp < SILENT_RUN_SECONDS
        and (run := instance.get_run_by_id(run_id)) is not None
        and not run.is_finished
    }
    found: dict[str, tuple[int, Alert]] = {}
    for record in records:
        if record.run_id in open_runs:
            break
        last_seen = record.storage_id
        materialization = record.asset_materialization
        if materialization is None or "promoted" not in materialization.metadata:
            continue
        values = {name: value.value for name, value in materialization.metadata.items()}
        if values.get("verdict") in ("wait", "trail"):  # neither promoted nor refused
            continue
        alert = describe_decision_alert(
            str(values.get("training_date", record.partition_key or "")),
            int(str(values["model_version"])),
            promoted=bool(values["promoted"]),
            reason=str(values["reason"]),
            dagster_url=SETTINGS.dagster_url,
            held=values.get("verdict") == "hold",
            manual_change=int(str(values.get("last_manual_change", 0))),
        )
        found.pop(record.run_id, None)
        found[record.run_id] = (record.storage_id, alert)
    return list(found.values()), last_seen


def find_manual_changes(last_told: int | None) -> tuple[list[tuple[int, Alert]], int | None]:
    """Return what to tell about changes that the gate did not make, oldest first.

    Args:
        last_told: Number of the last change that was told of; None at first, when what happened before is no news.

    Returns:
        Number and alert of each; and the newest number that was looked at, `last_told` while MLflow does not answer.
    """
    from spam_assets.registry.alias_changes import tell_change
    from spam_assets.registry.registered_models import ModelRegistry

    with suppress(Exception):  # other news must not wait for MLflow; a run that needs it says that it does not answer
        standing = ModelRegistry(SETTINGS).standing()
        if last_told is None:
            return [], standing.last_number
        found = [
            (
                change.number,
                describe_manual_change(
                    change.number,
                    tell_change(change),
                    change.who,
                    change.why,
                    moves_champion=change.champion_move is not None,
                    dagster_url=SETTINGS.dagster_url,
                ),
            )
            for change in standing.changes
            if change.number > last_told and change.who != "gate"
        ]
        return found, standing.last_number
    return [], last_told


def _read_decisions(instance: dg.DagsterInstance, last_seen: int) -> Iterator[dg.EventLogRecord]:
    filters = dg.AssetRecordsFilter(dg.AssetKey("registered_model"), after_storage_id=last_seen)
    cursor: str | None = None
    while True:
        page = instance.fetch_materializations(filters, limit=EVENTS_PER_PAGE, cursor=cursor, ascending=True)
        yield from page.records
        if not page.has_more:
            return
        cursor = page.cursor
