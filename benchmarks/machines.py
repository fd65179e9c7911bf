"""Machines that share servers, on this one: each a home folder of its own, an environment, and processes.

One of them serves Dagster's UI with its daemon and code server; the others are Celery workers, which a run reaches as
one task. They share what the servers of `benchmarks.machine_servers` hold, and no folder.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import yaml

from benchmarks.backfill import DagsterDev, serve_dagster
from benchmarks.machine_servers import (
    CREDENTIALS,
    Environments,
    PostgresServer,
    kill_tree,
    make_bucket,
    measure_cpu,
    run_process,
    serve_mlflow,
    serve_postgres,
    serve_redis,
    serve_s3,
)
from benchmarks.one_date import build_environment
from spam_assets.engine.shared_instance import IMPORTED_BY_WORKERS

QUEUE = "dagster"
SECONDS_IN_THE_QUEUE = 900
"""The most that a run waits for a worker; Dagster then takes its task for lost."""


@dataclass(frozen=True)
class SharedServers:
    """What all machines reach over the network."""

    python: Path
    postgres: PostgresServer
    redis_url: str
    s3_url: str
    mlflow_url: str
    processes: tuple[psutil.Process, ...]

    def make_storage(self, number: int) -> dict[str, str]:
        """Make the storage of an instance of Dagster and return what its machines are told of these servers.

        It is a bucket of its own: moto goes through all names of a bucket for each listing.
        """
        make_bucket(self.s3_url, f"storage-{number}")
        return {
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": self.s3_url,
            "MLFLOW_TRACKING_URI": self.mlflow_url,
            "SPAM_ASSETS_LANDING": "s3://mail/landing",
            "SPAM_ASSETS_STORAGE": f"s3://storage-{number}/storage",
        }

    @property
    def cpu_seconds(self) -> float:
        """Of all servers since they started."""
        return sum(map(measure_cpu, self.processes))


@contextmanager
def serve_all(environments: Environments, folder: Path, landing: Path) -> Iterator[SharedServers]:
    """Run all servers; their logs are in a folder, the landing files in the bucket."""
    with ExitStack() as stack:
        postgres = stack.enter_context(serve_postgres())
        redis_url, redis = stack.enter_context(serve_redis(folder))
        s3_url, s3 = stack.enter_context(serve_s3(environments.moto, folder, landing))
        database = postgres.create_database("mlflow")
        mlflow_url, mlflow = stack.enter_context(serve_mlflow(environments.scale, folder, database, s3_url))
        processes = (postgres.process, redis, s3, mlflow)
        yield SharedServers(environments.scale, postgres, redis_url, s3_url, mlflow_url, processes)


@dataclass
class Machines:
    """Machines of one Dagster instance and one storage.

    Attributes:
        python: Has this project and what it needs beyond one machine.
        postgres: Has a database for them.
        redis_url: Of a server; they have two of its databases.
        number: Of this instance, from 0 on.
        folder: Where the homes are; new.
        settings: What every machine is told in its environment.
        workers: The most workers that run at once.
        running: The workers that have been started, by name.
    """

    python: Path
    postgres: PostgresServer
    redis_url: str
    number: int
    folder: Path
    settings: Mapping[str, str]
    workers: int
    running: dict[str, psutil.Process] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)
    _database: str = ""

    def __enter__(self) -> "Machines":
        self.folder.mkdir()
        self._database = self.postgres.create_database(f"dagster_{self.number}")
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @property
    def worker_cpu_seconds(self) -> float:
        """Of all workers that still run, and of what they ran."""
        return sum(map(measure_cpu, self.running.values()))

    def prepare_machine(self, name: str) -> dict[str, str]:
        """Make the home folder of a machine and return the environment of its processes."""
        home = self.folder / name
        environment = {
            **build_environment(home, self.settings["SPAM_ASSETS_START_DATE"], self.settings["SPAM_ASSETS_END_DATE"]),
            **self.settings,
            "POSTGRES_URL": self._database,
            "PATH": f"{self.python.parent}{os.pathsep}{os.environ['PATH']}",
        }
        (home / "dagster").mkdir(parents=True, exist_ok=True)
        celery = self._configure_celery()
        (home / "dagster" / "dagster.yaml").write_text(yaml.safe_dump(self._configure_dagster(celery)))
        (home / "worker.yaml").write_text(yaml.safe_dump({"execution": {"config": celery}}))
        return environment

    def serve_dagster(self) -> DagsterDev:
        """Run the UI, the daemon and the code server until the end."""
        environment = self.prepare_machine("dagster")
        module = ["-m", "spam_assets.definitions"]
        return self._stack.enter_context(serve_dagster(module, environment, self.folder, self.python))

    def start_worker(self, name: str) -> None:
        """Run a Celery worker, which takes one run at a time, until the end or until it is killed."""
        environment = self.prepare_machine(name)
        log = self.folder / f"{name}.log"
        command = [
            str(self.python.parent / "dagster-celery"), "worker", "start", "-A", "dagster_celery.app", "-y",
            str(self.folder / name / "worker.yaml"), "-q", QUEUE, "-n", name, "--", "--concurrency", "1",
        ]  # fmt: skip
        process = run_process(command, log, environment, lambda: log.exists() and " ready." in log.read_text())
        self.running[name] = self._stack.enter_context(process)

    def kill_worker(self, name: str) -> float:
        """Kill a worker, and the run that it has in hand, with -9; return when, in seconds since 1970."""
        process = self.running.pop(name)
        killed = time.time()
        kill_tree(process)
        return killed

    def _configure_celery(self) -> dict[str, object]:
        return {
            "broker": f"{self.redis_url}/{2 * self.number}",
            "backend": f"{self.redis_url}/{2 * self.number + 1}",  # keeps what became of a task
            "config_source": {
                "task_track_started": True,
                "worker_disable_prefetch": True,  # a task that nobody works on yet waits where others find it
                "worker_max_tasks_per_child": 1,  # a run begins in a new process, as it does on one machine
                "broker_connection_retry_on_startup": True,
                "imports": IMPORTED_BY_WORKERS,
            },
        }

    def _configure_dagster(self, celery: Mapping[str, object]) -> dict[str, object]:
        launcher = {"module": "spam_assets.engine.celery_launcher", "class": "CancelingCeleryRunLauncher"}
        return {
            "telemetry": {"enabled": False},
            "storage": {"postgres": {"postgres_url": {"env": "POSTGRES_URL"}}},
            "run_launcher": {**launcher, "config": {**celery, "default_queue": QUEUE}},
            "compute_logs": {
                "module": "dagster._core.storage.noop_compute_log_manager",
                "class": "NoOpComputeLogManager",
            },
            "concurrency": {
                "pools": {"granularity": "run", "default_limit": 1},
                "runs": {"max_concurrent_runs": self.workers + 1},  # one waits for the next worker that is free
            },
            "run_monitoring": {
                "enabled": True,
                "start_timeout_seconds": SECONDS_IN_THE_QUEUE,
                "poll_interval_seconds": 30,
                "free_slots_after_run_end_seconds": 60,
            },
            "run_retries": {"enabled": True, "max_retries": 2, "retry_on_asset_or_op_failure": False},
        }
