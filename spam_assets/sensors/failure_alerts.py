"""Failed runs: one message each, with the days that failed and why."""

from collections.abc import Iterator

import dagster as dg

from spam_assets.alerts.events import describe_run_failure
from spam_assets.alerts.message import Alert
from spam_assets.engine.code_location import is_ours, name_of_location
from spam_assets.engine.executor import read_day
from spam_assets.engine.failures import find_failure, say_why_run_failed
from spam_assets.engine.tags import IMPLICIT_ASSET_JOB_NAME, WILL_RETRY_TAG, list_days_of_run
from spam_assets.partitions import SETTINGS
from spam_assets.sensors.alert_sending import DEFAULT_STATUS, send_alerts
from spam_assets.sensors.described import described

EVENTS_PER_PAGE = 500
TELLING_EVENTS = {
    dg.DagsterEventType.ENGINE_EVENT,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
}


# Dagster's own run_failure_sensor goes on to the next run when a message could not be sent, and leaves out runs of the
# command line.
@described(
    dg.sensor, name="alert_failures", minimum_interval_seconds=SETTINGS.sensor_seconds, default_status=DEFAULT_STATUS
)
def alert_failures_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Send one message for each run that fails: which days, what, why. The cursor is the last failure that was told."""
    if not (context.cursor or "").isdigit():  # turned on just now
        newest = context.instance.fetch_run_status_changes(dg.DagsterEventType.RUN_FAILURE, limit=1).records
        return dg.SensorResult(skip_reason="watching from now on", cursor=str(newest[0].storage_id if newest else 0))
    last_seen = int(context.cursor or 0)
    failures = list(find_failures(context.instance, last_seen, name_of_location(context)))
    sending = send_alerts(SETTINGS, [alert for _, alert in failures if alert is not None])
    for event_id, alert in failures:
        if alert is not None and alert.key not in sending.told:
            break
        last_seen = event_id
    return dg.SensorResult(skip_reason=sending.say(), cursor=str(last_seen))


def find_failures(
    instance: dg.DagsterInstance, last_seen: int, own_location: str | None = None
) -> Iterator[tuple[int, Alert | None]]:
    """Yield the failures of runs since an event id, oldest first, each with what to tell about it, if anything.

    Of projects that share the instance nothing is told.
    """
    filters = dg.RunStatusChangeRecordsFilter(dg.DagsterEventType.RUN_FAILURE, after_storage_id=last_seen)
    for record in instance.fetch_run_status_changes(filters, limit=EVENTS_PER_PAGE, ascending=True).records:
        event = record.event_log_entry.dagster_event
        run = instance.get_run_by_id(record.event_log_entry.run_id)
        if run is None or event is None or not is_ours(run, own_location):
            yield record.storage_id, None
        else:
            yield record.storage_id, describe_failure(instance, run, event)


def describe_failure(instance: dg.DagsterInstance, run: dg.DagsterRun, event: dg.DagsterEvent) -> Alert | None:
    """Return what to tell about a failed run; None where it is tried again and no day has failed."""
    failed_days: list[str] = []
    failures: list[tuple[str, str]] = []
    day: str | None = None
    for entry in instance.all_logs(run.run_id, of_type=TELLING_EVENTS):
        if entry.dagster_event is None:
            continue
        day = read_day(entry.dagster_event) or day
        failure = find_failure(entry.dagster_event)
        if failure is not None:
            failures.append((failure.step, failure.sentence))
            failed_days += [day] if day else []
    if run.tags.get(WILL_RETRY_TAG) == "true" and not failures:  # the next try leaves out days that failed
        return None
    return describe_run_failure(
        run.run_id,
        "materialization" if run.job_name == IMPLICIT_ASSET_JOB_NAME else run.job_name,  # started in the UI
        sorted(set(failed_days)) or list_days_of_run(run.tags),
        failures or [("run", say_why_run_failed(event))],
        SETTINGS.dagster_url,
    )
