"""One day of very many messages: memory, wall and CPU time from the landing file to the registered model.

    python -m benchmarks.big_day [--messages N] [--json FILE] [--work FOLDER]

Makes N different messages of about 4 kB, text as a mail client shows it, no two alike, in no order of time; lands them
as one CSV file after three small days; and runs the day, `spam-assets run --date D`, in a process of its own. Memory is
that of the whole tree of processes, sampled ten times a second; `peak_own_memory_mb` leaves out pages of files, which
the system can take back at any time. The folder needs some 25 kB of disk a message for as long as it runs.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil  # type: ignore[import-untyped]

PROJECT = Path(__file__).parent.parent
DAY = "2024-01-10"
SMALL_DAYS = ("2024-01-07", "2024-01-08", "2024-01-09")
SMALL_DAY_MESSAGES = 400
SPAM_SHARE = 0.3
BODY_BYTES = 4000
SENTENCES = 4000
"""Of each class; a message is a choice of some forty of them, with words of its own in between."""
SECONDS_BETWEEN_SAMPLES = 0.1
MEGABYTE = 1024**2


class Writer:
    """Writes messages of two classes that share most of their words, the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        syllables = [c + v for c in "b c d f g h k l m n p r s t v w st tr pl sh".split() for v in "aeiou"]
        words = ["".join(self._random.choice(syllables, self._random.integers(1, 5))) for _ in range(30_000)]
        self._words = np.array(words, dtype=object)
        self._sentences = {is_spam: self._make_sentences(is_spam=is_spam) for is_spam in (False, True)}

    def _make_sentences(self, *, is_spam: bool) -> list[str]:
        """Words by Zipf's law; every fifth is of a quarter of the vocabulary that the other class seldom uses."""
        ranks = self._random.zipf(1.3, (SENTENCES, 16)) % len(self._words)
        own = self._random.random(ranks.shape) < 0.2
        quarter = len(self._words) // 4
        ranks = np.where(own, ranks % quarter + quarter * (2 + is_spam), ranks % (2 * quarter))
        return [" ".join(self._words[row]).capitalize() + "." for row in ranks]

    def write_day(self, path: Path, day: str, count: int) -> None:
        """Write a landing file."""
        midnight = datetime.fromisoformat(day).replace(tzinfo=timezone.utc)
        with path.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["message_id", "received_at", "sender", "recipients", "subject", "body", "label"])
            for number in range(count):
                is_spam = bool(self._random.random() < SPAM_SHARE)
                own: npt.NDArray[Any] = self._words[self._random.integers(0, len(self._words), 6)]
                seconds = float(self._random.random() * 86_399)
                rows.writerow(
                    [
                        f"<{day}.{number:08d}@mail{number % 50}.example.com>",
                        (midnight + timedelta(seconds=seconds)).isoformat(),
                        f"{own[0].capitalize()} {own[1].capitalize()} <{own[0]}@{own[1]}.example.com>",
                        f"{own[2]}@example.org",
                        f"{own[3]} {own[4]} {number}",
                        self._write_body(own, is_spam=is_spam),
                        "spam" if is_spam else "ham",
                    ]
                )

    def _write_body(self, own: npt.NDArray[Any], *, is_spam: bool) -> str:
        sentences = self._sentences[is_spam]
        lines = [f"Dear {own[2]},", ""]
        size = 0
        for place in self._random.integers(0, len(sentences), 80).tolist():
            lines.append(sentences[place])
            size += len(sentences[place]) + 1
            if size >= BODY_BYTES - 100:
                break
        return "\n".join([*lines, "", f"{own[5]} {own[0]}", f"http://{own[1]}.example.com/{own[4]}"])


class TreeMeter:
    """The most memory that a process and all below it held at once."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self.peak_mb = 0.0
        self.peak_own_mb = 0.0

    def sample(self) -> None:
        """Look once; a process that is gone by now holds nothing."""
        resident = own = 0
        with suppress(psutil.NoSuchProcess):
            for process in (self._process, *self._process.children(recursive=True)):
                with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    memory = process.memory_info()
                    resident += memory.rss
                    own += memory.rss - getattr(memory, "shared", 0)
        self.peak_mb = max(self.peak_mb, resident / MEGABYTE)
        self.peak_own_mb = max(self.peak_own_mb, own / MEGABYTE)


def run_day(home: Path, messages: int) -> dict[str, float]:
    """Run the day in a process of its own and measure that."""
    temporary = home / "tmp"
    temporary.mkdir()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("SPAM_ASSETS_", "MLFLOW_"))},
        "PYTHONPATH": str(PROJECT),
        "SPAM_ASSETS_HOME": str(home),
        "SPAM_ASSETS_START_DATE": SMALL_DAYS[0],
        "SPAM_ASSETS_END_DATE": DAY,
        "SPAM_ASSETS_MAX_DAY_MEGABYTES": str(1024 + messages * 10 // 1024),
        "TMPDIR": str(temporary),
    }
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    command = [sys.executable, "-m", "spam_assets", "run", "--date", DAY]
    with subprocess.Popen(command, env=environment, cwd=home) as child:
        meter = TreeMeter(psutil.Process(child.pid))
        while child.poll() is None:
            meter.sample()
            time.sleep(SECONDS_BETWEEN_SAMPLES)
    wall_seconds = time.monotonic() - start
    if child.returncode:
        raise SystemExit(f"the day failed, see above; its home is {home}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "wall_seconds": round(wall_seconds, 1),
        "cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "peak_memory_mb": round(meter.peak_mb, 1),
        "peak_own_memory_mb": round(meter.peak_own_mb, 1),
    }


def read_step_seconds(home: Path) -> dict[str, float]:
    """Return how long each step took, by what Dagster recorded."""
    import dagster as dg

    os.environ["DAGSTER_HOME"] = str(home / "dagster")
    with dg.DagsterInstance.get() as instance:
        (run,) = instance.get_runs(limit=1)
        steps = instance.get_run_step_stats(run.run_id)
    return {
        step.step_key: round(step.end_time - step.start_time, 1)
        for step in sorted(steps, key=lambda step: step.start_time or 0)
        if step.start_time is not None and step.end_time is not None
    }


def measure_files(folder: Path) -> float:
    """Return the megabytes of the files in a folder."""
    return round(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / MEGABYTE, 1)


def main() -> None:
    """Make the day, run it, print and write what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--work", type=Path, help="Where to make the home, which is deleted afterwards.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
        home = Path(folder)
        landing = home / "landing"
        landing.mkdir()
        writer = Writer(seed=0)
        for day in SMALL_DAYS:
            writer.write_day(landing / f"training-{day}.csv", day, SMALL_DAY_MESSAGES)
        writer.write_day(landing / f"training-{DAY}.csv", DAY, arguments.messages)
        landed_mb = measure_files(landing)
        print(f"{arguments.messages:,} messages landed, {landed_mb:,.0f} MB", flush=True)
        found: dict[str, Any] = {
            "messages": arguments.messages,
            **run_day(home, arguments.messages),
            "landed_mb": landed_mb,
            "stored_mb": measure_files(home / "storage"),
            "step_seconds": read_step_seconds(home),
        }
    for name, value in found.items():
        print(f"{name:20} {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
