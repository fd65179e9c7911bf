"""Tests of the registry on a real SQLite store."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from spam_assets.io_managers.fingerprints import fingerprint_model
from spam_assets.learning.daily_protocol import NotEnoughMailError
from spam_assets.learning.model import SpamModel
from spam_assets.learning.training import TrainingSettings
from spam_assets.registry.training_runs import TrainingMlFlow
from spam_assets.views.pictures import draw_evaluation
from spam_assets_tests.conftest import day_text

DAYS = [day_text(offset) for offset in range(3)]


def runs_of(mlflow: TrainingMlFlow, view: int = 1) -> list[Any]:
    return list(mlflow.tracking_client.search_runs([mlflow.experiment_id], run_view_type=view))


def log(mlflow: TrainingMlFlow, day: str, model: SpamModel) -> str:
    version = fingerprint_model(model)
    with mlflow.training_run(day, nothing_trained=NotEnoughMailError) as run_id:
        window = dict.fromkeys(model.days, "v")
        mlflow.log_training(
            run_id, day, model, version, TrainingSettings(), window, {"evaluation.svg": draw_evaluation(model, day)}
        )
    return version


def find_model_file(tracking_uri: str, version: int) -> Path:
    """Return where a local store has the weights of a registered version."""
    from mlflow import MlflowClient

    uri = MlflowClient(tracking_uri).get_model_version_download_uri("spam-classifier", str(version))
    return Path(uri.removeprefix("file://"), "data", "model.npz")


def change(model: SpamModel, threshold: float) -> SpamModel:
    return replace(model, threshold=threshold)
