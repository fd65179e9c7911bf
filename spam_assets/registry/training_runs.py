"""Training runs in MLflow: one run `train-{date}` for each training date; those whose worker died end as well."""

import os
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from math import isnan
from typing import TYPE_CHECKING

import dagster as dg

from spam_assets.engine.locks import hold_lock
from spam_assets.learning.code_versions import FEATURES_VERSION, MODEL_VERSION
from spam_assets.registry.logged_model import find_version, log_model
from spam_assets.registry.store import (
    DAILY_PROTOCOL,
    DATA_VERSION,
    MODEL_URI,
    TRAINING_DATE,
    prepare_tracking_store,
    secret_kept,
)
from spam_assets.settings import Settings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.BetaWarning)  # of its hooks, which nothing here uses
    from dagster_mlflow import mlflow_tracking
    from dagster_mlflow.resources import MlFlow

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

    from spam_assets.learning.model import SpamModel
    from spam_assets.learning.training import TrainingSettings

RUN_FINISHED = "FINISHED"
RUN_FAILED = "FAILED"
RUN_KILLED = "KILLED"
RUN_OPEN = "RUNNING"
DAGSTER_RUN_ID = "dagster_run_id"
"""The tag by which dagster-mlflow finds runs."""
RECORDED_PACKAGES = ("dagster", "mlflow", "numpy", "pandas", "scikit-learn", "spam-assets")


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
            **asdict(settings),
            **{f"version_{package}": find_version(package) for package in RECORDED_PACKAGES},
        }
        now_milliseconds = int(time.time() * 1000)
        client = self.tracking_client
        with secret_kept(self.tracking_uri, f"recording train-{day}"):
            client.log_batch(
                run_id,
                metrics=[
                    Metric(f"{DAILY_PROTOCOL}{name}", float(value), now_milliseconds, 0)
                    for name, value in asdict(model.evaluation).items()
                    if isinstance(value, int | float) and not isnan(value)
                ],
                params=[Param(name, str(value)) for name, value in parameters.items()],
                tags=[RunTag(DATA_VERSION, data_version)],
            )
            for name, text in texts.items():
                client.log_text(run_id, text, name)
            client.log_dict(run_id, dict(window), "window.json")
            client.set_tag(run_id, MODEL_URI, log_model(run_id, model))

    def url_of(self, run_id: str) -> str:
        """Return where MLflow's UI shows a run."""
        return f"{self.settings.mlflow_url}/#/experiments/{self.experiment_id}/runs/{run_id}"


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
