"""`trained_model`, and the candidates of other methods beside it."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg

from spam_assets.assets.daily import MAIL, daily_asset
from spam_assets.assets.feature_assets import WINDOW_OF_DAYS, record_features
from spam_assets.challengers import name_challengers, train_apart
from spam_assets.engine.day_records import SOURCE_TAG, record_nothing
from spam_assets.engine.locks import TRAINING_POOL
from spam_assets.engine.tags import PRIORITY_TAG
from spam_assets.io_managers.fingerprints import (
    fingerprint_model,
    fingerprint_training,
)
from spam_assets.learning.code_versions import MODEL_VERSION
from spam_assets.learning.methods import Method, parse_method
from spam_assets.mail.mail_batches import Mail
from spam_assets.partitions import DAYS, SETTINGS
from spam_assets.registry.training_runs import TrainingMlFlow
from spam_assets.resources import MailHistory, build_training_settings
from spam_assets.views.metadata import (
    conceal_mail,
    describe_model,
    describe_window,
    describe_words,
)
from spam_assets.windows import TrainingWindows, WindowOfDays

if TYPE_CHECKING:
    from spam_assets.learning.trained_model import TrainedModel


METHOD = parse_method(SETTINGS.estimator, SETTINGS.trusted)
CHALLENGER_METHODS = name_challengers(SETTINGS)
METHODS = (METHOD, *CHALLENGER_METHODS.values())
Train = Callable[[str, WindowOfDays], "tuple[TrainedModel, Mapping[str, str]]"]
"""Given a day and its window, returns a model and the data versions of the days that it learnt."""


def _build_asset(method: Method, train: Train, **options: Any) -> dg.AssetsDefinition:
    """Return an asset that trains a model for a day, logs it to its MLflow run, and shows what people want of it."""

    @daily_asset(
        trains=True,
        group_name="learning",
        io_manager_key="models",
        ins={"validated_mail": dg.AssetIn(dagster_type=MAIL)},
        deps=["mail_features", WINDOW_OF_DAYS],
        pool=TRAINING_POOL,
        code_version=MODEL_VERSION,
        **options,
    )
    def trained(
        context: dg.AssetExecutionContext,
        validated_mail: Mail,
        training_windows: dg.ResourceParam[TrainingWindows],
        mail_history: dg.ResourceParam[MailHistory],
        mlflow: dg.ResourceParam[TrainingMlFlow],
    ) -> Iterator[dg.MaterializeResult[Any]]:
        from spam_assets.learning.daily_protocol import NotEnoughMailError
        from spam_assets.learning.explanation import tell_strongest_words
        from spam_assets.learning.model_card import build_card
        from spam_assets.views.card_text import describe_card, write_card_files
        from spam_assets.views.pictures import draw_evaluation

        day, asset = context.partition_key, context.asset_key.to_user_string()
        window = training_windows.ending(day, partial(record_features, context))
        settings = build_training_settings(SETTINGS)
        try:
            with mlflow.training_run(day, nothing_trained=NotEnoughMailError, asset=asset) as run:
                model, versions = train(day, window)
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

    return trained


def _train_here(_: str, window: WindowOfDays) -> "tuple[TrainedModel, Mapping[str, str]]":
    return METHOD.train(window, build_training_settings(SETTINGS)), window.data_versions()


trained_model = _build_asset(
    METHOD,
    _train_here,
    name="trained_model",
    kinds={"numba", "mlflow"},
    description="A spam filter that has learnt the window of days that ends with this day.",
)


def _build_challenger(name: str, method: Method) -> dg.AssetsDefinition:
    return _build_asset(
        method,
        lambda day, _: train_apart(SETTINGS, day, method),
        name=name,
        kinds={"scikitlearn", "mlflow"},
        op_tags={PRIORITY_TAG: "1"},  # before the gate, which waits for none: a challenger that fails fails alone
        description=f"What `{method.name}` has learnt of the same window, as another candidate beside `trained_model`.",
    )


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
