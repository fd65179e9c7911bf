"""CPU and wall time of one date, `spam-assets run --date D`, beside a plain script with MLflow and no Dagster.

    python -m benchmarks.one_date [--landing DIR] [--date D] [--json FILE]

Both start as fresh processes on the same home: the window before D is stored, and the day before D that has a
model has it registered. The plain script calls the same pure functions and gives MLflow the same things (run,
parameters, metrics, picture, window, model, version, aliases), but stores no assets, writes no model card, describes
nothing for a UI and never imports Dagster. Before every round the home is put back as it was; CPU time includes child
processes.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

# The plain script imports this module: no Dagster and nothing heavy up here.
from benchmarks.plain_mlflow import PlainMlflow
from benchmarks.plain_storage import WINDOW_DAYS, PlainStorage, first_day_of_window

if TYPE_CHECKING:
    from spam_assets.learning.features import MailFeatures
    from spam_assets.mail.day_summary import DaySummary

PROJECT = Path(__file__).parent.parent
ROUNDS = 5


# --- the plain script: everything below runs without Dagster ----------------------------------------------------


class PlainPipeline:
    """Days from the landing zone to MLflow, one after the other; what earlier days left is kept in memory."""

    def __init__(self, home: Path) -> None:
        from spam_assets.landing.zone import LandingZone

        self.zone = LandingZone(str(home / "landing"))
        self.mlflow = PlainMlflow(f"sqlite:///{home / 'mlflow.db'}")
        self.summaries: list[DaySummary] = []
        self.features: dict[str, MailFeatures] = {}
        self.versions: dict[str, str] = {}

    def load_history(self, storage: Path, day: str) -> None:
        """Read the days before `day` from the files that the assets store."""
        history = PlainStorage(storage)
        days = history.list_days(before=day)
        self.summaries += history.summarize(days)
        for earlier in days:
            self.features[earlier], self.versions[earlier] = history.read_features(earlier)

    def run_day(self, day: str) -> dict[str, str]:
        """Take a day through everything; return the data versions of its features and, if there is one, its model."""
        from spam_assets.io_managers.fingerprints import fingerprint_features, fingerprint_model
        from spam_assets.learning.daily_protocol import NotEnoughMailError
        from spam_assets.learning.explanation import tell_strongest_words
        from spam_assets.learning.features import featurize_mail
        from spam_assets.learning.held_out import HELD_OUT_SHARE
        from spam_assets.learning.training import TrainingSettings, train_model
        from spam_assets.mail.blocking_rules import judge_day
        from spam_assets.mail.day_summary import summarize_day
        from spam_assets.mail.validation import QualityError, validate_day
        from spam_assets.mail.warning_rules import warn_about_day
        from spam_assets.views.pictures import draw_evaluation

        raw = self.zone.read(day).frame
        judge_day(raw, day)
        warn_about_day(raw, day, self.summaries)
        try:
            mail = validate_day(raw, day)
        except QualityError:
            return {}
        self.summaries.append(summarize_day(mail, day))
        self.features[day] = featurize_mail(mail)
        made = {"mail_features": fingerprint_features(self.features[day])}
        self.versions[day] = made["mail_features"]
        first = first_day_of_window(day)
        window = {earlier: found for earlier, found in self.features.items() if first <= earlier <= day}
        settings = TrainingSettings(held_out_share=HELD_OUT_SHARE)
        try:
            model = train_model(window, settings)
        except NotEnoughMailError:
            return made
        tell_strongest_words(model, mail)
        made["trained_model"] = fingerprint_model(model)
        versions = {earlier: self.versions[earlier] for earlier in window}
        picture = draw_evaluation(model, day)
        logged = self.mlflow.log_training(day, model, made["trained_model"], settings, picture, versions)
        self.mlflow.register(logged, model, window)
        return made


def run_plainly(home: Path, days: Sequence[str], *, is_resuming: bool) -> dict[str, dict[str, str]]:
    """Be the plain script: take days through everything and return the data versions of what each made."""
    pipeline = PlainPipeline(home)
    if is_resuming:
        pipeline.load_history(home / "storage", days[0])
    return {day: pipeline.run_day(day) for day in days}


PLAIN_SCRIPT = """
import json, sys
from pathlib import Path
from benchmarks.one_date import run_plainly
home, how, days = sys.argv[1:]
made = run_plainly(Path(home), days.split(","), is_resuming=how == "resuming")
assert not [name for name in sys.modules if name.partition(".")[0] == "dagster"], "the plain script has Dagster"
print(json.dumps(made))
"""


def build_plain_command(home: Path, days: Iterable[str], *, is_resuming: bool) -> list[str]:
    """Return the command that runs the plain script; its last line of output is JSON, the data versions made."""
    how = "resuming" if is_resuming else "from nothing"
    return [sys.executable, "-W", "ignore", "-c", PLAIN_SCRIPT, str(home), how, ",".join(days)]


# --- measuring: from here on Dagster may be imported -----------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """What a process and its children took."""

    cpu_seconds: float
    wall_seconds: float
    output: str


def measure_process(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Cost:
    """Run a command in a folder and return what it took.

    Raises:
        SystemExit: it failed; with what it said.
    """
    before, started = os.times(), time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - started, os.times()
    if done.returncode:
        raise SystemExit(f"{command[:4]} ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    return Cost(cpu, wall, done.stdout)


def build_environment(home: Path, first: str, last: str) -> dict[str, str]:
    """Return this process's environment, with settings for a home of its own and no others of ours."""
    ours = ("SPAM_ASSETS_", "DAGSTER_", "MLFLOW_")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(ours)},
        "PYTHONPATH": str(PROJECT),
        "SPAM_ASSETS_HOME": str(home),
        "DAGSTER_HOME": str(home / "dagster"),
        "SPAM_ASSETS_START_DATE": first,
        "SPAM_ASSETS_END_DATE": last,
        "SPAM_ASSETS_WINDOW_DAYS": str(WINDOW_DAYS),
    }


PREPARE_SCRIPT = (
    "from spam_assets.cli.home import prepare_home; from spam_assets.settings import load_settings as load; "
)
PREPARE_COMMAND = [sys.executable, "-W", "ignore", "-c", PREPARE_SCRIPT + "prepare_home(load())"]
"""Makes Dagster's configuration and the MLflow store, which takes seconds once in the life of a home."""


def store_history(home: Path, days: Iterable[str]) -> None:
    """Store validated mail and features of days as the assets do."""
    from upath import UPath

    from spam_assets.io_managers.arrow_features import FeaturesIOManager
    from spam_assets.io_managers.daily_files import write_day
    from spam_assets.io_managers.parquet_frames import FrameIOManager
    from spam_assets.landing.zone import LandingZone
    from spam_assets.learning.features import featurize_mail
    from spam_assets.mail.validation import validate_day

    storage, zone = UPath(home / "storage"), LandingZone(str(home / "landing"))
    frames, features = FrameIOManager(storage), FeaturesIOManager(storage)
    for day in days:
        mail = validate_day(zone.read(day).frame, day)
        write_day(frames.path_of("validated_mail", day), frames.to_bytes(mail))
        write_day(features.path_of("mail_features", day), features.to_bytes(featurize_mail(mail)))


def land_mail(landing: str | None, home: Path) -> list[str]:
    """Put a landing zone, or else the SpamAssassin corpus, into a home; return its days."""
    from spam_assets.landing.importers.days import land_messages
    from spam_assets.landing.importers.spamassassin import corpus_messages, fetch_corpus
    from spam_assets.landing.zone import LandingZone

    zone = LandingZone(str(home / "landing"))
    if landing is not None:
        shutil.copytree(landing, home / "landing")
    else:
        (home / "landing").mkdir(parents=True)
        land_messages(corpus_messages(fetch_corpus(home / "cache")), zone)
    return zone.days()


def compare_date(landing: str | None, day: str | None, rounds: int, scratch: Path) -> dict[str, float]:
    """Measure both in turn on a home that is put back before each; return the medians."""
    home, snapshot = scratch / "home", scratch / "snapshot"
    days = land_mail(landing, home)
    day = day or days[-1]
    if day not in days[1:]:
        raise SystemExit(f"{day} cannot be measured: mail must have landed for it and for a day before it")
    environment = build_environment(home, days[0], days[-1])
    command = [sys.executable, "-m", "spam_assets", "run", "--date"]
    plain_command = build_plain_command(home, [day], is_resuming=True)
    measure_process(PREPARE_COMMAND, environment, scratch)
    store_history(home, [earlier for earlier in days if earlier < day])
    measure_process([*command, days[days.index(day) - 1]], environment, scratch)  # the champion so far
    shutil.copytree(home, snapshot)

    def measure_restored(command: Sequence[str]) -> Cost:
        shutil.rmtree(home)
        shutil.copytree(snapshot, home)
        return measure_process(command, environment, scratch)

    measure_restored(plain_command)  # fills the caches
    ours, plain = [], []
    for _ in range(rounds):
        ours.append(measure_restored([*command, day]))
        plain.append(measure_restored(plain_command))
        print(f"  {ours[-1].cpu_seconds:.2f} CPU s against {plain[-1].cpu_seconds:.2f}", flush=True)
    run_cpu = statistics.median(cost.cpu_seconds for cost in ours)
    plain_cpu = statistics.median(cost.cpu_seconds for cost in plain)
    return {
        "run_cpu_seconds": run_cpu,
        "plain_cpu_seconds": plain_cpu,
        "run_wall_seconds": statistics.median(cost.wall_seconds for cost in ours),
        "plain_wall_seconds": statistics.median(cost.wall_seconds for cost in plain),
        "ratio": run_cpu / plain_cpu,
    }


def main() -> None:
    """Print both medians and their ratio."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.one_date",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--landing", help="landing zone, a local folder (default: the SpamAssassin corpus, downloaded)")
    parser.add_argument("--date", metavar="YYYY-MM-DD", help="the day to run (default: the last that landed)")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="one-date-") as scratch:
        figures = compare_date(options.landing, options.date, options.rounds, Path(scratch))
    for name, prefix in (("spam-assets run", "run"), ("plain script", "plain")):
        cpu, wall = figures[f"{prefix}_cpu_seconds"], figures[f"{prefix}_wall_seconds"]
        print(f"{name:18} {cpu:6.2f} CPU s {wall:6.2f} s wall (medians of {options.rounds})")
    print(f"ratio of CPU {figures['ratio']:.2f}; load now {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
