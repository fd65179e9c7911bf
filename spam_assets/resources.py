"""What assets are given to work with, built from the settings: landing zone, storage, MLflow, training settings.

Not here: what they do with it. Plain objects are used where Dagster would show a resource's configuration in the
UI, because paths, URLs and tracking URIs may hold secrets.
"""

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import dagster as dg

from spam_assets.files import Stamp, open_path
from spam_assets.io_managers.arrow_features import FeaturesIOManager
from spam_assets.io_managers.daily_files import StorageError
from spam_assets.io_managers.json_reports import ReportIOManager
from spam_assets.io_managers.npz_models import ModelIOManager
from spam_assets.io_managers.parquet_frames import FrameIOManager
from spam_assets.io_managers.text_vectors import DailyTextVectors
from spam_assets.registry.registered_models import ModelRegistry
from spam_assets.registry.training_runs import build_mlflow_resource
from spam_assets.settings import Settings
from spam_assets.windows import TrainingWindows, first_day_of_window

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spam_assets.landing.excluded_days import ExcludedDays
    from spam_assets.landing.zone import LandingZone
    from spam_assets.learning.card_mail import CardDay
    from spam_assets.learning.features import MailFeatures
    from spam_assets.learning.reporting import DayReport
    from spam_assets.learning.training import TrainingSettings
    from spam_assets.mail.day_summary import DaySummary
    from spam_assets.mail.mail_batches import Mail

T = TypeVar("T")


class DaysRead(dict[str, tuple[Stamp, T]]):
    """What was made of days of one asset, with the stamps of their files: each is read again when that changes.

    A range of days would otherwise read each file for every later day whose past it is.
    """

    def look_up(self, day: str, stamp: Stamp, read: Callable[[str], T]) -> T:
        """Return what is known of a day, read if it must be; raises as `read` does."""
        if day not in self or self[day][0] != stamp:
            self[day] = (stamp, read(day))
        return self[day][1]

    def forget_others(self, days: Collection[str]) -> None:
        """Keep these days only."""
        for day in self.keys() - set(days):
            del self[day]


@dataclass(frozen=True)
class MailHistory:
    """What earlier runs stored, for comparing a day with its past."""

    frames: FrameIOManager
    excluded_days: "ExcludedDays | None" = None
    _card_days: "DaysRead[CardDay | None]" = field(default_factory=DaysRead, repr=False)
    _summaries: "DaysRead[DaySummary]" = field(default_factory=DaysRead, repr=False)

    def last_raw_mail(self, day: str) -> "Mail | None":
        """Return what raw_mail of a day was when the day last ran, if it ever did."""
        return self.frames.load_day("raw_mail", day) if self.frames.has_day("raw_mail", day) else None

    def describe_days(self, features: "Mapping[str, MailFeatures]", days: "Sequence[str]") -> "dict[str, CardDay]":
        """Return what a model card has to know of days, as far as their validated mail is stored.

        Args:
            features: Of each day, as the model saw it.
            days: Which days; others are forgotten.
        """
        from spam_assets.learning.card_mail import describe_card_day
        from spam_assets.learning.held_out import HELD_OUT_SHARE

        def read(day: str) -> "CardDay | None":
            mail = self.frames.load_day("validated_mail", day)
            return describe_card_day(mail, features[day], HELD_OUT_SHARE)

        self._card_days.forget_others(days)
        found = {}
        stored = self.frames.list_days("validated_mail")
        for day in sorted(set(days) & set(stored)):
            with suppress(StorageError):  # the model did not need it, so the card does without, and says so
                described = self._card_days.look_up(day, stored[day], read)
                if described is not None:
                    found[day] = described
        return found

    def days_before(self, day: str) -> "list[DaySummary]":
        """Return what is worth knowing of the newest validated days before `day`, oldest first, but no excluded one."""
        from spam_assets.mail.day_summary import SUMMARY_COLUMNS, summarize_day
        from spam_assets.mail.warning_rules import TRAILING_DAYS

        excluded = self.excluded_days.recall() if self.excluded_days else {}
        stored = self.frames.list_days("validated_mail")
        earlier = [past for past in stored if past < day and past not in excluded][-TRAILING_DAYS:]

        def read(past: str) -> "DaySummary":
            return summarize_day(self.frames.load_columns("validated_mail", past, list(SUMMARY_COLUMNS)), past)

        return [self._summaries.look_up(past, stored[past], read) for past in earlier]


@dataclass(frozen=True)
class ReportHistory:
    """The champion reports that earlier runs stored."""

    reports: ReportIOManager
    _read: "DaysRead[DayReport]" = field(default_factory=DaysRead, repr=False)

    def days_before(self, day: str, count: int) -> "dict[str, DayReport]":
        """Return the reports of the calendar days before a day, so many at most, oldest first."""
        first = first_day_of_window(day, count + 1)
        return {
            past: self._read.look_up(past, stamp, partial(self.reports.load_day, "champion_report"))
            for past, stamp in self.reports.list_days("champion_report").items()
            if first <= past < day
        }


class Stores(NamedTuple):
    """The IO managers, for those who read stored days outside a run."""

    frames: FrameIOManager
    features: FeaturesIOManager
    models: ModelIOManager
    reports: ReportIOManager


def open_stores(settings: Settings) -> Stores:
    """Return the IO managers of the settings' storage."""
    storage = open_path(settings.storage_url)
    return Stores(
        FrameIOManager(storage),
        FeaturesIOManager(storage, days_kept_open=settings.window_days),
        ModelIOManager(storage, settings.trusted),
        ReportIOManager(storage),
    )


def open_text_vectors(settings: Settings) -> DailyTextVectors:
    """Return what vectorisers made of days of mail, which is stored beside the assets."""
    return DailyTextVectors(open_path(settings.storage_url))


def build_training_settings(settings: Settings) -> "TrainingSettings":
    """Return the settings of every training that a model may come of, with what a person chose."""
    from spam_assets.learning.held_out import HELD_OUT_SHARE
    from spam_assets.learning.training import TrainingSettings

    return TrainingSettings(
        target_fpr=settings.target_fpr, held_out_share=HELD_OUT_SHARE, vouched_days=settings.vouched
    )


def open_excluded_days(settings: Settings) -> "ExcludedDays":
    """Return the list of excluded days, which is stored beside the assets."""
    from spam_assets.landing.excluded_days import ExcludedDays

    return ExcludedDays(f"{settings.storage_url.rstrip('/')}/excluded_days")


def open_training_windows(
    settings: Settings, stores: Stores | None = None, zone: "LandingZone | None" = None
) -> TrainingWindows:
    """Return what makes the window of any date; stores and landing zone may be shared with others."""
    from spam_assets.landing.zone import LandingZone

    stores = stores or open_stores(settings)
    return TrainingWindows(
        zone or LandingZone(settings.landing_url, settings.max_day_bytes),
        stores.frames,
        stores.features,
        settings.window_days,
        open_excluded_days(settings),
        open_text_vectors(settings),
    )


def build_resources(settings: Settings) -> dict[str, Any]:
    """Return the resources by key."""
    from spam_assets.landing.incoming import IncomingZone
    from spam_assets.landing.zone import LandingZone

    stores = open_stores(settings)
    zone = LandingZone(settings.landing_url, settings.max_day_bytes)
    windows, history = open_training_windows(settings, stores, zone), MailHistory(stores.frames)

    def give_excluded_days(to: Any) -> dg.ResourceDefinition:
        return dg.ResourceDefinition(
            lambda context: replace(to, excluded_days=context.resources.excluded_days),
            required_resource_keys={"excluded_days"},
        )

    return {
        # Opened for each day of a run: its steps ask for the list once, and all but the gate go by the same one.
        "excluded_days": dg.ResourceDefinition(lambda _: open_excluded_days(settings)),
        "landing_zone": dg.ResourceDefinition.hardcoded_resource(zone),
        "incoming_zone": dg.ResourceDefinition.hardcoded_resource(
            IncomingZone(settings.landing_url, settings.max_day_bytes)
        ),
        "frames": dg.IOManagerDefinition.hardcoded_io_manager(stores.frames),
        "features": dg.IOManagerDefinition.hardcoded_io_manager(stores.features),
        "models": dg.IOManagerDefinition.hardcoded_io_manager(stores.models),
        "reports": dg.IOManagerDefinition.hardcoded_io_manager(stores.reports),
        "training_windows": give_excluded_days(windows),
        "mail_history": give_excluded_days(history),
        "report_history": dg.ResourceDefinition.hardcoded_resource(ReportHistory(stores.reports)),
        "mlflow": build_mlflow_resource(settings),
        "registry": dg.ResourceDefinition.hardcoded_resource(ModelRegistry(settings)),
    }
