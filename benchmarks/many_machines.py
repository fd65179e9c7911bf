"""Several machines on shared servers: what a second worker is worth, whether all days are right, what a crash costs.

    python -m benchmarks.many_machines [--landing DIR] [--days N] [--environments DIR] [--races N] [--json FILE]

All of it runs here: PostgreSQL, Redis, an S3 server (moto's), `mlflow server`, a `dagster dev` for the UI's own
mutations and Celery workers, every machine with a home folder of its own. PostgreSQL and Redis must be installed; what
is needed from a package index goes into two environments, below `--environments` if they are to be kept.

**One machine**: `spam-assets backfill` on a SQLite home, in the same environment; its data versions are what is right.

**Speed-up**: a backfill of `mail_job` with one worker, with two, and with one again, each on storage of their own; the
time from the first launch of a run to the end of the last. The servers share the processors with the workers.

What two workers take is measured between two measurements of what it is compared with, and compared with their mean:
the processors of a virtual machine may be a fifth slower a quarter of an hour later.

**A full backfill**: with two workers, `mail_job` and then `retrain_job`. A day is right when its validated mail, its
features and its model have the data versions of the one machine, and that model is registered. CPU seconds a day are
those of the workers with their runs, beside those of the one machine's command. What the servers took is told apart,
and so is the start of a worker, once for months of days.

**A killed worker**: with two workers at `mail_job`, a run each, one is killed with -9 in the middle of its run, and
another one started in its place, as a supervisor does. The time until the retry of that run works on a day.

**Two registrations at once**: two machines take models of two days through the gate at the same moment, again and
again. The champion must never move to a model of an older day.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from types import FrameType
from typing import Any, TypeVar

from benchmarks.backfill import (
    Backfill,
    DagsterDev,
    follow_backfill,
    land_days,
    launch_backfill,
    list_partitions,
    run_backfill,
)
from benchmarks.machine_servers import prepare_environments
from benchmarks.machines import Machines, serve_all
from benchmarks.one_date import PREPARE_COMMAND, build_environment, measure_process
from benchmarks.plain_mlflow import MODEL_NAME

MAIL_JOB, TRAINING_JOB = "mail_job", "retrain_job"
COMPARED = ("validated_mail", "mail_features", "trained_model")
RUNS_A_WORKER = 2
"""Of a backfill with two workers: enough that both end at about the same time, few as each imports everything anew."""
RACES = 50
SEED = 14
PATIENCE_SECONDS = 600

READ_VERSIONS = """
import json
import dagster as dg
from spam_assets.engine.day_records import read_day_records
from spam_assets.registry.registered_models import ModelRegistry
from spam_assets.settings import load_settings
with dg.DagsterInstance.get() as instance:
    versions = {
        asset: {day: record.data_version for day, record in read_day_records(instance, asset).items()}
        for asset in ("validated_mail", "mail_features", "trained_model")
    }
registered = [(one.training_date, one.data_version) for one in ModelRegistry(load_settings()).versions()]
print(json.dumps({**versions, "registered": dict(registered)}))
"""
RUNS = """
query Runs($filter: RunsFilter!) { runsOrError(filter: $filter) {
  ... on Runs { results { runId status tags { key value } } }
} }
"""
EVENTS = """
query Events($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events { ... on EngineEvent {
  timestamp metadataEntries { label ... on TextMetadataEntry { text } }
} } } } }
"""

Versions = dict[str, dict[str, str]]
"""Asset to day to data version; under `registered`, what the registry has."""
Figures = dict[str, float | int]
Found = TypeVar("Found")


def wait_for(what: str, find: Callable[[], Found | None]) -> Found:
    """Ask again and again until there is an answer.

    Raises:
        SystemExit: there is none for ten minutes.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := find()) is None:
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not within {PATIENCE_SECONDS} s")
        time.sleep(1)
    return found


def read_versions(python: Path, environment: Mapping[str, str], folder: Path) -> Versions:
    """Return what a machine finds in Dagster's instance and in the registry."""
    done = measure_process([str(python), "-W", "ignore", "-c", READ_VERSIONS], environment, folder)
    versions: Versions = json.loads(done.output.splitlines()[-1])
    return versions


def find_wrong_days(made: Versions, right: Versions, days: Sequence[str], assets: Sequence[str]) -> dict[str, str]:
    """Return what is wrong with each day that is not as the one machine made it."""
    wrong = {}
    for day in days:
        for asset in assets:
            if made[asset].get(day) != right[asset].get(day):
                wrong[day] = f"{asset} is {'another' if day in made[asset] else 'missing'}"
        if "trained_model" in assets and made["registered"].get(day) != right["registered"].get(day):
            wrong.setdefault(day, "not registered")
    return wrong


# --- one machine ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OneMachine:
    """What `spam-assets backfill` on a SQLite home took and made."""

    cpu_seconds: float
    wall_seconds: float
    versions: Versions


def run_one_machine(python: Path, home: Path, days: Sequence[str], scratch: Path) -> OneMachine:
    """Run all landed days of a home."""
    environment = build_environment(home, days[0], days[-1])
    measure_process([str(python), *PREPARE_COMMAND[1:]], environment, scratch)
    cost = measure_process([str(python), "-m", "spam_assets", "backfill"], environment, scratch)
    return OneMachine(cost.cpu_seconds, cost.wall_seconds, read_versions(python, environment, scratch))


# --- a killed worker --------------------------------------------------------------------------------------------


def list_runs(dev: DagsterDev, tag: str, value: str) -> dict[str, dict[str, str]]:
    """Return the tags of all runs that have a tag, by run."""
    runs = dev.ask(RUNS, filter={"tags": [{"key": tag, "value": value}]})["results"]
    return {run["runId"]: {entry["key"]: entry["value"] for entry in run["tags"]} for run in runs}


def read_engine_events(dev: DagsterDev, run_id: str, label: str) -> list[tuple[float, str]]:
    """Return when a run told something of this label, in seconds since 1970, and what."""
    events = dev.ask(EVENTS, id=run_id).get("events", [])
    return [
        (int(event["timestamp"]) / 1000, entry.get("text", ""))
        for event in events
        for entry in event.get("metadataEntries", [])
        if entry["label"] == label
    ]


def measure_recovery(machines: Machines, dev: DagsterDev, partitions: Sequence[str]) -> tuple[float, Backfill]:
    """Kill one of the workers on its second day and start another; return the seconds until its run goes on.

    Returns:
        The seconds, and the whole backfill.
    """
    victim = sorted(machines.running)[0]
    launched = time.time()
    backfill_id = launch_backfill(dev, partitions, MAIL_JOB)

    def find_run_in_hand() -> str | None:
        processes = {str(process.pid) for process in machines.running[victim].children(recursive=True)}
        for run_id in list_runs(dev, "dagster/backfill", backfill_id):
            is_here = any(number in processes for _, number in read_engine_events(dev, run_id, "pid"))
            if is_here and len(read_engine_events(dev, run_id, "spam_assets/day")) > 1:
                return run_id
        return None

    lost = wait_for("a run in the hands of a worker", find_run_in_hand)
    killed = machines.kill_worker(victim)
    machines.start_worker(f"{victim}-again")

    def find_retry() -> float | None:
        for run_id in list_runs(dev, "dagster/parent_run_id", lost):
            for moment, _ in read_engine_events(dev, run_id, "spam_assets/day"):
                return moment
        return None

    seconds = wait_for("the retry of a run whose worker was killed", find_retry) - killed
    return seconds, follow_backfill(dev, backfill_id, launched, len(partitions))


# --- two registrations at once ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Races:
    """What became of the races.

    Attributes:
        moved_back: So many in which the champion moved to a model of an older day.
        failed: So many in which a registration failed.
        ended_with_the_newer: So many after which the newer model served.
    """

    races: int
    moved_back: int
    failed: int
    ended_with_the_newer: int


@contextmanager
def start_racer(machines: Machines, name: str) -> Iterator["subprocess.Popen[str]"]:
    """Start a machine that registers what it is told, see `benchmarks.registry_race`."""
    environment = machines.prepare_machine(name)
    command = [str(machines.python), "-W", "ignore", "-m", "benchmarks.registry_race"]
    with (machines.folder / f"{name}.log").open("w") as log:
        racer = subprocess.Popen(
            command, cwd=machines.folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            text=True, start_new_session=True,
        )  # fmt: skip
    try:
        if hear_racer(racer) != "ready":
            raise SystemExit(f"{name} does not start: {(machines.folder / f'{name}.log').read_text()[-2000:]}")
        yield racer
    finally:
        if racer.poll() is None:
            os.killpg(racer.pid, signal.SIGKILL)
        racer.communicate()


def hear_racer(racer: "subprocess.Popen[str]") -> str:
    """Return the next line that a racer says."""
    assert racer.stdout is not None
    return racer.stdout.readline().strip()


def race_registrations(machines: Machines, days: Sequence[str], races: int) -> Races:
    """Let two machines register models of two days at once, in a registry without versions, again and again."""
    from mlflow import MlflowClient
    from pydantic import SecretStr

    from spam_assets.registry.registered_models import ModelRegistry
    from spam_assets.settings import Settings

    url = machines.settings["MLFLOW_TRACKING_URI"]
    client = MlflowClient(url)
    settings = Settings(home=machines.folder / "judge", mlflow_tracking_uri=SecretStr(url))
    chance = random.Random(SEED)
    moved_back = failed = newer_serves = 0
    with ExitStack() as stack:
        racers = [stack.enter_context(start_racer(machines, name)) for name in ("racer-1", "racer-2")]
        for _ in range(races):
            if client.search_registered_models(f"name = '{MODEL_NAME}'"):  # there is none if the race before failed
                client.delete_registered_model(MODEL_NAME)
            pair = chance.sample(list(days), 2)
            for racer, day in zip(racers, pair, strict=True):
                assert racer.stdin is not None
                racer.stdin.write(f"{day}\n")
                racer.stdin.flush()
            failed += any([hear_racer(racer) != "0" for racer in racers])  # noqa: C419 (both must be heard)
            served = list_champions(ModelRegistry(settings))
            moved_back += served != sorted(served)
            newer_serves += served[-1:] == [max(pair)]
    return Races(races, moved_back, failed, newer_serves)


def list_champions(registry: Any) -> list[str]:
    """Return the days of the models that were champion, in order; last, whatever the alias says now."""
    dates = {version.version: version.training_date for version in registry.versions()}
    standing = registry.standing()
    moves = [move.after for change in standing.changes if (move := change.champion_move) is not None]
    return [dates[version] for version in [*moves, standing.aliases.get("champion")] if version is not None]


# --- the benchmark ----------------------------------------------------------------------------------------------


def tell_days(partitions: Sequence[str], runs: int) -> dict[str, str]:
    """Return what all machines are told: the days, and how many of them a run of mail covers, to make so many runs."""
    return {
        "SPAM_ASSETS_START_DATE": partitions[0],
        "SPAM_ASSETS_END_DATE": partitions[-1],
        "SPAM_ASSETS_DAYS_PER_RUN": str(-(-len(partitions) // runs)),
    }


def compare_machines(landing: str | None, count: int | None, races: int, environments: Path, scratch: Path) -> Figures:
    """Measure everything, print each as it is known, and return the figures."""
    pythons = prepare_environments(environments)
    days = land_days(landing, scratch / "shared", count)
    partitions = list_partitions(days)

    def run_alone(name: str) -> OneMachine:
        land_days(landing, scratch / name, count)
        one = run_one_machine(pythons.scale, scratch / name, days, scratch)
        print(f"one machine        {one.wall_seconds:7.1f} s, {one.cpu_seconds:.1f} CPU s", flush=True)
        return one

    one = run_alone("one")
    with serve_all(pythons, scratch, scratch / "shared" / "landing") as servers:

        def machines(number: int, workers: int, runs: int = 2 * RUNS_A_WORKER) -> Machines:
            settings = {**tell_days(partitions, runs), **servers.make_storage(number)}
            folder = scratch / f"machines-{number}"
            return Machines(servers.python, servers.postgres, servers.redis_url, number, folder, settings, workers)

        def run_mail_alone(number: int) -> float:
            with machines(number, 1) as alone:
                with_one = run_backfill(start_all(alone), partitions, MAIL_JOB)
            print_backfill("mail, 1 worker", with_one)
            return with_one.work_seconds

        mail_alone = [run_mail_alone(0)]
        with machines(1, 2) as both:
            dev = start_all(both)
            servers_before, workers_before = servers.cpu_seconds, both.worker_cpu_seconds
            with_two = run_backfill(dev, partitions, MAIL_JOB)
            print_backfill("mail, 2 workers", with_two)
            training = run_backfill(dev, days, TRAINING_JOB)  # it needs mail, on every day
            print_backfill("training", training)
            worker_cpu = both.worker_cpu_seconds - workers_before
            server_cpu = servers.cpu_seconds - servers_before
            made = read_versions(servers.python, both.prepare_machine("reader"), scratch)
        mail_alone.append(run_mail_alone(2))
        cpu_alone = fmean([one.cpu_seconds, run_alone("one-again").cpu_seconds])
        wrong = find_wrong_days(made, one.versions, days, COMPARED)
        print_wrong(wrong, len(days))
        start_cpu = workers_before / both.workers
        print(
            f"CPU                {worker_cpu:7.1f} s of workers, {server_cpu:.1f} s of servers; a worker's start "
            f"{start_cpu:.1f} s, once",
            flush=True,
        )
        with machines(3, 2, runs=2) as killed:
            recovery, after_kill = measure_recovery(killed, start_all(killed), partitions)
            print_backfill("a killed worker", after_kill)
            made_again = read_versions(servers.python, killed.prepare_machine("reader"), scratch)
        wrong_after_kill = find_wrong_days(made_again, one.versions, days, COMPARED[:2])
        print(f"  the run went on after {recovery:.1f} s", flush=True)
        print_wrong(wrong_after_kill, len(days))
        with_model = [day for day in days if made["registered"].get(day)]
        raced = race_registrations(both, with_model, races)
    print(
        f"{raced.races} races: {raced.moved_back} moved the champion back, {raced.failed} failed, "
        f"{raced.ended_with_the_newer} ended with the newer model"
    )
    return {
        "days": len(days),
        "days_right": len(days) - len(wrong),
        "speed_up_two_workers": fmean(mail_alone) / with_two.work_seconds,
        "mail_seconds_one_worker": fmean(mail_alone),
        "mail_seconds_two_workers": with_two.work_seconds,
        "training_seconds": training.work_seconds,
        "killed_worker_seconds_to_recovery": recovery,
        "days_right_after_kill": len(days) - len(wrong_after_kill),
        "races": raced.races,
        "races_failed": raced.failed,
        "races_won_by_the_newer": raced.ended_with_the_newer,
        "champion_moved_back": raced.moved_back,
        "cpu_seconds_a_day": worker_cpu / len(days),
        "cpu_seconds_a_day_one_machine": cpu_alone / len(days),
        "cpu_seconds_a_day_against_one_machine": worker_cpu / cpu_alone,
        "cpu_seconds_to_start_a_worker": start_cpu,
        "server_cpu_seconds_a_day": server_cpu / len(days),
    }


def start_all(machines: Machines) -> DagsterDev:
    """Start the machine of the UI and the workers."""
    dev = machines.serve_dagster()
    for number in range(machines.workers):
        machines.start_worker(f"worker-{number + 1}")
    return dev


def print_backfill(name: str, backfill: Backfill) -> None:
    """Print what a backfill took."""
    print(
        f"{name:18} {backfill.work_seconds:7.1f} s and {backfill.daemon_wait_seconds:.1f} s of waiting for the daemon, "
        f"{backfill.runs} runs ({backfill.failed_runs} without success): {backfill.status}; "
        f"load {os.getloadavg()[0]:.1f}",
        flush=True,
    )


def print_wrong(wrong: Mapping[str, str], days: int) -> None:
    """Print which days are not as the one machine made them."""
    print(f"  {days - len(wrong)} of {days} days right", flush=True)
    for day, why in wrong.items():
        print(f"  {day}: {why}")


def _exit_orderly(number: int, _frame: FrameType | None) -> None:
    """End everything that was started, whatever else one is told meanwhile."""
    for other in (signal.SIGINT, signal.SIGTERM):
        signal.signal(other, signal.SIG_IGN)
    raise SystemExit(128 + number)


def main() -> None:
    """Print all measurements."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.many_machines",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--landing", help="landing zone, a local folder (default: the SpamAssassin corpus, downloaded)")
    parser.add_argument("--days", type=int, help="how many days (default: all that landed)")
    parser.add_argument("--races", type=int, default=RACES, help="how many registrations of two days at once")
    parser.add_argument("--environments", type=Path, help="folder that keeps the two environments (default: none does)")
    parser.add_argument("--logs", type=Path, help="new folder that keeps all logs and homes (default: none does)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _exit_orderly)
    with tempfile.TemporaryDirectory(prefix="many-machines-", ignore_cleanup_errors=True) as temporary:
        scratch = options.logs or Path(temporary) / "scratch"
        scratch.mkdir()
        environments = (options.environments or Path(temporary) / "environments").absolute()
        figures = compare_machines(options.landing, options.days, options.races, environments, scratch.absolute())
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
