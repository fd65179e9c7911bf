"""Which landed days `spam-assets backfill` has to run: those that are not complete, or not up to date."""

from collections.abc import Sequence

import dagster as dg

from spam_assets.challengers import name_challengers
from spam_assets.engine.day_records import read_day_records
from spam_assets.engine.instance import is_sensor_on
from spam_assets.io_managers.fingerprints import fingerprint_reported, fingerprint_training
from spam_assets.landing.day_content import read_day_state
from spam_assets.landing.errors import LandingError
from spam_assets.landing.zone import LandingZone
from spam_assets.learning.methods import parse_method
from spam_assets.registry.registered_models import ModelRegistry
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

    A challenger's model counts as the day's own does.

    Where the sensor `retraining` is on, a day that it did not train is complete without a model. A day whose file
    cannot be read is to be run: its run says why.
    """
    is_rule_in_charge = is_sensor_on(instance, "retraining", by_default=settings.automate)
    raw, features, trained, registered = (
        read_day_records(instance, asset)
        for asset in ("raw_mail", "mail_features", "trained_model", "registered_model")
    )
    files = zone.list_files()
    made = {day: record.data_version for day, record in features.items() if not record.skipped}
    beside = {method.reference: read_day_records(instance, name) for name, method in name_challengers(settings).items()}
    main = parse_method(settings.estimator).reference
    excluded = set(open_excluded_days(settings).read())
    never_run = {day for day in files if day not in raw or raw[day].skipped} - excluded

    def is_read(day: str) -> bool:
        try:
            return day in raw and raw[day].source == read_day_state(zone, files[day]).digest
        except LandingError:
            return False

    def is_done(day: str) -> bool:
        if day in excluded and day not in made:  # nobody asks for it, and it may be the bad day that it is for
            return True
        if day not in made or not is_read(day):
            return False
        if is_rule_in_charge and day not in trained:
            return True
        if day not in trained or day not in registered:
            return False
        first = first_day_of_window(day, settings.window_days)
        window = {other: version for other, version in made.items() if first <= other <= day and other not in excluded}
        has_unknown_days = any(first <= other <= day for other in never_run)
        are_made_from_this = all(
            day in models and (has_unknown_days or models[day].source == fingerprint_training(window, settings, method))
            for method, models in {main: trained, **beside}.items()
        )
        return are_made_from_this and registered[day].data_version == trained[day].data_version

    return [day for day in landed_days if not is_done(day)]


def find_reports_to_make(settings: Settings, instance: dg.DagsterInstance, days: Sequence[str]) -> list[str]:
    """Return the days with features whose champion report is missing, or is not of the champion that was before them.

    Days that ran before an earlier one had a champion could not know it.
    """
    features, reports = (read_day_records(instance, asset) for asset in ("mail_features", "champion_report"))
    excluded = open_excluded_days(settings).read()
    made = [day for day in days if day in features and not features[day].skipped and day not in excluded]
    if not made:
        return []
    champions = ModelRegistry(settings).champions_before(made)

    def is_of_its_champion(day: str) -> bool:
        champion = champions[day]
        version = champion.data_version if champion else None
        return day in reports and reports[day].source == fingerprint_reported(features[day].data_version, version)

    return [day for day in made if not is_of_its_champion(day)]
