"""Days are registered wherever MLFLOW_TRACKING_URI leads: a database, or a real MLflow server of one's own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from mlflow import MlflowClient

from spam_assets.registry.registered_models import CHAMPION, ModelRegistry
from spam_assets.settings import Settings
from spam_assets_tests.conftest import FIRST_DAY, LandDays
from spam_assets_tests.mlflow_servers import serve_mlflow
from spam_assets_tests.pipeline import run_days

LOAD_ELSEWHERE = """
import mlflow
model = mlflow.pyfunc.load_model("models:/spam-classifier@champion")
print(model.predict({"text": ["winner prize casino", "meeting agenda minutes"]})["is_spam"].tolist())
"""


def settings_for(settings: Settings, uri: str) -> Settings:
    return Settings(home=settings.home, start_date=FIRST_DAY, end_date=settings.end_date, MLFLOW_TRACKING_URI=uri)  # type: ignore[call-arg]


def register_days(settings: Settings, instance: dg.DagsterInstance, days: list[str]) -> str:
    """Run the days and return where the artifacts of the champion are."""
    run = run_days(settings, instance, days[0], days[-1])
    assert run.status == dg.DagsterRunStatus.SUCCESS
    registry = ModelRegistry(settings)
    champion = registry.aliased(CHAMPION)
    assert champion is not None
    assert champion.training_date == days[-1]
    assert registry.load_model(champion).days == tuple(days)
    experiment = MlflowClient(settings.tracking_uri).get_experiment_by_name(settings.experiment)
    assert experiment is not None
    return str(experiment.artifact_location)


@pytest.fixture
def mlflow_server(tmp_path: Path) -> Iterator[str]:
    """A real `mlflow server` with a database and an artifact store of its own; yields its URL."""
    with serve_mlflow(tmp_path / "server") as server:
        yield server.url


def test_with_a_database_artifacts_are_in_the_home_folder(
    settings: Settings,
    instance: dg.DagsterInstance,
    land_days: LandDays,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    database = settings_for(settings, f"sqlite:///{settings.home / 'mlflow.db'}")
    assert register_days(database, instance, land_days(3)) == settings.artifact_folder.as_uri()
    assert not (tmp_path / "mlruns").exists()


@pytest.mark.slow
def test_on_a_server_days_are_registered_and_load_where_only_mlflow_is(
    settings: Settings, instance: dg.DagsterInstance, land_days: LandDays, tmp_path: Path, mlflow_server: str
) -> None:
    served = settings_for(settings, mlflow_server)
    assert register_days(served, instance, land_days(4)).startswith("mlflow-artifacts:")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOAD_ELSEWHERE],
        cwd=elsewhere, capture_output=True, text=True, timeout=200,
        env={**os.environ, "MLFLOW_TRACKING_URI": mlflow_server, "PYTHONPATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == "[True, False]"
