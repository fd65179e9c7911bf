"""Whether what is stored is what Dagster and MLflow say it is: every file read, every data version computed again."""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
from dagster._core.definitions.data_version import extract_data_version_from_entry
from upath import UPath

from spam_assets.data_versions import fingerprint_features, fingerprint_frame, fingerprint_model
from spam_assets.io_managers import (
    DailyFileIOManager,
    FeaturesIOManager,
    FrameIOManager,
    ModelIOManager,
    StorageError,
)
from spam_assets.settings import Settings
from spam_assets.tracking import CHAMPION, ModelRegistry

Report = Callable[[int, int | None, str], None]


def find_faults(settings: Settings, instance: dg.DagsterInstance, report: Report) -> Iterator[str]:
    """Yield a sentence, with the remedy, for every stored day that is missing, damaged or not what was recorded."""
    storage = UPath(settings.storage_url)
    stores: dict[str, tuple[DailyFileIOManager, Callable[[Any], str]]] = {
        "raw_mail": (FrameIOManager(storage), fingerprint_frame),
        "validated_mail": (FrameIOManager(storage), fingerprint_frame),
        "mail_features": (FeaturesIOManager(storage), fingerprint_features),
        "trained_model": (ModelIOManager(storage), fingerprint_model),
    }
    recorded = [
        (asset, day) for asset in stores for day in sorted(instance.get_materialized_partitions(dg.AssetKey(asset)))
    ]
    for number, (asset, day) in enumerate(recorded, start=1):
        report(number, len(recorded), f"files, {asset} of {day}")
        manager, fingerprint = stores[asset]
        try:
            found = fingerprint(manager.load_day(asset, day))
        except StorageError as error:
            yield error.description or str(error)
            continue
        if found != _recorded_data_version(instance, asset, day):
            yield f"{asset} of {day} is not what Dagster recorded; materialize {asset} for {day} again"
    registry = ModelRegistry(settings)
    champion = registry.aliased(CHAMPION)
    if champion is not None and fingerprint_model(registry.load_model(champion)) != champion.data_version:
        yield f"the champion, version {champion.version}, is not what was registered; promote another version"


def _recorded_data_version(instance: dg.DagsterInstance, asset: str, day: str) -> str | None:
    record = instance.get_latest_data_version_record(dg.AssetKey(asset), partition_key=day)
    version = extract_data_version_from_entry(record.event_log_entry) if record else None
    return version.value if version else None
