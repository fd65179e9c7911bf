"""Whether what is stored is what Dagster and MLflow say it is: every file read, every data version computed again."""

from collections.abc import Callable, Iterator

import dagster as dg

from spam_assets.engine.day_records import read_day_records
from spam_assets.io_managers.daily_files import DailyFileIOManager, StorageError
from spam_assets.io_managers.fingerprints import fingerprint_model
from spam_assets.registry.registered_models import CHAMPION, ModelRegistry
from spam_assets.resources import open_stores
from spam_assets.settings import Settings

Report = Callable[[int, int | None, str], None]


def find_faults(settings: Settings, instance: dg.DagsterInstance, report: Report) -> Iterator[str]:
    """Yield a sentence, with the remedy, for every stored day that is missing, damaged or not what was recorded."""
    opened = open_stores(settings)
    stores: dict[str, DailyFileIOManager] = {
        "raw_mail": opened.frames,
        "validated_mail": opened.frames,
        "mail_features": opened.features,
        "trained_model": opened.models,
        "champion_report": opened.reports,
        "scored_mail": opened.frames,
    }
    records = {asset: read_day_records(instance, asset) for asset in stores}
    recorded = [(asset, day) for asset in stores for day in sorted(records[asset]) if not records[asset][day].skipped]
    for number, (asset, day) in enumerate(recorded, start=1):
        report(number, len(recorded), f"files, {asset} of {day}")
        manager = stores[asset]
        try:
            found = manager.fingerprint(manager.load_day(asset, day))
        except StorageError as error:
            yield error.description or str(error)
            continue
        if found != records[asset][day].data_version:
            yield f"{asset} of {day} is not what Dagster recorded; materialize {asset} for {day} again"
    registry = ModelRegistry(settings)
    champion = registry.aliased(CHAMPION)
    if champion is not None and fingerprint_model(registry.load_model(champion)) != champion.data_version:
        yield f"the champion, version {champion.version}, is not what was registered; promote another version"
