"""What was decided about candidates, as alerts: read from the materializations of `registered_model`."""

from collections.abc import Iterator

import dagster as dg

from spam_assets.alerts.events import describe_decision_alert
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
        if values.get("verdict") == "wait":  # neither promoted nor refused yet
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


def _read_decisions(instance: dg.DagsterInstance, last_seen: int) -> Iterator[dg.EventLogRecord]:
    filters = dg.AssetRecordsFilter(dg.AssetKey("registered_model"), after_storage_id=last_seen)
    cursor: str | None = None
    while True:
        page = instance.fetch_materializations(filters, limit=EVENTS_PER_PAGE, cursor=cursor, ascending=True)
        yield from page.records
        if not page.has_more:
            return
        cursor = page.cursor
