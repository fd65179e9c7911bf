"""Seconds and memory of one day's training as the window grows and as the day's mail grows.

    python -m benchmarks.training [--landing DIR] [--json FILE] [--quick]

Days are drawn from the mail with replacement, a tenth of each message's features left out at random so that no two
are alike, and stored as the assets store them: one memory-mapped file a day. A day has 274 messages, so that 365
days hold 100,000.

Every figure comes from a fresh process. Ours is ``train_model`` on the window, files and all. Of scikit-learn's
LinearSVC and LogisticRegression, with the same features scaled to rows of length 1, only ``fit`` is timed, not the
reading of the files into the one matrix that they need. Peak memory is the process's, the pages of mapped files
that it touched included. Growth is the exponent b of seconds = a x messages^b, by least squares of logarithms.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from upath import UPath

from benchmarks.quality import land_corpus, peak_memory_mb
from spam_assets.io_managers.arrow_features import FeaturesIOManager
from spam_assets.io_managers.daily_files import write_day
from spam_assets.landing.zone import LandingZone
from spam_assets.learning.features import TABLE_SIZES, VIEWS, MailFeatures, SparseRows, featurize_mail
from spam_assets.mail.validation import select_valid_mail
from spam_assets.windows import WindowOfDays

ASSET = "mail_features"
MESSAGES_A_DAY = 274
WINDOWS = (7, 30, 90, 365)
QUICK_WINDOWS = (7, 30, 90)
DAY_SIZES = (1_000, 10_000, 100_000)
QUICK_DAY_SIZES = (1_000, 10_000)
DAY_SIZE_WINDOW = 7
FIRST_DAY = date(2030, 1, 1)
KEPT_SHARE = 0.9
OURS = "spam_assets"
LINEAR_SVC = "linear_svc"
LOGISTIC_REGRESSION = "logistic_regression"
LEARNERS = (OURS, LINEAR_SVC, LOGISTIC_REGRESSION)


def load_features(landing: str) -> MailFeatures:
    """Features of all mail of a landing zone."""
    zone = LandingZone(landing)
    days = [featurize_mail(select_valid_mail(zone.read(day).frame)) for day in zone.days()]
    views = {}
    for view in VIEWS:
        lengths = np.concatenate([np.diff(day.views[view].offsets) for day in days])
        indices = np.concatenate([day.views[view].indices for day in days])
        views[view] = SparseRows(indices, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
    return MailFeatures(
        np.concatenate([day.message_ids for day in days]), np.concatenate([day.labels for day in days]), views
    )


def draw_day(features: MailFeatures, messages: int, seed: int) -> MailFeatures:
    """A day of messages drawn with replacement, each without a tenth of its features."""
    generator = np.random.default_rng(seed)
    chosen = np.sort(generator.integers(0, len(features), messages))
    generator.shuffle(chosen)
    views = {view: _draw_rows(rows, chosen, generator) for view, rows in features.views.items()}
    ids = np.array([f"{seed}-{number}" for number in range(messages)], object)
    return MailFeatures(ids, features.labels[chosen], views)


def _draw_rows(rows: SparseRows, chosen: npt.NDArray[np.int64], generator: np.random.Generator) -> SparseRows:
    kept = []
    for row in chosen:
        indices = rows.indices[rows.offsets[row] : rows.offsets[row + 1]]
        kept.append(indices[generator.random(len(indices), np.float32) < KEPT_SHARE])
    offsets = np.concatenate([[0], np.cumsum([len(indices) for indices in kept])]).astype(np.int64)
    return SparseRows(np.concatenate([np.empty(0, np.uint32), *kept]), offsets)


def store_days(features: MailFeatures, folder: Path, sizes: Sequence[int]) -> None:
    """Store consecutive days of the given sizes."""
    manager = FeaturesIOManager(base_path=UPath(folder))
    for number, messages in enumerate(sizes):
        day = str(FIRST_DAY + timedelta(days=number))
        content = manager.to_bytes(draw_day(features, messages, seed=number))
        write_day(manager.path_of(ASSET, day), content)


def _open_window(folder: Path, window_days: int) -> WindowOfDays:
    manager = FeaturesIOManager(base_path=UPath(folder))
    return WindowOfDays(manager, ASSET, dict.fromkeys(manager.stored_days(ASSET)[-window_days:]))


def measure_learner(learner: str, folder: Path, window_days: int) -> dict[str, Any]:
    """Train once in this process; returns the row."""
    window = _open_window(folder, window_days)
    fit = _prepare_ours(window) if learner == OURS else _prepare_sklearn(learner, window)
    memory_before = peak_memory_mb()
    cpu, started = time.process_time(), time.monotonic()
    fit()
    seconds, cpu_seconds, peak = time.monotonic() - started, time.process_time() - cpu, peak_memory_mb()
    return {
        "learner": learner,
        "days": len(window),
        "messages": sum(len(features) for features in window.values()),
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak_memory_mb": peak,
        "memory_before_training_mb": memory_before,
    }


def _prepare_ours(window: WindowOfDays) -> Any:
    from spam_assets.learning.training import TrainingSettings, train_model

    day = next(iter(window))
    train_model({"2000-01-01": window[day], "2000-01-02": window[day]}, TrainingSettings())  # compiles
    return lambda: train_model(window, TrainingSettings())


def _prepare_sklearn(learner: str, window: WindowOfDays) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    matrix, labels = _stack_window(window)
    model = LinearSVC() if learner == LINEAR_SVC else LogisticRegression()
    return lambda: model.fit(matrix, labels)


def _stack_window(window: Mapping[str, MailFeatures]) -> tuple[Any, npt.NDArray[np.int8]]:
    """All views of all days as one matrix with rows of length 1."""
    from scipy.sparse import csr_matrix, hstack, vstack

    days, labels = [], []
    for features in window.values():
        blocks = []
        for view in VIEWS:
            rows = features.views[view]
            ones = np.ones(len(rows.indices))
            indices, offsets = rows.indices.astype(np.int32), rows.offsets.astype(np.int64)
            blocks.append(csr_matrix((ones, indices, offsets), shape=(len(rows), TABLE_SIZES[view])))
        day = hstack(blocks, "csr")
        day.data /= np.repeat(np.sqrt(np.maximum(np.diff(day.indptr), 1)), np.diff(day.indptr))
        days.append(day)
        labels.append(features.labels)
    return vstack(days, "csr"), np.concatenate(labels)


def measure_in_process(learner: str, folder: Path, window_days: int) -> dict[str, Any]:
    """Train once in a fresh process."""
    print(f"{learner}: {window_days} days", file=sys.stderr, flush=True)
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "benchmarks.training",
        "--child",
        learner,
        str(folder),
        str(window_days),
    ]
    finished = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    if finished.returncode != 0:
        reason = (finished.stderr.strip().splitlines() or [f"code {finished.returncode}"])[-1]
        raise SystemExit(f"{learner} on {window_days} days ended without a result: {reason}")
    row: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return row


def fit_exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """The exponent b of seconds = a x size^b, by least squares of logarithms; NaN for fewer than two sizes."""
    if len(sizes) < 2:
        return float("nan")
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def measure_windows(features: MailFeatures, folder: Path, windows: Sequence[int]) -> list[dict[str, Any]]:
    """Every learner on every window."""
    store_days(features, folder, [MESSAGES_A_DAY] * max(windows))
    return [measure_in_process(learner, folder, window) for learner in LEARNERS for window in windows]


def measure_day_sizes(features: MailFeatures, scratch: Path, sizes: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Ours on a week whose last day has more and more mail."""
    for size in sizes:
        folder = scratch / f"day-{size}"
        store_days(features, folder, [MESSAGES_A_DAY] * (DAY_SIZE_WINDOW - 1) + [size])
        yield measure_in_process(OURS, folder, DAY_SIZE_WINDOW) | {"messages_of_last_day": size}
        for file in (folder / ASSET).iterdir():
            file.unlink()


def summarize(windows: list[dict[str, Any]], sizes: list[dict[str, Any]]) -> dict[str, Any]:
    """The rows and what follows from them."""
    by_learner = {learner: [row for row in windows if row["learner"] == learner] for learner in LEARNERS}
    largest = {learner: rows[-1] for learner, rows in by_learner.items()}
    ours = {row["days"]: row for row in by_learner[OURS]}
    long, month = max(ours), 30
    return {
        "windows": windows,
        "day_sizes": sizes,
        "window_exponent": {
            learner: fit_exponent([row["messages"] for row in rows], [row["cpu_seconds"] for row in rows])
            for learner, rows in by_learner.items()
        },
        "day_size_exponent": fit_exponent(
            [row["messages_of_last_day"] for row in sizes], [row["cpu_seconds"] for row in sizes]
        ),
        "largest_window_messages": largest[OURS]["messages"],
        "times_faster": {
            learner: largest[learner]["cpu_seconds"] / largest[OURS]["cpu_seconds"] for learner in LEARNERS[1:]
        },
        "memory_ratio_windows": [long, month],
        "memory_ratio": ours[long]["peak_memory_mb"] / ours[month]["peak_memory_mb"],
    }


def print_results(results: Mapping[str, Any]) -> None:
    """The figures as text."""
    print(f"{'learner':20} {'days':>5} {'messages':>9} {'seconds':>9} {'CPU s':>9} {'peak MB':>9} {'of it before':>12}")
    for row in results["windows"] + results["day_sizes"]:
        print(
            f"{row['learner']:20} {row['days']:5} {row['messages']:9,} {row['seconds']:9.2f} "
            f"{row['cpu_seconds']:9.2f} {row['peak_memory_mb']:9.0f} {row['memory_before_training_mb']:12.0f}"
        )
    for learner, exponent in results["window_exponent"].items():
        print(f"growth with the window, {learner}: messages^{exponent:.2f}")
    print(f"growth with the last day's mail, {OURS}: messages^{results['day_size_exponent']:.2f}")
    for learner, times in results["times_faster"].items():
        print(f"at {results['largest_window_messages']:,} messages ours is {times:.1f} x faster than {learner} (CPU)")
    long, month = results["memory_ratio_windows"]
    print(f"peak memory of ours at {long} days is {results['memory_ratio']:.2f} x that at {month} days")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--landing", help="landing zone (default: the SpamAssassin corpus, downloaded)")
    parser.add_argument("--cache", type=Path, help="keep the downloaded corpus in this folder")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--quick", action="store_true", help="windows up to 90 days, days up to 10,000 messages")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        learner, folder, window_days = options.child
        print(json.dumps(measure_learner(learner, Path(folder), int(window_days))))
        return 0
    with tempfile.TemporaryDirectory(prefix="training-") as name:
        scratch = Path(name)
        landing = options.landing or land_corpus(options.cache or scratch / "cache", scratch / "landing")
        features = load_features(landing)
        windows = measure_windows(features, scratch / "windows", QUICK_WINDOWS if options.quick else WINDOWS)
        sizes = list(measure_day_sizes(features, scratch, QUICK_DAY_SIZES if options.quick else DAY_SIZES))
    results = summarize(windows, sizes)
    print_results(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
