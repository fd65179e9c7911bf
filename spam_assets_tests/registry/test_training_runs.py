"""Training runs in MLflow: each ends with what became of it, and holds what was trained."""

import traceback

import pytest
from mlflow import MlflowClient

from spam_assets.learning.model import SpamModel
from spam_assets.learning.training import NotEnoughMailError
from spam_assets.registry.store import TrackingError
from spam_assets.registry.training_runs import TrainingMlFlow
from spam_assets_tests.registry import DAYS, log, runs_of


def test_a_training_run_is_finished_and_holds_what_was_logged(mlflow: TrainingMlFlow, model: SpamModel) -> None:
    version = log(mlflow, DAYS[-1], model)
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


def test_a_training_run_with_nothing_trained_is_removed(mlflow: TrainingMlFlow) -> None:
    with pytest.raises(NotEnoughMailError), mlflow.training_run(DAYS[0], NotEnoughMailError):
        raise NotEnoughMailError("too little")
    assert runs_of(mlflow) == []


def test_no_run_stays_active_in_the_process(mlflow: TrainingMlFlow, model: SpamModel) -> None:
    import mlflow as library

    log(mlflow, DAYS[-1], model)
    assert library.active_run() is None


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
