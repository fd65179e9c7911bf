"""Our side of docs/comparison.md: days with a bad one among them, a kill, a file that changes afterwards.

Ten days, to cost little; thirty go through the daemon in test_backfills_live.py. The page names the tests of what is
not shown here.
"""

import json
import shutil
from pathlib import Path

import dagster as dg
import pytest
from mlflow.artifacts import load_text

from spam_assets.registry.training_runs import RUN_OPEN
from spam_assets_tests.conftest import day_text, make_mail
from spam_assets_tests.homes import SLOW, Home

pytestmark = SLOW

DAYS = [day_text(offset) for offset in range(10)]
BAD_DAY = DAYS[5]
LAST_DAY = DAYS[-1]


def land(landing: Path, day: str, *, is_bad: bool = False) -> None:
    """Land a day; of a bad one 8 % of the labels are missing."""
    mail = make_mail(day, messages=24)
    if is_bad:
        mail.loc[:1, "label"] = None
    mail.to_csv(landing / f"training-{day}.csv", index=False)


@pytest.fixture(scope="module")
def ten_days(tmp_path_factory: pytest.TempPathFactory, prepared_mlflow: Path) -> Home:
    home = Home(tmp_path_factory.mktemp("comparison") / "home", prepared_mlflow)
    shutil.rmtree(home.landing)
    home.landing.mkdir()
    for day in DAYS:
        land(home.landing, day, is_bad=day == BAD_DAY)
    home.environment["SPAM_ASSETS_END_DATE"] = LAST_DAY
    return home


def list_learnt_days(home: Home, day: str) -> dict[str, str]:
    """The window of a date's newest MLflow run, with the data version of each day."""
    runs = [run for run in home.mlflow_runs() if run.info.run_name == f"train-{day}" and run.info.status == "FINISHED"]
    newest = max(runs, key=lambda run: run.info.start_time)
    window: dict[str, str] = json.loads(load_text(f"{newest.info.artifact_uri}/window.json"))
    return window


def test_a_backfill_that_is_killed_goes_on_by_the_same_command_and_the_bad_day_fails_alone(ten_days: Home) -> None:
    home = ten_days
    process = home.start("backfill")
    home.wait_for_models(3)
    process.kill()
    process.wait()
    again = home.run("backfill")
    assert again.returncode == 1, again.stdout + again.stderr
    assert f"{BAD_DAY} failed" in again.stdout
    assert home.stored_days("trained_model") == [day for day in DAYS if day != BAD_DAY]
    assert BAD_DAY not in list_learnt_days(home, LAST_DAY)
    statuses = [run.status for run in home.dagster_runs()]
    assert dg.DagsterRunStatus.STARTED not in statuses  # the killed one is failed, by the command that goes on
    assert [run for run in home.mlflow_runs() if run.info.status == RUN_OPEN] == []


def test_after_a_file_has_changed_the_same_command_runs_its_day_and_the_models_that_had_learnt_it(
    ten_days: Home,
) -> None:
    home = ten_days
    before = list_learnt_days(home, LAST_DAY)
    runs_before = {run.info.run_id for run in home.mlflow_runs()}
    changed = DAYS[8]
    make_mail(changed, messages=24, seed=1).to_csv(home.landing / f"training-{changed}.csv", index=False)
    again = home.run("backfill", "--from", DAYS[7])
    assert again.returncode == 0, again.stdout + again.stderr
    after = list_learnt_days(home, LAST_DAY)
    assert after.pop(changed) != before.pop(changed)
    assert after == before
    trained = [run.info.run_name for run in home.mlflow_runs() if run.info.run_id not in runs_before]
    assert sorted(trained) == [f"train-{day}" for day in DAYS[8:]]  # no window before held the day
