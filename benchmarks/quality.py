"""Quality of spam filters on the same mail under the daily protocol.

    python -m benchmarks.quality [--landing DIR] [--json FILE] [--plot FILE] [--columns-only]

For every day in order a filter scores mail that it has not seen, then learns it. The scores of all days from
``--from-day`` on are pooled into one ROC curve; those from ``--held-out-from`` on are shown in a table of their own.
Intervals are of 1,000 resamples of whole days, for the mail of a day is alike.

All filters get the same mail: bogofilter and spamprobe the raw message, or one made of the columns where there is
no raw one; ours the raw message's headers and the columns; scikit-learn's models the columns From, Subject and
decoded body, which suited them better than raw headers on days 11 to 45 (docs/quality.md). All of them learn daily.

Every filter runs in a process of its own. CPU seconds and peak memory of bogofilter and spamprobe are those of the
commands alone; of the others those of the Python process, which also holds pandas and the day's mail. Reading the
landing zone, which decodes the bodies, and Numba's one compilation count for nobody's CPU seconds; bogofilter and
spamprobe decode raw mail themselves.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from spam_assets.landing.errors import LandingError
from spam_assets.landing.zone import LandingZone
from spam_assets.learning.comparison import compare_methods, measure_method
from spam_assets.learning.evaluation import PairedDifference
from spam_assets.learning.held_out import HELD_OUT_SHARE
from spam_assets.learning.replayed_days import ScoredMail
from spam_assets.mail.columns import BODY, LABEL, RAW, RECIPIENTS, SENDER, SPAM, SUBJECT
from spam_assets.mail.validation import select_valid_mail
from spam_assets.views.det_curves import draw_det_curves

BOGOFILTER_CUTOFF = 0.99  # its default spam_cutoff
SPAMPROBE_CUTOFF = 0.6  # its default for -l
CORPUS_HELD_OUT_FROM = 46  # what ours is made of was chosen on the corpus's days before
FILES_A_COMMAND = 500  # some commands take names as arguments, whose total length is limited
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
        from spam_assets.learning.methods import OURS as OUR_METHOD
        from spam_assets.learning.replayed_days import MethodReplay
        from spam_assets.learning.training import TrainingSettings

        self._replay = MethodReplay(OUR_METHOD, TrainingSettings(held_out_share=HELD_OUT_SHARE), WINDOW_DAYS)
        self._of_day: tuple[str, MailFeatures] | None = None
        self._compile()

    def _compile(self) -> None:
        """Let Numba compile, or load what it compiled before; once a machine, so it is not counted."""
        from spam_assets.learning.features import featurize_mail
        from spam_assets.learning.training import TrainingSettings, train_model

        mail = pd.DataFrame({"message_id": ["a", "b"], SUBJECT: ["x y", "z"], LABEL: ["ham", SPAM]})
        features = featurize_mail(mail)
        settings = TrainingSettings(minimum_messages_a_class=1, held_out_share=HELD_OUT_SHARE)
        train_model({"2000-01-01": features, "2000-01-02": features}, settings).score(features)

    def score(self, day: str, mail: pd.DataFrame) -> tuple[npt.NDArray[np.float64], float]:
        from spam_assets.learning.features import featurize_mail

        self._of_day = (day, featurize_mail(mail))
        return self._replay.score(self._of_day[1])

    def learn(self, day: str, mail: pd.DataFrame) -> None:
        from spam_assets.learning.features import featurize_mail

        known = self._of_day
        self._replay.learn(day, known[1] if known and known[0] == day else featurize_mail(mail))

    def train(self) -> None:
        self._replay.train()


@dataclass
class Usage:
    """CPU seconds and peak memory of the commands that a filter has run."""

    cpu_seconds: float = 0.0
    peak_memory_mb: float = 0.0


# A process that Linux starts from a large one inherits its peak memory, so a small one stands in between. Only
# what it starts is counted; its own 10 MB are the least that can be told.
_MEASURE = """
import os, resource, sys
report, command = int(sys.argv[1]), sys.argv[2:]
child = os.posix_spawnp(command[0], command, os.environ)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
os.write(report, b"%f %d" % (used.ru_utime + used.ru_stime, used.ru_maxrss))
os._exit(code if code >= 0 else 70)
"""


def run_measured(command: Sequence[str], lines: str, usage: Usage, most_exit_code: int) -> str:
    """Run a command with ``lines`` as its input; adds to ``usage`` and returns what it printed.

    Raises:
        RuntimeError: If the command ends with a code above ``most_exit_code``.
    """
    reader, writer = os.pipe()
    try:
        finished = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _MEASURE, str(writer), *command],
            input=lines,
            capture_output=True,
            text=True,
            check=False,
            pass_fds=[writer],
        )
    finally:
        os.close(writer)
        with os.fdopen(reader, "rb") as report:
            figures = report.read().split()
    if not 0 <= finished.returncode <= most_exit_code or len(figures) != 2:
        message = f"{command[0]} failed with code {finished.returncode}: {finished.stderr.strip()[-500:]}"
        raise RuntimeError(message)
    usage.cpu_seconds += float(figures[0])
    usage.peak_memory_mb = max(usage.peak_memory_mb, float(figures[1]) / _MAXRSS_A_MB)
    return finished.stdout


class _CommandFilter:
    """A command that learns files and scores files, with a word list in a folder of its own."""

    cutoff: float

    def __init__(self) -> None:
        self.usage = Usage()
        self._folder = tempfile.TemporaryDirectory(prefix="filter-")
        self.path = Path(self._folder.name)
        self._has_learnt = False

    def score_files(self, names: Sequence[str]) -> list[float]:
        raise NotImplementedError

    def learn_files(self, names: Sequence[str], *, are_spam: bool) -> None:
        raise NotImplementedError

    def score(self, day: str, mail: pd.DataFrame) -> tuple[npt.NDArray[np.float64], float]:
        if not self._has_learnt:
            return np.full(len(mail), 0.5), self.cutoff
        names = self._write(day, mail)
        scores = [score for batch in _batches(names) for score in self.score_files(batch)]
        if len(scores) != len(names):
            message = f"{type(self).__name__.strip('_').lower()} scored {len(scores)} of {len(names)} messages of {day}"
            raise RuntimeError(message)
        return np.array(scores), self.cutoff

    def learn(self, day: str, mail: pd.DataFrame) -> None:
        names = self._write(day, mail)
        for are_spam in (True, False):
            chosen = [name for name, label in zip(names, mail[LABEL], strict=True) if (label == SPAM) == are_spam]
            for batch in _batches(chosen):
                self.learn_files(batch, are_spam=are_spam)
                self._has_learnt = True
        for name in names:
            Path(name).unlink()

    def train(self) -> None:
        pass  # ``learn`` has updated the word list

    def _write(self, day: str, mail: pd.DataFrame) -> list[str]:
        paths = [self.path / f"{day}-{number:06d}.eml" for number in range(len(mail))]
        if not paths[0].exists():  # ``score`` has written them
            for path, message in zip(paths, whole_messages(mail), strict=True):
                path.write_bytes(message or b"\n\n")
        return [str(path) for path in paths]


class _Bogofilter(_CommandFilter):
    """The bogofilter command with its defaults."""

    cutoff = BOGOFILTER_CUTOFF

    def score_files(self, names: Sequence[str]) -> list[float]:
        return [float(line.split()[-1]) for line in self._run("-TT", names).splitlines()]

    def learn_files(self, names: Sequence[str], *, are_spam: bool) -> None:
        self._run("-s" if are_spam else "-n", names)

    def _run(self, option: str, names: Sequence[str]) -> str:
        command = ["bogofilter", "-C", "-d", str(self.path), option, "-b"]
        return run_measured(command, "".join(f"{name}\n" for name in names), self.usage, 2)  # 0 to 2 are verdicts


class _Spamprobe(_CommandFilter):
    """The spamprobe command with its defaults; it learns everything, as bogofilter does."""

    cutoff = SPAMPROBE_CUTOFF

    def score_files(self, names: Sequence[str]) -> list[float]:
        return [float(line.split()[1]) for line in self._run("score", names).splitlines()]

    def learn_files(self, names: Sequence[str], *, are_spam: bool) -> None:
        self._run("spam" if are_spam else "good", names)

    def _run(self, action: str, names: Sequence[str]) -> str:
        # -c makes the word list if there is none, -M: one message a file
        return run_measured(["spamprobe", "-c", "-M", "-d", str(self.path), action, *names], "", self.usage, 0)


def _batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), FILES_A_COMMAND):
        yield names[start : start + FILES_A_COMMAND]


@dataclass
class _ScikitLearnFilter:
    """A vectorizer and a classifier, trained from scratch on all mail so far."""

    vectorizer: Any
    classifier: Any
    _texts: list[str] = field(default_factory=list)
    _labels: list[bool] = field(default_factory=list)
    _is_fitted: bool = False

    def score(self, day: str, mail: pd.DataFrame) -> tuple[npt.NDArray[np.float64], float]:  # noqa: ARG002
        if not self._is_fitted:
            return np.full(len(mail), 0.5), 1.0
        probabilities = self.classifier.predict_proba(self.vectorizer.transform(_texts(mail)))
        return np.asarray(probabilities[:, 1], np.float64), 0.5

    def learn(self, day: str, mail: pd.DataFrame) -> None:  # noqa: ARG002
        self._texts += _texts(mail)
        self._labels += (mail[LABEL] == SPAM).tolist()

    def train(self) -> None:
        """Train from scratch."""
        if len(set(self._labels)) == 2:
            self.classifier.fit(self.vectorizer.fit_transform(self._texts), self._labels)
            self._is_fitted = True


def _build_tfidf() -> _ScikitLearnFilter:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    # C, min_df and sublinear_tf chosen, as ours is, on the corpus's days 11 to 45; the default C is much weaker
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    return _ScikitLearnFilter(vectorizer, LogisticRegression(C=100.0, max_iter=1000))


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
    "spamprobe": _Spamprobe,
}
COMMANDS = ("bogofilter", "spamprobe")  # of the same name in Debian


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NaT or isinstance(value, float)


def whole_messages(mail: pd.DataFrame) -> Iterator[bytes]:
    """The raw message of each row, or one made of its columns where there is no raw one."""
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


def _texts(mail: pd.DataFrame) -> list[str]:
    rows = mail[[SENDER, SUBJECT, BODY]].itertuples(index=False)
    return ["\n".join("" if _is_missing(value) else str(value) for value in row) for row in rows]


@dataclass(frozen=True)
class Run(ScoredMail):
    """What one filter did: n messages of the scored days, and what that cost."""

    train_cpu_seconds: float = 0.0
    score_cpu_seconds: float = 0.0
    peak_memory_mb: float = 0.0

    def since(self, day_number: int) -> Run:
        """The same run, looked at from a later day on."""
        kept = self.day_numbers >= day_number
        return replace(
            self,
            labels=self.labels[kept],
            scores=self.scores[kept],
            thresholds=self.thresholds[kept],
            day_numbers=self.day_numbers[kept],
        )


_MAXRSS_A_MB = 1024**2 if sys.platform == "darwin" else 1024


def peak_memory_mb() -> float:
    """Of this process; on Linux without what it inherited from the process that started it."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text("ascii", "replace").splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MAXRSS_A_MB


def run_filter(name: str, landing: str, days: Sequence[str], first: int, *, columns_only: bool) -> Iterator[Any]:
    """Run the daily protocol; yields the number of each finished day, at last the ``Run``."""
    spam_filter = FILTERS[name]()
    commands: Usage | None = getattr(spam_filter, "usage", None)
    zone = LandingZone(landing)
    labels: list[npt.NDArray[np.int8]] = []
    scores: list[npt.NDArray[np.float64]] = []
    thresholds: list[npt.NDArray[np.float64]] = []
    day_numbers: list[npt.NDArray[np.int32]] = []
    train_seconds = score_seconds = 0.0

    def cpu_seconds() -> float:
        return commands.cpu_seconds if commands else time.process_time()

    for number, day in enumerate(days, start=1):
        mail = select_valid_mail(zone.read(day).frame)
        if mail.empty:
            continue
        if columns_only:
            mail = mail.assign(**{RAW: None})
        started = cpu_seconds()
        if number >= first:
            day_scores, threshold = spam_filter.score(day, mail)
            labels.append(np.array([label == SPAM for label in mail[LABEL]], np.int8))
            scores.append(day_scores)
            thresholds.append(np.full(len(mail), threshold))
            day_numbers.append(np.full(len(mail), number, np.int32))
        scored = cpu_seconds()
        score_seconds += scored - started
        spam_filter.learn(day, mail)
        if first - 1 <= number < len(days):
            spam_filter.train()
        train_seconds += cpu_seconds() - scored
        yield number
    yield Run(
        np.concatenate(labels),
        np.concatenate(scores),
        np.concatenate(thresholds),
        np.concatenate(day_numbers),
        train_seconds,
        score_seconds,
        commands.peak_memory_mb if commands else peak_memory_mb(),
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
    child = context.Process(target=_run_in_child, args=(sender, (name, landing, list(days), first), columns_only))
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
    figures = measure_method(run)
    evaluation = figures.evaluation
    return {
        "filter": name,
        "one_minus_roca_percent": evaluation.one_minus_roca_percent,
        "one_minus_roca_percent_interval": list(figures.interval),
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


def report_runs(runs: Mapping[str, Run], first: int, last: int, mail: str) -> dict[str, Any]:
    """Print the table and ours against each other filter; returns the same for JSON."""
    rows = [summarize(name, run) for name, run in runs.items()]
    labels = next(iter(runs.values())).labels
    print_rows(rows, f"days {first} to {last},{mail}: {len(labels)} messages, {int(labels.sum())} spam")
    differences = {}
    for name, run in runs.items():
        if OURS in runs and name != OURS:
            paired = compare_methods(runs[OURS], run)
            print(_say_difference(name, paired))
            differences[name] = {
                "one_minus_roca_percent_difference": paired.difference,
                "interval": list(paired.interval),
                "share_of_resamples_where_ours_is_lower": 1 - paired.share_above_zero,
            }
    return {
        "rows": rows,
        "ours_minus": differences,
        "days": [first, last],
        "messages": len(labels),
        "spam": int(labels.sum()),
    }


def land_corpus(cache: Path, folder: Path) -> str:
    """Land the SpamAssassin corpus in a folder."""
    from spam_assets.landing.importers.days import land_messages
    from spam_assets.landing.importers.spamassassin import corpus_messages, fetch_corpus

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
    parser.add_argument(
        "--held-out-from",
        type=int,
        help="show the days from this one on also in a table of their own (default: 46 on the downloaded corpus, "
        "whose days 11 to 45 served to choose what ours is made of)",
    )
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
        for name in COMMANDS:
            if name in names and shutil.which(name) is None:
                print(f"{name} is left out: no such command; the Debian package is called {name}")
                names.remove(name)
        if not names:
            parser.error("no filter is left to run")
        held_out_from = options.held_out_from or (None if options.landing else CORPUS_HELD_OUT_FROM)
        started = time.monotonic()
        with show_progress() as progress:
            runs = {
                name: run_in_process(name, landing, days, options.from_day, progress, columns_only=options.columns_only)
                for name in names
            }
    print(f"{time.monotonic() - started:.0f} s")
    mail = " columns only" if options.columns_only else " raw where there is"
    results = report_runs(runs, options.from_day, len(days), mail)
    if held_out_from and options.from_day < held_out_from <= len(days):
        later = {name: run.since(held_out_from) for name, run in runs.items()}
        results["held_out"] = report_runs(later, held_out_from, len(days), mail)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    if options.plot:
        draw_det_curves(runs, options.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
