"""The assets, one UTC day a partition: from raw_mail to registered_model, champion_report and scored_mail.

A body takes its inputs, calls a pure function or two, and returns a value with metadata. Not here: rules
(`mail`, `learning`), paths and formats (`io_managers`), MLflow (`registry`), pictures and tables (`views`).
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

import dagster as dg

from spam_assets.challengers import enter_challengers, name_challengers, train_apart
from spam_assets.engine.day_records import SOURCE_TAG, record_nothing
from spam_assets.engine.locks import TRAINING_POOL
from spam_assets.engine.one_day import check_one_day
from spam_assets.engine.tags import DATA_VERSION_TAG, PRIORITY_TAG
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
from spam_assets.landing.incoming import IncomingZone
from spam_assets.landing.zone import LandingZone
from spam_assets.learning.code_versions import FEATURES_VERSION, MODEL_VERSION
from spam_assets.learning.estimator_errors import EstimatorError
from spam_assets.learning.methods import Method, parse_method
from spam_assets.mail.columns import MAIL_COLUMNS, VALIDATED_MAIL_COLUMNS
from spam_assets.mail.incoming_rules import INCOMING_RULES, judge_incoming_day
from spam_assets.mail.mail_batches import Mail
from spam_assets.mail.quarantine import find_quarantined
from spam_assets.mail.validation import QualityError, complete_incoming_mail, validate_day
from spam_assets.partitions import DAYS, SETTINGS
from spam_assets.registry.registered_models import ModelRegistry
from spam_assets.registry.training_runs import TrainingMlFlow
from spam_assets.resources import MailHistory, ReportHistory, build_training_settings
from spam_assets.views.check_results import build_spec, describe_verdict, pass_unchecked
from spam_assets.views.metadata import (
    conceal_mail,
    describe_challenger,
    describe_columns,
    describe_exclusion,
    describe_features,
    describe_history,
    describe_landed_day,
    describe_left_out,
    describe_mail,
    describe_model,
    describe_quarantined,
    describe_removed_day,
    describe_report,
    describe_scores,
    describe_verdicts,
    describe_window,
    describe_words,
)
from spam_assets.views.method_lines import describe_methods
from spam_assets.views.sparklines import DAYS_SHOWN
from spam_assets.windows import EXCLUDED, TrainingWindows, WindowOfDays

if TYPE_CHECKING:
    from spam_assets.learning.trained_model import TrainedModel

MAIL = dg.DagsterType(lambda _, value: isinstance(value, Mail), "Mail", description="A day of mail, of any size.")


def daily_asset(*, trains: bool = False, **options: Any) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Return `dg.asset` with what all assets have in common; days that train nothing may spread over several runs."""
    many_runs = SETTINGS.days_per_run is not None and not trains
    define: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.asset(
        partitions_def=DAYS,
        owners=[SETTINGS.owner],
        # One run for all days of a backfill; the executor keeps the days apart.
        backfill_policy=(
            dg.BackfillPolicy.multi_run(SETTINGS.days_per_run or 1) if many_runs else dg.BackfillPolicy.single_run()
        ),
        output_required=False,  # a day may have nothing to make: no mail landed, or too little to learn from
        **options,
    )
    return lambda body: define(retry_transient_faults(_tell_foreign_faults(body)))


def _tell_foreign_faults(function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """Let a step that fails in somebody else's executor or estimator fail with the sentence that says where."""

    @wraps(function)
    def body(context: dg.AssetExecutionContext, *inputs: Any, **named_inputs: Any) -> Iterator[Any]:
        check_one_day(context)
        try:
            yield from function(context, *inputs, **named_inputs)
        except EstimatorError as error:
            raise dg.Failure(str(error), allow_retries=False) from error

    return body


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
METHOD = parse_method(SETTINGS.estimator, SETTINGS.trusted)
CHALLENGER_METHODS = name_challengers(SETTINGS)
METHODS = (METHOD, *CHALLENGER_METHODS.values())
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
        mail, metadata, tags = last, describe_removed_day(last, str(file_missing)), {}
    except LandingError as error:
        raise dg.Failure(str(error)) from None
    else:
        mail, metadata, tags = landed.mail, describe_landed_day(landed), {SOURCE_TAG: fingerprint_source(landed)}
    metadata |= describe_quarantined(find_quarantined(mail, day))
    yield dg.MaterializeResult(
        value=mail,
        metadata=conceal_mail(metadata, previews=SETTINGS.previews),
        tags=tags,
        data_version=dg.DataVersion(fingerprint_frame(mail)),
    )


@daily_asset(
    group_name="mail",
    kinds={"pandas", "parquet"},
    io_manager_key="frames",
    metadata={"dagster/column_schema": describe_columns(VALIDATED_MAIL_COLUMNS)},
    ins={"raw_mail": dg.AssetIn(dagster_type=MAIL)},
)
def validated_mail(context: dg.AssetExecutionContext, raw_mail: Mail) -> Iterator[dg.MaterializeResult[Any]]:
    """The day's mail, if it keeps every rule: a day that does not is never stored, so no window can find it."""
    try:
        mail = validate_day(raw_mail, context.partition_key)
    except QualityError as error:  # blocking checks stop this run here, but not a later run of this asset alone
        raise dg.Failure(str(error), allow_retries=False) from None
    yield dg.MaterializeResult(
        value=mail,
        metadata=conceal_mail(
            {**describe_mail(mail), "dropped_messages": len(raw_mail) - len(mail)}, previews=SETTINGS.previews
        ),
        data_version=dg.DataVersion(fingerprint_frame(mail)),
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


def _record_features(context: dg.AssetExecutionContext, day: str, features: Any) -> None:
    """Record that the features of another day were made again, because its own were of an older version."""
    who = f"{context.asset_key.to_user_string()} of {context.partition_key}"
    metadata = {**describe_features(features), "made_again": f"as version {FEATURES_VERSION}, for {who}"}
    tags = {DATA_VERSION_TAG: fingerprint_features(features)}
    context.log_event(dg.AssetMaterialization(mail_features.key, partition=day, metadata=metadata, tags=tags))
    context.log_event(dg.AssetObservation(training_window.key, partition=day, tags=tags))


def _train_and_log(
    context: dg.AssetExecutionContext,
    method: Method,
    train: Callable[[WindowOfDays], "tuple[TrainedModel, Mapping[str, str]]"],
    validated_mail: Mail,
    training_windows: TrainingWindows,
    mail_history: MailHistory,
    mlflow: TrainingMlFlow,
) -> Iterator[dg.MaterializeResult[Any]]:
    """Train a model for the day, log it to its MLflow run, and return it with all that people want to see of it."""
    from spam_assets.learning.daily_protocol import NotEnoughMailError
    from spam_assets.learning.explanation import tell_strongest_words
    from spam_assets.learning.model_card import build_card
    from spam_assets.views.card_text import describe_card, write_card_files
    from spam_assets.views.pictures import draw_evaluation

    day, asset = context.partition_key, context.asset_key.to_user_string()
    window = training_windows.ending(day, partial(_record_features, context))
    settings = build_training_settings(SETTINGS)
    try:
        with mlflow.training_run(day, nothing_trained=NotEnoughMailError, asset=asset) as run:
            model, versions = train(window)
            version = fingerprint_model(model)
            card = build_card(day, model, list(window), mail_history.describe_days(window, model.progressive.days))
            picture = draw_evaluation(model, day)
            texts = {
                "evaluation.svg": picture,
                **write_card_files(card, settings, SETTINGS.window_days, version, model.method),
            }
            mlflow.log_training(run, day, model, version, settings, versions, texts)
            yield dg.MaterializeResult(  # here, so that the MLflow run ends when Dagster has stored the model
                value=model,
                metadata=conceal_mail(
                    {
                        **describe_card(card, model),
                        **describe_model(model, list(window), picture),
                        **describe_window(window),
                        "strongest_words": describe_words(tell_strongest_words(model, validated_mail)),
                        "mlflow_run": dg.MetadataValue.url(mlflow.url_of(run)),
                    },
                    previews=SETTINGS.previews,
                ),
                tags={SOURCE_TAG: fingerprint_training(versions, SETTINGS, method.reference)},
                data_version=dg.DataVersion(version),
            )
    except NotEnoughMailError as too_little:
        source = fingerprint_training(window.data_versions(), SETTINGS, method.reference)
        record_nothing(context, f"no model for {day}: {too_little}", source)


TRAINED_DAILY: dict[str, Any] = {
    "trains": True,
    "group_name": "learning",
    "io_manager_key": "models",
    "ins": {"validated_mail": dg.AssetIn(dagster_type=MAIL)},
    "deps": ["mail_features", WINDOW_OF_DAYS],
    "pool": TRAINING_POOL,
    "code_version": MODEL_VERSION,
}


@daily_asset(kinds={"numba", "mlflow"}, **TRAINED_DAILY)
def trained_model(
    context: dg.AssetExecutionContext,
    validated_mail: Mail,
    training_windows: dg.ResourceParam[TrainingWindows],
    mail_history: dg.ResourceParam[MailHistory],
    mlflow: dg.ResourceParam[TrainingMlFlow],
) -> Iterator[dg.MaterializeResult[Any]]:
    """A spam filter that has learnt the window of days that ends with this day."""

    def train(window: WindowOfDays) -> "tuple[TrainedModel, Mapping[str, str]]":
        return METHOD.train(window, build_training_settings(SETTINGS)), window.data_versions()

    yield from _train_and_log(context, METHOD, train, validated_mail, training_windows, mail_history, mlflow)


def _build_challenger(name: str, method: Method) -> dg.AssetsDefinition:
    @daily_asset(
        name=name,
        kinds={"scikitlearn", "mlflow"},
        op_tags={PRIORITY_TAG: "1"},  # before the gate, which waits for none: a challenger that fails fails alone
        description=f"What `{method.name}` has learnt of the same window, as another candidate beside `trained_model`.",
        **TRAINED_DAILY,
    )
    def challenger(
        context: dg.AssetExecutionContext,
        validated_mail: Mail,
        training_windows: dg.ResourceParam[TrainingWindows],
        mail_history: dg.ResourceParam[MailHistory],
        mlflow: dg.ResourceParam[TrainingMlFlow],
    ) -> Iterator[dg.MaterializeResult[Any]]:
        def train(_: WindowOfDays) -> "tuple[TrainedModel, Mapping[str, str]]":
            return train_apart(SETTINGS, context.partition_key, method)

        yield from _train_and_log(context, method, train, validated_mail, training_windows, mail_history, mlflow)

    return challenger


CHALLENGERS = {name: _build_challenger(name, method) for name, method in CHALLENGER_METHODS.items()}
challengers = dg.AssetSpec(
    "challengers",
    partitions_def=DAYS,
    deps=list(CHALLENGERS),
    group_name="learning",
    owners=[SETTINGS.owner],
    description=(
        "The candidates of other methods, as the gate finds them. It is here so that the gate follows them without "
        "depending on them: a direct dependency would let one that fails take the day's gate with it."
    ),
)


@daily_asset(
    trains=True,
    group_name="learning",
    kinds={"mlflow"},
    pool=TRAINING_POOL,
    deps=["trained_model", "mail_features", WINDOW_OF_DAYS, *(["challengers"] if CHALLENGERS else [])],
)
def registered_model(
    context: dg.AssetExecutionContext,
    models: dg.ResourceParam[ModelIOManager],
    registry: dg.ResourceParam[ModelRegistry],
    training_windows: dg.ResourceParam[TrainingWindows],
) -> Iterator[dg.MaterializeResult[Any]]:
    """The gate: the day's models as versions of `spam-classifier`, judged with those that wait; one may serve."""
    from spam_assets.learning.succession import judge_day

    day = context.partition_key
    data_version = models.find_usable("trained_model", day)
    with registry.changing():
        candidate = registry.register(day, data_version) if data_version is not None else None
        others, left_out = enter_challengers(registry, models, CHALLENGERS, day)
        before = registry.load_succession()
        candidates = [registry.load_dated(candidate), *others] if candidate is not None else others
        window = training_windows.ending(day, partial(_record_features, context))
        excluded = training_windows.find_reasons()
        after, judged = judge_day(
            before, candidates, window, excluded=excluded, methods=[method.reference for method in METHODS]
        )
        registry.carry_out_verdicts(before, after, judged)
        standing = registry.standing()
    if not judged:
        record_nothing(context, f"no model was trained for {day} by this code, and none waits to be judged again")
        return
    yield dg.MaterializeResult(
        metadata={
            **describe_verdicts(judged, before.serving),
            **describe_left_out(left_out),
            **describe_history(standing),
        },
        data_version=dg.DataVersion(candidate.data_version if candidate else "judged-again"),
    )


@daily_asset(
    group_name="learning",
    kinds={"mlflow"},
    io_manager_key="reports",
    deps=["mail_features"],
)
def champion_report(
    context: dg.AssetExecutionContext,
    registry: dg.ResourceParam[ModelRegistry],
    training_windows: dg.ResourceParam[TrainingWindows],
    report_history: dg.ResourceParam[ReportHistory],
) -> Iterator[dg.MaterializeResult[Any]]:
    """How the champion of the time did on the day, which it had not learnt."""
    from spam_assets.learning.dated_model import DatedModel, UnreadableModel
    from spam_assets.learning.reporting import report_day, report_methods

    day = context.partition_key
    why_excluded = training_windows.find_reasons().get(day)
    if why_excluded is not None:
        record_nothing(context, f"{day} is excluded, so it says nothing of a champion: {why_excluded}")
        return
    champion = registry.champion_before(day)
    features = training_windows.load_day(day, partial(_record_features, context))
    source = fingerprint_reported(fingerprint_features(features), champion.data_version if champion else None)
    if champion is None:
        record_nothing(context, f"there was no champion before {day}", source)
        return
    dated = registry.load_or_explain(champion)
    if isinstance(dated, UnreadableModel):
        record_nothing(context, f"the champion of before {day}, {dated.told}", source)
        return
    versions = registry.newest_of_methods_before(day, {method.reference for method in METHODS} - {dated.model.method})
    others = [one for version in versions if isinstance(one := registry.load_or_explain(version), DatedModel)]
    report, left_out = report_methods(report_day(day, dated, features), dated, others, features)
    earlier = report_history.days_before(day, DAYS_SHOWN - 1)
    metadata = {
        **describe_report(report, champion, earlier),
        **describe_methods({**earlier, day: report}, day),
        **describe_left_out(left_out),
    }
    challenger = registry.challenger_before(day)
    beside = registry.load_or_explain(challenger) if challenger is not None else None
    if challenger is not None and isinstance(beside, DatedModel):
        metadata |= describe_challenger(report_day(day, beside, features), challenger)
    yield dg.MaterializeResult(
        value=report,
        metadata=metadata,
        tags={SOURCE_TAG: source},
        data_version=dg.DataVersion(fingerprint_report(report)),
    )


@daily_asset(
    group_name="mail",
    kinds={"pandas", "parquet"},
    io_manager_key="frames",
    check_specs=[build_spec(rule, "scored_mail", blocking=True) for rule in INCOMING_RULES],
)
def scored_mail(
    context: dg.AssetExecutionContext,
    incoming_zone: dg.ResourceParam[IncomingZone],
    registry: dg.ResourceParam[ModelRegistry],
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Mail without labels, `incoming-{date}` of the landing zone, as the champion of the time judges it."""
    from spam_assets.learning.dated_model import DatedModel, UnreadableModel
    from spam_assets.learning.scored_mail import score_incoming

    day = context.partition_key
    try:
        landed = incoming_zone.read(day)
    except LandingFileMissing as file_missing:
        yield from (pass_unchecked(check, str(file_missing)) for check in context.selected_asset_check_keys)
        record_nothing(context, str(file_missing))
        return
    except LandingError as error:
        raise dg.Failure(str(error)) from None
    verdicts = judge_incoming_day(landed.mail, day)
    yield from (describe_verdict(verdict, "scored_mail") for verdict in verdicts)
    if not all(verdict.passed for verdict in verdicts):
        return  # a failed blocking check fails the step
    champion, challenger = registry.champion_before(day), registry.challenger_before(day)
    if champion is None:
        record_nothing(context, f"there was no champion before {day}")
        return
    dated = registry.load_or_explain(champion)
    if isinstance(dated, UnreadableModel):
        record_nothing(context, f"the champion of before {day}, {dated.told}")
        return
    beside = registry.load_or_explain(challenger) if challenger is not None else None
    if not isinstance(beside, DatedModel):
        beside = challenger = None  # one that cannot be read says nothing
    scores, expectation = score_incoming(complete_incoming_mail(landed.mail), dated, beside)
    copy = incoming_zone.write_scores(day, scores) if SETTINGS.scores_csv else None
    yield dg.MaterializeResult(
        value=scores,
        metadata=describe_scores(landed, scores, expectation, champion, challenger, copy),
        tags={SOURCE_TAG: fingerprint_source(landed)},
        data_version=dg.DataVersion(fingerprint_frame(scores)),
    )
