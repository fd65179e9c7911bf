"""Which landed days `spam-assets backfill` has to run: those that are not complete, or not up to date."""

from collections.abc import Sequence

import dagster as dg

from spam_assets.engine.day_records import read_day_records
from spam_assets.io_managers.fingerprints import fingerprint_training
from spam_assets.landing.day_content import read_day_state
from spam_assets.landing.zone import LandingZone
from spam_assets.resources import open_excluded_days
from spam_assets.settings import Settings
from spam_assets.windows import first_day_of_window


def find_days_to_run(
    settings: Settings, instance: dg.DagsterInstance, zone: LandingZone, landed_days: Sequence[str]
) -> list[str]:
    """Return the landed days that are not complete or not up to date.

    A day is both when it ran with what its landing file holds now, its model was made from what its window holds
    now (or there was too little of it), and that model is registered. Where a window holds a landed day that never
    ran, its model took that day from the landing zone, and can be judged once the day has run. A model that has learnt
    a day that is excluded now is out of date, and so is one that left out a day that no longer is.
    """
    raw, features, trained, registered = (
        read_day_records(instance, asset)
        for asset in ("raw_mail", "mail_features", "trained_model", "registered_model")
    )
    files = zone.list_files()
    made = {day: record.data_version for day, record in features.items() if not record.skipped}
    excluded = set(open_excluded_days(settings).read())
    never_run = {day for day in files if day not in raw or raw[day].skipped} - excluded

    def is_done(day: str) -> bool:
        if day in excluded and day not in made:  # nobody asks for it, and it may be the bad day that it is for
            return True
        if day not in made or day not in trained or day not in registered or day not in raw:
            return False
        first = first_day_of_window(day, settings.window_days)
        window = {other: version for other, version in made.items() if first <= other <= day and other not in excluded}
        source = fingerprint_training(window, settings)
        has_unknown_days = any(first <= other <= day for other in never_run)
        return (
            raw[day].source == read_day_state(zone, files[day]).digest
            and (has_unknown_days or trained[day].source == source)
            and registered[day].data_version == trained[day].data_version
        )

    return [day for day in landed_days if not is_done(day)]
