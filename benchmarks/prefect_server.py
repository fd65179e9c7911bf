"""A Prefect server on SQLite of one's own, what serves flows beside it, and its REST API; imports nothing of Prefect.

Prefect lives in an environment of its own, which `make prefect` makes. Everything it keeps is below one folder, and it
tells nobody that it runs.
"""

import json
import os
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.process_trees import keep_running, run_command

PROJECT = Path(__file__).parent.parent
PREFECT_PYTHON = PROJECT / "build" / "prefect" / "bin" / "python"
POOL = "training"
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
SECONDS_TO_START = 300
SECONDS_BETWEEN_QUESTIONS = 0.2
SECONDS_TO_BE_BUSY = 60
BUSY = 503
"""What the server answers while SQLite is locked; nothing was done then, and Prefect's own client asks again too."""
TUNED_POLLING = {"PREFECT_RUNNER_POLL_FREQUENCY": "1", "PREFECT_WORKER_QUERY_SECONDS": "1"}


class PrefectError(Exception):
    """Prefect did not do what it was asked for."""


@dataclass(frozen=True)
class FlowRun:
    """A flow run as the server tells it; times in seconds since 1970."""

    id: str
    name: str
    state: str
    message: str
    created: float
    started: float | None


class PrefectServer:
    """A running server.

    Args:
        python: The interpreter of Prefect's environment.
        url: Of the API.
        folder: Where it keeps its files and logs.
        environment: For whatever shall use it.
    """

    def __init__(self, python: Path, url: str, folder: Path, environment: Mapping[str, str]) -> None:
        self.python = python
        self.url = url
        self.folder = folder
        self.environment = dict(environment)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Return the answer to a request, None where there is no such thing.

        Raises:
            PrefectError: it was refused.
        """
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}{path}", content, {"Content-Type": "application/json"}, method=method
        )
        deadline = time.monotonic() + SECONDS_TO_BE_BUSY
        while True:
            try:
                with urllib.request.urlopen(request, timeout=60) as response:
                    return json.loads(response.read() or b"null")
            except urllib.error.HTTPError as error:
                if error.code == 404:
                    return None
                if error.code != BUSY or time.monotonic() > deadline:
                    raise PrefectError(f"{method} {path}: {error.code} {error.read()[:500]!r}") from None
            time.sleep(SECONDS_BETWEEN_QUESTIONS)

    def flow(self, *words: str) -> str:
        """Run `python -m benchmarks.prefect_flow` to its end and return its output."""
        return run_command(self.flow_command(*words), self.environment, PROJECT)

    def flow_command(self, *words: str) -> list[str]:
        """Return the command `python -m benchmarks.prefect_flow`."""
        return [str(self.python), "-W", "ignore", "-m", "benchmarks.prefect_flow", *words]

    def prefect_command(self, *words: str) -> list[str]:
        """Return the command `prefect`."""
        return [str(self.python), "-W", "ignore", "-m", "prefect", *words]

    def list_flow_runs(self, **filters: object) -> list[FlowRun]:
        """Return flow runs, oldest first; filters are those of the API."""
        found = self.ask("POST", "/flow_runs/filter", {"sort": "EXPECTED_START_TIME_ASC", **filters})
        return [_read_flow_run(run) for run in found]

    def count_tries(self, task: str) -> list[int]:
        """Return how often each run of a task was tried, oldest first."""
        tasks = self.ask("POST", "/task_runs/filter", {"sort": "EXPECTED_START_TIME_ASC"})
        return [run["run_count"] for run in tasks if run["name"].startswith(task)]

    def launch(self, deployment: str, parameters: Mapping[str, object]) -> str:
        """Ask for a run of a deployment, `flow/deployment`, at once, and return its id."""
        found = self.ask("GET", f"/deployments/name/{deployment}")
        asked = {"parameters": dict(parameters), "state": {"type": "SCHEDULED"}}
        return str(self.ask("POST", f"/deployments/{found['id']}/create_flow_run", asked)["id"])

    def read_flow_run(self, run_id: str) -> FlowRun:
        """Return a flow run as it stands."""
        return _read_flow_run(self.ask("GET", f"/flow_runs/{run_id}"))

    def wait_for_end(self, run_id: str, seconds: float) -> FlowRun:
        """Wait until a flow run has ended.

        Raises:
            PrefectError: it has not.
        """
        deadline = time.monotonic() + seconds
        while (run := self.read_flow_run(run_id)).state not in ENDED:
            if time.monotonic() > deadline:
                raise PrefectError(f"the flow run is {run.state} after {seconds:g} s; logs are in {self.folder}")
            time.sleep(SECONDS_BETWEEN_QUESTIONS)
        return run

    @contextmanager
    def serve(self, flow: str, **settings: str) -> Iterator[int]:
        """Serve a flow, `date` or `dates`, as `flow.serve()` does; yield the process id."""
        environment = {**self.environment, **settings}
        log = self.folder / "served.log"
        with keep_running(self.flow_command("serve", flow), environment, PROJECT, log) as process:
            self.wait_until(lambda: self._is_ready(f"train-{flow}/served"), log)
            yield process.pid

    def deploy(self, flow: str) -> None:
        """Deploy a flow, `date` or `dates`, to a process work pool, which is made if it is missing."""
        if self.ask("GET", f"/work_pools/{POOL}") is None:
            pool = self.prefect_command("work-pool", "create", POOL, "--type", "process")
            run_command(pool, self.environment, PROJECT)
        self.flow("deploy", flow)

    @contextmanager
    def work(self, flow: str, **settings: str) -> Iterator[int]:
        """Deploy a flow to a process work pool and run a worker of that; yield the worker's process id."""
        environment = {**self.environment, **settings}
        self.deploy(flow)
        log = self.folder / "worker.log"
        command = self.prefect_command("worker", "start", "--pool", POOL)
        with keep_running(command, environment, PROJECT, log) as process:
            self.wait_until(lambda: self.ask("POST", f"/work_pools/{POOL}/workers/filter", {}), log)
            yield process.pid

    def _is_ready(self, deployment: str) -> bool:
        found = self.ask("GET", f"/deployments/name/{deployment}")
        return found is not None and found["status"] == "READY"

    def wait_until(self, is_up: Callable[[], object], log: Path) -> None:
        """Wait until something is up that writes a log.

        Raises:
            PrefectError: it does not come up.
        """
        deadline = time.monotonic() + SECONDS_TO_START
        while not is_up():
            if time.monotonic() > deadline:
                raise PrefectError(f"nothing came up: {log.read_text()[-2000:]}")
            time.sleep(SECONDS_BETWEEN_QUESTIONS)


@contextmanager
def serve_prefect(folder: Path, tracking_uri: str, python: Path = PREFECT_PYTHON) -> Iterator[PrefectServer]:
    """Run a server whose Secret block holds MLflow's URI; on leaving, it has ended.

    Raises:
        PrefectError: it does not come up.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder.mkdir(parents=True, exist_ok=True)
    url = f"http://127.0.0.1:{port}/api"
    theirs = ("PREFECT_", "SPAM_ASSETS_", "MLFLOW_", "DAGSTER_")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(theirs)},
        "PYTHONPATH": str(PROJECT),
        "PREFECT_API_URL": url,
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    server = PrefectServer(python, url, folder, environment)
    log = folder / "server.log"
    command = server.prefect_command("server", "start", "--host", "127.0.0.1", "--port", str(port))
    with keep_running(command, environment, PROJECT, log):
        server.wait_until(lambda: _is_up(url), log)
        server.flow("secret", tracking_uri)
        yield server


def _is_up(url: str) -> bool:
    try:
        urllib.request.urlopen(f"{url}/health", timeout=5).close()
    except OSError:
        return False
    return True


def _read_flow_run(run: Mapping[str, Any]) -> FlowRun:
    state, started = run["state"] or {}, run["start_time"]
    return FlowRun(
        id=run["id"],
        name=run["name"],
        state=state.get("type", "PENDING"),
        message=state.get("message") or "",
        created=datetime.fromisoformat(run["created"]).timestamp(),
        started=None if started is None else datetime.fromisoformat(started).timestamp(),
    )
