"""A five-line module of a user's own, from `dagster dev` to a champion that plain MLflow serves elsewhere."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from spam_assets.io_managers.parquet_frames import FrameIOManager
from spam_assets.learning.serving import score_mail
from spam_assets.registry.registered_models import CHAMPION, ModelRegistry
from spam_assets.registry.store import prepare_tracking_store
from spam_assets_tests.corpus import land_first_days
from spam_assets_tests.dagster_dev import launch, serve, wait_for_end
from spam_assets_tests.homes import Home
from spam_assets_tests.learning.estimators import FIVE_LINES

METHOD = "my_models:build_pipeline"
LAST_DAY = "2002-07-31"
SCORE = """
import json, sys
import mlflow, pandas as pd
mail = pd.read_parquet(sys.argv[2])
verdicts = mlflow.pyfunc.load_model(sys.argv[1]).predict(mail[["sender", "recipients", "subject", "body"]])
print(json.dumps({"scores": verdicts["spam_probability"].tolist(), "modules": sorted(sys.modules)}))
"""


@pytest.fixture
def corpus_home(home: Home, tmp_path: Path) -> Home:
    for path in home.landing.iterdir():
        path.unlink()
    days = land_first_days(home.landing, tmp_path / "cache", LAST_DAY)
    assert len(days) == 20
    (tmp_path / "my_models.py").write_text(FIVE_LINES)
    days_covered = {"SPAM_ASSETS_START_DATE": days[0], "SPAM_ASSETS_END_DATE": LAST_DAY}
    home.environment |= {"SPAM_ASSETS_ESTIMATOR": METHOD, **days_covered}
    return home


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_twenty_days_of_the_corpus_end_in_a_champion_that_loads_where_only_its_requirements_are(
    corpus_home: Home, tmp_path: Path
) -> None:
    from upath import UPath

    home = corpus_home
    days = sorted(path.stem.removeprefix("training-").partition(".")[0] for path in home.landing.iterdir())
    with serve(home) as dev:
        assert wait_for_end(dev, launch(dev, days), 600) == "COMPLETED_SUCCESS"
    registry = ModelRegistry(home.settings)
    champion = registry.aliased(CHAMPION)
    assert champion is not None
    assert registry.versions()[-1].training_date == LAST_DAY  # which the gate may have refused
    model = registry.load_model(champion)
    assert model.method == METHOD
    (run,) = [run for run in home.mlflow_runs() if run.info.run_id == champion.run_id]
    assert run.data.params["method"] == METHOD

    prepare_tracking_store(home.settings)
    (requirements,) = {path for path in home.settings.artifact_folder.rglob("requirements.txt") if path.is_file() and
                       f"run_id: {champion.run_id}" in (path.parent / "MLmodel").read_text()}  # fmt: skip
    names = {line.partition("==")[0] for line in requirements.read_text().split()}
    assert names == {"mlflow", "numpy", "pandas", "scikit-learn", "skops"}
    python = build_environment(tmp_path / "venv", requirements, "pyarrow")
    mail_file = FrameIOManager(UPath(home.storage)).path_of("validated_mail", LAST_DAY)
    done = subprocess.run(
        [python, "-c", SCORE, str(requirements.parent), str(mail_file)],
        cwd=tmp_path / "venv", capture_output=True, text=True,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    mail = FrameIOManager(UPath(home.storage)).load_day("validated_mail", LAST_DAY)
    ours = score_mail(model, mail[["sender", "recipients", "subject", "body"]])
    np.testing.assert_allclose(answer["scores"], ours["spam_probability"], rtol=0, atol=1e-6)
    assert not {"numba", "dagster", "my_models"} & set(answer["modules"])


def build_environment(folder: Path, requirements: Path, *reading_the_mail: str) -> Path:
    """A fresh virtual environment with a model's requirements, and what the test itself wants there; returns Python."""
    assert subprocess.run([sys.executable, "-m", "venv", str(folder)]).returncode == 0
    python = folder / "bin" / "python"
    done = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "-r", str(requirements), *reading_the_mail],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return python
