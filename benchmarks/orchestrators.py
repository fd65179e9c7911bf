"""The same dates, data and training through a plain script, this project and Prefect: six ways to one model.

    python -m benchmarks.orchestrators [--dates N ...] [--ways TEXT] [--landing DIR] [--json FILE]

- **plain script**: the functions and calls of MLflow, see `benchmarks.one_date`, without an orchestrator.
- **spam-assets, in process**: `spam-assets run` for one date, `spam-assets backfill` for more.
- **spam-assets, daemon**: a `dagster dev`, and the mutation that its UI sends: a run for one date, a backfill for more.
- **Prefect, in process / served / worker**: the flow of `benchmarks.prefect_flow` run by a script, by a process in
  `flow.serve()`, and by `prefect worker start` on a process work pool, each beside a Prefect server on SQLite. More
  than one date are one flow run with a subflow a date, so that they, too, share a process.

The dates are the last N that landed. Features of all days before are stored, and the day before has a champion.
Prefect's windows hold the days that are stored or were run before, which here are all. Every way starts from the same
home and a server that has just come up. What waits for work does so by the tools' defaults, then as often as they can
be told to.

Wall time is from asking until the end is reported; CPU and memory are those of all processes meanwhile, servers, user
interfaces and their idling included, but not the start of servers. The start lag is from asking until the orchestrator
says that its run has started (of the plain script: until it begins the first date). A row's model is equal if the
weights, calibration and threshold of every date are those of the plain script, read back from MLflow.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.backfill import (
    ASSETS,
    LAUNCH_RUN,
    RUNS,
    STATUS,
    DagsterDev,
    launch_backfill,
    list_partitions,
    serve_dagster,
)
from benchmarks.one_date import (
    PREPARE_COMMAND,
    build_environment,
    land_mail,
    store_history,
)
from benchmarks.prefect_server import PREFECT_PYTHON, TUNED_POLLING, PrefectServer, serve_prefect
from benchmarks.process_trees import TreeMeter, run_command, told_when_stopped

DATES = (1, 30)
SECONDS_FOR_A_DATE = 60
SECONDS_FOR_A_RUN = 300
SECONDS_BETWEEN_QUESTIONS = 0.2
PLAIN_SCRIPT = """
import sys, time
from pathlib import Path
from benchmarks.one_date import PlainPipeline
home, first, *days = sys.argv[1:]
pipeline = PlainPipeline(Path(home))
pipeline.load_history(Path(home) / "storage", first)
print(time.time())
for day in (first, *days):
    pipeline.run_day(day)
"""
READ_SCRIPT = """
import json, sys
from pathlib import Path
import mlflow
from benchmarks.plain_mlflow import MODEL_NAME
from spam_assets.io_managers.fingerprints import fingerprint_model
from spam_assets.learning.model_files import load_model
mlflow.set_tracking_uri(sys.argv[1])
client, found = mlflow.MlflowClient(), {}
for one in client.search_model_versions(f"name = '{MODEL_NAME}'", max_results=10_000):
    folder = client.get_model_version_download_uri(MODEL_NAME, one.version)
    path = mlflow.artifacts.download_artifacts(f"{folder}/data/model.npz")
    found[one.tags["training_date"]] = fingerprint_model(load_model(Path(path).read_bytes()))
print(json.dumps(found))
"""
RUN_STATUS = """
query RunStatus($id: ID!) { runOrError(runId: $id) { ... on Run { status startTime } } }
"""
TUNED_INSTANCE = """
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config:
    dequeue_interval_seconds: 1
"""
"""Dagster's loop over backfills has no setting: it comes round every 30 s."""


@dataclass(frozen=True)
class Row:
    """What a way took.

    Attributes:
        way: Which one.
        polling: `default` or `tuned`; empty where nothing polls.
        dates: How many dates.
        wall_seconds: From asking until the end was reported.
        cpu_seconds: User and system time of all processes meanwhile.
        peak_memory_mb: The most that they held at once, in 10^6 bytes; what several map counts for each.
        start_lag_seconds: From asking until the run had started.
        equal_model: Whether the model of every date is that of the plain script.
    """

    way: str
    polling: str
    dates: int
    wall_seconds: float
    cpu_seconds: float
    peak_memory_mb: float
    start_lag_seconds: float
    equal_model: bool


@dataclass(frozen=True)
class Bench:
    """The home that every way works on, and how it was before."""

    folder: Path
    first_landed: str
    days: tuple[str, ...]
    prefect: Path

    @property
    def home(self) -> Path:
        """Always the same folder: MLflow notes where it is."""
        return self.folder / "home"

    @property
    def environment(self) -> dict[str, str]:
        """Settings of the home, and of no other."""
        return build_environment(self.home, self.first_landed, self.days[-1])

    @property
    def tracking_uri(self) -> str:
        """MLflow's database of the home."""
        return f"sqlite:///{self.home / 'mlflow.db'}"

    def restore(self) -> None:
        """Put the home back as it was before the dates."""
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.copytree(self.folder / "snapshot", self.home)


def prepare_bench(folder: Path, landing: str | None, dates: int, prefect: Path) -> Bench:
    """Land mail in a home, store the features of the days before the dates, and register a champion.

    Raises:
        SystemExit: not so many days have landed.
    """
    landed = land_mail(landing, folder / "home")
    if len(landed) < dates + 2:
        raise SystemExit(f"{len(landed)} days have landed; --dates {dates} needs {dates + 2}")
    before, days = landed[:-dates], landed[-dates:]
    bench = Bench(folder, landed[0], tuple(days), prefect)
    run_command(PREPARE_COMMAND, bench.environment, folder)
    store_history(bench.home, before[:-1])
    run_command([sys.executable, "-m", "spam_assets", "run", "--date", before[-1]], bench.environment, folder)
    shutil.rmtree(folder / "home" / "cache", ignore_errors=True)
    shutil.copytree(bench.home, folder / "snapshot")
    return bench


def read_models(bench: Bench) -> dict[str, str]:
    """Return a digest of the model of each date, as MLflow keeps it."""
    # In a process of its own, as whoever has once opened the database keeps it open when the home is put back.
    command = [sys.executable, "-W", "ignore", "-c", READ_SCRIPT, bench.tracking_uri]
    models: dict[str, str] = json.loads(run_command(command, bench.environment, bench.folder).splitlines()[-1])
    return {day: digest for day, digest in models.items() if day in bench.days}


# --- the ways: each yields, when all that serves it is up, what runs the dates and returns when they started -------

Run = Callable[[], float]
Way = Callable[[Bench], AbstractContextManager[Run]]


@contextmanager
def be_plain(bench: Bench) -> Iterator[Run]:
    """Run the dates by the plain script."""

    def run() -> float:
        command = [sys.executable, "-W", "ignore", "-c", PLAIN_SCRIPT, str(bench.home), *bench.days]
        return float(run_command(command, bench.environment, bench.folder).split()[0])

    yield run


@contextmanager
def use_command_line(bench: Bench) -> Iterator[Run]:
    """Run the dates by `spam-assets`."""
    days = bench.days
    words = ["run", "--date", days[0]] if len(days) == 1 else ["backfill", "--from", days[0], "--to", days[-1]]

    def run() -> float:
        asked = time.time()
        run_command([sys.executable, "-m", "spam_assets", *words], bench.environment, bench.folder)
        return find_first_start(bench, asked)

    yield run


def find_first_start(bench: Bench, asked: float) -> float:
    """Return when the first of the Dagster runs since then started."""
    import dagster as dg

    os.environ["DAGSTER_HOME"] = bench.environment["DAGSTER_HOME"]  # which dagster.yaml names
    with dg.DagsterInstance.get() as instance:
        starts = [record.start_time for record in instance.get_run_records()]
    return min(start for start in starts if start is not None and start >= asked)


def use_daemon(*, is_tuned: bool) -> Way:
    """Return the way through `dagster dev`, asked as its UI asks it."""

    @contextmanager
    def use(bench: Bench) -> Iterator[Run]:
        if is_tuned:
            with (bench.home / "dagster" / "dagster.yaml").open("a") as file:
                file.write(TUNED_INSTANCE)
        with serve_dagster(["-m", "spam_assets.definitions"], bench.environment, bench.folder) as dev:
            is_one = len(bench.days) == 1
            yield lambda: run_date(dev, bench.days[0]) if is_one else run_range(dev, bench.days)

    return use


def run_date(dev: DagsterDev, day: str) -> float:
    """Materialize one date as the UI does, wait for the end, and return when it started.

    Raises:
        SystemExit: it failed.
    """
    parameters = {
        "selector": {
            "repositoryLocationName": "spam_assets.definitions",
            "repositoryName": "__repository__",
            "jobName": "__ASSET_JOB",
            "assetSelection": [{"path": [asset]} for asset in ASSETS],
        },
        "runConfigData": {},
        "executionMetadata": {"tags": [{"key": "dagster/partition", "value": day}]},
    }
    answer = dev.ask(LAUNCH_RUN, parameters=parameters)
    if "run" not in answer:
        raise SystemExit(f"the run was refused: {answer}")
    deadline = time.monotonic() + SECONDS_FOR_A_RUN
    while (run := dev.ask(RUN_STATUS, id=answer["run"]["runId"]))["status"] not in ("SUCCESS", "FAILURE", "CANCELED"):
        if time.monotonic() > deadline:
            raise SystemExit(f"the run has not ended: {dev.log.read_text()[-3000:]}")
        time.sleep(SECONDS_BETWEEN_QUESTIONS)
    if run["status"] != "SUCCESS":
        raise SystemExit(f"the run ended as {run['status']}: {dev.log.read_text()[-3000:]}")
    return float(run["startTime"])


def run_range(dev: DagsterDev, days: Sequence[str]) -> float:
    """Launch a backfill of every partition from the first date to the last, and do as `run_date`."""
    backfill_id = launch_backfill(dev, list_partitions(days))
    deadline = time.monotonic() + SECONDS_FOR_A_RUN + SECONDS_FOR_A_DATE * len(days)
    while (status := dev.ask(STATUS, id=backfill_id)["status"]) == "REQUESTED":
        if time.monotonic() > deadline:
            raise SystemExit(f"the backfill has not ended: {dev.log.read_text()[-3000:]}")
        time.sleep(SECONDS_BETWEEN_QUESTIONS)
    runs = dev.ask(RUNS, filter={"tags": [{"key": "dagster/backfill", "value": backfill_id}]})["results"]
    if status != "COMPLETED_SUCCESS" or any(run["status"] != "SUCCESS" for run in runs):
        raise SystemExit(f"the backfill ended as {status}: {dev.log.read_text()[-3000:]}")
    return float(min(run["stats"]["startTime"] for run in runs))


@contextmanager
def use_prefect_here(bench: Bench) -> Iterator[Run]:
    """Run the flow in the process that asks for it."""
    with serve_prefect_anew(bench) as server:

        def run() -> float:
            server.flow("run", "--home", str(bench.home), *bench.days)
            first = server.list_flow_runs()[0]
            return first.started or first.created

        yield run


def use_prefect(serve: Callable[..., AbstractContextManager[int]], deployment: str, *, is_tuned: bool) -> Way:
    """Return the way through a deployment of the flow that something polls for."""

    @contextmanager
    def use(bench: Bench) -> Iterator[Run]:
        days = list(bench.days)
        is_one = len(days) == 1
        flow = "date" if is_one else "dates"
        parameters = {"home": str(bench.home), **({"day": days[0]} if is_one else {"days": days})}
        polling = TUNED_POLLING if is_tuned else {}
        with serve_prefect_anew(bench) as server, serve(server, flow, **polling):

            def run() -> float:
                run_id = server.launch(f"train-{flow}/{deployment}", parameters)
                ended = server.wait_for_end(run_id, SECONDS_FOR_A_RUN + SECONDS_FOR_A_DATE * len(days))
                if ended.state != "COMPLETED" or ended.started is None:
                    raise SystemExit(f"the flow run ended as {ended.state}: {ended.message}")
                return ended.started

            yield run

    return use


def serve_prefect_anew(bench: Bench) -> AbstractContextManager[PrefectServer]:
    """Run a server that knows of no earlier result."""
    shutil.rmtree(bench.folder / "prefect", ignore_errors=True)
    return serve_prefect(bench.folder / "prefect", bench.tracking_uri, bench.prefect)


WAYS: tuple[tuple[str, str, Way], ...] = (
    ("plain script", "", be_plain),
    ("spam-assets, in process", "", use_command_line),
    ("Prefect, in process", "", use_prefect_here),
    ("spam-assets, daemon", "default", use_daemon(is_tuned=False)),
    ("spam-assets, daemon", "tuned", use_daemon(is_tuned=True)),
    ("Prefect, served", "default", use_prefect(PrefectServer.serve, "served", is_tuned=False)),
    ("Prefect, served", "tuned", use_prefect(PrefectServer.serve, "served", is_tuned=True)),
    ("Prefect, worker", "default", use_prefect(PrefectServer.work, "worked", is_tuned=False)),
    ("Prefect, worker", "tuned", use_prefect(PrefectServer.work, "worked", is_tuned=True)),
)


# --- the table --------------------------------------------------------------------------------------------------


def compare_ways(folder: Path, landing: str | None, dates: int, prefect: Path, named: str = "") -> Iterator[Row]:
    """Measure the ways so named, after the plain script, on the same dates; yield each row when it is known."""
    bench = prepare_bench(folder, landing, dates, prefect)
    expected: dict[str, str] = {}
    for name, polling, way in WAYS:
        if way is not be_plain and named not in name:
            continue
        bench.restore()
        with way(bench) as run:
            asked = time.time()
            with TreeMeter() as meter:
                started = run()
        models = read_models(bench)
        expected = expected or models
        yield Row(
            way=name,
            polling=polling,
            dates=dates,
            wall_seconds=meter.wall_seconds,
            cpu_seconds=meter.cpu_seconds,
            peak_memory_mb=meter.peak_memory_mb,
            start_lag_seconds=started - asked,
            equal_model=bool(models) and models == expected,
        )


def format_row(row: Row) -> str:
    """Return a row as a line of the table in docs/comparison.md."""
    cells = [
        row.way,
        row.polling or "-",
        str(row.dates),
        f"{row.wall_seconds:.1f} s",
        f"{row.cpu_seconds:.1f} s",
        f"{row.peak_memory_mb:.0f} MB",
        f"{row.start_lag_seconds:.1f} s",
        "yes" if row.equal_model else "NO",
    ]
    return f"| {' | '.join(cells)} |"


def say_machine() -> str:
    """Return what was measured with, and how busy the machine was then."""
    load = os.getloadavg()[0]
    return f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} processors, load {load:.1f}, Python {sys.version.split()[0]}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.orchestrators",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--dates", type=int, nargs="+", default=DATES, metavar="N", help="how many dates (default: 1 30)"
    )
    parser.add_argument("--ways", default="", metavar="TEXT", help="only those with this in their name (default: all)")
    parser.add_argument("--landing", help="landing zone, a local folder (default: the SpamAssassin corpus, downloaded)")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    options = parser.parse_args()
    if not PREFECT_PYTHON.exists():
        raise SystemExit(f"{PREFECT_PYTHON} is not there; run: make prefect")
    rows = []
    with (
        told_when_stopped(),
        tempfile.TemporaryDirectory(prefix="orchestrators-", ignore_cleanup_errors=True) as folder,
    ):
        print(say_machine())
        print("| way | polling | dates | wall | CPU | peak memory | start lag | equal model |\n" + "|---" * 8 + "|")
        for dates in options.dates:
            place = Path(folder) / str(dates)
            place.mkdir()
            for row in compare_ways(place, options.landing, dates, PREFECT_PYTHON, options.ways):
                print(format_row(row), flush=True)
                rows.append(asdict(row))
        print(say_machine())
    if options.json:
        options.json.write_text(json.dumps({"rows": rows}, indent=2))
    if not all(row["equal_model"] for row in rows):
        raise SystemExit("the models differ")


if __name__ == "__main__":
    main()
