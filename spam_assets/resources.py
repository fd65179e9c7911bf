"""What assets are given to work with, built from the settings: landing zone, storage, MLflow, training settings.

Not here: what they do with it. Plain objects are used where Dagster would show a resource's configuration in the
UI, because paths, URLs and tracking URIs may hold secrets.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import dagster as dg
from upath import UPath

from spam_assets.io_managers.daily_files import (
    FeaturesIOManager,
    FrameIOManager,
    ModelIOManager,
    ReportIOManager,
    WindowOfDays,
    first_day_of_window,
)
from spam_assets.registry.registered_models import ModelRegistry
from spam_assets.registry.training_runs import build_mlflow_resource
from spam_assets.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

    from spam_assets.landing.zone import LandingZone
    from spam_assets.mail.day_summary import DaySummary


@dataclass(frozen=True)
class MailHistory:
    """What earlier runs stored, for comparing a day with its past."""

    frames: FrameIOManager
    _summaries: "dict[str, tuple[float, DaySummary]]" = field(default_factory=dict, repr=False)
    """By day, with the time its file was written: a range of days would otherwise read each file four weeks long."""

    def last_raw_mail(self, day: str) -> "pd.DataFrame | None":
        """Return what raw_mail of a day was when the day last ran, if it ever did."""
        return self.frames.load_day("raw_mail", day) if self.frames.has_day("raw_mail", day) else None

    def days_before(self, day: str) -> "list[DaySummary]":
        """Return what is worth knowing of the newest validated days before `day`, oldest first."""
        from spam_assets.mail.day_summary import SUMMARY_COLUMNS, summarize_day
        from spam_assets.mail.warning_rules import TRAILING_DAYS

        earlier = [stored for stored in self.frames.stored_days("validated_mail") if stored < day][-TRAILING_DAYS:]
        known = self._summaries
        for past in earlier:
            written = self.frames.path_of("validated_mail", past).stat().st_mtime
            if past not in known or known[past][0] != written:
                mail = self.frames.load_columns("validated_mail", past, list(SUMMARY_COLUMNS))
                known[past] = (written, summarize_day(mail, past))
        return [known[past][1] for past in earlier]


@dataclass(frozen=True)
class TrainingWindow:
    """Makes a window whole: what a model learns must not depend on which days happened to run before it."""

    zone: "LandingZone"
    frames: FrameIOManager
    window_days: int

    def complete(self, stored: WindowOfDays, last_day: str) -> WindowOfDays:
        """Return the window with the features of days that landed but were not run yet, computed for this use.

        Days that break a rule stay out.

        Raises:
            LandingError: the landing zone cannot be reached, so nobody knows what the window should hold.
        """
        from spam_assets.landing.errors import LandingError
        from spam_assets.learning.features import featurize_mail
        from spam_assets.mail.validation import QualityError, validate_day

        first_day = first_day_of_window(last_day, self.window_days)
        validated, raw = (set(self.frames.stored_days(asset)) for asset in ("validated_mail", "raw_mail"))
        computed = {}
        for day in sorted({*self.zone.days(), *validated, *raw} - set(stored)):
            if not first_day <= day <= last_day:
                continue
            if day in validated:
                computed[day] = featurize_mail(self.frames.load_day("validated_mail", day))
                continue
            # A day that has raw mail only was refused, or another process is about to validate it.
            with suppress(LandingError, QualityError):
                mail = self.frames.load_day("raw_mail", day) if day in raw else self.zone.read(day).frame
                computed[day] = featurize_mail(validate_day(mail, day))
        return stored.with_values(computed)


class Stores(NamedTuple):
    """The IO managers, for those who read stored days outside a run."""

    frames: FrameIOManager
    features: FeaturesIOManager
    models: ModelIOManager
    reports: ReportIOManager


def open_stores(settings: Settings) -> Stores:
    """Return the IO managers of the settings' storage."""
    storage = UPath(settings.storage_url)
    return Stores(
        FrameIOManager(storage),
        FeaturesIOManager(storage, days_kept_open=settings.window_days),
        ModelIOManager(storage),
        ReportIOManager(storage),
    )


def build_resources(settings: Settings) -> dict[str, Any]:
    """Return the resources by key."""
    from spam_assets.landing.zone import LandingZone

    stores = open_stores(settings)
    zone = LandingZone(settings.landing_url)
    return {
        "landing_zone": dg.ResourceDefinition.hardcoded_resource(zone),
        "frames": dg.IOManagerDefinition.hardcoded_io_manager(stores.frames),
        "features": dg.IOManagerDefinition.hardcoded_io_manager(stores.features),
        "models": dg.IOManagerDefinition.hardcoded_io_manager(stores.models),
        "reports": dg.IOManagerDefinition.hardcoded_io_manager(stores.reports),
        "training_window": dg.ResourceDefinition.hardcoded_resource(
            TrainingWindow(zone, stores.frames, settings.window_days)
        ),
        "mail_history": dg.ResourceDefinition.hardcoded_resource(MailHistory(stores.frames)),
        "mlflow": build_mlflow_resource(settings),
        "registry": dg.ResourceDefinition.hardcoded_resource(ModelRegistry(settings)),
    }
