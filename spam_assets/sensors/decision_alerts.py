"""Alerts: who is told what, once. What a message says and how it is sent is in `spam_assets.alerts.channels`."""

import json
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import dagster as dg

from spam_assets.alerts.channels import (
    Alert,
    AlertChannels,
    AlertError,
    describe_decision_alert,
    describe_landing_problem,
    describe_landing_problems,
    describe_missing_mail,
    describe_run_failure,
)
from spam_assets.engine.executor import read_day
from spam_assets.engine.failures import find_failure, say_why_run_failed
from spam_assets.engine.tags import IMPLICIT_ASSET_JOB_NAME, WILL_RETRY_TAG, list_days_of_run
from spam_assets.partitions import SETTINGS
from spam_assets.sensors.described import described
from spam_assets.settings import Settings

MISSING_MAIL_GRACE_HOURS = 6.0
EVENTS_PER_PAGE = 500
SECONDS_FOR_SENDING = 15.0
"""Of one tick; Dagster gives it a minute, and a message to channels that hang takes half of one."""
SILENT_RUN_SECONDS = 3600.0
"""A run that goes on is waited for until it has decided nothing for so long."""
PROBLEMS_IN_FULL = 3
KEYS_REMEMBERED = 100
TELLING_EVENTS = {
    dg.DagsterEventType.ENGINE_EVENT,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
}
ZONE_KEY = "landing_problem:zone"
DEFAULT_STATUS = (
    dg.DefaultSensorStatus.RUNNING
    if SETTINGS.alert_webhook is not None or SETTINGS.alert_smtp is not None
    else dg.DefaultSensorStatus.STOPPED
)


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
    failures = list(find_failures(context.instance, last_seen))
    sending = send_alerts(SETTINGS, [alert for _, alert in failures if alert is not None])
    for event_id, alert in failures:
        if alert is not None and alert.key not in sending.told:
            break
        last_seen = event_id
    return dg.SensorResult(skip_reason=sending.say(), cursor=str(last_seen))


def find_failures(instance: dg.DagsterInstance, last_seen: int) -> Iterator[tuple[int, Alert | None]]:
    """Yield the failures of runs since an event id, oldest first, each with what to tell about it, if anything."""
    filters = dg.RunStatusChangeRecordsFilter(dg.DagsterEventType.RUN_FAILURE, after_storage_id=last_seen)
    for record in instance.fetch_run_status_changes(filters, limit=EVENTS_PER_PAGE, ascending=True).records:
        event = record.event_log_entry.dagster_event
        run = instance.get_run_by_id(record.event_log_entry.run_id)
        alert = describe_failure(instance, run, event) if run is not None and event is not None else None
        yield record.storage_id, alert


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


@described(dg.sensor, name="alerts", minimum_interval_seconds=SETTINGS.sensor_seconds, default_status=DEFAULT_STATUS)
def alerts_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Send a message when a candidate is promoted or refused, a day's mail is missing, or landed files are no use."""
    state = AlertState.from_cursor(context.cursor)
    if state is None:  # turned on just now: what happened before is no news
        newest = context.instance.fetch_materializations(dg.AssetKey("registered_model"), limit=1).records
        state = AlertState(newest[0].storage_id if newest else 0, ())
        return dg.SensorResult(skip_reason="watching from now on", cursor=state.to_cursor())
    now_seconds = time.time()
    landing, zone_answers = find_landing_alerts(SETTINGS, now_seconds)
    if zone_answers:
        state = state.without(ZONE_KEY)
    news = join_problems([alert for alert in landing if alert.key not in state.keys])
    decisions, last_seen = find_decisions(context.instance, state.last_seen, now_seconds)
    new_decisions = {alert.key: alert for _, alert in decisions if alert.key not in state.keys}
    sending = send_alerts(SETTINGS, [*news, *new_decisions.values()])
    for alert, keys in news.items():
        if alert.key in sending.told:
            state = state.with_keys(keys)
    for event_id, alert in decisions:
        if alert.key in new_decisions and alert.key not in sending.told:
            break
        state = replace(state, last_seen=event_id)
    else:
        state = replace(state, last_seen=last_seen)
    state = state.with_keys(key for key in new_decisions if key in sending.told)
    state = state.forget_old({alert.key for alert in landing})
    return dg.SensorResult(skip_reason=sending.say(), cursor=state.to_cursor())


@dataclass(frozen=True)
class Sending:
    """What became of the messages of a tick.

    Attributes:
        told: keys of the alerts that are done with.
        titles: of those that somebody got; the others are of kinds that nobody wants.
        troubles: what did not go well, one sentence each.
    """

    told: frozenset[str]
    titles: tuple[str, ...]
    troubles: tuple[str, ...]

    def say(self) -> str:
        """Return what happened as the sentence of a tick."""
        return "; ".join([*self.titles, *self.troubles]) or "nothing to tell"


def send_alerts(settings: Settings, alerts: Iterable[Alert]) -> Sending:
    """Send alerts in order until one reaches nobody or the time is up; the rest is for the next tick."""
    channels = AlertChannels.from_settings(settings)
    deadline = time.monotonic() + SECONDS_FOR_SENDING
    told: list[str] = []
    titles: list[str] = []
    troubles: list[str] = []
    for alert in alerts:
        if time.monotonic() > deadline:
            troubles.append("the other messages follow at the next look")
            break
        try:
            was_sent = bool(channels.send(alert))
        except AlertError as error:
            troubles.append(str(error))
            if not error.sent:
                break
            was_sent = True  # again it would reach somebody twice
        told.append(alert.key)
        if was_sent:
            titles.append(alert.title)
    return Sending(frozenset(told), tuple(titles), tuple(dict.fromkeys(troubles)))


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

    def with_keys(self, keys: Iterable[str]) -> "AlertState":
        """Return the state after alerts were sent."""
        return replace(self, keys=tuple(dict.fromkeys((*self.keys, *keys))))

    def without(self, key: str) -> "AlertState":
        """Return the state after what an alert was about has ended."""
        return replace(self, keys=tuple(known for known in self.keys if known != key))

    def forget_old(self, current: Collection[str]) -> "AlertState":
        """Return the state with all that is still the matter, and the last keys of what is not."""
        past = set([key for key in self.keys if key not in current][-KEYS_REMEMBERED:])
        return replace(self, keys=tuple(key for key in self.keys if key in current or key in past))


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
        alert = describe_decision_alert(
            record.partition_key or "",
            int(str(values["model_version"])),
            promoted=bool(values["promoted"]),
            reason=str(values["reason"]),
            dagster_url=SETTINGS.dagster_url,
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


def join_problems(alerts: Sequence[Alert]) -> dict[Alert, tuple[str, ...]]:
    """Return alerts with the keys of what each tells: landing problems of many days are one message."""
    problems = [alert for alert in alerts if alert.kind == "landing_problem" and alert.day is not None]
    if len(problems) <= PROBLEMS_IN_FULL:
        return {alert: (alert.key,) for alert in alerts}
    others = {alert: (alert.key,) for alert in alerts if alert not in problems}
    return {describe_landing_problems(problems, SETTINGS.dagster_url): tuple(alert.key for alert in problems), **others}


def find_landing_alerts(settings: Settings, now_seconds: float) -> tuple[list[Alert], bool]:
    """Return what is wrong with the landing zone, and whether it answered."""
    from spam_assets.landing.errors import LandingError
    from spam_assets.landing.missing_mail import find_missing_mail
    from spam_assets.landing.watching import QUIET_SECONDS
    from spam_assets.landing.zone import LandingZone, select_training_files

    try:
        files = LandingZone(settings.landing_url).list_files()
    except LandingError as error:
        return [describe_landing_problem(None, str(error), settings.dagster_url)], False
    found = []
    for day, landed in files.items():
        training = select_training_files(landed)
        # While a day is landed again in another format there are two files for a moment.
        changed_seconds = max((file.modified_seconds or 0.0 for file in training), default=0.0)
        if len(training) > 1 and now_seconds - changed_seconds >= QUIET_SECONDS:
            names = " and ".join(file.name for file in training)
            problem = f"there are {names}; keep one and remove the other"
            found.append(describe_landing_problem(day, problem, settings.dagster_url))
    missing = find_missing_mail(files, now_seconds, MISSING_MAIL_GRACE_HOURS) if settings.end_date is None else None
    if missing is not None:
        found.append(describe_missing_mail(*missing, settings.dagster_url))
    return found, True
