"""Training runs in MLflow: one run `train-{date}` for each training date; those whose worker died end as well."""

import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import partial
from math import isnan
from typing import TYPE_CHECKING

import dagster as dg

from spam_assets.engine.locks import build_lock
from spam_assets.engine.step_outcomes import find_outcome, is_being_cancelled
from spam_assets.learning.code_versions import FEATURES_VERSION, MODEL_VERSION
from spam_assets.learning.methods import OURS_NAME
from spam_assets.registry.logged_model import find_version, log_model
from spam_assets.registry.store import (
    ASSET,
    DAILY_PROTOCOL,
    DATA_VERSION,
    HELD_OUT,
    MODEL_URI,
    TRAINED_ASSET,
    TRAINING_DATE,
    name_run,
    prepare_tracking_store,
    secret_kept,
)
from spam_assets.registry.training_records import RECORD_FILE, RECORDED_PACKAGES, WINDOW_FILE, build_record
from spam_assets.settings import Settings
from spam_assets.urls import hide_credentials

with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.BetaWarning)  # of its hooks, which nothing here uses
    from dagster_mlflow import mlflow_tracking
    from dagster_mlflow.resources import MlFlow

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

    from spam_assets.learning.trained_model import TrainedModel
    from spam_assets.learning.training import TrainingSettings
    from spam_assets.shared.place import Lock

RUN_FINISHED = "FINISHED"
RUN_FAILED = "FAILED"
RUN_KILLED = "KILLED"
RUN_OPEN = "RUNNING"
DAGSTER_RUN_ID = "dagster_run_id"
"""The tag by which dagster-mlflow finds runs."""


class TrainingMlFlow(MlFlow):
    """dagster-mlflow's resource with one MLflow run for each training date.

    dagster-mlflow opens one run when the resource starts and keeps it for the whole Dagster run. A backfill trains
    many dates in one Dagster run, and a date whose window is too small trains nothing, so here a run opens when a
    date's training has something to record and ends with what became of that date.
    """

    settings: Settings
    opened_seconds: float
    experiment: "Experiment"
    tracking_client: "MlflowClient"
    is_cancelled: Callable[[], bool]
    _open_runs: "dict[str, Lock]"

    @property
    def experiment_id(self) -> str:
        """The id of the experiment of the settings."""
        return str(self.experiment.experiment_id)

    def _setup(self) -> None:
        """Open nothing yet; `training_run` does."""
        self._open_runs = {}

    @contextmanager
    def training_run(self, day: str, nothing_trained: type[Exception], asset: str = TRAINED_ASSET) -> Iterator[str]:
        """Open the MLflow run of a day, see `name_run`, yield its id, and end it with what became of the step.

        A step that yields its result inside goes on here when Dagster has stored it, and never when that failed. So
        the run is FINISHED when the model is stored, FAILED when something failed, KILLED when a person cancelled the
        Dagster run. When `nothing_trained` is raised inside, the run is removed again and the error goes on. A second
        training of the same day, in another process, waits for the first.
        """
        self.end_open_runs()  # of a step that is tried again in this process
        name = name_run(day, asset)
        lock = build_lock(self.settings, name)
        lock.acquire()
        try:
            run_id = self._open_run(day, asset)
            self._open_runs[run_id] = lock
        except BaseException as stopped:
            if not isinstance(stopped, Exception):  # maybe MLflow has the run, and we do not know its id yet
                self._end_run_without_id(day)
            lock.release()
            raise
        try:
            yield run_id
        except nothing_trained:
            with secret_kept(self.tracking_uri, f"removing {name}"):
                self.tracking_client.delete_run(run_id)
            self._open_runs.pop(run_id).release()
            raise
        except BaseException:  # also when Dagster closes the step, because it could not store the result
            self.end_open_runs()
            raise
        self._open_runs.pop(run_id)
        try:
            with secret_kept(self.tracking_uri, f"ending {name}"):
                self.tracking_client.set_terminated(run_id, RUN_FINISHED)
        except BaseException as stopped:
            if not isinstance(stopped, Exception):  # a cancel: Dagster has the model all the same
                with suppress(Exception):
                    self.tracking_client.set_terminated(run_id, RUN_FINISHED)
            raise
        finally:
            lock.release()

    def _open_run(self, day: str, asset: str) -> str:
        tags = {
            "mlflow.source.name": "spam_assets",
            DAGSTER_RUN_ID: self.dagster_run_id,
            "dagster_run_url": f"{self.settings.dagster_url}/runs/{self.dagster_run_id}",
            TRAINING_DATE: day,
            ASSET: asset,
        }
        with secret_kept(self.tracking_uri, "opening a run"):
            run = self.tracking_client.create_run(self.experiment_id, run_name=name_run(day, asset), tags=tags)
        self.opened_seconds = time.monotonic()
        return str(run.info.run_id)

    def _end_run_without_id(self, day: str) -> None:
        """End what `_open_run` left, if it was interrupted after MLflow had made the run."""
        with suppress(Exception):
            for run in self.tracking_client.search_runs(
                [self.experiment_id],
                f"tags.{DAGSTER_RUN_ID} = '{self.dagster_run_id}' and tags.{TRAINING_DATE} = '{day}' "
                f"and attributes.status = '{RUN_OPEN}'",
            ):
                self._end_unfinished(run.info.run_id)

    def end_open_runs(self) -> None:
        """End the runs whose step did not come to its end: KILLED where a person cancelled it, else FAILED."""
        for run_id in list(self._open_runs):
            # What went wrong first is what a person must hear of; `end_abandoned_runs` ends a run that is left open.
            with suppress(Exception):
                self._end_unfinished(run_id)
            self._open_runs.pop(run_id).release()

    def _end_unfinished(self, run_id: str) -> None:
        self.tracking_client.set_terminated(run_id, RUN_KILLED if self.is_cancelled() else RUN_FAILED)

    def log_training(
        self,
        run_id: str,
        day: str,
        model: "TrainedModel",
        data_version: str,
        settings: "TrainingSettings",
        window: Mapping[str, str],
        texts: Mapping[str, str],
    ) -> None:
        """Log a training to its open run: parameters, metrics, the window read, texts by file name, and the model.

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
            "method": model.method or OURS_NAME,
            **asdict(settings),
            **{f"version_{package}": find_version(package) for package in RECORDED_PACKAGES},
        }
        client = self.tracking_client
        with secret_kept(self.tracking_uri, f"recording train-{day}"):
            client.log_batch(
                run_id,
                params=[Param(name, str(value)) for name, value in parameters.items()],
                tags=[RunTag(DATA_VERSION, data_version)],
            )
            for name, text in texts.items():
                client.log_text(run_id, text, name)
            client.log_dict(run_id, dict(window), WINDOW_FILE)
            storage, seconds = hide_credentials(self.settings.storage_url), time.monotonic() - self.opened_seconds
            record = build_record(day, model, data_version, settings, window, storage, seconds)
            client.log_dict(run_id, record.to_dict(), RECORD_FILE)
            uri = log_model(run_id, model)
            # After the model, which they are figures of too: MLflow would else look up the history of each of them.
            now_milliseconds, model_id = int(time.time() * 1000), uri.removeprefix("models:/")
            client.log_batch(
                run_id,
                metrics=[
                    Metric(f"{kind}{name}", float(value), now_milliseconds, 0, model_id=model_id)
                    for kind, evaluation in ((DAILY_PROTOCOL, model.evaluation), (HELD_OUT, model.held_out))
                    if evaluation is not None
                    for name, value in asdict(evaluation).items()
                    if isinstance(value, int | float) and not isnan(value)
                ],
                tags=[RunTag(MODEL_URI, uri)],
            )

    def url_of(self, run_id: str) -> str:
        """Return where MLflow's UI shows a run."""
        return f"{self.settings.mlflow_url}/#/experiments/{self.experiment_id}/runs/{run_id}"


_runs_looked_after: set[str] = set()


def end_abandoned_runs(settings: Settings, instance: dg.DagsterInstance, *, again: bool = False) -> None:
    """End MLflow runs whose Dagster run is over, with what became of the step: a worker that died could not.

    FINISHED where Dagster has the model, FAILED where the step failed, else KILLED. A process looks once, unless told
    to look again.
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
                client.set_terminated(run.info.run_id, _judge_by_events(run, dagster_run, instance))


def _judge_by_events(run: "Run", dagster_run: dg.DagsterRun, instance: dg.DagsterInstance) -> str:
    """Return how an MLflow run ends that was left open, from the events of its Dagster run."""
    outcome = find_outcome(
        instance,
        dagster_run.run_id,
        run.data.tags.get(ASSET, TRAINED_ASSET),
        run.data.tags.get(TRAINING_DATE, ""),
        since_seconds=run.info.start_time / 1000,
    )
    # A step that Dagster has stored logged its model before.
    if outcome == "stored" and MODEL_URI in run.data.tags:
        return RUN_FINISHED
    return RUN_FAILED if outcome == "failed" and dagster_run.status == dg.DagsterRunStatus.FAILURE else RUN_KILLED


TRACKING_URI_VARIABLE = "SPAM_ASSETS_TRACKING_URI_IN_USE"
"""Dagster shows the config of a resource: it is given the name of this variable instead of the URI."""


def build_mlflow_resource(settings: Settings) -> dg.ResourceDefinition:
    """Return dagster-mlflow's `mlflow_tracking`, but with one MLflow run for each training date."""
    os.environ[TRACKING_URI_VARIABLE] = settings.tracking_uri

    @dg.resource(config_schema=mlflow_tracking.config_schema, description=TrainingMlFlow.__doc__)
    def daily_mlflow_tracking(context: dg.InitResourceContext) -> Iterator[TrainingMlFlow]:
        prepare_tracking_store(settings)
        with secret_kept(settings.tracking_uri, "opening the experiment"):
            mlflow = TrainingMlFlow(context)  # type: ignore[no-untyped-call]
        mlflow.settings = settings
        mlflow.is_cancelled = partial(is_being_cancelled, context.instance, mlflow.dagster_run_id)
        if context.instance is not None:
            end_abandoned_runs(settings, context.instance)
        try:
            yield mlflow
        finally:
            mlflow.end_open_runs()

    return daily_mlflow_tracking.configured(
        {
            "experiment_name": settings.experiment,
            "mlflow_tracking_uri": {"env": TRACKING_URI_VARIABLE},
            "env": {},
            "extra_tags": {},
        }
    )
