"""What training and promotion tell MLflow, as plain calls of its client: for the plain script and the Prefect flow.

The run, its parameters, metrics, picture, window and model, the version and the aliases are those of the assets; the
model card and what is described for a UI are not.
"""

import os
import tempfile
import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

from spam_assets.learning.code_versions import FEATURES_VERSION, MODEL_VERSION

if TYPE_CHECKING:
    from spam_assets.learning.features import MailFeatures
    from spam_assets.learning.model import SpamModel
    from spam_assets.learning.training import TrainingSettings

MODEL_NAME = EXPERIMENT = "spam-classifier"
PACKAGES = ("mlflow", "numpy", "pandas", "scikit-learn", "spam-assets")


@dataclass(frozen=True)
class LoggedModel:
    """A model as MLflow knows it."""

    day: str
    data_version: str
    run_id: str
    model_uri: str


class PlainMlflow:
    """Logs trainings and registers models in one MLflow store.

    Raises:
        SystemExit: the store has not been prepared.
    """

    def __init__(self, uri: str) -> None:
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
        import mlflow

        mlflow.set_tracking_uri(uri)
        self._client = mlflow.MlflowClient(uri)
        experiment = self._client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            raise SystemExit(f"the MLflow store is not prepared: it has no experiment {EXPERIMENT}")
        self._experiment_id = str(experiment.experiment_id)

    def log_training(
        self,
        day: str,
        model: "SpamModel",
        data_version: str,
        settings: "TrainingSettings",
        picture: str,
        versions: Mapping[str, str],
    ) -> LoggedModel:
        """Make the run `train-{day}` of a training: `versions` are the data versions of the window's days."""
        import mlflow.pyfunc
        from mlflow.entities import Metric, Param, RunTag
        from mlflow.models import Model

        from spam_assets.registry.logged_model import (
            CARRIED_LOADER,
            build_signature,
            copy_serving_code,
            dump_logged_model,
            list_requirements,
        )

        run = self._client.create_run(self._experiment_id, run_name=f"train-{day}", tags={"training_date": day})
        run_id = str(run.info.run_id)
        parameters = {
            "training_date": day,
            "window_first_day": min(versions),
            "window_last_day": max(versions),
            "window_days": len(versions),
            "features_version": FEATURES_VERSION,
            "model_version": MODEL_VERSION,
            **asdict(settings),
            **{f"version_{package}": version(package) for package in PACKAGES},
        }
        self._client.log_batch(
            run_id,
            params=[Param(name, str(value)) for name, value in parameters.items()],
            tags=[RunTag("data_version", data_version)],
        )
        self._client.log_text(run_id, picture, "evaluation.svg")
        self._client.log_dict(run_id, dict(versions), "window.json")
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*An input example was not provided")
            path = Path(folder) / "model.npz"
            path.write_bytes(dump_logged_model(model))
            logged = Model.log(
                artifact_path=None,
                name="model",
                flavor=mlflow.pyfunc,
                run_id=run_id,
                loader_module=CARRIED_LOADER,
                data_path=str(path),
                code_paths=copy_serving_code(Path(folder)),
                pip_requirements=list_requirements(),
                signature=build_signature(),
            )
        uri = str(logged.model_uri)
        now_milliseconds, model_id = int(time.time() * 1000), uri.removeprefix("models:/")
        self._client.log_batch(
            run_id,
            metrics=[
                Metric(name, float(value), now_milliseconds, 0, model_id=model_id)
                for name, value in asdict(model.evaluation).items()
                if isinstance(value, int | float) and not isnan(value)
            ],
        )
        self._client.set_terminated(run_id, "FINISHED")
        return LoggedModel(day, data_version, run_id, uri)

    def register(self, logged: LoggedModel, model: "SpamModel", window: "Mapping[str, MailFeatures]") -> str:
        """Make a version of `spam-classifier`, ask the gate, set an alias, and return the version with its alias."""
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        from spam_assets.learning.dated_model import DatedModel
        from spam_assets.learning.model_files import load_model
        from spam_assets.learning.succession import Succession, judge_day

        champion, dated = None, None
        try:
            champion = self._client.get_model_version_by_alias(MODEL_NAME, "champion")
        except MlflowException:  # there is no champion or no registered model
            self._create_registered_model()
        tags = {"training_date": logged.day, "data_version": logged.data_version}
        candidate = self._client.create_model_version(MODEL_NAME, logged.model_uri, run_id=logged.run_id, tags=tags)
        if champion is not None:
            folder = self._client.get_model_version_download_uri(MODEL_NAME, champion.version)
            content = Path(download_artifacts(f"{folder}/data/model.npz")).read_bytes()
            dated = DatedModel(champion.tags["training_date"], load_model(content))
        after, _ = judge_day(Succession(dated, dated), [DatedModel(logged.day, model)], window)
        alias = "challenger" if after.champion is dated else "champion"
        if champion is not None and alias == "champion":
            self._client.set_registered_model_alias(MODEL_NAME, "previous", champion.version)
        self._client.set_registered_model_alias(MODEL_NAME, alias, candidate.version)
        return f"version {candidate.version}, {alias}"

    def _create_registered_model(self) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(MODEL_NAME)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
