"""CPU seconds of training one window by somebody else's estimator, beside our own method and beside a plain script.

    python -m benchmarks.estimators [--landing DIR] [--json FILE] [--rounds N]

All train the window of 90 days that ends with the last day, from what the assets store: features, validated mail, and
what stateless vectorisers made of it, which the first training of a home makes and each later one finds
(``hashing_sgd, first`` beside ``hashing_sgd``). Each figure is of a fresh process that has imported and compiled
everything by training the window's first days; the lowest of some rounds counts, which take turns.

The plain script reads the same stored mail, leaves out the same held-out messages, fits a fresh
``tfidf_logistic_regression`` after the same days, scores each day by the fit before it, and does nothing else: no
calibration, no threshold, no evaluation, no suspect labels, nothing stored.

Two ratios are asked for: ``hashing_sgd`` at most 2 x ours, and ``tfidf_logistic_regression`` at most 1.3 x the plain
script.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from upath import UPath

from benchmarks.one_date import store_history
from benchmarks.quality import land_corpus
from spam_assets.io_managers.arrow_features import FeaturesIOManager
from spam_assets.io_managers.parquet_frames import FrameIOManager
from spam_assets.io_managers.text_vectors import DailyTextVectors
from spam_assets.landing.zone import LandingZone
from spam_assets.windows import TrainingWindows

if TYPE_CHECKING:
    from spam_assets.learning.features import MailFeatures
    from spam_assets.learning.trained_model import TrainedModel

Result = TypeVar("Result")
WINDOW_DAYS = 90
WARM_UP_DAYS = 20
OURS = "ours"
HASHING = "spam_assets.estimators:hashing_sgd"
TFIDF = "spam_assets.estimators:tfidf_logistic_regression"
FIRST = "hashing_sgd, first"
PLAIN = "plain script"
CONTENDERS = (OURS, FIRST, HASHING, TFIDF, PLAIN)
RATIOS = ((HASHING, OURS, 2.0), (TFIDF, PLAIN, 1.3))


def open_windows(home: Path) -> TrainingWindows:
    """The windows of a home folder."""
    storage = UPath(home / "storage")
    return TrainingWindows(
        LandingZone(str(home / "landing")),
        FrameIOManager(storage),
        FeaturesIOManager(storage, days_kept_open=WINDOW_DAYS),
        WINDOW_DAYS,
        vectors=DailyTextVectors(storage),
    )


def train(contender: str, window: Mapping[str, MailFeatures]) -> TrainedModel:
    """Train a window as the asset does."""
    from spam_assets.learning.held_out import HELD_OUT_SHARE
    from spam_assets.learning.methods import parse_method
    from spam_assets.learning.training import TrainingSettings

    method = parse_method(HASHING if contender == FIRST else contender)
    return method.train(window, TrainingSettings(held_out_share=HELD_OUT_SHARE))


def run_plain_script(frames: FrameIOManager, learnt: Mapping[str, Sequence[int]], fit_after: Sequence[str]) -> int:
    """Fit and score as somebody would who knows nothing of this project; returns how many messages were scored."""
    import pandas as pd

    from spam_assets.estimators import tfidf_logistic_regression

    seen: list[pd.DataFrame] = []
    model, scored = None, 0
    for day, rows in learnt.items():
        mail = frames.load_day("validated_mail", day).iloc[list(rows)]
        if model is not None and len(mail):
            scored += len(model.predict_proba(mail))
        seen.append(mail)
        if day in fit_after:
            together = pd.concat(seen, ignore_index=True)
            model = tfidf_logistic_regression().fit(together, (together["label"] == "spam").astype(int))
    return scored


def measure(contender: str, home: Path, fit_after: Sequence[str]) -> dict[str, object]:
    """CPU seconds of one training in this process."""
    from spam_assets.learning.held_out import HELD_OUT_SHARE, find_held_out

    windows = open_windows(home)
    days = windows.frames.stored_days("validated_mail")
    whole = windows.ending(days[-1])
    warm_up = {day: whole[day] for day in list(whole)[:WARM_UP_DAYS]}
    if contender == PLAIN:
        chosen = {day: (~find_held_out(whole[day], HELD_OUT_SHARE)).nonzero()[0].tolist() for day in whole}
        run_plain_script(windows.frames, {day: chosen[day] for day in warm_up}, list(warm_up)[-1:])
        seconds, scored = _time(lambda: run_plain_script(windows.frames, chosen, fit_after))
        return {"cpu_seconds": seconds, "scored": scored}
    train(contender, warm_up)
    if contender == FIRST:
        windows = open_windows(home)  # with nothing in memory
        whole = windows.ending(days[-1])
        for path in [file for day in days for file in windows.vectors.files_of(day)]:  # type: ignore[union-attr]
            path.unlink()
    seconds, model = _time(lambda: train(contender, whole))
    return {
        "cpu_seconds": seconds,
        "messages": model.ham + model.spam,
        "fitted_days": list(getattr(model, "fitted_days", ())),
        "one_minus_roca_percent": model.evaluation.one_minus_roca_percent,
        "recall": model.evaluation.recall,
        "fpr": model.evaluation.fpr,
    }


def _time(work: Callable[[], Result]) -> tuple[float, Result]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def measure_apart(contender: str, home: Path, fit_after: Sequence[str]) -> dict[str, object]:
    """The same in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.estimators", "--child", contender, str(home)]
    done = subprocess.run([*command, json.dumps(list(fit_after))], check=True, capture_output=True, text=True)
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure_all(home: Path, rounds: int) -> dict[str, dict[str, object]]:
    """The lowest of some rounds for each contender."""
    best: dict[str, dict[str, object]] = {}
    for _ in range(rounds):
        for contender in CONTENDERS:
            fit_after = best[TFIDF]["fitted_days"] if contender == PLAIN else []
            found = measure_apart(contender, home, fit_after)  # type: ignore[arg-type]
            if contender not in best or found["cpu_seconds"] < best[contender]["cpu_seconds"]:  # type: ignore[operator]
                best[contender] = found
            print(f"{contender}: {found['cpu_seconds']:.2f} CPU s", flush=True)
    return best


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.estimators", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--landing", help="landing zone (default: the SpamAssassin corpus, downloaded)")
    parser.add_argument("--cache", type=Path, help="keep the downloaded corpus in this folder")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (default: 3)")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        contender, home, fit_after = options.child
        print(json.dumps(measure(contender, Path(home), json.loads(fit_after))))
        return 0
    with tempfile.TemporaryDirectory(prefix="estimators-") as name:
        home = Path(name)
        landing = options.landing or land_corpus(options.cache or home / "cache", home / "landing")
        if options.landing:
            (home / "landing").symlink_to(Path(landing).resolve())
        store_history(home, LandingZone(landing).days())
        found = measure_all(home, options.rounds)
    ratios = {}
    for ours, theirs, most in RATIOS:
        ratio = found[ours]["cpu_seconds"] / found[theirs]["cpu_seconds"]  # type: ignore[operator]
        ratios[f"{ours} / {theirs}"] = ratio
        print(f"{ours} takes {ratio:.2f} x the CPU of {theirs}; at most {most} is asked for")
    if options.json:
        options.json.write_text(json.dumps({"contenders": found, "ratios": ratios}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
