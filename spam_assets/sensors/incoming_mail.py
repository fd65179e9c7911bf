"""Incoming mail: score the days whose file of mail without labels is new or has new content."""

import dagster as dg

from spam_assets.jobs import score_job
from spam_assets.partitions import SETTINGS
from spam_assets.sensors.described import described
from spam_assets.sensors.new_mail import look_at_zone


@described(
    dg.sensor,
    name="incoming_mail",
    job=score_job,
    minimum_interval_seconds=SETTINGS.sensor_seconds,
    default_status=dg.DefaultSensorStatus.RUNNING if SETTINGS.automate else dg.DefaultSensorStatus.STOPPED,
)
def incoming_mail_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Score the days whose file of mail without labels is new or has new content, oldest first, each once."""
    from spam_assets.landing.incoming import IncomingZone

    zone = IncomingZone(SETTINGS.landing_url, SETTINGS.max_day_bytes)
    return look_at_zone(context, zone, "scored_mail", "incoming_index")
