"""The status of an MLflow run is what became of the Dagster step, on real processes."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import dagster as dg

from benchmarks.backfill import LAUNCH, DagsterDev
from spam_assets.cli.verification import find_faults
from spam_assets.registry.training_runs import RUN_FAILED, RUN_FINISHED, RUN_KILLED, RUN_OPEN
from spam_assets_tests.dagster_dev import kill_workers, serve, wait_for_end
from spam_assets_tests.homes import ALL_ASSETS, DAYS, SLOW, Home, wait_for

if TYPE_CHECKING:
    from mlflow.entities import Run

pytestmark = SLOW
CANCEL = "mutation($id: String!) { terminateRun(runId: $id) { __typename } }"


def list_statuses(home: Home, day: str) -> list[str]:
    """Of the trainings of a date, oldest first."""
    runs = [run for run in home.mlflow_runs() if run.data.tags["training_date"] == day]
    return [run.info.status for run in sorted(runs, key=lambda run: run.info.start_time)]


def test_a_step_that_fails_or_cannot_be_stored_fails_its_run_and_one_that_succeeds_finishes_it(home: Home) -> None:
    day = DAYS[0]
    in_the_way = home.storage / "trained_model" / f"{day}.npz"
    in_the_way.mkdir(parents=True)
    not_stored = home.run("run", "--date", day)
    assert not_stored.returncode == 1
    assert "cannot be written" in not_stored.stdout
    assert list_statuses(home, day) == [RUN_FAILED]
    in_the_way.rmdir()

    artifacts = home.settings.artifact_folder
    artifacts.rename(home.folder / "away")
    artifacts.write_text("a file where the folder of artifacts should be")
    half_logged = home.run("run", "--date", day)
    assert half_logged.returncode == 1
    assert list_statuses(home, day) == [RUN_FAILED, RUN_FAILED]
    artifacts.unlink()
    (home.folder / "away").rename(artifacts)

    stored = home.run("run", "--date", day)
    assert stored.returncode == 0, stored.stdout + stored.stderr
    assert list_statuses(home, day) == [RUN_FAILED, RUN_FAILED, RUN_FINISHED]
    assert home.run("verify").returncode == 0


@contextmanager
def training_held(home: Home) -> Iterator["Run"]:
    """Wait for an open MLflow run and keep its process from writing the next thing to it."""
    database = sqlite3.connect(home.folder / "mlflow.db", isolation_level=None, timeout=20)

    def hold() -> "Run | None":
        if not [run for run in home.mlflow_runs() if run.info.status == RUN_OPEN]:
            return None
        database.execute("BEGIN IMMEDIATE")
        still_open = [run for run in home.mlflow_runs() if run.info.status == RUN_OPEN]
        if not still_open:
            database.execute("ROLLBACK")
        return still_open[0] if still_open else None

    run = wait_for("open MLflow run", hold)
    try:
        yield run
    finally:
        database.execute("ROLLBACK")
        database.close()


def launch(dev: DagsterDev, **tags: Any) -> str:
    """Launch a backfill of all days with tags on its run."""
    parameters = {
        "tags": [{"key": key, "value": value} for key, value in tags.items()],
        "assetSelection": [{"path": [asset]} for asset in ALL_ASSETS],
        "partitionNames": DAYS,
        "fromFailure": False,
        "runConfigData": {},
    }
    return str(dev.ask(LAUNCH, backfillParams=parameters)["backfillId"])


def status_of(home: Home, run_id: str) -> dg.DagsterRunStatus:
    (run,) = home.dagster_runs(run_ids=[run_id])
    return run.status


def test_a_cancelled_and_a_killed_step_are_killed_and_the_retry_that_succeeds_is_finished(home: Home) -> None:
    with serve(home) as dev:
        first = launch(dev)
        with training_held(home) as cancelled:
            dagster_run = home.run_of(first).run_id
            dev.ask(CANCEL, id=dagster_run)
            time.sleep(3)  # until the signal has come, also on a busy machine; the process answers it when it can go on
        wait_for("cancelled run", lambda: status_of(home, dagster_run) == dg.DagsterRunStatus.CANCELED)
        assert cancelled.data.tags["dagster_run_id"] == dagster_run
        assert list_statuses(home, cancelled.data.tags["training_date"]) == [RUN_KILLED]

        second = launch(dev, **{"dagster/max_retries": "1", "dagster/retry_strategy": "ALL_STEPS"})  # as the sensors do
        with training_held(home) as killed:
            assert kill_workers(dev) == 1
        day = killed.data.tags["training_date"]
        wait_for("training again", lambda: list_statuses(home, day)[-1] == RUN_FINISHED)
        wait_for_end(dev, second)
        wait_for("end of all runs", lambda: all(run.is_finished for run in home.dagster_runs()))

    assert list_statuses(home, day)[-2:] == [RUN_KILLED, RUN_FINISHED]
    for other in DAYS:
        assert list_statuses(home, other)[-1] == RUN_FINISHED
    assert not [run for run in home.mlflow_runs() if run.info.status == RUN_OPEN]
    with home.open_instance() as instance:
        assert list(find_faults(home.settings, instance, lambda *_: None)) == []
