"""`mail_features`, and `training_window`, each day as windows see it."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from spam_assets.assets.daily import MAIL, daily_asset
from spam_assets.engine.tags import DATA_VERSION_TAG
from spam_assets.io_managers.fingerprints import (
    fingerprint_features,
)
from spam_assets.learning.code_versions import FEATURES_VERSION
from spam_assets.mail.mail_batches import Mail
from spam_assets.partitions import DAYS, SETTINGS
from spam_assets.views.metadata import (
    describe_exclusion,
    describe_features,
)
from spam_assets.windows import EXCLUDED, TrainingWindows

training_window = dg.AssetSpec(
    "training_window",
    partitions_def=DAYS,
    deps=["mail_features"],
    group_name="learning",
    owners=[SETTINGS.owner],
    description=(
        "Each day as the windows of models see it: observed, with its data version, whenever `mail_features` is made. "
        "It is here so that Dagster knows which models are out of date when an old day changes; "
        "a direct dependency on a window of `mail_features` would make a backfill of one day train all later ones."
    ),
)
WINDOW_OF_DAYS = dg.AssetDep(
    training_window, partition_mapping=dg.TimeWindowPartitionMapping(start_offset=1 - SETTINGS.window_days)
)


@daily_asset(
    group_name="learning",
    kinds={"numba", "arrow"},
    io_manager_key="features",
    ins={"validated_mail": dg.AssetIn(dagster_type=MAIL)},
    code_version=FEATURES_VERSION,
)
def mail_features(
    context: dg.AssetExecutionContext,
    validated_mail: Mail,
    training_windows: dg.ResourceParam[TrainingWindows],
) -> Iterator[dg.MaterializeResult[Any]]:
    """The day's mail as sparse hashed features, computed once however many windows read them."""
    from spam_assets.feature_files import featurize_day

    features = featurize_day(validated_mail)
    version = fingerprint_features(features)
    day = context.partition_key
    why = training_windows.find_reasons().get(day)
    in_windows = version if why is None else EXCLUDED
    context.log_event(dg.AssetObservation(training_window.key, partition=day, tags={DATA_VERSION_TAG: in_windows}))
    yield dg.MaterializeResult(
        value=features,
        metadata={**describe_features(features), **describe_exclusion(why)},
        data_version=dg.DataVersion(version),
    )


def record_features(context: dg.AssetExecutionContext, day: str, features: Any) -> None:
    """Record that the features of another day were made again, because its own were of an older version."""
    who = f"{context.asset_key.to_user_string()} of {context.partition_key}"
    metadata = {**describe_features(features), "made_again": f"as version {FEATURES_VERSION}, for {who}"}
    tags = {DATA_VERSION_TAG: fingerprint_features(features)}
    context.log_event(dg.AssetMaterialization(mail_features.key, partition=day, metadata=metadata, tags=tags))
    context.log_event(dg.AssetObservation(training_window.key, partition=day, tags=tags))
