"""MLflow: one run `train-{date}` for each training date, and the registered model with its aliases.

Not here: which model deserves an alias; that rule is `learning.promotion`. Errors that leave this module never
show the tracking URI, which may hold a password.
"""

import os
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

# Before MLflow is imported, which reads them once.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # of MLflow's own 7, which take minutes to give up
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")

import dagster as dg

with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.BetaWarning)  # of its hooks, which nothing here uses
    from dagster_mlflow import mlflow_tracking
    from dagster_mlflow.resources import MlFlow

from spam_assets.engine.locks import hold_lock
from spam_assets.learning.code_versions import FEATURES_VERSION, MODEL_VERSION
from spam_assets.registry.logged_model import find_version
from spam_assets.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run
    from mlflow.entities.model_registry import ModelVersion

    from spam_assets.learning.model import SpamModel
    from spam_assets.learning.training import TrainingSettings

MODEL_NAME = "spam-classifier"
CHAMPION = "champion"
PREVIOUS = "previous"
CHALLENGER = "challenger"
TRAINING_DATE = "training_date"
DATA_VERSION = "data_version"
MODEL_URI = "model_uri"
MODEL_FILE = "model.npz"
PROMOTED = "promoted"
"""Tag of versions that were champion at some time."""
RUN_FINISHED = "FINISHED"
RUN_FAILED = "FAILED"
RUN_KILLED = "KILLED"
RUN_OPEN = "RUNNING"
DAGSTER_RUN_ID = "dagster_run_id"
"""The tag by which dagster-mlflow finds runs."""
MODELS_IN_MEMORY = 2
RECORDED_PACKAGES = ("dagster", "mlflow", "numpy", "pandas", "scikit-learn", "spam-assets")


class TrackingError(dg.Failure):
    """MLflow could not be used; the message says for what, without the tracking URI."""


@contextmanager
def secret_kept(tracking_uri: str, doing: str) -> Iterator[None]:
    """Replace an error that would show the tracking URI's secret by one that does not."""
    try:
        yield
    except Exception as error:
        parts = urlsplit(tracking_uri)
        if "@" not in parts.netloc and not parts.query:  # libpq takes a password as a parameter as well
            raise
        raise TrackingError(
            f"MLflow failed while {doing} ({type(error).__name__}); "
            "check that MLFLOW_TRACKING_URI is right and its server answers"
        ) from None


_prepared_stores: set[str] = set()


def prepare_tracking_store(settings: Settings) -> None:
    """Create the local MLflow database and the experiment once, whoever comes first.

    Creating the database takes seconds and must not happen in two processes at once, hence the lock.
    """
    if settings.has_own_tracking_server or settings.tracking_uri in _prepared_stores:
        return
    with hold_lock(settings, "mlflow"):
        from mlflow import MlflowClient

        client = MlflowClient(settings.tracking_uri)
        if client.get_experiment_by_name(settings.experiment) is None:
            client.create_experiment(settings.experiment, artifact_location=settings.artifact_folder.as_uri())
    _prepared_stores.add(settings.tracking_uri)


class TrainingMlFlow(MlFlow):
    """dagster-mlflow's resource with one MLflow run for each training date.

    dagster-mlflow opens one run when the resource starts and keeps it for the whole Dagster run. A backfill trains
    many dates in one Dagster run, and a date whose window is too small trains nothing, so here a run opens when a
    date's training has something to record and ends with what became of that date.
    """

    settings: Settings
    experiment: "Experiment"
    tracking_client: "MlflowClient"

    @property
    def experiment_id(self) -> str:
        """The id of the experiment of the settings."""
        return str(self.experiment.experiment_id)

    def _setup(self) -> None:
        """Open nothing yet; `training_run` does."""

    @contextmanager
    def training_run(self, day: str, nothing_trained: type[Exception]) -> Iterator[str]:
        """Open the MLflow run `train-{day}`, yield its id, and end it as FINISHED or FAILED.

        When `nothing_trained` is raised inside, the run is removed again and the error goes on. A second training
        of the same day, in another process of this home folder, waits for the first.
        """
        with hold_lock(self.settings, f"train-{day}"):
            yield from self._open_run(day, nothing_trained)

    def _open_run(self, day: str, nothing_trained: type[Exception]) -> Iterator[str]:
        tags = {
            "mlflow.source.name": "spam_assets",
            DAGSTER_RUN_ID: self.dagster_run_id,
            "dagster_run_url": f"{self.settings.dagster_url}/runs/{self.dagster_run_id}",
            TRAINING_DATE: day,
        }
        with secret_kept(self.tracking_uri, "opening a run"):
            run = self.tracking_client.create_run(self.experiment_id, run_name=f"train-{day}", tags=tags)
        run_id: str = run.info.run_id
        try:
            yield run_id
        except nothing_trained:
            with secret_kept(self.tracking_uri, f"removing train-{day}"):
                self.tracking_client.delete_run(run_id)
            raise
        except BaseException:
            # What went wrong first is what a person must hear of; `end_abandoned_runs` ends a run that is left open.
            with suppress(Exception):
                self.tracking_client.set_terminated(run_id, RUN_FAILED)
            raise
        with secret_kept(self.tracking_uri, f"ending train-{day}"):
            self.tracking_client.set_terminated(run_id, RUN_FINISHED)

    def log_training(
        self,
        run_id: str,
        day: str,
        model: "SpamModel",
        data_version: str,
        settings: "TrainingSettings",
        window: Mapping[str, str],
        picture: str,
    ) -> None:
        """Log a training to its open run: parameters, metrics, the window read, the picture and the model.

        `data_version` is the model's; `window` maps each day that was read to its own.
        """
        from mlflow.entities import Metric, Param, RunTag

        parameters = {
            TRAINING_DATE: day,
            "window_first_day": min(window),
            "window_last_day": max(window),
            "window_days": len(window),
            "features_version": FEATURES_VERSION,
            "model_version": MODEL_VERSION,
            **asdict(settings),
            **{f"version_{package}": find_version(package) for package in RECORDED_PACKAGES},
        }
        now_milliseconds = int(time.time() * 1000)
        client = self.tracking_client
        with secret_kept(self.tracking_uri, f"recording train-{day}"):
            client.log_batch(
                run_id,
                metrics=[
                    Metric(name, float(value), now_milliseconds, 0)
                    for name, value in asdict(model.evaluation).items()
                    if isinstance(value, int | float) and not isnan(value)
                ],
                params=[Param(name, str(value)) for name, value in parameters.items()],
                tags=[RunTag(DATA_VERSION, data_version)],
            )
            client.log_text(run_id, picture, "evaluation.svg")
            client.log_dict(run_id, dict(window), "window.json")
            client.set_tag(run_id, MODEL_URI, self._log_model(run_id, model))

    def url_of(self, run_id: str) -> str:
        """Return where MLflow's UI shows a run."""
        return f"{self.settings.mlflow_url}/#/experiments/{self.experiment_id}/runs/{run_id}"

    def _log_model(self, run_id: str, model: "SpamModel") -> str:
        """Log the model and return its URI, which resolves faster than `runs:/{run_id}/model`."""
        import mlflow

        from spam_assets.learning.model_file import dump_model
        from spam_assets.registry.logged_model import (
            LOADER_MODULE,
            build_signature,
            copy_serving_code,
            list_requirements,
        )

        with (
            tempfile.TemporaryDirectory() as folder,
            mlflow.start_run(run_id=run_id, log_system_metrics=False),
            warnings.catch_warnings(),
        ):
            # The signature is stated; an example would only be run through the model to infer it once more.
            warnings.filterwarnings("ignore", message=".*An input example was not provided")
            path = Path(folder) / MODEL_FILE
            path.write_bytes(dump_model(model))
            logged = mlflow.pyfunc.log_model(
                name="model",
                loader_module=LOADER_MODULE,
                data_path=str(path),
                code_paths=[str(copy_serving_code(Path(folder)))],
                pip_requirements=list_requirements(),
                signature=build_signature(),
            )
        return str(logged.model_uri)


_runs_looked_after: set[str] = set()


def end_abandoned_runs(settings: Settings, instance: dg.DagsterInstance, *, again: bool = False) -> None:
    """End MLflow runs as KILLED whose Dagster run is over: a worker that died could not end its own.

    A process looks once, unless told to look again.
    """
    from mlflow import MlflowClient

    if settings.tracking_uri in _runs_looked_after and not again:
        return
    _runs_looked_after.add(settings.tracking_uri)
    with secret_kept(settings.tracking_uri, "looking for abandoned runs"):
        client = MlflowClient(settings.tracking_uri)
        experiment = client.get_experiment_by_name(settings.experiment)
        open_runs = (
            client.search_runs([experiment.experiment_id], f"attributes.status = '{RUN_OPEN}'") if experiment else []
        )
        for run in open_runs:
            dagster_run = instance.get_run_by_id(run.data.tags.get(DAGSTER_RUN_ID, ""))
            if dagster_run is not None and dagster_run.is_finished:
                client.set_terminated(run.info.run_id, RUN_KILLED)


TRACKING_URI_VARIABLE = "SPAM_ASSETS_TRACKING_URI_IN_USE"
"""Dagster shows the config of a resource: it is given the name of this variable instead of the URI."""


def build_mlflow_resource(settings: Settings) -> dg.ResourceDefinition:
    """Return dagster-mlflow's `mlflow_tracking`, but with one MLflow run for each training date."""
    os.environ[TRACKING_URI_VARIABLE] = settings.tracking_uri

    @dg.resource(config_schema=mlflow_tracking.config_schema, description=TrainingMlFlow.__doc__)
    def daily_mlflow_tracking(context: dg.InitResourceContext) -> TrainingMlFlow:
        prepare_tracking_store(settings)
        with secret_kept(settings.tracking_uri, "opening the experiment"):
            mlflow = TrainingMlFlow(context)  # type: ignore[no-untyped-call]
        mlflow.settings = settings
        if context.instance is not None:
            end_abandoned_runs(settings, context.instance)
        return mlflow

    return daily_mlflow_tracking.configured(
        {
            "experiment_name": settings.experiment,
            "mlflow_tracking_uri": {"env": TRACKING_URI_VARIABLE},
            "env": {},
            "extra_tags": {},
        }
    )


@dataclass(frozen=True)
class RegisteredVersion:
    """One version of the registered model."""

    version: int
    training_date: str
    run_id: str
    data_version: str
    aliases: tuple[str, ...]
    was_champion: bool = False


class ModelRegistry:
    """The registered model `spam-classifier`: its versions and aliases."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loaded: dict[int, SpamModel] = {}

    @cached_property
    def _client(self) -> "MlflowClient":
        import mlflow
        from mlflow import MlflowClient

        prepare_tracking_store(self._settings)
        mlflow.set_tracking_uri(self._settings.tracking_uri)  # MLflow resolves `models:/` URIs in its global store only
        return MlflowClient(self._settings.tracking_uri)

    def versions(self) -> list[RegisteredVersion]:
        """Return all versions, oldest first, with their aliases."""
        with self._guard("reading the registered versions"):
            client = self._client
            aliases: dict[int, list[str]] = {}
            for model in client.search_registered_models(f"name = '{MODEL_NAME}'"):
                for alias, version in model.aliases.items():
                    aliases.setdefault(int(version), []).append(alias)
            found: list[RegisteredVersion] = []
            token: str | None = None
            while True:
                page = client.search_model_versions(f"name = '{MODEL_NAME}'", max_results=1000, page_token=token)
                found += [_describe_version(version, aliases) for version in page]
                token = page.token
                if not token:
                    return sorted(found, key=lambda version: version.version)

    def aliased(self, alias: str) -> RegisteredVersion | None:
        """Return the version that an alias points to, or None."""
        from mlflow.exceptions import MlflowException

        with self._guard(f"reading alias {alias}"):
            try:
                version = self._client.get_model_version_by_alias(MODEL_NAME, alias)
            except MlflowException as error:
                if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise
        return _describe_version(version, {int(version.version): list(version.aliases)})

    def champion_before(self, day: str) -> RegisteredVersion | None:
        """Return the champion that had learnt nothing of a day or of later ones, or None."""
        for alias in (CHAMPION, PREVIOUS):
            version = self.aliased(alias)
            if version is not None and version.training_date < day:
                return version
        earlier = [version for version in self.versions() if version.was_champion and version.training_date < day]
        return max(earlier, key=lambda version: version.training_date, default=None)

    def load_model(self, version: RegisteredVersion) -> "SpamModel":
        """Read a version's weights from its artifact; no code of the artifact is run."""
        if version.version in self._loaded:
            return self._loaded[version.version]
        from mlflow.artifacts import download_artifacts

        from spam_assets.learning.model_file import load_model

        with self._guard(f"loading version {version.version}"):
            # Not `models:/...`, which MLflow looks up in the store of the process, whatever tracking_uri says.
            folder = self._client.get_model_version_download_uri(MODEL_NAME, str(version.version))
            path = download_artifacts(f"{folder}/data/{MODEL_FILE}", tracking_uri=self._settings.tracking_uri)
        model = load_model(Path(path).read_bytes())
        self.remember(version, model)
        return model

    def remember(self, version: RegisteredVersion, model: "SpamModel") -> None:
        """Keep the model of a version at hand, so that `load_model` need not read it."""
        if version.version not in self._loaded and len(self._loaded) >= MODELS_IN_MEMORY:
            self._loaded.pop(next(iter(self._loaded)))
        self._loaded[version.version] = model

    def training_run_of(self, training_date: str, data_version: str) -> "Run":
        """Return the newest finished run that trained this very model.

        Raises:
            TrackingError: there is none.
        """
        with self._guard("looking for a training run"):
            client = self._client
            experiment = client.get_experiment_by_name(self._settings.experiment)
            runs = client.search_runs(
                [experiment.experiment_id] if experiment else [],
                f"tags.{TRAINING_DATE} = '{training_date}' and tags.{DATA_VERSION} = '{data_version}' "
                "and attributes.status = 'FINISHED'",
                order_by=["attributes.start_time DESC"],
                max_results=1,
            )
        if not runs:
            raise TrackingError(
                f"MLflow has no finished run train-{training_date} of the stored model; "
                f"materialize trained_model of {training_date} again"
            )
        return runs[0]

    def register(self, training_date: str, data_version: str) -> RegisteredVersion:
        """Register the model of a training run as a new version; the same model is registered once."""
        from mlflow.exceptions import MlflowException

        run = self.training_run_of(training_date, data_version)
        with self._guard("registering a version"):
            client = self._client
            same_date = client.search_model_versions(
                f"name = '{MODEL_NAME}' and tags.{TRAINING_DATE} = '{training_date}'"
            )
            for known in same_date:
                if known.tags.get(DATA_VERSION) == data_version:
                    return _describe_version(known, {})
            tags = {TRAINING_DATE: training_date, DATA_VERSION: data_version}
            create = partial(
                client.create_model_version, MODEL_NAME, run.data.tags[MODEL_URI], run_id=run.info.run_id, tags=tags
            )
            try:
                version = create()
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                self._create_model()
                version = create()
        return _describe_version(version, {})

    def _create_model(self) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(MODEL_NAME)
        except MlflowException as error:  # another home folder that shares the server may have been faster
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def carry_out(self, candidate: RegisteredVersion, champion: RegisteredVersion | None, *, promote: bool) -> None:
        """Move the aliases as decided.

        A promoted candidate becomes champion and the old one `previous`; a refused one that is newer than the
        champion becomes `challenger`.
        """
        if champion is not None and candidate.version == champion.version:
            return
        if promote:
            if champion is not None:
                self.point(PREVIOUS, champion.version)
            with self._guard("noting a champion"):
                self._client.set_model_version_tag(MODEL_NAME, str(candidate.version), PROMOTED, "true")
            self.point(CHAMPION, candidate.version)
        elif champion is None or candidate.training_date > champion.training_date:
            self.point(CHALLENGER, candidate.version)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Keep other processes of this home folder from changing versions and aliases meanwhile."""
        with hold_lock(self._settings, "registry"):
            yield

    def point(self, alias: str, version: int) -> None:
        """Point an alias to a version."""
        with self._guard(f"moving alias {alias}"):
            self._client.set_registered_model_alias(MODEL_NAME, alias, str(version))

    def metrics_of(self, run_id: str) -> dict[str, float]:
        """Return the metrics of a training run."""
        with self._guard("reading metrics"):
            return dict(self._client.get_run(run_id).data.metrics)

    def _guard(self, doing: str) -> Any:
        return secret_kept(self._settings.tracking_uri, doing)


def _describe_version(version: "ModelVersion", aliases: Mapping[int, list[str]]) -> RegisteredVersion:
    number = int(version.version)
    return RegisteredVersion(
        number,
        version.tags.get(TRAINING_DATE, ""),
        version.run_id or "",
        version.tags.get(DATA_VERSION, ""),
        tuple(sorted(aliases.get(number, []))),
        PROMOTED in version.tags,
    )
