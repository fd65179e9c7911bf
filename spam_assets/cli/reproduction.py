"""Whether a registered model can be made again: trained from what its record names, or it is named what changed."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import dagster as dg

from spam_assets.cli.console import CommandError
from spam_assets.cli.verification import Findings, verify_landing, verify_storage
from spam_assets.io_managers.daily_files import OutdatedFileError, StorageError
from spam_assets.io_managers.fingerprints import fingerprint_features, fingerprint_model
from spam_assets.landing.errors import LandingError
from spam_assets.registry.inspection import RegistryInspection
from spam_assets.registry.model_artifacts import UnreadableModelError
from spam_assets.registry.registered_models import ModelRegistry, RegisteredVersion
from spam_assets.registry.training_records import Environment, TrainingRecord
from spam_assets.resources import Stores, open_stores
from spam_assets.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from spam_assets.learning.features import MailFeatures
    from spam_assets.learning.training import TrainingSettings

    Report = Callable[[int, int | None, str], None]


@dataclass(frozen=True)
class Reproduction:
    """What came of training a registered model again.

    Attributes:
        version: The registered version.
        data_version: The new model's fingerprint; None where a day of the window is missing.
        changes: What is not as it was, a sentence each.
        notes: What is not as it was and need not matter, a sentence each.
    """

    version: RegisteredVersion
    data_version: str | None
    changes: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def is_identical(self) -> bool:
        """Whether the new model is the registered one, to the bit."""
        return self.data_version == self.version.data_version


def reproduce_model(settings: Settings, instance: dg.DagsterInstance, number: int, report: "Report") -> Reproduction:
    """Train a registered version again from what its record names.

    Nothing is stored. The features of each day are hashed again from the stored mail, and where that came from is held
    against what was recorded.

    Raises:
        CommandError: there is no such version, or no record of its training.
    """
    from spam_assets.learning.daily_protocol import NotEnoughMailError
    from spam_assets.learning.estimator_errors import EstimatorError
    from spam_assets.learning.methods import parse_method

    registry = ModelRegistry(settings)
    version = {known.version: known for known in registry.versions()}.get(number)
    if version is None:
        raise CommandError(f"there is no version {number} of spam-classifier; spam-assets models lists them")
    record = read_record(settings, version)
    here = Environment.read()
    code = tuple(record.environment.find_changed_code(here))
    changes = [*record.environment.find_changed_packages(here), *find_model_changes(registry, version)]
    window, changed_days = read_window(open_stores(settings), record, report)
    changes += [*changed_days, *find_changed_mail(settings, instance, set(record.window))]
    training, unknown = rebuild_settings(record)
    changes += unknown
    found = None
    if len(window) == len(record.window):
        report(len(window), len(window), "days, training")
        try:
            found = fingerprint_model(parse_method(record.method, settings.trusted).train(window, training))
        except (NotEnoughMailError, EstimatorError) as error:
            changes.append(str(error))
    if found == version.data_version:
        return Reproduction(version, found, tuple(changes), code)
    changes += code
    if not changes:
        then, now = record.environment, here
        changes.append(
            f"none of its inputs: the machine may round otherwise ({then.processor}, {then.platform} then, "
            f"{now.processor}, {now.platform} here)"
        )
    return Reproduction(version, found, tuple(changes))


def read_record(settings: Settings, version: RegisteredVersion) -> TrainingRecord:
    """Return the record of a version's training; raises CommandError where there is none, or a damaged one."""
    again = f"spam-assets run --date {version.training_date} trains the date again and records it"
    try:
        record = RegistryInspection(settings).read_record(version)
    except ValueError as error:
        raise CommandError(f"the record of version {version.version} is damaged ({error}); {again}") from None
    if record is None:
        raise CommandError(f"version {version.version} was trained before trainings were recorded; {again}")
    return record


def find_model_changes(registry: ModelRegistry, version: RegisteredVersion) -> list[str]:
    """Return what became of the registered model itself."""
    try:
        registry.load_model(version)
    except UnreadableModelError as error:
        return [] if error.is_outdated else [f"the registered model of version {version.version}: {error.why}"]
    return []


def find_changed_mail(settings: Settings, instance: dg.DagsterInstance, days: set[str]) -> list[str]:
    """Return a sentence for each day whose landing file or raw mail is not what the day was made from."""
    findings = Findings()
    verify_storage(settings, instance, lambda *_: None, findings, days, assets=("raw_mail",))
    with suppress(LandingError):  # a zone that is out of reach does not hinder training from what is stored
        verify_landing(settings, instance, findings, days)
    return findings.faults


def read_window(
    stores: Stores, record: TrainingRecord, report: "Report"
) -> "tuple[dict[str, MailFeatures], list[str]]":
    """Return the days of a record that are there, and a sentence for each that is not what was learnt."""
    from spam_assets.learning.features import read_frame

    window: dict[str, MailFeatures] = {}
    changes = []
    for number, (day, learnt) in enumerate(sorted(record.window.items()), start=1):
        report(number, len(record.window), f"days, {day}")
        stored = made = None
        try:
            stored = stores.features.load_day("mail_features", day)
        except OutdatedFileError:
            pass  # made again from the mail, and told by the version of the code
        except StorageError as error:
            changes.append(error.description or str(error))
        try:
            made = read_frame(stores.frames.load_day("validated_mail", day))
        except StorageError as error:
            changes.append(error.description or str(error))
        for what, features in (("mail_features", stored), ("validated_mail", made)):
            if features is not None and fingerprint_features(features) != learnt:
                changes.append(f"data: {what} of {day} is not what was learnt ({learnt})")
        features = made if made is not None else stored
        if features is not None:
            window[day] = features
    return window, changes


def rebuild_settings(record: TrainingRecord) -> "tuple[TrainingSettings, list[str]]":
    """Return the settings of a training, and a sentence for each that this code does not know."""
    from spam_assets.learning.training import TrainingSettings

    known = {field.name for field in fields(TrainingSettings)}
    values: Mapping[str, Any] = {
        name: frozenset(value) if isinstance(value, list) else value
        for name, value in record.settings.items()
        if name in known
    }
    unknown = sorted(set(record.settings) - known)
    return TrainingSettings(**values), [f"setting {name} of the training is unknown to this code" for name in unknown]
