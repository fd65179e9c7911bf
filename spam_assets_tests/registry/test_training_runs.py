"""Training runs in MLflow: each ends with what became of it, and holds what was trained."""

import traceback
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import StepMaterializationData
from dagster._core.execution.plan.objects import StepFailureData
from mlflow import MlflowClient

from spam_assets.engine.locks import build_lock
from spam_assets.learning.daily_protocol import NotEnoughMailError
from spam_assets.learning.model import SpamModel
from spam_assets.registry.store import TrackingError
from spam_assets.registry.training_runs import RUN_FAILED, RUN_KILLED, TrainingMlFlow, end_abandoned_runs
from spam_assets_tests.registry import DAYS, log, runs_of
from spam_assets_tests.sensors.ticks import end_run, start_run


def test_a_training_run_is_finished_and_holds_what_was_logged(mlflow: TrainingMlFlow, model: SpamModel) -> None:
    version = log(mlflow, DAYS[-1], model)
    assert build_lock(mlflow.settings, f"train-{DAYS[-1]}").acquire(0)  # nobody holds it any more
    (run,) = runs_of(mlflow)
    assert (run.info.run_name, run.info.status) == (f"train-{DAYS[-1]}", "FINISHED")
    assert run.data.params["training_date"] == DAYS[-1]
    assert (run.data.params["window_first_day"], run.data.params["window_last_day"]) == (DAYS[0], DAYS[-1])
    assert run.data.params["window_days"] == "3"
    assert run.data.tags["data_version"] == version
    assert run.data.tags["dagster_run_id"] == "a-run"
    assert run.data.tags["dagster_run_url"].endswith("/runs/a-run")
    assert run.data.metrics["daily_protocol_messages"] == model.evaluation.messages
    assert run.data.metrics["daily_protocol_one_minus_roca_percent"] == pytest.approx(
        model.evaluation.one_minus_roca_percent
    )
    assert model.held_out is not None
    assert run.data.metrics["held_out_true_positives"] == model.held_out.true_positives
    assert run.data.metrics["held_out_messages"] == model.held_out.messages > 0
    names = {item.path for item in mlflow.tracking_client.list_artifacts(run.info.run_id)}
    assert names >= {"evaluation.svg", "window.json"}
    logged = mlflow.tracking_client.get_logged_model(run.data.tags["model_uri"].removeprefix("models:/"))
    assert {metric.key: metric.value for metric in logged.metrics} == run.data.metrics, (
        "MLflow's UI shows them there too"
    )
    assert logged.source_run_id == run.info.run_id
    assert logged.status == "READY"


def test_a_training_run_that_fails_is_failed_and_the_error_goes_on(mlflow: TrainingMlFlow) -> None:
    with pytest.raises(RuntimeError, match="out of luck"), mlflow.training_run(DAYS[0], NotEnoughMailError):
        raise RuntimeError("out of luck")
    (run,) = runs_of(mlflow)
    assert run.info.status == "FAILED"


def test_an_interrupted_training_run_is_not_left_running(mlflow: TrainingMlFlow) -> None:
    with pytest.raises(KeyboardInterrupt), mlflow.training_run(DAYS[0], NotEnoughMailError):
        raise KeyboardInterrupt
    (run,) = runs_of(mlflow)
    assert run.info.status == "FAILED"


@pytest.mark.parametrize(
    ("call", "statuses"), [("create_run", ["FAILED"]), ("set_terminated", ["FINISHED"])], ids=["opening", "ending"]
)
def test_an_interrupt_while_mlflow_opens_or_ends_a_run_leaves_none_running(
    mlflow: TrainingMlFlow, monkeypatch: pytest.MonkeyPatch, call: str, statuses: list[str]
) -> None:
    client = mlflow.tracking_client
    real, interrupts = getattr(client, call), [KeyboardInterrupt()]

    def interrupted(*arguments: Any, **options: Any) -> Any:
        if call == "create_run":
            real(*arguments, **options)  # MLflow has the run, and nobody has heard of it
        if interrupts:
            raise interrupts.pop()
        return real(*arguments, **options)

    monkeypatch.setattr(client, call, interrupted)
    with pytest.raises(KeyboardInterrupt), mlflow.training_run(DAYS[0], NotEnoughMailError):
        pass
    assert [run.info.status for run in runs_of(mlflow)] == statuses
    assert build_lock(mlflow.settings, f"train-{DAYS[0]}").acquire(0)


def test_a_training_run_with_nothing_trained_is_removed(mlflow: TrainingMlFlow) -> None:
    with pytest.raises(NotEnoughMailError), mlflow.training_run(DAYS[0], NotEnoughMailError):
        raise NotEnoughMailError("too little")
    assert runs_of(mlflow) == []


def test_a_step_that_is_tried_again_in_its_process_fails_the_run_of_the_first_try(mlflow: TrainingMlFlow) -> None:
    first = mlflow.training_run(DAYS[0], NotEnoughMailError)
    first.__enter__()  # and its result could not be stored, and nobody has closed it yet
    with mlflow.training_run(DAYS[0], NotEnoughMailError):
        pass
    assert sorted(run.info.status for run in runs_of(mlflow)) == ["FAILED", "FINISHED"]


@pytest.mark.parametrize(("is_cancelled", "status"), [(True, RUN_KILLED), (False, RUN_FAILED)])
def test_a_step_that_is_closed_before_its_end_is_killed_or_failed(
    mlflow: TrainingMlFlow, is_cancelled: bool, status: str
) -> None:
    mlflow.is_cancelled = lambda: is_cancelled

    def step() -> Iterator[str]:
        with mlflow.training_run(DAYS[0], NotEnoughMailError):
            yield "a model"

    steps = step()
    assert next(steps) == "a model"
    assert runs_of(mlflow)[0].info.status == "RUNNING"
    steps.close()
    assert runs_of(mlflow)[0].info.status == status


def report(instance: dg.DagsterInstance, run: dg.DagsterRun, kind: dg.DagsterEventType, **more: Any) -> None:
    instance.report_dagster_event(dg.DagsterEvent(kind.value, run.job_name, **more), run.run_id)


@pytest.mark.parametrize(
    ("event", "is_whole", "status"),
    [
        ("stored", True, "FINISHED"),
        ("stored", False, RUN_KILLED),
        ("failed", True, RUN_FAILED),
        (None, True, RUN_KILLED),
    ],
)
def test_a_run_that_its_process_left_open_ends_as_its_step_did(
    mlflow: TrainingMlFlow, instance: dg.DagsterInstance, event: str | None, is_whole: bool, status: str
) -> None:
    run = start_run(instance)
    tags = {"dagster_run_id": run.run_id, "training_date": DAYS[0], **({"model_uri": "models:/m"} if is_whole else {})}
    run_id = mlflow.tracking_client.create_run(mlflow.experiment_id, tags=tags).info.run_id
    if event == "stored":
        made = StepMaterializationData(dg.AssetMaterialization("trained_model", partition=DAYS[0]))
        report(instance, run, dg.DagsterEventType.ASSET_MATERIALIZATION, event_specific_data=made)
    elif event == "failed":
        failure = StepFailureData(error=None, user_failure_data=None)
        kind = dg.DagsterEventType.STEP_FAILURE
        report(instance, run, kind, step_key="trained_model", event_specific_data=failure)
    end_abandoned_runs(mlflow.settings, instance, again=True)
    assert mlflow.tracking_client.get_run(run_id).info.status == "RUNNING", "its Dagster run goes on"
    end_run(instance, run, dg.DagsterEventType.RUN_FAILURE)
    end_abandoned_runs(mlflow.settings, instance, again=True)
    assert mlflow.tracking_client.get_run(run_id).info.status == status


def test_no_run_stays_active_in_the_process(mlflow: TrainingMlFlow, model: SpamModel) -> None:
    import mlflow as library

    log(mlflow, DAYS[-1], model)
    assert library.active_run() is None


@pytest.mark.slow
@pytest.mark.parametrize("goes_well", [True, False])
def test_a_server_that_goes_away_during_a_training_shows_no_secret(mlflow: TrainingMlFlow, goes_well: bool) -> None:
    gone = "http://user:hunter2@127.0.0.1:9"  # nobody listens

    def train() -> None:
        with mlflow.training_run(DAYS[0], NotEnoughMailError):
            mlflow.tracking_uri, mlflow.tracking_client = gone, MlflowClient(gone)
            if not goes_well:
                raise RuntimeError("out of luck")

    with pytest.raises((TrackingError, RuntimeError)) as raised:
        train()
    said = "".join(traceback.format_exception(raised.value))
    assert "hunter2" not in said
    assert ("MLflow failed while ending train-2024-01-01" if goes_well else "out of luck") in said
