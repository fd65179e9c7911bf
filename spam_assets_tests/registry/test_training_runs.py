"""MLflow on a real SQLite store: training runs and the registry."""

import traceback
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import dagster as dg
import numpy as np
import pytest
from mlflow import MlflowClient

from spam_assets.io_managers.fingerprints import fingerprint_model
from spam_assets.learning.features import featurize_mail
from spam_assets.learning.model import SpamModel
from spam_assets.learning.training import NotEnoughMailError, TrainingSettings, train_model
from spam_assets.mail.mail_frame import build_mail_frame
from spam_assets.registry.registered_models import CHALLENGER, CHAMPION, MODEL_NAME, PREVIOUS, ModelRegistry
from spam_assets.registry.store import TrackingError, secret_kept
from spam_assets.registry.training_runs import TrainingMlFlow, build_mlflow_resource
from spam_assets.settings import Settings
from spam_assets.views.pictures import draw_evaluation
from spam_assets_tests.conftest import day_text, make_mail

DAYS = [day_text(offset) for offset in range(3)]


@pytest.fixture(scope="module")
def model() -> SpamModel:
    frames = {day: build_mail_frame(make_mail(day).to_dict("list"), day, "test")[0] for day in DAYS}
    return train_model({day: featurize_mail(frame) for day, frame in frames.items()}, TrainingSettings())


@pytest.fixture
def mlflow(settings: Settings) -> Iterator[TrainingMlFlow]:
    run = dg.DagsterRun(job_name="train_job", run_id="a-run")
    with dg.build_resources({"mlflow": build_mlflow_resource(settings)}, dagster_run=run) as resources:
        yield resources.mlflow


def runs_of(mlflow: TrainingMlFlow, view: int = 1) -> list[Any]:
    return list(mlflow.tracking_client.search_runs([mlflow.experiment_id], run_view_type=view))


def log(mlflow: TrainingMlFlow, day: str, model: SpamModel) -> str:
    version = fingerprint_model(model)
    with mlflow.training_run(day, nothing_trained=NotEnoughMailError) as run_id:
        window = dict.fromkeys(model.days, "v")
        mlflow.log_training(run_id, day, model, version, TrainingSettings(), window, draw_evaluation(model, day))
    return version


def change(model: SpamModel, threshold: float) -> SpamModel:
    return replace(model, threshold=threshold)


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
    assert run.data.metrics["messages"] == model.evaluation.messages
    assert run.data.metrics["one_minus_roca_percent"] == pytest.approx(model.evaluation.one_minus_roca_percent)
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


def test_an_empty_registry_has_no_versions_and_no_champion(settings: Settings) -> None:
    registry = ModelRegistry(settings)
    assert registry.versions() == []
    assert registry.aliased(CHAMPION) is None


def test_the_same_model_is_registered_once_and_another_of_its_day_again(
    settings: Settings, mlflow: TrainingMlFlow, model: SpamModel
) -> None:
    registry = ModelRegistry(settings)
    version = log(mlflow, DAYS[-1], model)
    first = registry.register(DAYS[-1], version)
    log(mlflow, DAYS[-1], model)
    assert registry.register(DAYS[-1], version) == first
    second = registry.register(DAYS[-1], log(mlflow, DAYS[-1], change(model, 0.25)))
    assert (first.version, second.version) == (1, 2)
    assert [(found.version, found.training_date) for found in registry.versions()] == [(1, DAYS[-1]), (2, DAYS[-1])]
    assert registry.aliased(CHAMPION) is None, "an alias that nothing has is no error"


def test_a_registered_model_is_read_back_whole_whatever_store_the_process_uses(
    settings: Settings, mlflow: TrainingMlFlow, model: SpamModel, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow as library

    registered = ModelRegistry(settings).register(DAYS[-1], log(mlflow, DAYS[-1], model))
    monkeypatch.chdir(tmp_path)
    before = library.get_tracking_uri()
    library.set_tracking_uri(f"sqlite:///{tmp_path / 'other.db'}")
    try:
        loaded = ModelRegistry(settings).load_model(registered)
    finally:
        library.set_tracking_uri(before)
    assert fingerprint_model(loaded) == fingerprint_model(model)
    np.testing.assert_array_equal(loaded.weights, model.weights)
    assert not (tmp_path / "mlflow.db").exists()


def test_a_model_that_no_run_trained_is_not_registered(settings: Settings) -> None:
    with pytest.raises(TrackingError, match=f"materialize trained_model of {DAYS[0]} again"):
        ModelRegistry(settings).register(DAYS[0], "unknown")


def test_a_run_that_failed_is_no_source_of_a_version(
    settings: Settings, mlflow: TrainingMlFlow, model: SpamModel
) -> None:
    version = log(mlflow, DAYS[-1], model)
    (run,) = runs_of(mlflow)
    mlflow.tracking_client.set_terminated(run.info.run_id, "FAILED")
    with pytest.raises(TrackingError, match="no finished run"):
        ModelRegistry(settings).register(DAYS[-1], version)


def test_aliases_follow_decisions_and_rolling_back_twice_returns(
    settings: Settings, mlflow: TrainingMlFlow, model: SpamModel
) -> None:
    registry = ModelRegistry(settings)
    one, two, three = (
        registry.register(day, log(mlflow, day, change(model, threshold)))
        for day, threshold in zip(DAYS, (0.5, 0.6, 0.7), strict=True)
    )

    def aliases() -> dict[str, int]:
        return {alias: found.version for found in registry.versions() for alias in found.aliases}

    registry.carry_out(one, None, promote=False)
    assert aliases() == {CHALLENGER: 1}
    registry.carry_out(one, None, promote=True)
    assert aliases()[CHAMPION] == 1
    registry.carry_out(one, registry.aliased(CHAMPION), promote=True)
    assert PREVIOUS not in aliases(), "a champion does not succeed itself"
    registry.carry_out(three, registry.aliased(CHAMPION), promote=True)
    assert (aliases()[CHAMPION], aliases()[PREVIOUS]) == (3, 1)
    registry.carry_out(two, registry.aliased(CHAMPION), promote=False)
    assert aliases()[CHALLENGER] != 2, "older than the champion: nothing to challenge with"

    for champion, previous in ((1, 3), (3, 1)):
        back = registry.aliased(PREVIOUS)
        assert back is not None
        registry.carry_out(back, registry.aliased(CHAMPION), promote=True)
        assert (aliases()[CHAMPION], aliases()[PREVIOUS]) == (champion, previous)
    found = registry.aliased(CHAMPION)
    assert found is not None
    assert (found.version, found.training_date, MODEL_NAME) == (3, DAYS[2], "spam-classifier")


@pytest.mark.parametrize(
    "uri",
    [
        "https://user:hunter2@example.com",
        "postgresql://u:hunter2@db/x",
        "postgresql://db/x?user=u&password=hunter2",
    ],
)
def test_an_error_that_could_show_a_secret_is_replaced(uri: str) -> None:
    with pytest.raises(TrackingError) as raised, secret_kept(uri, "reading"):
        raise ValueError(f"cannot reach {uri}")
    assert "hunter2" not in str(raised.value.description)
    assert "MLflow failed while reading (ValueError)" in str(raised.value.description)
    assert raised.value.__suppress_context__


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


def test_an_error_without_a_secret_stays_as_it_is() -> None:
    with pytest.raises(ValueError, match="disk full"), secret_kept("sqlite:///x.db", "reading"):
        raise ValueError("disk full")
