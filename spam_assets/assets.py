"""The five assets, one UTC day a partition: raw_mail, validated_mail, mail_features, trained_model, registered_model.

A body takes its inputs, calls a pure function or two, and returns a value with metadata. Not here: rules
(`mail.quality`, `learning`), paths and formats (`io_managers`), MLflow (`tracking`), pictures and tables
(`plots`, `metadata`).
"""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pandas as pd

from spam_assets.data_versions import fingerprint_features, fingerprint_frame, fingerprint_model
from spam_assets.io_managers import WINDOW_DAYS, WindowOfDays
from spam_assets.learning.versions import FEATURES_VERSION, MODEL_VERSION
from spam_assets.mail.columns import MAIL_COLUMNS, VALIDATED_MAIL_COLUMNS
from spam_assets.mail.errors import LandingError, LandingFileMissing
from spam_assets.mail.landing import LandingZone
from spam_assets.mail.quality import QualityError, validate_day
from spam_assets.metadata import (
    describe_columns,
    describe_decision,
    describe_features,
    describe_landed_day,
    describe_mail,
    describe_model,
    describe_words,
)
from spam_assets.partitions import DAYS, SETTINGS
from spam_assets.tracking import CHAMPION, ModelRegistry, TrainingMlFlow


def daily_asset(**options: Any) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Return `dg.asset` with what all five assets have in common."""
    define: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.asset(
        partitions_def=DAYS,
        owners=[SETTINGS.owner],
        # One run for all days of a backfill; the executor keeps the days apart.
        backfill_policy=dg.BackfillPolicy.single_run(),
        output_required=False,  # a day may have nothing to make: no mail landed, or too little to learn from
        **options,
    )
    return define


# Dagster knows the dependency on the day itself. A mapping to the whole window would make it run a backfill in two
# halves and leave out every model whose window holds a day that failed; the window skips such days instead.
FEATURES_WINDOW = dg.AssetIn("mail_features", metadata={WINDOW_DAYS: SETTINGS.window_days})


def report_nothing_made(context: dg.AssetExecutionContext, reason: str) -> None:
    """Say in the log and on the asset's page why a day made nothing; later steps of the day are skipped."""
    context.log.warning(reason)
    context.log_event(
        dg.AssetObservation(context.asset_key, partition=context.partition_key, metadata={"skipped": reason})
    )


@daily_asset(
    group_name="mail",
    kinds={"pandas", "parquet"},
    io_manager_key="frames",
    metadata={"dagster/column_schema": describe_columns(MAIL_COLUMNS)},
)
def raw_mail(
    context: dg.AssetExecutionContext, landing_zone: dg.ResourceParam[LandingZone]
) -> Iterator[dg.MaterializeResult[Any]]:
    """What the landing zone held for the day, in the one schema of mail."""
    try:
        landed = landing_zone.read(context.partition_key)
    except LandingFileMissing as nothing_landed:
        report_nothing_made(context, str(nothing_landed))
        return
    except LandingError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    yield dg.MaterializeResult(
        value=landed.frame,
        metadata=describe_landed_day(landed),
        data_version=dg.DataVersion(fingerprint_frame(landed.frame)),
    )


@daily_asset(
    group_name="mail",
    kinds={"pandas", "parquet"},
    io_manager_key="frames",
    metadata={"dagster/column_schema": describe_columns(VALIDATED_MAIL_COLUMNS)},
)
def validated_mail(context: dg.AssetExecutionContext, raw_mail: pd.DataFrame) -> Iterator[dg.MaterializeResult[Any]]:
    """The day's mail, if it keeps every rule: a day that does not is never stored, so no window can find it."""
    try:
        mail = validate_day(raw_mail, context.partition_key)
    except QualityError as error:  # blocking checks stop this run here, but not a later run of this asset alone
        raise dg.Failure(str(error), allow_retries=False) from None
    yield dg.MaterializeResult(
        value=mail,
        metadata={**describe_mail(mail), "dropped_messages": len(raw_mail) - len(mail)},
        data_version=dg.DataVersion(fingerprint_frame(mail)),
    )


@daily_asset(
    group_name="learning",
    kinds={"numba", "arrow"},
    io_manager_key="features",
    code_version=FEATURES_VERSION,
)
def mail_features(validated_mail: pd.DataFrame) -> Iterator[dg.MaterializeResult[Any]]:
    """The day's mail as sparse hashed features, computed once however many windows read them."""
    from spam_assets.learning.features import featurize_mail

    features = featurize_mail(validated_mail)
    yield dg.MaterializeResult(
        value=features,
        metadata=describe_features(features),
        data_version=dg.DataVersion(fingerprint_features(features)),
    )


@daily_asset(
    group_name="learning",
    kinds={"numba", "mlflow"},
    io_manager_key="models",
    ins={"mail_features": FEATURES_WINDOW},
    required_resource_keys={"mlflow"},
    code_version=MODEL_VERSION,
)
def trained_model(
    context: dg.AssetExecutionContext, mail_features: WindowOfDays, validated_mail: pd.DataFrame
) -> Iterator[dg.MaterializeResult[Any]]:
    """A spam filter that has learnt the window of days that ends with this day."""
    from spam_assets.learning.explanation import tell_strongest_words
    from spam_assets.learning.training import NotEnoughMailError, TrainingSettings, train_model
    from spam_assets.plots import draw_evaluation

    day = context.partition_key
    mail_features.require(day)
    mlflow: TrainingMlFlow = context.resources.mlflow
    settings = TrainingSettings(target_fpr=SETTINGS.target_fpr)
    try:
        with mlflow.training_run(day, nothing_trained=NotEnoughMailError) as run:
            model = train_model(mail_features, settings)
            version = fingerprint_model(model)
            picture = draw_evaluation(model, day)
            mlflow.log_training(run, day, model, version, settings, mail_features.data_versions(), picture)
    except NotEnoughMailError as too_little:
        report_nothing_made(context, f"no model for {day}: {too_little}")
        return
    yield dg.MaterializeResult(
        value=model,
        metadata={
            **describe_model(model, list(mail_features), picture),
            "strongest_words": describe_words(tell_strongest_words(model, validated_mail)),
            "mlflow_run": dg.MetadataValue.url(mlflow.url_of(run)),
        },
        data_version=dg.DataVersion(version),
    )


@daily_asset(
    group_name="learning",
    kinds={"mlflow"},
    ins={"mail_features": FEATURES_WINDOW},
)
def registered_model(
    context: dg.AssetExecutionContext,
    trained_model: Any,  # a SpamModel; Dagster would import Numba to read the annotation when the code loads
    mail_features: WindowOfDays,
    registry: dg.ResourceParam[ModelRegistry],
) -> Iterator[dg.MaterializeResult[Any]]:
    """The gate: the day's model as a version of `spam-classifier`, and champion if the rule says so."""
    from spam_assets.learning.comparison import DatedModel, compare_on_unseen_days
    from spam_assets.learning.promotion import PromotionBar, decide_promotion

    day = context.partition_key
    version = fingerprint_model(trained_model)
    candidate = registry.register(day, version)
    champion = registry.aliased(CHAMPION)
    standings = compare_on_unseen_days(
        candidate=DatedModel(day, trained_model),
        champion=DatedModel(champion.training_date, registry.load_model(champion)) if champion else None,
        window=mail_features,
    )
    decision = decide_promotion(*standings, PromotionBar())
    registry.carry_out(candidate, champion, promote=decision.promote)
    yield dg.MaterializeResult(
        metadata=describe_decision(candidate, champion, decision),
        data_version=dg.DataVersion(version),
    )
