"""The window: the days of features that the model of a date learns.

It holds the features that are stored, and those of days that landed and were not run yet, so that what a model learns
does not depend on which days happened to run before it. Days that a person excluded are in no window.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING

from spam_assets.io_managers.arrow_features import FeaturesIOManager
from spam_assets.io_managers.daily_files import OutdatedFileError, StorageError, write_day
from spam_assets.io_managers.parquet_frames import FrameIOManager

if TYPE_CHECKING:
    import pandas as pd

    from spam_assets.files import Stamp
    from spam_assets.landing.excluded_days import ExcludedDays
    from spam_assets.landing.zone import LandingZone
    from spam_assets.learning.features import MailFeatures
    from spam_assets.learning.mail_text import TextVectors
    from spam_assets.mail.mail_batches import Mail


ReadMail = Callable[[str], "Mail"]
"""Reads the valid mail of a day that is not stored as such."""
MadeAgain = Callable[[str, "MailFeatures"], None]
"""Told of a day and its new features, before they are stored."""
EXCLUDED = "excluded"
"""Data version of an excluded day, as windows see it."""


def first_day_of_window(last_day: str, window_days: int) -> str:
    """Return the first of so many days that end with `last_day`."""
    return (date.fromisoformat(last_day) - timedelta(days=window_days - 1)).isoformat()


class WindowChangedError(StorageError):
    """A stored day was replaced while it was in use."""

    passes_by_itself = True


class WindowOfDays(Mapping[str, "MailFeatures"]):
    """The days of a window, oldest first; a stored day is read when it is asked for.

    A model streams through its window, so holding every day at once would cost memory for nothing. What was listed is
    what it holds: a day that is stored anew meanwhile changes nothing that was read already.

    Args:
        features: Where days are stored.
        asset: The asset whose days they are.
        stored: The days to read from there, each with the stamp of its file; None: it is asked for.
        computed: Days that are not stored, with their features.
        excluded: Days that it would hold had nobody excluded them, with the reason.
        without_file: Days that it holds though their file is gone from the landing zone.
        landed_days: Those of the computed ones that were taken straight from the landing zone.
        left_out: Days that it should hold and does not, each with the reason.
        make_again: Makes the features of a day again whose stored ones are of another version of the code; None: such
            a day is an error.
        attach_mail: Puts the mail of a day behind its features; None: models that read words cannot learn them.
    """

    def __init__(
        self,
        features: FeaturesIOManager,
        asset: str,
        stored: "Mapping[str, Stamp | None]",
        computed: "Mapping[str, MailFeatures] | None" = None,
        excluded: Mapping[str, str] | None = None,
        without_file: Sequence[str] = (),
        landed_days: Sequence[str] = (),
        left_out: Mapping[str, str] | None = None,
        make_again: "Callable[[str], MailFeatures] | None" = None,
        attach_mail: "Callable[[str, MailFeatures], MailFeatures] | None" = None,
    ) -> None:
        self.excluded = dict(excluded or {})
        self.without_file = tuple(without_file)
        self._features = features
        self._asset = asset
        self._computed = computed or {}
        self._make_again = make_again
        self._attach_mail = attach_mail
        self._stamps = dict(stored)
        self._days = sorted({*stored, *self._computed})
        self._versions_read: dict[str, str] = {}
        self.landed_days = tuple(landed_days)
        self.left_out = dict(left_out or {})

    def __getitem__(self, day: str) -> "MailFeatures":
        features = self._read(day)
        return features if self._attach_mail is None else self._attach_mail(day, features)

    def _read(self, day: str) -> "MailFeatures":
        if day in self._computed:
            return self._computed[day]
        if day not in self._days:
            raise KeyError(day)
        try:
            stored = self._features.load_with_version(self._asset, day, self._stamps[day])
        except OutdatedFileError:
            if self._make_again is None:
                raise
            self._stamps[day] = None  # what is stored now may be what is made here
            return self._make_again(day)
        version = stored.data_version
        if self._versions_read.setdefault(day, version) != version:
            raise WindowChangedError(f"{self._asset} of {day} was made anew while a model learnt it; run the day again")
        return stored.features

    def __iter__(self) -> Iterator[str]:
        return iter(self._days)

    def __len__(self) -> int:
        return len(self._days)

    def data_versions(self) -> dict[str, str]:
        """Return the data version of each day: of what was read, or of what would be read now if it was not yet."""
        return {day: self._find_version(day) for day in self._days}

    def _find_version(self, day: str) -> str:
        if day in self._computed:
            return self._features.fingerprint(self._computed[day])
        if day in self._versions_read:
            return self._versions_read[day]
        try:
            return self._features.load_with_version(self._asset, day, self._stamps[day]).data_version
        except OutdatedFileError:
            return self._features.fingerprint(self._read(day))


@dataclass(frozen=True)
class TrainingWindows:
    """Makes the window of any date.

    Attributes:
        zone: Where mail lands.
        frames: Where mail is stored, raw and validated.
        features: Where features are stored.
        window_days: How many days a window spans.
        excluded_days: The days that a person excluded; None where nobody can.
        vectors: Keeps what stateless vectorisers make of days of mail; None: nobody does.
    """

    zone: "LandingZone"
    frames: FrameIOManager
    features: FeaturesIOManager
    window_days: int
    excluded_days: "ExcludedDays | None" = None
    vectors: "TextVectors | None" = None

    def find_reasons(self, *, again: bool = False) -> dict[str, str]:
        """Return the excluded days, each with the reason, as they were when the list was last read here.

        Args:
            again: The list is read again.

        Raises:
            LandingError: the list cannot be reached.
        """
        if self.excluded_days is None:
            return {}
        excluded = self.excluded_days.read() if again else self.excluded_days.recall()
        return {day: exclusion.reason for day, exclusion in excluded.items()}

    def ending(self, last_day: str, made_again: MadeAgain | None = None) -> WindowOfDays:
        """Return the window that ends with a day. Days whose mail breaks a rule, or that are excluded, stay out.

        The last day itself may be excluded: then the window holds what precedes it. Features of another version of the
        code are made again from the stored mail when the window needs them; they are stored if `made_again` is there to
        be told, else they are for this window only.

        Raises:
            StorageError: the features of the last day itself are not stored.
            LandingZoneError: the landing zone fails, so nobody knows what the window should hold.
        """
        from spam_assets.feature_files import featurize_day
        from spam_assets.landing.errors import LandingError, LandingZoneError
        from spam_assets.mail.validation import QualityError

        first_day = first_day_of_window(last_day, self.window_days)
        stored, validated, raw = (
            {day: stamp for day, stamp in manager.list_days(asset).items() if first_day <= day <= last_day}
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
        known = {*landed, *validated, *raw, *stored}
        excluded = {day: reason for day, reason in self.find_reasons().items() if day in known}
        stored = {day: stamp for day, stamp in stored.items() if day not in excluded}
        computed: dict[str, MailFeatures] = {}
        left_out: dict[str, str] = {}
        unstored: dict[str, ReadMail] = {}
        for day in sorted({*landed, *validated, *raw} - set(stored) - set(excluded)):
            if day in validated:
                computed[day] = featurize_day(self.frames.load_day("validated_mail", day))
                continue
            # A day that has raw mail only was refused, or another process is about to validate it.
            unstored[day] = self._read_raw if day in raw else self._read_landed
            try:
                computed[day] = featurize_day(unstored[day](day))
            except LandingZoneError:
                raise
            except (LandingError, QualityError) as refused:
                left_out[day] = str(refused)
        return WindowOfDays(
            self.features,
            "mail_features",
            stored,
            computed,
            excluded=excluded,
            without_file=[day for day in stored if day not in landed],
            landed_days=[day for day in computed if day not in validated and day not in raw],
            left_out=left_out,
            make_again=partial(self._make_again, made_again),
            attach_mail=partial(self._attach_mail, unstored, validated),
        )

    def load_day(self, day: str, made_again: MadeAgain | None = None) -> "MailFeatures":
        """Return the features of a stored day, made again where they are of another version of the code.

        Raises:
            StorageError: they are missing or damaged.
        """
        window = WindowOfDays(
            self.features,
            "mail_features",
            {day: None},
            make_again=partial(self._make_again, made_again),
            attach_mail=partial(self._attach_mail, {}, {}),
        )
        return window[day]

    def _attach_mail(
        self, unstored: Mapping[str, ReadMail], stamps: "Mapping[str, Stamp]", day: str, features: "MailFeatures"
    ) -> "MailFeatures":
        from spam_assets.learning.mail_text import MailText
        from spam_assets.mail.mail_batches import read_whole

        ids = features.message_ids

        def read() -> "pd.DataFrame":
            mail = read_whole(unstored[day](day) if day in unstored else self.frames.load_day("validated_mail", day))
            if mail["message_id"].tolist() != ids.tolist():
                raise WindowChangedError(
                    f"the mail of {day} is not that of its features, or was made anew while a model learnt it; run the "
                    "day again"
                )
            return mail

        if day in unstored:
            return replace(features, mail=MailText(read, day))

        def find_version() -> str:
            size_bytes, stamp = stamps.get(day) or self.frames.read_stamp("validated_mail", day)
            return f"{size_bytes}-{stamp}"

        return replace(features, mail=MailText(read, day, find_version, self.vectors))

    def _read_raw(self, day: str) -> "Mail":
        from spam_assets.mail.validation import validate_day

        validated: Mail = validate_day(self.frames.load_day("raw_mail", day), day)
        return validated

    def _read_landed(self, day: str) -> "Mail":
        from spam_assets.mail.validation import validate_day

        return validate_day(self.zone.read(day).mail, day)

    def _make_again(self, made_again: MadeAgain | None, day: str) -> "MailFeatures":
        from spam_assets.feature_files import featurize_day

        features = featurize_day(self.frames.load_day("validated_mail", day))
        if made_again is not None:
            made_again(day, features)  # first: after a crash in between the next window does both again
            write_day(self.features.path_of("mail_features", day), self.features.to_content(features))
        return features
