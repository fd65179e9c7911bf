"""Alerts: who is told what, once. What a message says and how it is sent is in `spam_assets.alerts`."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
    WILL_RETRY_TAG,
)

from spam_assets.alerts import (
    Alert,
    AlertChannels,
    AlertError,
    describe_decision_alert,
    describe_landing_problem,
    describe_missing_mail,
    describe_run_failure,
)
from spam_assets.partitions import SETTINGS
from spam_assets.settings import Settings

MISSING_MAIL_GRACE_HOURS = 6.0
DECISIONS_PER_TICK = 500
KEYS_REMEMBERED = 100
ZONE_KEY = "landing_problem:zone"
DEFAULT_STATUS = (
    dg.DefaultSensorStatus.RUNNING
    if SETTINGS.alert_webhook is not None or SETTINGS.alert_smtp is not None
    else dg.DefaultSensorStatus.STOPPED
)


@dg.run_failure_sensor(name="alert_failures", default_status=DEFAULT_STATUS)
def alert_failures_sensor(context: dg.RunFailureSensorContext) -> None:
    """Send one message for each run that fails: which days, what, why."""
    tags = context.dagster_run.tags
    if tags.get(WILL_RETRY_TAG) == "true":
        return
    failures = [(event.step_key or "run", say_why_failed(event)) for event in context.get_step_failure_events()]
    reason = context.failure_event.message or "the run failed"
    alert = describe_run_failure(
        context.dagster_run.run_id,
        context.dagster_run.job_name,
        list_days_of_run(tags),
        failures or [("run", reason)],
        SETTINGS.dagster_url,
    )
    AlertChannels.from_settings(SETTINGS).send(alert)


def say_why_failed(event: dg.DagsterEvent) -> str:
    """Return why a step failed, as its asset said it or else the error."""
    failure = event.step_failure_data
    if failure.user_failure_data is not None and failure.user_failure_data.description:
        return failure.user_failure_data.description
    return failure.error.message.strip() if failure.error is not None else "it failed"


def list_days_of_run(tags: Mapping[str, str]) -> list[str]:
    """Return the day of a run, or the first and the last of its range."""
    names = (PARTITION_NAME_TAG, ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG)
    return sorted({tags[name] for name in names if name in tags})


@dg.sensor(name="alerts", minimum_interval_seconds=SETTINGS.sensor_seconds, default_status=DEFAULT_STATUS)
def alerts_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Send a message when a candidate is promoted or refused, a day's mail is missing, or landed files are no use."""
    state = AlertState.from_cursor(context.cursor)
    if state is None:  # turned on just now: what happened before is no news
        newest = context.instance.fetch_materializations(dg.AssetKey("registered_model"), limit=1).records
        state = AlertState(newest[0].storage_id if newest else 0, ())
        return dg.SensorResult(skip_reason="watching from now on", cursor=state.to_cursor())
    landing, zone_answers = find_landing_alerts(SETTINGS, time.time())
    decisions, last_seen = find_decisions(context.instance, state.last_seen)
    if zone_answers:
        state = state.without(ZONE_KEY)
    channels = AlertChannels.from_settings(SETTINGS)
    sent: list[str] = []
    for alert in [*landing, *decisions]:
        if alert.key in state.keys:
            continue
        try:
            channels.send(alert)
        except AlertError as error:
            if not error.sent:  # told nobody: try again at the next tick, from here
                return dg.SensorResult(skip_reason=str(error), cursor=state.to_cursor())
        state = state.with_key(alert.key)
        sent.append(alert.title)
    state = replace(state, last_seen=last_seen)
    return dg.SensorResult(skip_reason="; ".join(sent) or "nothing to tell", cursor=state.to_cursor())


@dataclass(frozen=True)
class AlertState:
    """What the alerts sensor has told: decisions up to an event id, and the keys of the last alerts."""

    last_seen: int
    keys: tuple[str, ...]

    @classmethod
    def from_cursor(cls, cursor: str | None) -> "AlertState | None":
        """Undo `to_cursor`; None where there is none."""
        if not cursor:
            return None
        known = json.loads(cursor)
        return cls(int(known["last_seen"]), tuple(known["keys"]))

    def to_cursor(self) -> str:
        """Return the state as text."""
        return json.dumps({"last_seen": self.last_seen, "keys": self.keys})

    def with_key(self, key: str) -> "AlertState":
        """Return the state after an alert was sent."""
        return replace(self, keys=(*self.keys, key)[-KEYS_REMEMBERED:])

    def without(self, key: str) -> "AlertState":
        """Return the state after what an alert was about has ended."""
        return replace(self, keys=tuple(known for known in self.keys if known != key))


def find_decisions(instance: dg.DagsterInstance, last_seen: int) -> tuple[list[Alert], int]:
    """Return an alert for the last decision of every run since an event id, oldest first, and the newest event id.

    A backfill decides about hundreds of candidates of the past; what counts is what came out.
    """
    filters = dg.AssetRecordsFilter(dg.AssetKey("registered_model"), after_storage_id=last_seen)
    page = instance.fetch_materializations(filters, limit=DECISIONS_PER_TICK, ascending=True)
    by_run: dict[str, Alert] = {}
    for record in page.records:
        last_seen = record.storage_id
        materialization = record.asset_materialization
        if materialization is None or "promoted" not in materialization.metadata:
            continue
        values = {name: value.value for name, value in materialization.metadata.items()}
        by_run.pop(record.run_id, None)
        by_run[record.run_id] = describe_decision_alert(
            record.partition_key or "",
            int(str(values["model_version"])),
            promoted=bool(values["promoted"]),
            reason=str(values["reason"]),
            dagster_url=SETTINGS.dagster_url,
        )
    return list(by_run.values()), last_seen


def find_landing_alerts(settings: Settings, now_seconds: float) -> tuple[list[Alert], bool]:
    """Return what is wrong with the landing zone, and whether it answered."""
    from spam_assets.mail.errors import LandingError
    from spam_assets.mail.landing import LandingZone, select_training_files
    from spam_assets.mail.watching import find_missing_mail

    try:
        files = LandingZone(settings.landing_url).list_files()
    except LandingError as error:
        return [describe_landing_problem(None, str(error), settings.dagster_url)], False
    found = []
    for day, landed in files.items():
        training = select_training_files(landed)
        if len(training) > 1:
            names = " and ".join(file.name for file in training)
            problem = f"there are {names}; keep one and remove the other"
            found.append(describe_landing_problem(day, problem, settings.dagster_url))
    missing = find_missing_mail(files, now_seconds, MISSING_MAIL_GRACE_HOURS) if settings.end_date is None else None
    if missing is not None:
        found.append(describe_missing_mail(*missing, settings.dagster_url))
    return found, True
