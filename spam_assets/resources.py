"""What assets are given to work with, built from the settings: landing zone, storage, MLflow, training settings.

Not here: what they do with it. Plain objects are used where Dagster would show a resource's configuration in the
UI, because paths, URLs and tracking URIs may hold secrets.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg
from upath import UPath

from spam_assets.io_managers import FeaturesIOManager, FrameIOManager, ModelIOManager
from spam_assets.settings import Settings
from spam_assets.tracking import ModelRegistry, build_mlflow_resource

if TYPE_CHECKING:
    from spam_assets.mail.quality import DaySummary


@dataclass(frozen=True)
class MailHistory:
    """The validated days before a day, for checks that compare a day with its past."""

    frames: FrameIOManager

    def days_before(self, day: str) -> "list[DaySummary]":
        """Return what is worth knowing of the newest validated days before `day`, oldest first."""
        from spam_assets.mail.quality import SUMMARY_COLUMNS, TRAILING_DAYS, summarize_day

        earlier = [stored for stored in self.frames.stored_days("validated_mail") if stored < day]
        return [
            summarize_day(self.frames.load_columns("validated_mail", past, list(SUMMARY_COLUMNS)), past)
            for past in earlier[-TRAILING_DAYS:]
        ]


def build_resources(settings: Settings) -> dict[str, Any]:
    """Return the resources by key."""
    from spam_assets.mail.landing import LandingZone

    storage = UPath(settings.storage_url)
    frames = FrameIOManager(storage)
    return {
        "landing_zone": dg.ResourceDefinition.hardcoded_resource(LandingZone(settings.landing_url)),
        "frames": dg.IOManagerDefinition.hardcoded_io_manager(frames),
        "features": dg.IOManagerDefinition.hardcoded_io_manager(FeaturesIOManager(storage)),
        "models": dg.IOManagerDefinition.hardcoded_io_manager(ModelIOManager(storage)),
        "mail_history": dg.ResourceDefinition.hardcoded_resource(MailHistory(frames)),
        "mlflow": build_mlflow_resource(settings),
        "registry": dg.ResourceDefinition.hardcoded_resource(ModelRegistry(settings)),
    }
