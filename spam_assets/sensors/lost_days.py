"""Days that a transient fault has failed, run again until the fault is over: see `engine.transient_faults`.

A run tries a step for some seconds. A server that is away for longer would cost a day that `new_mail` has requested,
and will not request again.
"""

import time
from collections.abc import Iterator

import dagster as dg

from spam_assets.engine.tags import (
    DAYS_TO_REPEAT_TAG,
    MAX_RETRIES_TAG,
    PERSONS_RUN_TAG,
    TRANSIENT_FAULT_TAG,
    WILL_RETRY_TAG,
    list_days_of_run,
    tag_days,
)
from spam_assets.jobs import REASON_TAG, gate_job, mail_job, retrain_job
from spam_assets.landing.day_ranges import DAYS_PER_RUN, group_days
from spam_assets.sensors.described import described

REPEAT_TAG = "spam_assets/repeat"
"""On a repeat: how many there were before it, and itself."""
REPEATED_RUN_TAG = "spam_assets/repeat_of"
PAUSE_SECONDS = tuple(60.0 * 4**number for number in range(6))
"""Before each repeat, from a minute to 17 hours; a day and more altogether."""


@described(
    dg.sensor,
    name="lost_days",
    jobs=[mail_job, retrain_job, gate_job],
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def lost_days_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Repeat days of the other sensors' runs that a network, a busy server or a lock failed, after growing pauses."""
    requests = list(find_repeats(context.instance, time.time()))
    return dg.SensorResult(run_requests=requests, skip_reason=None if requests else "no day is to be repeated now")


def find_repeats(instance: dg.DagsterInstance, now_seconds: float) -> Iterator[dg.RunRequest]:
    """Yield the runs that are due. A run that a person started is the person's to repeat."""
    failed = instance.get_run_records(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], tags={TRANSIENT_FAULT_TAG: "true"}), limit=100
    )
    for record in reversed(failed):
        run = record.dagster_run
        repeats = int(run.tags.get(REPEAT_TAG, 0))
        is_of_a_person = MAX_RETRIES_TAG not in run.tags or PERSONS_RUN_TAG in run.tags
        if is_of_a_person or run.tags.get(WILL_RETRY_TAG) == "true" or repeats >= len(PAUSE_SECONDS):
            continue
        if now_seconds - (record.end_time or now_seconds) < PAUSE_SECONDS[repeats]:
            continue
        if instance.get_runs_count(dg.RunsFilter(tags={REPEATED_RUN_TAG: run.run_id})):
            continue
        days = run.tags[DAYS_TO_REPEAT_TAG].split(",")
        every_day = list_days_of_run(tag_days(days[0], days[-1]))
        for first, last in group_days(days, every_day, DAYS_PER_RUN):
            yield dg.RunRequest(
                run_key=f"repeat-{run.run_id}-{first}",
                job_name=run.job_name,
                partition_key=first if first == last else None,
                tags={
                    REASON_TAG: f"a fault that passes by itself failed it in run {run.run_id}",
                    REPEAT_TAG: str(repeats + 1),
                    REPEATED_RUN_TAG: run.run_id,
                    **({} if first == last else tag_days(first, last)),
                },
            )
