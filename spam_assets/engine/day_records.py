"""What Dagster knows of each day of an asset: the tags of its newest materialization.

Assets write the tags, and whoever has to know which days are complete or out of date reads them.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from spam_assets.landing.watching import digest_day
from spam_assets.landing.zone import LandedDay
from spam_assets.learning.code_versions import FEATURES_VERSION, MODEL_VERSION
from spam_assets.partitions import SETTINGS

SKIPPED_TAG = "spam_assets/skipped"
"""On a day that made nothing, because no mail landed or there is too little to learn from."""
SOURCE_TAG = "spam_assets/source"
"""What the day was made from, as a digest: of raw_mail the landing files, of trained_model window and settings."""
PAGE = 500


@dataclass(frozen=True)
class DayRecord:
    """The newest materialization of one day of an asset."""

    data_version: str
    source: str | None
    skipped: bool


def fingerprint_source(landed: LandedDay) -> str:
    """Return the digest of the landing files that a day was read from, as `read_day_state` finds it."""
    digests = {landed.path.rpartition("/")[2]: landed.sha256}
    if landed.corrections.path is not None and landed.corrections_sha256 is not None:
        digests[landed.corrections.path.rpartition("/")[2]] = landed.corrections_sha256
    return digest_day(digests)


def fingerprint_training(window: Mapping[str, str]) -> str:
    """Return the digest of what a model is made from: its days by data version, the settings and the method."""
    made_from = [sorted(window.items()), SETTINGS.window_days, SETTINGS.target_fpr, FEATURES_VERSION, MODEL_VERSION]
    return hashlib.sha256(json.dumps(made_from).encode()).hexdigest()[:32]  # a tag takes 63 characters


def read_day_records(instance: dg.DagsterInstance, asset: str) -> dict[str, DayRecord]:
    """Return the newest materialization of every day of an asset."""
    key = dg.AssetKey(asset)
    missing = set(instance.get_materialized_partitions(key))
    records: dict[str, DayRecord] = {}
    cursor: str | None = None
    while missing:
        page = instance.fetch_materializations(key, limit=PAGE, cursor=cursor)  # newest first
        for record in page.records:
            if record.partition_key in missing:
                missing.remove(record.partition_key)
                records[record.partition_key] = _describe(record.event_log_entry)
        if not page.has_more:
            break
        cursor = page.cursor
    return records


def _describe(entry: dg.EventLogEntry) -> DayRecord:
    materialization = entry.asset_materialization
    tags = materialization.tags or {} if materialization else {}
    return DayRecord(tags.get(DATA_VERSION_TAG, ""), tags.get(SOURCE_TAG), SKIPPED_TAG in tags)
