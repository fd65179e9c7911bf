"""`registered_model`: the gate."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import dagster as dg

from spam_assets.assets.daily import daily_asset
from spam_assets.assets.feature_assets import WINDOW_OF_DAYS, record_features
from spam_assets.assets.model_assets import CHALLENGERS, METHODS
from spam_assets.challengers import enter_challengers
from spam_assets.engine.day_records import record_nothing
from spam_assets.engine.locks import TRAINING_POOL
from spam_assets.io_managers.npz_models import ModelIOManager
from spam_assets.registry.gate_changes import carry_out_verdicts, load_succession
from spam_assets.registry.registered_models import ModelRegistry
from spam_assets.views.metadata import (
    describe_history,
    describe_left_out,
    describe_verdicts,
)
from spam_assets.windows import TrainingWindows


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
        before = load_succession(registry)
        candidates = [registry.load_dated(candidate), *others] if candidate is not None else others
        excluded = training_windows.find_reasons(again=True)  # a day may have been excluded while its model was trained
        window = training_windows.ending(day, partial(record_features, context))
        after, judged = judge_day(
            before, candidates, window, excluded=excluded, methods=[method.reference for method in METHODS]
        )
        carry_out_verdicts(registry, before, after, judged)
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
