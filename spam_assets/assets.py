"""The assets, one UTC day a partition: from raw_mail to registered_model, and champion_report.

A body takes its inputs, calls a pure function or two, and returns a value with metadata. Not here: rules
(`mail`, `learning`), paths and formats (`io_managers`), MLflow (`registry`), pictures and tables (`views`).
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import dagster as dg
import pandas as pd

from spam_assets.engine.day_records import SOURCE_TAG, record_nothing
from spam_assets.engine.locks import TRAINING_POOL
from spam_assets.engine.tags import DATA_VERSION_TAG
from spam_assets.engine.transient_faults import retry_transient_faults
from spam_assets.io_managers.fingerprints import (
    fingerprint_features,
    fingerprint_frame,
    fingerprint_model,
    fingerprint_report,
    fingerprint_reported,
    fingerprint_training,
)
from spam_assets.io_managers.npz_models import ModelIOManager
from spam_assets.landing.day_content import fingerprint_source
from spam_assets.landing.errors import LandingError, LandingFileMissing
from spam_assets.landing.zone import LandingZone
from spam_assets.learning.code_versions import FEATURES_VERSION, MODEL_VERSION
from spam_assets.mail.columns import MAIL_COLUMNS, VALIDATED_MAIL_COLUMNS
from spam_assets.mail.validation import QualityError, validate_day
from spam_assets.partitions import DAYS, SETTINGS
from spam_assets.registry.registered_models import ModelRegistry
from spam_assets.registry.training_runs import TrainingMlFlow
from spam_assets.resources import MailHistory
from spam_assets.views.metadata import (
    describe_challenger,
    describe_columns,
    describe_features,
    describe_landed_day,
    describe_mail,
    describe_model,
    describe_removed_day,
    describe_report,
    describe_verdicts,
    describe_window,
    describe_words,
)
from spam_assets.windows import TrainingWindows


def daily_asset(**options: Any) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Return `dg.asset` with what all assets have in common."""
    define: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.asset(
        partitions_def=DAYS,
        owners=[SETTINGS.owner],
        # One run for all days of a backfill; the executor keeps the days apart.
        backfill_policy=dg.BackfillPolicy.single_run(),
        output_required=False,  # a day may have nothing to make: no mail landed, or too little to learn from
        **options,
    )
    return lambda body: define(retry_transient_faults(body))


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
MAIL_EVERY_DAY = (
    dg.FreshnessPolicy.time_window(warn_window=timedelta(hours=30), fail_window=timedelta(hours=54))
    if SETTINGS.end_date is None  # an archive has an end, and is not expected to go on
    else None
)


@daily_asset(
    group_name="mail",
    kinds={"pandas", "parquet"},
    io_manager_key="frames",
    metadata={"dagster/column_schema": describe_columns(MAIL_COLUMNS)},
    freshness_policy=MAIL_EVERY_DAY,
)
def raw_mail(
    context: dg.AssetExecutionContext,
    landing_zone: dg.ResourceParam[LandingZone],
    mail_history: dg.ResourceParam[MailHistory],
) -> Iterator[dg.MaterializeResult[Any]]:
    """What the landing zone held for the day, in the one schema of mail."""
    day = context.partition_key
    try:
        landed = landing_zone.read(day)
    except LandingFileMissing as file_missing:
        last = mail_history.last_raw_mail(day)
        if last is None:
            record_nothing(context, str(file_missing))
            return
        frame, metadata, tags = last, describe_removed_day(last, str(file_missing)), {}
    except LandingError as error:
        raise dg.Failure(str(error)) from None
    else:
        frame, metadata, tags = landed.frame, describe_landed_day(landed), {SOURCE_TAG: fingerprint_source(landed)}
    version = dg.DataVersion(fingerprint_frame(frame))
    yield dg.MaterializeResult(value=frame, metadata=metadata, tags=tags, data_version=version)


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
def mail_features(
    context: dg.AssetExecutionContext, validated_mail: pd.DataFrame
) -> Iterator[dg.MaterializeResult[Any]]:
    """The day's mail as sparse hashed features, computed once however many windows read them."""
    from spam_assets.learning.features import featurize_mail

    features = featurize_mail(validated_mail)
    version = fingerprint_features(features)
    context.log_event(
        dg.AssetObservation(training_window.key, partition=context.partition_key, tags={DATA_VERSION_TAG: version})
    )
    yield dg.MaterializeResult(
        value=features, metadata=describe_features(features), data_version=dg.DataVersion(version)
    )


@daily_asset(
    group_name="learning",
    kinds={"numba", "mlflow"},
    io_manager_key="models",
    deps=["mail_features", WINDOW_OF_DAYS],
    pool=TRAINING_POOL,
    code_version=MODEL_VERSION,
)
def trained_model(
    context: dg.AssetExecutionContext,
    validated_mail: pd.DataFrame,
    training_windows: dg.ResourceParam[TrainingWindows],
    mlflow: dg.ResourceParam[TrainingMlFlow],
) -> Iterator[dg.MaterializeResult[Any]]:
    """A spam filter that has learnt the window of days that ends with this day."""
    from spam_assets.learning.explanation import tell_strongest_words
    from spam_assets.learning.held_out import HELD_OUT_SHARE
    from spam_assets.learning.training import NotEnoughMailError, TrainingSettings, train_model
    from spam_assets.views.pictures import draw_evaluation

    day = context.partition_key
    window = training_windows.ending(day)
    settings = TrainingSettings(
        target_fpr=SETTINGS.target_fpr, held_out_share=HELD_OUT_SHARE, vouched_days=SETTINGS.vouched
    )
    try:
        with mlflow.training_run(day, nothing_trained=NotEnoughMailError) as run:
            model = train_model(window, settings)
            versions = window.data_versions()
            version = fingerprint_model(model)
            picture = draw_evaluation(model, day)
            mlflow.log_training(run, day, model, version, settings, versions, picture)
    except NotEnoughMailError as too_little:
        source = fingerprint_training(window.data_versions(), SETTINGS)
        record_nothing(context, f"no model for {day}: {too_little}", source)
        return
    yield dg.MaterializeResult(
        value=model,
        metadata={
            **describe_model(model, list(window), picture),
            **describe_window(window.landed_days, window.left_out),
            "strongest_words": describe_words(tell_strongest_words(model, validated_mail)),
            "mlflow_run": dg.MetadataValue.url(mlflow.url_of(run)),
        },
        tags={SOURCE_TAG: fingerprint_training(versions, SETTINGS)},
        data_version=dg.DataVersion(version),
    )


@daily_asset(
    group_name="learning",
    kinds={"mlflow"},
    pool=TRAINING_POOL,
    deps=["trained_model", "mail_features", WINDOW_OF_DAYS],
)
def registered_model(
    context: dg.AssetExecutionContext,
    models: dg.ResourceParam[ModelIOManager],
    registry: dg.ResourceParam[ModelRegistry],
    training_windows: dg.ResourceParam[TrainingWindows],
) -> Iterator[dg.MaterializeResult[Any]]:
    """The gate: the day's model as a version of `spam-classifier`, judged with those that wait; one may serve."""
    from spam_assets.learning.succession import judge_day

    day = context.partition_key
    trained = models.load_day("trained_model", day) if models.has_day("trained_model", day) else None
    with registry.changing():
        candidate = registry.register(day, fingerprint_model(trained)) if trained is not None else None
        before = registry.load_succession()
        dated = registry.load_dated(candidate) if candidate is not None else None
        after, judged = judge_day(before, dated, training_windows.ending(day))
        registry.carry_out_verdicts(before, after, judged)
    if not judged:
        record_nothing(context, f"no model was trained for {day}, and none waits to be judged again")
        return
    yield dg.MaterializeResult(
        metadata=describe_verdicts(judged, before.champion),
        data_version=dg.DataVersion(candidate.data_version if candidate else "judged-again"),
    )


@daily_asset(
    group_name="learning",
    kinds={"mlflow"},
    io_manager_key="reports",
)
def champion_report(
    context: dg.AssetExecutionContext,
    mail_features: Any,  # MailFeatures, see registered_model
    registry: dg.ResourceParam[ModelRegistry],
) -> Iterator[dg.MaterializeResult[Any]]:
    """How the champion of the time did on the day, which it had not learnt."""
    from spam_assets.learning.reporting import report_day

    day = context.partition_key
    champion = registry.champion_before(day)
    source = fingerprint_reported(fingerprint_features(mail_features), champion.data_version if champion else None)
    if champion is None:
        record_nothing(context, f"there was no champion before {day}", source)
        return
    report = report_day(day, registry.load_dated(champion), mail_features)
    metadata = describe_report(report, champion)
    challenger = registry.challenger_before(day)
    if challenger is not None:
        beside = report_day(day, registry.load_dated(challenger), mail_features)
        metadata |= describe_challenger(beside, challenger)
    yield dg.MaterializeResult(
        value=report,
        metadata=metadata,
        tags={SOURCE_TAG: source},
        data_version=dg.DataVersion(fingerprint_report(report)),
    )
