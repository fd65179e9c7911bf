"""What a message costs: bytes where it lands, where it is stored and in MLflow, and processor time by step.

    python -m benchmarks.message_costs [--landing DIR] [--days N] [--json FILE]

Bytes are those of the files that `spam-assets backfill` leaves in a home folder of its own. Time a message is that of
the functions that the assets call, in this process, after they were compiled; what a day costs besides, however few its
messages are (Dagster, MLflow, evaluation), is what the backfill took in all, divided by its days.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any, TypeVar

from benchmarks.quality import land_corpus
from benchmarks.scored_mail import run_command
from spam_assets.feature_files import featurize_day
from spam_assets.landing.zone import LandingZone
from spam_assets.learning.training import TrainingSettings, train_model
from spam_assets.mail.blocking_rules import judge_day
from spam_assets.mail.validation import validate_day

Result = TypeVar("Result")


def measure_bytes(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder."""
    return sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file())


def run_backfill(landing: str, home: Path, days: Sequence[str]) -> dict[str, float]:
    """Run days of a landing zone in a home folder; return the CPU seconds a day and the bytes of each place."""
    (home / "landing").mkdir(parents=True)
    for day in days:
        for file in Path(landing).glob(f"training-{day}.*"):
            shutil.copy(file, home / "landing")
    (home / "settings.env").write_text(f"SPAM_ASSETS_START_DATE={days[0]}\nSPAM_ASSETS_END_DATE={days[-1]}\n")
    before = getrusage(RUSAGE_CHILDREN)
    run_command(home, "backfill")
    after = getrusage(RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    places = {"landing": home / "landing", **{path.name: path for path in sorted((home / "storage").iterdir())}}
    places |= {"MLflow's files": home / "mlartifacts", "MLflow's database": home / "mlflow.db"}
    places["Dagster's records"] = home / "dagster"
    return {"cpu_seconds_a_day": seconds / len(days), **{name: measure_bytes(path) for name, path in places.items()}}


class Clock:
    """Adds up the processor time of what it runs, by step, in seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def run(self, step: str, function: Callable[..., Result], *arguments: Any) -> Result:
        """Run a function and return what it returns."""
        start = time.process_time()
        result = function(*arguments)
        self.seconds[step] = self.seconds.get(step, 0.0) + time.process_time() - start
        return result


def time_steps(landing: str, days: Sequence[str]) -> tuple[int, dict[str, float]]:
    """Read, judge, validate and hash each day, and learn all of them once; return messages and seconds by step."""
    zone = LandingZone(landing)
    for _ in range(2):  # the first time compiles
        clock, window = Clock(), {}
        for day in days:
            mail = clock.run("read", zone.read, day).mail
            verdicts = clock.run("judge", judge_day, mail, day)
            if all(verdict.passed for verdict in verdicts):
                window[day] = clock.run("hash", featurize_day, clock.run("validate", validate_day, mail, day))
        clock.run("learn", train_model, window, TrainingSettings())
    return sum(map(len, window.values())), clock.seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.message_costs", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--landing", help="landing zone (default: the SpamAssassin corpus, downloaded)")
    parser.add_argument("--cache", type=Path, help="keep the downloaded corpus in this folder")
    parser.add_argument("--days", type=int, help="so many days, the first ones (default: all)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="message-costs-") as scratch:
        folder = Path(scratch)
        landing = options.landing or land_corpus(options.cache or folder / "cache", folder / "landing")
        days = LandingZone(landing).days()[: options.days]
        places = run_backfill(landing, folder / "home", days)
        messages, seconds = time_steps(landing, days)
    cpu_seconds_a_day = places.pop("cpu_seconds_a_day")
    found = {
        "messages": messages,
        "days": len(days),
        "cpu_seconds_a_day": round(cpu_seconds_a_day, 3),
        "cpu_milliseconds_a_message": {step: round(1000 * took / messages, 4) for step, took in seconds.items()},
        "bytes_a_message": {place: round(size / messages, 1) for place, size in places.items()},
        "bytes_a_day": {place: round(size / len(days)) for place, size in places.items()},
    }
    print(f"{messages:,} messages in {len(days)} days; a day in a backfill: {cpu_seconds_a_day:.2f} CPU s")
    for step, took in seconds.items():
        print(f"  {step:20} {1000 * took / messages:9.3f} CPU ms a message")
    for place, size in places.items():
        print(f"  {place:20} {size / messages:9,.0f} bytes a message {size / len(days):11,.0f} bytes a day")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
