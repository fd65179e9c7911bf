"""New mail: run the days whose landing file is new or has new content.

The sensor's cursor is the fingerprint of an index of the landing zone, which is stored beside the assets, and how often
that changed: the cursor stays small however many days there are, and a tick that dies leaves cursor and index as they
were. Which days to run is decided by `landing.watching`.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from spam_assets.engine.day_records import read_day_records
from spam_assets.engine.tags import tag_days
from spam_assets.jobs import REASON_TAG, mail_job
from spam_assets.landing.day_ranges import DAYS_PER_RUN, group_days
from spam_assets.partitions import DAYS, SETTINGS
from spam_assets.sensors.described import described

if TYPE_CHECKING:
    from spam_assets.landing.index_store import IndexStore
    from spam_assets.landing.landing_index import LandingIndex
    from spam_assets.landing.watching import WatchPlan
    from spam_assets.landing.zone import LandingZone

SECONDS_FOR_READING = 20.0
"""Of one tick; Dagster gives it a minute."""


@described(
    dg.sensor,
    name="new_mail",
    job=mail_job,
    minimum_interval_seconds=SETTINGS.sensor_seconds,
    default_status=dg.DefaultSensorStatus.RUNNING if SETTINGS.automate else dg.DefaultSensorStatus.STOPPED,
)
def new_mail_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Run the days whose landing file is new or has new content, oldest first, each once."""
    from spam_assets.landing.zone import LandingZone

    return look_at_zone(context, LandingZone(SETTINGS.landing_url, SETTINGS.max_day_bytes), "raw_mail", "landing_index")


def look_at_zone(
    context: dg.SensorEvaluationContext, zone: "LandingZone", asset: str, index_folder: str
) -> dg.SensorResult | dg.SkipReason:
    """Request the days of a zone whose files are new or have new content.

    Args:
        context: of the sensor's tick.
        zone: where files land.
        asset: what is made of them.
        index_folder: in the storage, for what is known of the zone.
    """
    from spam_assets.landing.errors import LandingError
    from spam_assets.landing.index_store import IndexStore
    from spam_assets.landing.watching import watch_zone

    store = IndexStore(f"{SETTINGS.storage_url.rstrip('/')}/{index_folder}")
    cursor = context.cursor or ""
    first, last = DAYS.get_first_partition_key() or "", DAYS.get_last_partition_key() or ""
    strays: set[str] = set()
    deadline = time.monotonic() + SECONDS_FOR_READING

    def is_partition(day: str) -> bool:
        if not first <= day <= last:
            strays.add(day)
        return day not in strays

    try:
        known = recall_index(store, cursor, context.instance, asset)
        plan = watch_zone(
            zone,
            known,
            time.time(),
            may_read=lambda: time.monotonic() < deadline,
            covers=is_partition,
        )
        is_new = plan.index is not known or not cursor
        fingerprint, changes = read_cursor(cursor)
        new_cursor = f"{store.save(plan.index, keep=fingerprint)}:{changes + 1}" if is_new else cursor
    except LandingError as error:
        return dg.SkipReason(str(error))
    requests = list(request_days(plan, cursor))
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else say_why_nothing(plan, sorted(strays)),
        cursor=new_cursor,
        asset_events=[
            dg.AssetObservation(
                asset,
                partition=day,
                metadata={
                    "landing_file": "gone from the landing zone; what was made of it stays in use, until somebody runs "
                    f"spam-assets exclude {day} --reason TEXT"
                },
            )
            for day in plan.deleted
        ],
    )


def read_cursor(cursor: str) -> tuple[str, int]:
    """Return the index's fingerprint and how often it changed. The zone may come back to a state that it had."""
    fingerprint, _, changes = cursor.partition(":")
    return fingerprint, int(changes or 0)


def recall_index(store: "IndexStore", cursor: str, instance: dg.DagsterInstance, asset: str) -> "LandingIndex":
    """Return what was known when the cursor was set; without one, what days ran with, so that none runs again."""
    from spam_assets.landing.index_store import IndexMissing
    from spam_assets.landing.landing_index import LandingIndex

    if cursor:
        try:
            return store.load(read_cursor(cursor)[0])
        except IndexMissing:
            pass  # someone cleared the storage; what ran is known to Dagster as well
    records = read_day_records(instance, asset)
    return LandingIndex.from_digests({day: record.source for day, record in records.items() if record.source})


def request_days(plan: "WatchPlan", cursor: str) -> Iterator[dg.RunRequest]:
    """Yield a run for each range of the requested days, oldest first.

    The run key holds the cursor: a tick that is repeated after a crash asks for the same runs, which Dagster knows,
    and content that comes back after a change is asked for again.
    """
    from spam_assets.landing.landing_index import DayState

    digests = {requested.day: requested.digest for requested in plan.requested}
    landed = [day for day, entry in plan.index.items() if entry.state is not DayState.DELETED]
    for first, last in group_days(list(digests), landed, SETTINGS.days_per_run or DAYS_PER_RUN):
        days = [day for day in digests if first <= day <= last]
        key = hashlib.sha256("".join([cursor, *days, *(digests[day] for day in days)]).encode()).hexdigest()
        tags = {REASON_TAG: f"new or changed mail of {say_days(days)}"}
        if first == last:
            yield dg.RunRequest(run_key=key, partition_key=first, tags=tags)
        else:
            yield dg.RunRequest(run_key=key, tags={**tags, **tag_days(first, last)})


def say_days(days: Sequence[str]) -> str:
    """Return days as a person would say them."""
    return days[0] if len(days) == 1 else f"{len(days)} days, {days[0]} to {days[-1]}"


def say_why_nothing(plan: "WatchPlan", strays: Sequence[str] = ()) -> str:
    """Return why a look at the landing zone requests nothing; strays are days that are no partitions."""
    from spam_assets.landing.landing_index import DayState

    gone = [day for day, entry in plan.index.items() if entry.state is DayState.DELETED]
    parts = [f"nothing new in {len(plan.index) - len(gone)} landed days"]
    parts += [f"{noted.day} waits: {noted.why}" for noted in plan.waiting[:3]]
    parts += [f"{noted.day} is left out: {noted.why}" for noted in plan.ambiguous[:3]]
    if gone:
        parts.append(f"the file of {say_days(gone)} is gone; what was made of it stays in use")
    if strays:
        parts.append(f"{say_days(strays)} outside of the partitions: left out")
    return "; ".join(parts)
