"""A real `dagster dev` on a test's home folder, and backfills launched in it as its UI launches them."""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import psutil

from benchmarks.backfill import LAUNCH_RUN, STATUS, DagsterDev, launch_backfill, serve_dagster
from spam_assets.engine.instance import prepare_instance
from spam_assets.engine.tags import tag_days
from spam_assets_tests.homes import ALL_ASSETS, PATIENCE_SECONDS, Home, wait_for

LOCATION = "spam_assets.definitions"
TERMINATE = """
mutation Terminate($runId: String!) { terminateRun(runId: $runId) { __typename ... on Error { message } } }
"""


@contextmanager
def serve(home: Home) -> Iterator[DagsterDev]:
    """Run `dagster dev` on a home; on leaving it has ended, with everything it started."""
    home.settings.dagster_home.mkdir(exist_ok=True)
    prepare_instance(home.settings.dagster_home)
    with serve_dagster(["-m", "spam_assets.definitions"], home.environment, home.folder.parent) as dev:
        yield dev


def launch(dev: DagsterDev, days: Sequence[str], assets: Sequence[str] = ALL_ASSETS) -> str:
    """Launch a backfill and return its id."""
    return launch_backfill(dev, days, assets=assets)


def launch_run(dev: DagsterDev, first: str, last: str) -> str:
    """Launch one run of all assets over a range of days, without a backfill's daemon, and return its id."""
    parameters = {
        "selector": {"repositoryLocationName": LOCATION, "repositoryName": "__repository__", "jobName": "train_job"},
        "runConfigData": {},
        "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tag_days(first, last).items()]},
    }
    answer = dev.ask(LAUNCH_RUN, parameters=parameters)
    assert answer["__typename"] == "LaunchRunSuccess", answer
    return str(answer["run"]["runId"])


def wait_for_end(dev: DagsterDev, backfill_id: str, seconds: float = PATIENCE_SECONDS) -> str:
    """Wait until a backfill has ended and return its status."""

    def find_status() -> str | None:
        status = str(dev.ask(STATUS, id=backfill_id)["status"])
        return None if status in ("REQUESTED", "CANCELING", "FAILING") else status

    return wait_for(f"end of backfill {backfill_id}", find_status, seconds)


def cancel(dev: DagsterDev, run_id: str) -> None:
    """Cancel a run as the button of the UI does.

    Where its process ended before Dagster had reached it the answer is an error; what comes of the run counts.
    """
    answer = dev.ask(TERMINATE, runId=run_id)
    assert answer["__typename"] in ("TerminateRunSuccess", "PythonError"), answer
    if answer["__typename"] == "PythonError":
        print(f"the UI says of {run_id}: {answer['message']}")  # noqa: T201 - pytest shows it on a failure


def find_workers(dev: DagsterDev) -> list[psutil.Process]:
    """Return the processes that execute runs."""
    started = psutil.Process(dev.process.pid).children(recursive=True)
    return [process for process in started if is_worker(process)]


def is_worker(process: psutil.Process) -> bool:
    """Return whether a process that `dagster dev` started executes a run."""
    with suppress(psutil.NoSuchProcess):
        return any("spawn_main" in word for word in process.cmdline())
    return False


def kill_workers(dev: DagsterDev) -> int:
    """Kill the processes that execute runs, and nothing else; return how many there were."""
    workers = find_workers(dev)
    for worker in workers:
        worker.kill()
    return len(workers)


def kill_everything(dev: DagsterDev) -> None:
    """Kill `dagster dev` and all it started in one blow, as a power cut would."""
    started = psutil.Process(dev.process.pid).children(recursive=True)
    os.killpg(dev.process.pid, signal.SIGKILL)
    for process in started:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    dev.process.wait()
    psutil.wait_procs(started)
