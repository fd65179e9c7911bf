"""A backfill of all five assets, launched as the Dagster UI launches it, beside a plain loop and Dagster's defaults.

    python -m benchmarks.backfill [--landing DIR] [--days N] [--landed-only] [--json FILE]

**Ours**: a real `dagster dev` on a temporary home, the GraphQL mutation that the UI sends, and the time until the
backfill is reported finished. It asks for every partition from the first day to the last, as *All* in the UI does,
also those on which nothing landed; `--landed-only` asks for the others only, which Dagster splits into one run for
each range of successive days. Waiting for the daemon is the time before it launches the first run and the time
after the last run ended; everything else, also the start of the run workers, counts as work. A day is complete
when Dagster has no failure of it and its features and its model, stored and registered, are those of the plain loop.

**Plain loop**: the same pure functions and the same calls of MLflow, day after day in one process without Dagster,
see `benchmarks.one_date`; the whole process is timed.

**Dagster's defaults**: the same assets with the multiprocess executor, one run a day and an instance that nobody has
configured, over the last few of the days; waiting for the daemon is left out of its time per day.

More days than have landed are made by repeating the mail with later dates.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import psutil  # type: ignore[import-untyped]

from benchmarks.one_date import (
    PREPARE_COMMAND,
    build_environment,
    build_plain_command,
    land_mail,
    measure_process,
)
from benchmarks.plain_mlflow import MODEL_NAME

ASSETS = ("raw_mail", "validated_mail", "mail_features", "trained_model", "registered_model")
DEFAULTS_DAYS = 4
SECONDS_TO_START = 120
SECONDS_TO_STOP = 20
SECONDS_BETWEEN_SAMPLES = 0.2
SECONDS_BETWEEN_QUESTIONS = 2.0
MEGABYTE = 1e6

DEFAULTS_MODULE = '''"""The same assets as Dagster runs them by default: a process a step, a run a day."""

import dagster as dg

from spam_assets.assets import mail_features, raw_mail, registered_model, trained_model, validated_mail
from spam_assets.checks import raw_mail_quality
from spam_assets.partitions import SETTINGS
from spam_assets.resources import build_resources

ASSETS = (raw_mail, validated_mail, mail_features, trained_model, registered_model)
ONE_DAY_A_RUN = dg.BackfillPolicy.multi_run(max_partitions_per_run=1)

defs = dg.Definitions(
    assets=[asset.with_attributes(backfill_policy=ONE_DAY_A_RUN) for asset in ASSETS],
    asset_checks=[raw_mail_quality],
    resources=build_resources(SETTINGS),
    executor=dg.multiprocess_executor,
)
'''

LAUNCH = """
mutation LaunchPartitionBackfill($backfillParams: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $backfillParams) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on Error { message }
  }
}
"""
LAUNCH_RUN = """
mutation LaunchRun($parameters: ExecutionParams!) { launchRun(executionParams: $parameters) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on Error { message }
} }
"""
STATUS = """
query Status($id: String!) { partitionBackfillOrError(backfillId: $id) {
  ... on PartitionBackfill { status error { message } }
} }
"""
RUNS = """
query Runs($filter: RunsFilter!) { runsOrError(filter: $filter) {
  ... on Runs { results { status stats { ... on RunStatsSnapshot { launchTime startTime endTime } } } }
} }
"""
PARTITIONS = """
query Partitions($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) {
  ... on AssetNode { assetPartitionStatuses {
    ... on TimePartitionStatuses { ranges { status startKey endKey } }
  } }
} }
"""


# --- a dagster dev of one's own ---------------------------------------------------------------------------------


class WorkerMeter(threading.Thread):
    """Watches the run workers below a process: what CPU time they took and how much memory they held at once."""

    def __init__(self, root: psutil.Process) -> None:
        super().__init__(daemon=True)
        self._root = root
        self._is_done = threading.Event()
        self._is_worker: dict[psutil.Process, bool] = {}
        self._cpu_seconds: dict[psutil.Process, float] = {}
        self.peak_memory_mb = 0.0
        self.peak_own_memory_mb = 0.0  # without pages of files, which the system can take back at any time

    @property
    def cpu_seconds(self) -> float:
        """User and system time of all run workers so far; up to one sample of each may be missing."""
        return sum(self._cpu_seconds.values())

    def seen_processes(self) -> list[psutil.Process]:
        """Return every process that was ever below the root."""
        return list(self._is_worker)

    def run(self) -> None:
        """Sample until told to stop."""
        with suppress(psutil.NoSuchProcess):  # of the root
            while not self._is_done.wait(SECONDS_BETWEEN_SAMPLES):
                self._sample()

    def stop(self) -> None:
        """Stop sampling."""
        self._is_done.set()
        self.join()

    def _sample(self) -> None:
        memory = own_memory = 0
        for process in self._root.children(recursive=True):
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                resident, of_files = self._sample_process(process)
                memory += resident
                own_memory += resident - of_files
        self.peak_memory_mb = max(self.peak_memory_mb, memory / MEGABYTE)
        self.peak_own_memory_mb = max(self.peak_own_memory_mb, own_memory / MEGABYTE)

    def _sample_process(self, process: psutil.Process) -> tuple[int, int]:
        """Return the bytes that a process holds and how many are pages of files; none if it is no run worker."""
        if process not in self._is_worker:
            # Dagster's code server starts a run, and its executor a step, by multiprocessing's "spawn".
            self._is_worker[process] = any("spawn_main" in word for word in process.cmdline())
        if not self._is_worker[process]:
            return 0, 0
        times = process.cpu_times()
        self._cpu_seconds[process] = times.user + times.system
        memory = process.memory_info()
        return int(memory.rss), int(getattr(memory, "shared", 0))


class DagsterDev:
    """A running `dagster dev`, asked by GraphQL as its UI asks it."""

    def __init__(self, url: str, log: Path, process: "subprocess.Popen[bytes]", meter: WorkerMeter) -> None:
        self.url = url
        self.log = log
        self.process = process
        self.meter = meter

    def ask(self, query: str, **variables: Any) -> Any:
        """Return the one field that a GraphQL query asks for."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=120) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as error:  # an answer all the same: Dagster tells what it met in its body
            answer = json.load(error)
        if answer.get("errors"):
            raise SystemExit(f"dagster dev refuses a query: {answer['errors']}")
        (value,) = answer["data"].values()
        return value

    def wait_until_up(self) -> None:
        """Wait until the UI answers."""
        deadline = time.monotonic() + SECONDS_TO_START
        while not self._is_up():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"dagster dev does not answer: {self.log.read_text()[-3000:]}")
            time.sleep(0.3)

    def _is_up(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.url}/server_info", timeout=5).close()
        except OSError:
            return False
        return True


@contextmanager
def serve_dagster(
    module: Sequence[str], environment: Mapping[str, str], folder: Path, python: str | Path = sys.executable
) -> Iterator[DagsterDev]:
    """Run `dagster dev` in a folder; on leaving, it and everything it started have ended."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log_path = folder / f"dagster-{port}.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [python, "-m", "dagster", "dev", *module, "-h", "127.0.0.1", "-p", str(port)],
            cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    root = psutil.Process(process.pid)
    meter = WorkerMeter(root)
    try:
        meter.start()
        dev = DagsterDev(f"http://127.0.0.1:{port}", log_path, process, meter)
        dev.wait_until_up()
        yield dev
    finally:
        _stop_tree(process, root, meter)


def _stop_tree(process: "subprocess.Popen[bytes]", root: psutil.Process, meter: WorkerMeter) -> None:
    """Ask `dagster dev` to stop, then end whatever it started that is still there.

    psutil knows a process by its id and start time, so an id that another process has got since is left alone.
    """
    started = set(root.children(recursive=True)) if process.poll() is None else set()
    meter.stop()
    started.update(meter.seen_processes())
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        started.update(root.children(recursive=True))
        process.kill()
        process.wait()
    _, alive = psutil.wait_procs(started, timeout=SECONDS_TO_STOP / 4)
    for left in alive:
        with suppress(psutil.NoSuchProcess):
            left.kill()
    psutil.wait_procs(alive, timeout=SECONDS_TO_STOP / 4)


# --- a backfill -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Backfill:
    """What a backfill took; seconds of wall time where nothing else is said."""

    status: str
    wall_seconds: float
    wait_before_seconds: float
    wait_after_seconds: float
    idle_seconds: float  # between the first and the last run, while the daemon had none of them running
    runs: int
    failed_runs: int
    cpu_seconds: float
    peak_memory_mb: float
    peak_own_memory_mb: float

    @property
    def daemon_wait_seconds(self) -> float:
        """Time before the first run was launched and after the last had ended."""
        return self.wait_before_seconds + self.wait_after_seconds

    @property
    def work_seconds(self) -> float:
        """Time outside the daemon's waiting."""
        return self.wall_seconds - self.daemon_wait_seconds


def launch_backfill(
    dev: DagsterDev, days: Sequence[str], job: str | None = None, assets: Sequence[str] = ASSETS
) -> str:
    """Launch a backfill of assets, or of a job, as the UI does, and return its id.

    Raises:
        SystemExit: it was refused.
    """
    parameters = {"tags": [], "partitionNames": list(days), "fromFailure": False, "runConfigData": {}}
    if job is None:
        parameters["assetSelection"] = [{"path": [asset]} for asset in assets]
    else:
        repository = {"repositoryLocationName": "spam_assets.definitions", "repositoryName": "__repository__"}
        parameters["selector"] = {"partitionSetName": f"{job}_partition_set", "repositorySelector": repository}
    answer = dev.ask(LAUNCH, backfillParams=parameters)
    if "backfillId" not in answer:
        raise SystemExit(f"the backfill was refused: {answer}")
    return str(answer["backfillId"])


def run_backfill(dev: DagsterDev, days: Sequence[str], job: str | None = None) -> Backfill:
    """Launch a backfill as the UI does, wait until it is reported finished, and say what it took."""
    launched = time.time()
    return follow_backfill(dev, launch_backfill(dev, days, job), launched, len(days))


def follow_backfill(dev: DagsterDev, backfill_id: str, launched: float, days: int) -> Backfill:
    """Wait until a backfill that was launched at a time is reported finished, and say what it took."""
    deadline = launched + 300 + 60 * days
    while True:
        backfill = dev.ask(STATUS, id=backfill_id)
        if backfill["status"] not in ("REQUESTED", "CANCELING", "FAILING"):
            break
        if time.time() > deadline:
            raise SystemExit(f"the backfill has not ended: {dev.log.read_text()[-3000:]}")
        time.sleep(SECONDS_BETWEEN_QUESTIONS)
    ended = time.time()
    if backfill["error"]:
        print(f"the backfill says: {backfill['error']['message'].strip().splitlines()[0]}")
    tags = [{"key": "dagster/backfill", "value": backfill_id}]
    runs = dev.ask(RUNS, filter={"tags": tags})["results"]
    spans = sorted((run["stats"]["launchTime"] or ended, run["stats"]["endTime"] or ended) for run in runs)
    if not spans:
        raise SystemExit(f"the backfill ended as {backfill['status']} without a run")
    idle, busy_until = 0.0, spans[0][0]
    for start, end in spans:
        idle += max(0.0, start - busy_until)
        busy_until = max(busy_until, end)
    return Backfill(
        status=backfill["status"],
        wall_seconds=ended - launched,
        wait_before_seconds=spans[0][0] - launched,
        wait_after_seconds=ended - busy_until,
        idle_seconds=idle,
        runs=len(runs),
        failed_runs=sum(run["status"] != "SUCCESS" for run in runs),
        cpu_seconds=dev.meter.cpu_seconds,
        peak_memory_mb=dev.meter.peak_memory_mb,
        peak_own_memory_mb=dev.meter.peak_own_memory_mb,
    )


# --- are the results right --------------------------------------------------------------------------------------


def find_incomplete_days(dev: DagsterDev, home: Path, made: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return what is wrong with each day that is not stored and registered as the plain loop made it."""
    from mlflow import MlflowClient
    from upath import UPath

    from spam_assets.io_managers.arrow_features import FeaturesIOManager
    from spam_assets.io_managers.npz_models import ModelIOManager

    storage = UPath(home / "storage")
    managers = {"mail_features": FeaturesIOManager(storage), "trained_model": ModelIOManager(storage)}
    versions = MlflowClient(f"sqlite:///{home / 'mlflow.db'}").search_model_versions(
        f"name = '{MODEL_NAME}'", max_results=10_000
    )
    registered = {(version.tags["training_date"], version.tags["data_version"]) for version in versions}
    failed = {day for asset in ASSETS for day in _failed_days(dev, asset, made)}

    def judge(day: str) -> str | None:
        if day in failed:
            return "failed"
        for asset, manager in managers.items():
            path = manager.path_of(asset, day)
            stored = manager.read_data_version(path) if path.exists() else None
            if stored != made[day].get(asset):
                return f"{asset} is {'missing' if stored is None else 'another'}"
            if asset == "trained_model" and stored is not None and (day, stored) not in registered:
                return "not registered"
        return None

    return {day: wrong for day in made if (wrong := judge(day)) is not None}


def _failed_days(dev: DagsterDev, asset: str, days: Mapping[str, object]) -> list[str]:
    ranges = dev.ask(PARTITIONS, key={"path": [asset]})["assetPartitionStatuses"]["ranges"]
    return [
        day
        for day in days
        for span in ranges
        if span["status"] == "FAILED" and span["startKey"][:10] <= day <= span["endKey"][:10]
    ]


# --- the benchmark ----------------------------------------------------------------------------------------------


def land_days(landing: str | None, home: Path, count: int | None) -> list[str]:
    """Land mail in a home for so many days, the first ones, or all and then all again with later dates."""
    from spam_assets.landing.zone import LandingZone
    from spam_assets.mail.columns import RECEIVED_AT

    days = land_mail(landing, home)
    if count is None or count == len(days):
        return days
    zone = LandingZone(str(home / "landing"))
    for day in days[count:]:
        for path in (home / "landing").glob(f"training-{day}.*"):
            path.unlink()
    period = date.fromisoformat(days[-1]) - date.fromisoformat(days[0]) + timedelta(days=1)
    for number in range(len(days), count):
        day, shift = days[number % len(days)], number // len(days) * period
        frame = zone.read(day).frame
        shifted = (date.fromisoformat(day) + shift).isoformat()
        zone.write(shifted, frame.assign(**{RECEIVED_AT: frame[RECEIVED_AT] + shift}))
    return zone.days()


def list_partitions(days: Sequence[str]) -> list[str]:
    """Return every day from the first to the last."""
    first, last = date.fromisoformat(days[0]), date.fromisoformat(days[-1])
    return [(first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1)]


def count_messages(home: Path, days: Sequence[str]) -> int:
    """Return how many messages landed."""
    from spam_assets.landing.zone import LandingZone

    zone = LandingZone(str(home / "landing"))
    return sum(len(zone.read(day).frame) for day in days)


def measure_defaults(environment: Mapping[str, str], scratch: Path, days: Sequence[str]) -> Backfill:
    """Run days once more under Dagster's defaults, on what is stored already."""
    instance = scratch / "defaults"
    instance.mkdir()
    (instance / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    (scratch / "dagster_defaults.py").write_text(DEFAULTS_MODULE)
    environment = {**environment, "DAGSTER_HOME": str(instance)}
    with serve_dagster(["-f", "dagster_defaults.py"], environment, scratch) as dev:
        return run_backfill(dev, days)


def compare_backfills(
    landing: str | None, count: int | None, defaults_days: int, scratch: Path, *, landed_only: bool
) -> dict[str, float | int | str]:
    """Measure all three, print each as it is known, and return the figures."""
    home, plain_home = scratch / "home", scratch / "plain"
    days = land_days(landing, home, count)
    messages = count_messages(home, days)
    shutil.copytree(home / "landing", plain_home / "landing")
    environment = build_environment(home, days[0], days[-1])
    measure_process(PREPARE_COMMAND, environment, scratch)
    plain_environment = build_environment(plain_home, days[0], days[-1])
    measure_process(PREPARE_COMMAND, plain_environment, scratch)
    print(f"{len(days)} days, {messages} messages; load {_say_load()}", flush=True)

    plain = measure_process(build_plain_command(plain_home, days, is_resuming=False), plain_environment, scratch)
    made = json.loads(plain.output.splitlines()[-1])
    print(
        f"plain loop         {plain.wall_seconds:7.1f} s, {plain.cpu_seconds:.1f} CPU s; load {_say_load()}", flush=True
    )

    with serve_dagster(["-m", "spam_assets.definitions"], environment, scratch) as dev:
        ours = run_backfill(dev, days if landed_only else list_partitions(days))
        incomplete = find_incomplete_days(dev, home, made)
    _print_backfill("ours", ours, len(days), messages)
    for day, wrong in incomplete.items():
        print(f"  {day}: {wrong}")

    figures: dict[str, float | int | str] = {
        "days": len(days),
        "days_complete": len(days) - len(incomplete),
        "messages": messages,
        "status": ours.status,
        "wall_seconds": ours.wall_seconds,
        "daemon_wait_seconds": ours.daemon_wait_seconds,
        "idle_between_runs_seconds": ours.idle_seconds,
        "runs": ours.runs,
        "failed_runs": ours.failed_runs,
        "cpu_seconds": ours.cpu_seconds,
        "peak_memory_mb": ours.peak_memory_mb,
        "peak_own_memory_mb": ours.peak_own_memory_mb,
        "messages_per_second": messages / ours.wall_seconds,
        "plain_loop_seconds": plain.wall_seconds,
        "plain_loop_cpu_seconds": plain.cpu_seconds,
        "work_seconds_per_day": ours.work_seconds / len(days),
        "work_to_plain_loop_ratio": ours.work_seconds / plain.wall_seconds,
    }
    print(f"  work {figures['work_to_plain_loop_ratio']:.2f} x the plain loop", flush=True)
    if defaults_days:
        chosen = days[-defaults_days:]
        defaults = measure_defaults(environment, scratch, chosen)
        _print_backfill("Dagster's defaults", defaults, len(chosen), None)
        per_day = defaults.work_seconds / len(chosen)
        figures["dagster_defaults_seconds_per_day"] = per_day
        print(
            f"  {per_day:.2f} s a day without waiting: {per_day / (ours.work_seconds / len(days)):.1f} x ours, "
            f"{per_day / (ours.wall_seconds / len(days)):.1f} x ours with its waiting"
        )
    return figures


def _print_backfill(name: str, backfill: Backfill, days: int, messages: int | None) -> None:
    rate = f", {messages / backfill.wall_seconds:.0f} messages/s" if messages else ""
    print(
        f"{name:18} {backfill.wall_seconds:7.1f} s for {days} days{rate}: {backfill.status}\n"
        f"  waiting for the daemon {backfill.wait_before_seconds:.1f} s before and "
        f"{backfill.wait_after_seconds:.1f} s after; work {backfill.work_seconds:.1f} s, "
        f"{backfill.idle_seconds:.1f} s of it between runs\n"
        f"  {backfill.runs} runs ({backfill.failed_runs} failed), "
        f"{backfill.cpu_seconds:.1f} CPU s and at most {backfill.peak_memory_mb:.0f} MB "
        f"({backfill.peak_own_memory_mb:.0f} MB without files' pages) in run workers; load {_say_load()}",
        flush=True,
    )


def _say_load() -> str:
    return f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"


def _exit_orderly(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main() -> None:
    """Print the three measurements."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.backfill",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--landing", help="landing zone, a local folder (default: the SpamAssassin corpus, downloaded)")
    parser.add_argument("--days", type=int, help="how many days (default: all that landed)")
    parser.add_argument("--landed-only", action="store_true", help="leave out partitions on which nothing landed")
    parser.add_argument("--defaults-days", type=int, default=DEFAULTS_DAYS, help="days under Dagster's defaults")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _exit_orderly)  # being told to stop must still stop `dagster dev`
    with tempfile.TemporaryDirectory(prefix="backfill-", ignore_cleanup_errors=True) as scratch:
        figures = compare_backfills(
            options.landing, options.days, options.defaults_days, Path(scratch), landed_only=options.landed_only
        )
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
