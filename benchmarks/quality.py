"""Quality of spam filters on the same mail under the daily protocol.

    python -m benchmarks.quality [--landing DIR] [--json FILE] [--plot FILE] [--columns-only]

For every day in order a filter scores mail that it has not seen, then learns it. The scores of all days from
``--from-day`` on are pooled into one ROC curve. Every filter runs in a process of its own, whose CPU seconds
and peak memory are shown. Reading the landing zone, which decodes the bodies, and Numba's one compilation are
not counted; bogofilter decodes raw mail itself.

All filters get the same mail: bogofilter the raw message, or one made of the columns where there is no raw
one; the others the raw message's headers, or From, To and Subject where there is none, and the decoded body.
scikit-learn's models learn every third day only: retraining them takes more CPU than all the rest together.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from spam_assets.learning.evaluation import (
    PairedDifference,
    bootstrap_interval,
    compare_scores,
    det_curve,
    evaluate_scores,
)
from spam_assets.mail.columns import BODY, LABEL, RAW, RECIPIENTS, SENDER, SPAM, SUBJECT
from spam_assets.mail.landing import LandingError, LandingZone
from spam_assets.mail.quality import select_valid_mail

RETRAIN_EVERY_DAYS = 3
BOGOFILTER_CUTOFF = 0.99  # its default spam_cutoff
WINDOW_DAYS = 90


class SpamFilter(Protocol):
    """A filter under test, called with each day in order: ``score``, ``learn``, ``train``."""

    def score(self, day: str, mail: pd.DataFrame) -> tuple[npt.NDArray[np.float64], float]:
        """Scores of the day's mail and the threshold in force."""

    def learn(self, day: str, mail: pd.DataFrame) -> None:
        """Take in the day's mail with its labels."""

    def train(self) -> None:
        """Make what was taken in count for the next scores; called once a day before scored days."""


class _SpamAssets:
    """This project's model, as the assets use it: features once a message, a training a day on the window."""

    def __init__(self) -> None:
        from spam_assets.learning.features import MailFeatures
        from spam_assets.learning.model import SpamModel
        from spam_assets.learning.training import TrainingSettings

        self._settings = TrainingSettings()
        self._features: dict[str, MailFeatures] = {}
        self._of_day: tuple[str, MailFeatures] | None = None
        self._model: SpamModel | None = None
        self._compile()

    def _compile(self) -> None:
        """Let Numba compile, or load what it compiled before; once a machine, so it is not counted."""
        from spam_assets.learning.features import featurize_mail
        from spam_assets.learning.training import TrainingSettings, train_model

        mail = pd.DataFrame({"message_id": ["a", "b"], SUBJECT: ["x y", "z"], LABEL: ["ham", SPAM]})
        features = featurize_mail(mail)
        settings = TrainingSettings(minimum_messages_a_class=1)
        train_model({"2000-01-01": features, "2000-01-02": features}, settings).score(features)

    def score(self, day: str, mail: pd.DataFrame) -> tuple[npt.NDArray[np.float64], float]:
        from spam_assets.learning.features import featurize_mail

        self._of_day = (day, featurize_mail(mail))
        if self._model is None:
            return np.full(len(mail), 0.5), 1.0
        return self._model.score(self._of_day[1]), self._model.threshold

    def learn(self, day: str, mail: pd.DataFrame) -> None:
        from spam_assets.learning.features import featurize_mail

        known = self._of_day
        self._features[day] = known[1] if known and known[0] == day else featurize_mail(mail)
        oldest = str(date.fromisoformat(day) - timedelta(days=WINDOW_DAYS - 1))
        self._features = {past: features for past, features in self._features.items() if past >= oldest}

    def train(self) -> None:
        from spam_assets.learning.training import NotEnoughMailError, train_model

        try:
            self._model = train_model(self._features, self._settings)
        except NotEnoughMailError:
            self._model = None


class _Bogofilter:
    """The bogofilter command with its defaults and a word list of its own."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bogofilter-")
        self._path = Path(self._folder.name)
        self._has_learnt = False

    def score(self, day: str, mail: pd.DataFrame) -> tuple[npt.NDArray[np.float64], float]:
        if not self._has_learnt:
            return np.full(len(mail), 0.5), BOGOFILTER_CUTOFF
        names = self._write(day, mail)
        lines = self._run("-TT", names).splitlines()
        if len(lines) != len(names):
            message = f"bogofilter scored {len(lines)} of {len(names)} messages of {day}"
            raise RuntimeError(message)
        return np.array([float(line.split()[-1]) for line in lines]), BOGOFILTER_CUTOFF

    def learn(self, day: str, mail: pd.DataFrame) -> None:
        names = self._write(day, mail)
        for option, wanted in (("-s", True), ("-n", False)):
            chosen = [
                name for name, label in zip(names, mail[LABEL], strict=True) if (label == SPAM) == wanted
            ]
            if chosen:
                self._run(option, chosen)
                self._has_learnt = True
        for name in names:
            Path(name).unlink()

    def train(self) -> None:
        pass  # ``learn`` has updated the word list

    def _write(self, day: str, mail: pd.DataFrame) -> list[str]:
        paths = [self._path / f"{day}-{number:06d}.eml" for number in range(len(mail))]
        if not paths[0].exists():  # ``score`` has written them
            for path, message in zip(paths, _whole_messages(mail), strict=True):
                path.write_bytes(message)
        return [str(path) for path in paths]

    def _run(self, option: str, names: Sequence[str]) -> str:
        command = ["bogofilter", "-C", "-d", str(self._path), option, "-b"]
        lines = "".join(f"{name}\n" for name in names)
        finished = subprocess.run(command, input=lines, capture_output=True, text=True, check=False)
        if finished.returncode > 2:  # 0 to 2 are verdicts
            message = f"bogofilter failed: {finished.stderr.strip()}"
            raise RuntimeError(message)
        return finished.stdout


@dataclass
class _ScikitLearnFilter:
    """A vectorizer and a classifier, trained from scratch on all mail so far."""

    vectorizer: Any
    classifier: Any
    _texts: list[str] = field(default_factory=list)
    _labels: list[bool] = field(default_factory=list)
    _is_fitted: bool = False
    _days_to_training: int = 0

    def score(self, day: str, mail: pd.DataFrame) -> tuple[npt.NDArray[np.float64], float]:  # noqa: ARG002
        if not self._is_fitted:
            return np.full(len(mail), 0.5), 1.0
        probabilities = self.classifier.predict_proba(self.vectorizer.transform(_texts(mail)))
        return np.asarray(probabilities[:, 1], np.float64), 0.5

    def learn(self, day: str, mail: pd.DataFrame) -> None:  # noqa: ARG002
        self._texts += _texts(mail)
        self._labels += (mail[LABEL] == SPAM).tolist()

    def train(self) -> None:
        """Train, unless that was less than three days ago."""
        if self._days_to_training > 0:
            self._days_to_training -= 1
            return
        if len(set(self._labels)) == 2:
            self.classifier.fit(self.vectorizer.fit_transform(self._texts), self._labels)
            self._is_fitted = True
            self._days_to_training = RETRAIN_EVERY_DAYS - 1


def _build_tfidf() -> _ScikitLearnFilter:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    return _ScikitLearnFilter(vectorizer, LogisticRegression(max_iter=1000))


def _build_naive_bayes() -> _ScikitLearnFilter:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import MultinomialNB

    return _ScikitLearnFilter(CountVectorizer(), MultinomialNB())


OURS = "spam_assets"
FILTERS: Mapping[str, Any] = {
    OURS: _SpamAssets,
    "bogofilter": _Bogofilter,
    "tfidf_logistic_regression": _build_tfidf,
    "counts_naive_bayes": _build_naive_bayes,
}


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NaT or isinstance(value, float)


def _whole_messages(mail: pd.DataFrame) -> Iterator[bytes]:
    for sender, recipients, subject, body, raw in mail[[SENDER, RECIPIENTS, SUBJECT, BODY, RAW]].itertuples(
        index=False
    ):
        if not _is_missing(raw):
            yield raw
            continue
        headers = ((b"From", sender), (b"To", recipients), (b"Subject", subject))
        lines = [
            name + b": " + " ".join(str(value).split()).encode("utf-8", "replace")
            for name, value in headers
            if not _is_missing(value) and value
        ]
        text = "" if _is_missing(body) else str(body)
        yield b"\n".join(lines) + b"\n\n" + text.encode("utf-8", "replace")


_END_OF_HEADERS = re.compile(rb"\r?\n\r?\n")


def _texts(mail: pd.DataFrame) -> list[str]:
    texts = []
    for message, body in zip(_whole_messages(mail), mail[BODY], strict=True):
        headers = _END_OF_HEADERS.split(message, maxsplit=1)[0].decode("utf-8", "replace")
        texts.append(f"{headers}\n\n{'' if _is_missing(body) else body}")
    return texts


@dataclass(frozen=True)
class Run:
    """What one filter did: n messages of the scored days, and what that cost."""

    labels: npt.NDArray[np.int8]
    scores: npt.NDArray[np.float64]
    thresholds: npt.NDArray[np.float64]
    train_cpu_seconds: float = 0.0
    score_cpu_seconds: float = 0.0
    peak_memory_mb: float = 0.0


def _cpu_seconds() -> float:
    """Of this process and of the commands it ran."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _peak_memory_mb() -> float:
    kilobytes = max(
        resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return kilobytes / (1024 if sys.platform != "darwin" else 1024**2)


def run_filter(
    name: str, landing: str, days: Sequence[str], first: int, *, columns_only: bool
) -> Iterator[Any]:
    """Run the daily protocol; yields the number of each finished day, at last the ``Run``."""
    spam_filter = FILTERS[name]()
    zone = LandingZone(landing)
    labels: list[npt.NDArray[np.int8]] = []
    scores: list[npt.NDArray[np.float64]] = []
    thresholds: list[npt.NDArray[np.float64]] = []
    train_seconds = score_seconds = 0.0
    for number, day in enumerate(days, start=1):
        mail = select_valid_mail(zone.read(day).frame)
        if mail.empty:
            continue
        if columns_only:
            mail = mail.assign(**{RAW: None})
        started = _cpu_seconds()
        if number >= first:
            day_scores, threshold = spam_filter.score(day, mail)
            labels.append(np.array([label == SPAM for label in mail[LABEL]], np.int8))
            scores.append(day_scores)
            thresholds.append(np.full(len(mail), threshold))
        scored = _cpu_seconds()
        score_seconds += scored - started
        spam_filter.learn(day, mail)
        if first - 1 <= number < len(days):
            spam_filter.train()
        train_seconds += _cpu_seconds() - scored
        yield number
    yield Run(
        np.concatenate(labels),
        np.concatenate(scores),
        np.concatenate(thresholds),
        train_seconds,
        score_seconds,
        _peak_memory_mb(),
    )


def _run_in_child(connection: Any, arguments: tuple[Any, ...], columns_only: bool) -> None:  # noqa: FBT001
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        for message in run_filter(*arguments, columns_only=columns_only):
            connection.send(message)
    except (LandingError, RuntimeError, OSError, ValueError) as error:
        connection.send(f"{type(error).__name__}: {error}")
    connection.close()


def run_in_process(
    name: str, landing: str, days: Sequence[str], first: int, progress: Any, *, columns_only: bool
) -> Run:
    """Run a filter in a fresh process, so that CPU and memory are its own."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(
        target=_run_in_child, args=(sender, (name, landing, list(days), first), columns_only)
    )
    child.start()
    sender.close()
    result: Run | None = None
    try:
        while result is None:
            message = receiver.recv()
            if isinstance(message, int):
                progress(name, message, len(days))
            elif isinstance(message, Run):
                result = message
            else:
                raise SystemExit(f"{name}: {message}")
    except EOFError:
        raise SystemExit(f"{name}: its process ended with code {child.exitcode} and no result") from None
    finally:
        child.join()
    return result


@contextmanager
def show_progress() -> Iterator[Any]:
    """A progress bar on a terminal; elsewhere a line each tenth of the way."""
    if not sys.stderr.isatty():

        def print_line(name: str, done: int, total: int) -> None:
            if done == total or done % max(total // 10, 1) == 0:
                print(f"{name}: day {done} of {total}", file=sys.stderr, flush=True)

        yield print_line
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        tasks: dict[str, Any] = {}

        def update(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=total)
            bar.update(tasks[name], completed=done)

        yield update


def summarize(name: str, run: Run) -> dict[str, Any]:
    """The row of a filter."""
    evaluation = evaluate_scores(run.labels, run.scores, run.thresholds, ())
    return {
        "filter": name,
        "one_minus_roca_percent": evaluation.one_minus_roca_percent,
        "one_minus_roca_percent_interval": list(bootstrap_interval(run.labels, run.scores)),
        "lam_percent": evaluation.lam_percent,
        "recall_at_fpr_0.1_percent": evaluation.recall_at_fpr_0_1_percent,
        "recall_at_fpr_1_percent": evaluation.recall_at_fpr_1_percent,
        "fpr": evaluation.fpr,
        "recall": evaluation.recall,
        "brier": evaluation.brier,
        "train_cpu_seconds": run.train_cpu_seconds,
        "score_cpu_seconds": run.score_cpu_seconds,
        "peak_memory_mb": run.peak_memory_mb,
    }


def print_rows(rows: Sequence[Mapping[str, Any]], title: str) -> None:
    """The rows as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    for header in (
        "filter", "(1-ROCA)%", "95 %", "lam%", "recall@0.1%", "recall@1%", "FPR", "recall", "Brier",
        "train s", "score s", "MB",
    ):  # fmt: skip
        table.add_column(header, justify="left" if header == "filter" else "right", no_wrap=True)
    for row in rows:
        low, high = row["one_minus_roca_percent_interval"]
        table.add_row(
            row["filter"],
            f"{row['one_minus_roca_percent']:.4f}",
            f"{low:.3f}-{high:.3f}",
            f"{row['lam_percent']:.2f}",
            f"{row['recall_at_fpr_0.1_percent']:.3f}",
            f"{row['recall_at_fpr_1_percent']:.3f}",
            f"{row['fpr']:.4f}",
            f"{row['recall']:.3f}",
            f"{row['brier']:.4f}",
            f"{row['train_cpu_seconds']:.1f}",
            f"{row['score_cpu_seconds']:.1f}",
            f"{row['peak_memory_mb']:.0f}",
        )
    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(table)


def _say_difference(other: str, paired: PairedDifference) -> str:
    low, high = paired.interval
    return (
        f"(1-ROCA)% {OURS} minus {other}: {paired.difference:+.4f} (95 % {low:+.4f} to {high:+.4f}; "
        f"ours is lower in {1 - paired.share_above_zero:.1%} of paired resamples)"
    )


def draw_det_curves(runs: Mapping[str, Run], path: Path) -> None:
    """DET curves, one line a filter."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 6), layout="constrained")
    for name, run in runs.items():
        false_alarms, misses = det_curve(run.labels, run.scores)
        axes.step(100 * false_alarms, 100 * misses, where="pre", label=name)
    axes.set(
        xscale="log", yscale="log", xlim=(0.02, 50), ylim=(0.05, 100),
        xlabel="ham called spam, %", ylabel="spam missed, %", title="Detection error trade-off",
    )  # fmt: skip
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    figure.savefig(path)


def land_corpus(cache: Path, folder: Path) -> str:
    """Land the SpamAssassin corpus in a folder."""
    from spam_assets.mail.importers import corpus_messages, fetch_corpus, land_messages

    zone = LandingZone(str(folder))
    land_messages(corpus_messages(fetch_corpus(cache)), zone, "parquet")
    return str(folder)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--landing", help="landing zone (default: the SpamAssassin corpus, downloaded)")
    parser.add_argument("--cache", type=Path, help="keep the downloaded corpus in this folder")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--plot", type=Path, help="draw DET curves to this file (.svg, .png, .pdf)")
    parser.add_argument("--from-day", type=int, default=11, help="first day that is scored (default: 11)")
    parser.add_argument("--to-day", type=int, help="last day (default: the last with mail)")
    parser.add_argument("--columns-only", action="store_true", help="hide the raw messages from all filters")
    parser.add_argument("--filters", nargs="+", choices=list(FILTERS), default=list(FILTERS))
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="quality-") as scratch:
        folder = Path(scratch)
        landing = options.landing or land_corpus(options.cache or folder / "cache", folder / "landing")
        days = LandingZone(landing).days()[: options.to_day]
        if not 1 <= options.from_day <= len(days):
            parser.error(f"--from-day {options.from_day} is outside of the {len(days)} days of {landing}")
        names = list(options.filters)
        if "bogofilter" in names and shutil.which("bogofilter") is None:
            print("bogofilter is left out: no such command; the Debian package is called bogofilter")
            names.remove("bogofilter")
        started = time.monotonic()
        with show_progress() as progress:
            runs = {
                name: run_in_process(
                    name, landing, days, options.from_day, progress, columns_only=options.columns_only
                )
                for name in names
            }
    rows = [summarize(name, run) for name, run in runs.items()]
    labels = next(iter(runs.values())).labels
    title = (
        f"days {options.from_day} to {len(days)}: {len(labels)} messages, {int(labels.sum())} spam"
        f"{', columns only' if options.columns_only else ''}; {time.monotonic() - started:.0f} s"
    )
    print_rows(rows, title)
    for name, run in runs.items():
        if OURS in runs and name != OURS:
            print(_say_difference(name, compare_scores(labels, runs[OURS].scores, run.scores)))
    if options.json:
        options.json.write_text(json.dumps({"rows": rows}, indent=2) + "\n")
    if options.plot:
        draw_det_curves(runs, options.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
