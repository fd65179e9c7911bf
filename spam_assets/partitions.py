"""The daily partitions: one UTC day each."""

from datetime import datetime, time, timedelta

import dagster as dg

from spam_assets.settings import Settings
from spam_assets.shared.day_range import load_shared_settings


def build_daily_partitions(settings: Settings) -> dg.DailyPartitionsDefinition:
    """Return the days from the first to the last of the settings, both included.

    Without a last day the partitions grow with the calendar and include today, because a file for today may
    land at any moment and must find its partition.
    """
    start = datetime.combine(settings.start_date, time())
    if settings.end_date is None:
        return dg.DailyPartitionsDefinition(start_date=start, timezone="UTC", end_offset=1)
    end = datetime.combine(settings.end_date + timedelta(days=1), time())  # Dagster's end is exclusive
    return dg.DailyPartitionsDefinition(start_date=start, end_date=end, timezone="UTC")


SETTINGS = load_shared_settings()
DAYS = build_daily_partitions(SETTINGS)
