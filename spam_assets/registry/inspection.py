"""What MLflow holds, looked at as a whole: records of trainings, files of models, runs, and what belongs to nobody.

For `spam-assets verify` and `reproduce`; nothing is changed here.
"""

import json
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spam_assets.registry.registered_models import MODEL_NAME, RegisteredVersion
from spam_assets.registry.store import (
    DATA_VERSION,
    MODEL_URI,
    TRAINING_DATE,
    is_missing,
    prepare_tracking_store,
    secret_kept,
)
from spam_assets.registry.training_records import RECORD_FILE, WINDOW_FILE, TrainingRecord, digest, parse_record
from spam_assets.registry.training_runs import DAGSTER_RUN_ID
from spam_assets.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

RUNS_A_PAGE = 1000


@dataclass(frozen=True)
class TrainingRun:
    """One run of the experiment.

    Attributes:
        run_id: MLflow's.
        name: `train-{date}`.
        status: MLflow's.
        training_date: Empty where the run is none of ours.
        data_version: Of the model that it trained; empty before there is one.
        dagster_run_id: Of the Dagster run that it belongs to.
        has_model: Whether a model was logged.
    """

    run_id: str
    name: str
    status: str
    training_date: str
    data_version: str
    dagster_run_id: str
    has_model: bool


class RegistryInspection:
    """MLflow's store, for looking at."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def _client(self) -> "MlflowClient":
        from mlflow import MlflowClient

        prepare_tracking_store(self._settings)
        return MlflowClient(self._settings.tracking_uri)

    def read_record(self, version: RegisteredVersion) -> TrainingRecord | None:
        """Return the record of a version's training; None where there is none.

        Raises:
            ValueError: the record is damaged.
        """
        content = self._read_run_file(version.run_id, RECORD_FILE)
        try:
            return parse_record(content) if content is not None else None
        except TypeError as error:
            raise ValueError(str(error)) from None

    def read_window(self, version: RegisteredVersion) -> dict[str, str] | None:
        """Return the days that a version's training read, each with its data version; None where nobody noted them.

        Raises:
            ValueError: the file is damaged.
        """
        content = self._read_run_file(version.run_id, WINDOW_FILE)
        return dict(json.loads(content)) if content is not None else None

    def hash_files(self, version: RegisteredVersion) -> dict[str, str]:
        """Return the SHA-256 of each file of a version's logged model by its path in it; nothing if it is not there."""
        from mlflow.artifacts import download_artifacts

        with secret_kept(self._settings.tracking_uri, f"reading the files of version {version.version}"):
            uri = self._client.get_model_version_download_uri(MODEL_NAME, str(version.version))
            with tempfile.TemporaryDirectory() as folder:
                try:
                    path = Path(download_artifacts(uri, dst_path=folder, tracking_uri=self._settings.tracking_uri))
                except Exception as error:
                    if is_missing(error):
                        return {}
                    raise
                files = sorted(file for file in path.rglob("*") if file.is_file())
                return {file.relative_to(path).as_posix(): digest(file.read_bytes()) for file in files}

    def list_runs(self) -> list[TrainingRun]:
        """Return the runs of the experiment that were not deleted, oldest first."""
        with secret_kept(self._settings.tracking_uri, "listing runs"):
            runs = [_describe_run(run) for run in self._search_runs(is_with_deleted=False)]
        return runs[::-1]

    def find_unknown_folders(self) -> list[Path]:
        """Return the folders of the local artifact store that belong to no run and to no logged model."""
        root = self._settings.artifact_folder
        experiment = self._client.get_experiment_by_name(self._settings.experiment)
        if experiment is None or experiment.artifact_location != root.as_uri() or not root.is_dir():
            return []
        runs = {run.info.run_id for run in self._search_runs(is_with_deleted=True)}
        models: set[str] = set()
        token: str | None = None
        while True:
            page = self._client.search_logged_models([experiment.experiment_id], page_token=token)
            models |= {model.model_id for model in page}
            token = page.token
            if not token:
                break
        folders = [folder for folder in sorted(root.iterdir()) if folder.name != "models" and folder.name not in runs]
        in_models = sorted((root / "models").iterdir()) if (root / "models").is_dir() else []
        return [*folders, *(folder for folder in in_models if folder.name not in models)]

    def _search_runs(self, *, is_with_deleted: bool) -> list[Any]:
        from mlflow.entities import ViewType

        experiment = self._client.get_experiment_by_name(self._settings.experiment)
        view = ViewType.ALL if is_with_deleted else ViewType.ACTIVE_ONLY
        runs: list[Any] = []
        token: str | None = None
        while experiment is not None:
            page = self._client.search_runs(
                [experiment.experiment_id], run_view_type=view, max_results=RUNS_A_PAGE, page_token=token
            )
            runs += page
            token = page.token
            if not token:
                break
        return runs

    def _read_run_file(self, run_id: str, name: str) -> bytes | None:
        from mlflow.artifacts import download_artifacts

        uri = self._settings.tracking_uri
        with secret_kept(uri, f"reading {name} of a run"), tempfile.TemporaryDirectory() as folder:
            try:
                path = download_artifacts(run_id=run_id, artifact_path=name, dst_path=folder, tracking_uri=uri)
            except Exception as error:
                if is_missing(error):
                    return None
                raise
            return Path(path).read_bytes()


def _describe_run(run: Any) -> TrainingRun:
    tags = run.data.tags
    return TrainingRun(
        run.info.run_id,
        str(run.info.run_name),
        str(run.info.status),
        tags.get(TRAINING_DATE, ""),
        tags.get(DATA_VERSION, ""),
        tags.get(DAGSTER_RUN_ID, ""),
        MODEL_URI in tags,
    )
