"""Whether what is stored is what Dagster and MLflow say it is: every file read, every data version computed again."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

import dagster as dg

from spam_assets.challengers import PREFIX_OF_ASSETS
from spam_assets.cli.verified_models import verify_models
from spam_assets.engine.day_records import DayRecord, read_day_records
from spam_assets.io_managers.daily_files import DailyFileIOManager, OutdatedFileError, StorageError
from spam_assets.io_managers.npz_models import ModelIOManager
from spam_assets.landing.day_content import read_day_state
from spam_assets.landing.errors import LandingError
from spam_assets.landing.zone import LandingZone
from spam_assets.registry.alias_changes import tell_change
from spam_assets.registry.registered_models import ModelRegistry
from spam_assets.registry.training_records import digest
from spam_assets.resources import Stores, open_stores
from spam_assets.settings import Settings

Report = Callable[[int, int | None, str], None]
MADE_FROM = {"validated_mail": "raw_mail", "mail_features": "validated_mail", "trained_model": "mail_features"}


@dataclass
class Findings:
    """What was found.

    Attributes:
        faults: A sentence, with the remedy, for each thing that is not as it was recorded.
        notes: What a person should know that is no fault.
        data: The data version of each stored day, by `asset/day`.
        models: The data version of each registered version that was read.
    """

    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    data: dict[str, str] = field(default_factory=dict)
    models: dict[int, str] = field(default_factory=dict)


def find_faults(settings: Settings, instance: dg.DagsterInstance, report: Report) -> Iterator[str]:
    """Yield a sentence, with the remedy, for all that is missing, damaged, orphaned or not as it was recorded."""
    yield from verify(settings, instance, report).faults


def verify(settings: Settings, instance: dg.DagsterInstance, report: Report, version: int | None = None) -> Findings:
    """Look at everything that is stored, or at one registered version and all that it was made from.

    Raises:
        ValueError: there is no such version.
    """
    findings = Findings()
    days = verify_models(settings, instance, findings.faults, findings.notes, findings.models, version)
    if version is None:
        findings.faults += find_unfinished_change(settings)
    verify_storage(settings, instance, report, findings, days)
    try:
        verify_landing(settings, instance, findings, days)
    except LandingError as error:  # what is stored does not need it
        findings.notes.append(str(error))
    return findings


def find_unfinished_change(settings: Settings) -> list[str]:
    """Return a sentence if a process died between writing down a change of the aliases and making it."""
    unfinished = ModelRegistry(settings).standing().unfinished
    if unfinished is None:
        return []
    return [
        f"change {unfinished.number} of the aliases ({tell_change(unfinished)}) was begun and not carried out; "
        "the next run of registered_model finishes it"
    ]


def verify_storage(
    settings: Settings,
    instance: dg.DagsterInstance,
    report: Report,
    findings: Findings,
    days: set[str] | None,
    assets: Collection[str] | None = None,
) -> None:
    """Read every stored day, or some days, of every asset or of some, and hold it against Dagster's record."""
    stores = _name_stores(open_stores(settings))
    records = {asset: read_day_records(instance, asset) for asset in stores}
    stored = {asset: set(manager.stored_days(asset)) for asset, manager in stores.items()}
    todo = [
        (asset, day)
        for asset in (stores if assets is None else assets)
        for day in sorted({*records[asset], *stored[asset]})
        if days is None or day in days
    ]
    outdated = 0
    for number, (asset, day) in enumerate(todo, start=1):
        report(number, len(todo), f"files, {asset} of {day}")
        record = records[asset].get(day)
        if record is None:
            findings.faults.append(
                f"{asset} of {day} is in storage, but Dagster has no record of it; materialize {asset} for {day}, or "
                f"remove {stores[asset].path_of(asset, day)}"
            )
        elif not record.skipped:
            findings.faults += _find_orphan(asset, day, records)
            try:
                found = _find_fault(stores[asset], asset, day, record)
            except OutdatedFileError:
                outdated += 1
                found = None
            if found is not None:
                findings.faults.append(found)
            else:
                findings.data[f"{asset}/{day}"] = record.data_version
    if outdated:
        findings.notes.append(
            f"{outdated} stored days are of another version of the code; they are made again when a window needs them, "
            "or by spam-assets backfill"
        )


def verify_landing(settings: Settings, instance: dg.DagsterInstance, findings: Findings, days: set[str] | None) -> None:
    """Hold the files of the landing zone against what each day was made from when it last ran."""
    zone = LandingZone(settings.landing_url)
    files, records = zone.list_files(), read_day_records(instance, "raw_mail")
    gone = []
    for day, record in sorted(records.items()):
        if record.skipped or record.source is None or (days is not None and day not in days):
            continue
        if day not in files:
            gone.append(day)
        elif read_day_state(zone, files[day]).digest != record.source:
            findings.faults.append(
                f"the landing file of {day} is not what raw_mail of {day} was made from; spam-assets backfill takes "
                "it in, or put the file back"
            )
    if gone:
        findings.notes.append(f"the landing file of {', '.join(gone)} is gone; what was made of it stays in use")


def _name_stores(stores: Stores) -> dict[str, DailyFileIOManager]:
    return {
        "raw_mail": stores.frames,
        "validated_mail": stores.frames,
        "mail_features": stores.features,
        "trained_model": stores.models,
        **dict.fromkeys(stores.models.stored_assets(), stores.models),
        "champion_report": stores.reports,
        "scored_mail": stores.frames,
    }


def _find_orphan(asset: str, day: str, records: Mapping[str, Mapping[str, DayRecord]]) -> list[str]:
    parent = "mail_features" if asset.startswith(PREFIX_OF_ASSETS) else MADE_FROM.get(asset)
    if parent is None or (day in records[parent] and not records[parent][day].skipped):
        return []
    return [f"{asset} of {day} is there without {parent}; materialize {parent} for {day}, or remove the day"]


def _find_fault(manager: DailyFileIOManager, asset: str, day: str, record: DayRecord) -> str | None:
    """Return what is wrong with a stored day, None if nothing is.

    Raises:
        OutdatedFileError: nothing is wrong with its bytes, and this version of the code cannot read them.
    """
    changed = f"{asset} of {day} is not what Dagster recorded; materialize {asset} for {day} again"
    is_model = isinstance(manager, ModelIOManager)
    try:
        value = manager.load_day(asset, day)
        # A model may have been stored with less than this code would store of it.
        found = manager.data_version_of(asset, day) if is_model else manager.fingerprint(value)
    except OutdatedFileError:
        if record.sha256 is not None and digest(manager.path_of(asset, day).read_bytes()) != record.sha256:
            return changed
        raise
    except StorageError as error:
        return error.description or str(error)
    if found != record.data_version:
        return changed
    if (
        not is_model  # whose suspects a person may have had forgotten since; its arrays are checked
        and record.sha256 is not None
        and digest(manager.path_of(asset, day).read_bytes()) != record.sha256
    ):
        return f"{asset} of {day} reads as recorded, but its bytes changed; materialize {asset} for {day} again"
    return None
