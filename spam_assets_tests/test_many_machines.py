"""Runs through a real Celery worker that has a home folder of its own, on PostgreSQL and Redis."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.backfill import DagsterDev, run_backfill
from benchmarks.machine_servers import find_postgres_programs, serve_postgres, serve_redis
from benchmarks.machines import Machines
from benchmarks.many_machines import list_runs, read_engine_events
from spam_assets_tests.conftest import make_mail
from spam_assets_tests.dagster_dev import cancel, launch_run
from spam_assets_tests.homes import DAYS, SLOW, wait_for

pytestmark = [*SLOW, pytest.mark.xdist_group("many machines")]
RUN = """
query Run($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }
"""


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory, prepared_mlflow: Path) -> Iterator[Machines]:
    """A machine that can serve the UI, and one with a worker; mail, storage and MLflow are in folders that both see."""
    pytest.importorskip("dagster_celery")
    pytest.importorskip("redis")
    if find_postgres_programs() is None or shutil.which("redis-server") is None:
        pytest.skip("PostgreSQL or Redis is not installed here; Debian's packages are `postgresql` and `redis-server`")
    folder = tmp_path_factory.mktemp("machines")
    (folder / "landing").mkdir()
    for day in DAYS:
        make_mail(day).to_csv(folder / "landing" / f"training-{day}.csv", index=False)
    shutil.copy(prepared_mlflow, folder / "mlflow.db")
    settings = {
        "SPAM_ASSETS_START_DATE": DAYS[0],
        "SPAM_ASSETS_END_DATE": DAYS[-1],
        "SPAM_ASSETS_LANDING": str(folder / "landing"),
        "SPAM_ASSETS_STORAGE": str(folder / "storage"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
    }
    with (
        serve_postgres() as postgres,
        serve_redis(folder) as (redis_url, _),
        Machines(Path(sys.executable), postgres, redis_url, 0, folder / "homes", settings, 1) as machines,
    ):
        yield machines


@pytest.fixture(scope="module")
def dev(machines: Machines) -> DagsterDev:
    dev = machines.serve_dagster()
    machines.start_worker("worker")
    return dev


def test_a_backfill_of_mail_reaches_a_worker_with_a_home_of_its_own(machines: Machines, dev: DagsterDev) -> None:
    backfill = run_backfill(dev, DAYS[:3], "mail_job")
    assert (backfill.status, backfill.runs, backfill.failed_runs) == ("COMPLETED_SUCCESS", 1, 0)
    stored = Path(machines.settings["SPAM_ASSETS_STORAGE"]) / "mail_features"
    assert sorted(path.stem for path in stored.glob("2*")) == DAYS[:3]


def test_a_run_on_another_machine_that_is_canceled_in_the_ui_stops_and_is_not_started_again(dev: DagsterDev) -> None:
    run_id = launch_run(dev, DAYS[0], DAYS[-1])
    wait_for("first day of the run", lambda: read_engine_events(dev, run_id, "spam_assets/day"))
    cancel(dev, run_id)
    wait_for("end of the run", lambda: dev.ask(RUN, id=run_id)["status"] == "CANCELED")
    assert len(read_engine_events(dev, run_id, "spam_assets/day")) < len(DAYS)
    assert list_runs(dev, "dagster/parent_run_id", run_id) == {}
