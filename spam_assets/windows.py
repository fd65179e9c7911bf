"""The window: the days of features that the model of a date learns.

It holds the features that are stored, and those of days that landed and were not run yet, so that what a model learns
does not depend on which days happened to run before it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from spam_assets.io_managers.arrow_features import FeaturesIOManager
from spam_assets.io_managers.daily_files import StorageError
from spam_assets.io_managers.parquet_frames import FrameIOManager

if TYPE_CHECKING:
    from spam_assets.landing.zone import LandingZone
    from spam_assets.learning.features import MailFeatures


def first_day_of_window(last_day: str, window_days: int) -> str:
    """Return the first of so many days that end with `last_day`."""
    return (date.fromisoformat(last_day) - timedelta(days=window_days - 1)).isoformat()


class WindowChangedError(StorageError):
    """A stored day was replaced while it was in use."""

    passes_by_itself = True


class WindowOfDays(Mapping[str, "MailFeatures"]):
    """The days of a window, oldest first; a stored day is read when it is asked for.

    A model streams through its window, so holding every day at once would cost memory for nothing.

    Args:
        features: Where days are stored.
        asset: The asset whose days they are.
        stored_days: The days to read from there.
        computed: Days that are not stored, with their features.
        landed_days: Those of them that were taken straight from the landing zone.
        left_out: Days that the window should hold and does not, each with the reason.
    """

    def __init__(
        self,
        features: FeaturesIOManager,
        asset: str,
        stored_days: list[str],
        computed: "Mapping[str, MailFeatures] | None" = None,
        landed_days: Sequence[str] = (),
        left_out: Mapping[str, str] | None = None,
    ) -> None:
        self._features = features
        self._asset = asset
        self._computed = computed or {}
        self._days = sorted({*stored_days, *self._computed})
        self._versions_read: dict[str, str] = {}
        self.landed_days = tuple(landed_days)
        self.left_out = dict(left_out or {})

    def __getitem__(self, day: str) -> "MailFeatures":
        if day in self._computed:
            return self._computed[day]
        if day not in self._days:
            raise KeyError(day)
        stored, version = self._features.load_with_version(self._asset, day)
        if self._versions_read.setdefault(day, version) != version:
            raise WindowChangedError(f"{self._asset} of {day} was made anew while a model learnt it; run the day again")
        return stored

    def __iter__(self) -> Iterator[str]:
        return iter(self._days)

    def __len__(self) -> int:
        return len(self._days)

    def data_versions(self) -> dict[str, str]:
        """Return the data version of each day: of what was read, or of what would be read now if it was not yet."""
        return {
            day: self._features.fingerprint(self._computed[day])
            if day in self._computed
            else self._versions_read.get(day) or self._features.load_with_version(self._asset, day)[1]
            for day in self._days
        }


@dataclass(frozen=True)
class TrainingWindows:
    """Makes the window of any date.

    Attributes:
        zone: Where mail lands.
        frames: Where mail is stored, raw and validated.
        features: Where features are stored.
        window_days: How many days a window spans.
    """

    zone: "LandingZone"
    frames: FrameIOManager
    features: FeaturesIOManager
    window_days: int

    def ending(self, last_day: str) -> WindowOfDays:
        """Return the window that ends with a day. Days whose mail breaks a rule, or cannot be read, stay out.

        Raises:
            StorageError: the features of the last day itself are not stored.
            LandingZoneError: the landing zone fails, so nobody knows what the window should hold.
        """
        from spam_assets.landing.errors import LandingError, LandingZoneError
        from spam_assets.learning.features import featurize_mail
        from spam_assets.mail.validation import QualityError, validate_day

        first_day = first_day_of_window(last_day, self.window_days)
        stored, validated, raw = (
            [day for day in manager.stored_days(asset) if first_day <= day <= last_day]
            for manager, asset in (
                (self.features, "mail_features"),
                (self.frames, "validated_mail"),
                (self.frames, "raw_mail"),
            )
        )
        if last_day not in stored:
            raise StorageError(
                f"mail_features of {last_day} is not in storage; materialize mail_features for {last_day} first "
                "(a day whose mail breaks a rule never gets there)"
            )
        landed = [day for day in self.zone.days() if first_day <= day <= last_day]
        computed: dict[str, MailFeatures] = {}
        left_out: dict[str, str] = {}
        for day in sorted({*landed, *validated, *raw} - set(stored)):
            if day in validated:
                computed[day] = featurize_mail(self.frames.load_day("validated_mail", day))
                continue
            # A day that has raw mail only was refused, or another process is about to validate it.
            try:
                mail = self.frames.load_day("raw_mail", day) if day in raw else self.zone.read(day).frame
                computed[day] = featurize_mail(validate_day(mail, day))
            except LandingZoneError:
                raise
            except (LandingError, QualityError) as refused:
                left_out[day] = str(refused)
        from_zone = [day for day in computed if day not in validated and day not in raw]
        return WindowOfDays(self.features, "mail_features", stored, computed, from_zone, left_out)
