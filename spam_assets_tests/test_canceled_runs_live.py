"""Runs that are canceled in the UI of a real `dagster dev`, at whatever moment: they stop, and nothing is lost."""

import random
import time
from datetime import date

import dagster as dg
import psutil
import pytest

from spam_assets.engine.instance import SECTIONS
from spam_assets.registry.training_runs import RUN_OPEN
from spam_assets_tests.conftest import day_text, make_mail
from spam_assets_tests.dagster_dev import cancel, find_workers, launch_run, serve
from spam_assets_tests.homes import ALL_ASSETS, SLOW, Home, wait_for

pytestmark = SLOW
DAYS = [day_text(offset) for offset in range(30)]
CANCELS = 10
LATEST_MOMENT_SECONDS = 6.0
SECONDS_TO_BE_GONE = 15.0
LOOK_AT_THE_QUEUE_OFTEN = """
run_coordinator:
  module: dagster._core.run_coordinator
  class: QueuedRunCoordinator
  config:
    dequeue_interval_seconds: 1
"""


@pytest.fixture
def home_of_thirty_days(home: Home) -> Home:
    for day in DAYS:
        make_mail(day, messages=16).to_csv(home.landing / f"training-{day}.csv", index=False)
    home.settings.dagster_home.mkdir()
    (home.settings.dagster_home / "dagster.yaml").write_text(SECTIONS + LOOK_AT_THE_QUEUE_OFTEN)
    home.environment["SPAM_ASSETS_END_DATE"] = DAYS[-1]
    home.settings = home.settings.model_copy(update={"end_date": date.fromisoformat(DAYS[-1])})
    return home


def test_a_run_of_thirty_days_that_is_canceled_at_any_moment_is_gone_soon_and_a_repeat_completes_everything(
    home_of_thirty_days: Home,
) -> None:
    home = home_of_thirty_days
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 - pytest shows it where the test fails
    moments = [random.Random(seed).uniform(0, LATEST_MOMENT_SECONDS) for _ in range(CANCELS)]
    with serve(home) as dev, home.open_instance() as instance:

        def has_status(run_id: str, status: dg.DagsterRunStatus) -> bool:
            run = instance.get_run_by_id(run_id)
            return run is not None and run.status == status

        for moment in moments:
            run_id = launch_run(dev, DAYS[0], DAYS[-1])
            wait_for("start of the run", lambda run_id=run_id: has_status(run_id, dg.DagsterRunStatus.STARTED))
            time.sleep(moment)
            (worker,) = find_workers(dev)
            cancel(dev, run_id)
            psutil.wait_procs([worker], SECONDS_TO_BE_GONE)
            assert not worker.is_running(), f"the worker lives {SECONDS_TO_BE_GONE} s after a cancel at {moment:.2f} s"
            assert has_status(run_id, dg.DagsterRunStatus.CANCELED), f"canceled at {moment:.2f} s"
            assert [run.info.run_name for run in home.mlflow_runs() if run.info.status == RUN_OPEN] == []

        repeat = launch_run(dev, DAYS[0], DAYS[-1])
        wait_for("end of the repeat", lambda: has_status(repeat, dg.DagsterRunStatus.SUCCESS))
        for asset in ALL_ASSETS:
            assert sorted(instance.get_materialized_partitions(dg.AssetKey(asset))) == DAYS
        statuses = [run.status for run in instance.get_runs()]
        assert statuses == [dg.DagsterRunStatus.SUCCESS] + CANCELS * [dg.DagsterRunStatus.CANCELED]
    assert home.run("verify").returncode == 0
