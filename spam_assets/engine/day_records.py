"""What Dagster knows of each day of an asset: the tags of its newest materialization.

Assets write the tags, and whoever has to know which days are complete or out of date reads them.
"""

from dataclasses import dataclass

import dagster as dg

from spam_assets.engine.tags import DATA_VERSION_TAG

SKIPPED_TAG = "spam_assets/skipped"
"""On a day that made nothing, because no mail landed or there is too little to learn from."""
SOURCE_TAG = "spam_assets/source"
"""What the day was made from, as a digest: of raw_mail the landing files, of trained_model window and settings."""
NOTHING = "nothing"
"""Data version of a day that made nothing."""
PAGE = 500


@dataclass(frozen=True)
class DayRecord:
    """The newest materialization of one day of an asset."""

    data_version: str
    source: str | None
    skipped: bool
    sha256: str | None = None
    """Of the stored file's bytes, hexadecimal, where it was recorded."""


def record_nothing(context: dg.AssetExecutionContext, reason: str, source: str = "none") -> None:
    """Record that a day has nothing to make here, nor in the assets of this run that would have been made from it.

    Dagster takes a partition without a materialization for one that failed, and an asset for unchecked when one of
    its days is. `source` is as in SOURCE_TAG.
    """
    context.log.warning(reason)
    layer = context.job_def.asset_layer
    made_from_this = dg.AssetSelection.assets(context.asset_key).downstream().resolve(layer.asset_graph)
    wanted = made_from_this & set(layer.executable_asset_keys)
    for key in layer.asset_graph.toposorted_asset_keys:
        if key not in wanted:
            continue
        context.log_event(
            dg.AssetMaterialization(
                key,
                partition=context.partition_key,
                metadata={"skipped": reason},
                tags={SKIPPED_TAG: "true", DATA_VERSION_TAG: NOTHING, SOURCE_TAG: source},
            )
        )
    for check in sorted(layer.asset_graph.asset_check_keys):
        if check.asset_key in wanted and check not in context.assets_def.check_keys:  # those are its own to give
            context.log_event(
                dg.AssetCheckEvaluation(
                    check_name=check.name,
                    asset_key=check.asset_key,
                    passed=True,
                    metadata={"skipped": reason},
                    description=f"nothing to check: {reason}",
                    partition=context.partition_key,
                )
            )


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
    sha256 = materialization.metadata.get("sha256") if materialization else None
    return DayRecord(
        tags.get(DATA_VERSION_TAG, ""),
        tags.get(SOURCE_TAG),
        SKIPPED_TAG in tags,
        str(sha256.value) if sha256 is not None else None,
    )
