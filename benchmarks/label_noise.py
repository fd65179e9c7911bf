"""Spam filters that learn from wrong labels, judged by the true ones.

    python -m benchmarks.label_noise [--landing DIR] [--json FILE] [--seeds N]

The daily protocol of ``benchmarks.quality``: for every day in order a filter scores mail that it has not seen, then
learns it. A share of the learnt labels is wrong:

* ``flipped``: any label, with the same probability;
* ``spam_called_ham``: spam that nobody reported;
* ``ham_called_spam``: newsletters reported as spam.

Which labels are wrong is drawn from each message's id and the seed, so that the wrong labels of a small share are
among those of a larger one. Ours runs with several seeds, the others, which take far longer, with the first of them.
The figures are means over the seeds; the worst of them is printed beside. The precision and recall of suspect labels
are those of the last model's list, held against the labels that are wrong in its window.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.quality import CORPUS_HELD_OUT_FROM, FILTERS, OURS, WINDOW_DAYS, land_corpus
from spam_assets.landing.zone import LandingZone
from spam_assets.learning.daily_protocol import NotEnoughMailError
from spam_assets.learning.evaluation import evaluate_scores
from spam_assets.learning.features import MailFeatures, featurize_mail
from spam_assets.learning.held_out import HELD_OUT_SHARE
from spam_assets.learning.training import TrainingSettings, train_model
from spam_assets.mail.columns import HAM, LABEL, MESSAGE_ID, SPAM
from spam_assets.mail.validation import select_valid_mail

FLIPPED, SPAM_CALLED_HAM, HAM_CALLED_SPAM = "flipped", "spam_called_ham", "ham_called_spam"
DISTURBANCES = (
    (FLIPPED, 0.0),
    (FLIPPED, 0.01),
    (FLIPPED, 0.02),
    (FLIPPED, 0.05),
    (FLIPPED, 0.10),
    (SPAM_CALLED_HAM, 0.10),
    (HAM_CALLED_SPAM, 0.03),
)
PEERS = ("bogofilter", "tfidf_logistic_regression")


@dataclass(frozen=True)
class Disturbance:
    """Which labels are wrong."""

    kind: str
    share: float
    seed: int

    def find_wrong(self, day: str, ids: Sequence[str], is_spam: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Whether the label of each of a day's messages is wrong."""
        keys = [f"{self.seed}|{day}|{message_id}".encode() for message_id in ids]
        draws = [int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") / 2.0**64 for key in keys]
        is_wrong = np.array(draws) < self.share
        if self.kind == FLIPPED:
            return is_wrong
        return is_wrong & (is_spam if self.kind == SPAM_CALLED_HAM else ~is_spam)


@dataclass(frozen=True)
class Outcome:
    """Scores of all days from the first scored one on, with true labels and the thresholds in force."""

    labels: npt.NDArray[np.int8]
    scores: npt.NDArray[np.float64]
    thresholds: npt.NDArray[np.float64]
    day_numbers: npt.NDArray[np.int64]
    suspects: tuple[float, float] | None = None  # precision and recall of the last model's list


def read_days(landing: str, days: Sequence[str]) -> dict[str, pd.DataFrame]:
    """The valid mail of each day."""
    zone = LandingZone(landing)
    mail = {day: select_valid_mail(zone.read(day).frame) for day in days}
    return {day: frame for day, frame in mail.items() if not frame.empty}


def run_ours(features: Mapping[str, MailFeatures], disturbance: Disturbance, first: int) -> Outcome:
    """This project's model, trained anew for each day on the window before it."""
    settings = TrainingSettings(held_out_share=HELD_OUT_SHARE)
    window: dict[str, MailFeatures] = {}
    labels, scores, thresholds, numbers = [], [], [], []
    for number, (day, true) in enumerate(features.items(), start=1):
        if number >= first:
            try:
                model = train_model(window, settings)
                scores.append(model.score(true))
                thresholds.append(np.full(len(true), model.threshold))
            except NotEnoughMailError:
                scores.append(np.full(len(true), 0.5))
                thresholds.append(np.full(len(true), 1.0))
            labels.append(true.labels)
            numbers.append(np.full(len(true), number))
        window[day] = mislabel_features(day, true, disturbance)
        window = dict(list(window.items())[-WINDOW_DAYS:])
    model = train_model(window, settings)
    planted = {
        (day, message_id)
        for day, learnt in window.items()
        for message_id, is_wrong in zip(learnt.message_ids, learnt.labels != features[day].labels, strict=True)
        if is_wrong
    }
    found = {(suspect.day, suspect.message_id) for suspect in model.suspects}
    hits = len(found & planted)
    suspects = (hits / len(found) if found else 1.0, hits / len(planted)) if planted else None
    return Outcome(
        np.concatenate(labels), np.concatenate(scores), np.concatenate(thresholds), np.concatenate(numbers), suspects
    )


def mislabel_features(day: str, true: MailFeatures, disturbance: Disturbance) -> MailFeatures:
    """The same mail with some labels wrong."""
    is_wrong = disturbance.find_wrong(day, true.message_ids.tolist(), true.labels == 1)
    return MailFeatures(true.message_ids, true.labels ^ is_wrong.astype(np.int8), true.views)


def run_peer(name: str, mail: Mapping[str, pd.DataFrame], disturbance: Disturbance, first: int) -> Outcome:
    """A filter of ``benchmarks.quality``."""
    spam_filter = FILTERS[name]()
    labels, scores, thresholds, numbers = [], [], [], []
    for number, (day, frame) in enumerate(mail.items(), start=1):
        is_spam = (frame[LABEL] == SPAM).to_numpy(dtype=bool)
        if number >= first:
            day_scores, threshold = spam_filter.score(day, frame)
            scores.append(day_scores)
            thresholds.append(np.full(len(frame), threshold))
            labels.append(is_spam.astype(np.int8))
            numbers.append(np.full(len(frame), number))
        is_wrong = disturbance.find_wrong(day, frame[MESSAGE_ID].tolist(), is_spam)
        learnt = np.where(is_spam ^ is_wrong, SPAM, HAM)
        spam_filter.learn(day, frame.assign(**{LABEL: learnt}))
        if first - 1 <= number < len(mail):
            spam_filter.train()
    return Outcome(np.concatenate(labels), np.concatenate(scores), np.concatenate(thresholds), np.concatenate(numbers))


_MAIL: dict[str, pd.DataFrame] = {}  # of this process: read once, shared with the processes forked from it
_FEATURES: dict[str, MailFeatures] = {}


def _run(task: tuple[str, Disturbance, int]) -> tuple[str, Disturbance, Outcome]:
    name, disturbance, first = task
    os.environ["OMP_NUM_THREADS"] = "1"
    if name == OURS:
        return name, disturbance, run_ours(_FEATURES, disturbance, first)
    return name, disturbance, run_peer(name, _MAIL, disturbance, first)


def summarize(outcomes: Sequence[Outcome], first: int) -> dict[str, Any]:
    """Mean figures of the outcomes of several seeds from a day on, and the worst of each."""
    figures = []
    for outcome in outcomes:
        kept = outcome.day_numbers >= first
        found = evaluate_scores(outcome.labels[kept], outcome.scores[kept], outcome.thresholds[kept], ())
        figures.append((found.one_minus_roca_percent, found.recall_at_fpr_0_1_percent, found.fpr, found.recall))
    table = np.array(figures)
    names = ("one_minus_roca_percent", "recall_at_fpr_0.1_percent", "fpr", "recall")
    worst = (table[:, 0].max(), table[:, 1].min(), table[:, 2].max(), table[:, 3].min())
    return {
        **{name: float(mean) for name, mean in zip(names, table.mean(axis=0), strict=True)},
        "worst": {name: float(value) for name, value in zip(names, worst, strict=True)},
        "seeds": len(outcomes),
    }


def print_rows(rows: Sequence[Mapping[str, Any]], title: str) -> None:
    """The rows as a table, the worst seed in brackets."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    for header in ("wrong labels", "share", "filter", "(1-ROCA)%", "recall@0.1%", "FPR %", "recall"):
        is_text = header in ("wrong labels", "filter")
        table.add_column(header, justify="left" if is_text else "right", no_wrap=True)
    for row in rows:
        worst = row["worst"]
        table.add_row(
            row["kind"],
            f"{row['share']:.0%}",
            row["filter"],
            f"{row['one_minus_roca_percent']:.3f} ({worst['one_minus_roca_percent']:.3f})",
            f"{row['recall_at_fpr_0.1_percent']:.3f} ({worst['recall_at_fpr_0.1_percent']:.3f})",
            f"{100 * row['fpr']:.2f} ({100 * worst['fpr']:.2f})",
            f"{row['recall']:.3f} ({worst['recall']:.3f})",
        )
    Console(width=None if sys.stdout.isatty() else 130).print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.label_noise", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--landing", help="landing zone (default: the SpamAssassin corpus, downloaded)")
    parser.add_argument("--cache", type=Path, help="keep the downloaded corpus in this folder")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--from-day", type=int, default=11, help="first day that is scored (default: 11)")
    parser.add_argument("--to-day", type=int, help="last day (default: the last with mail)")
    parser.add_argument("--seeds", type=int, default=4, help="draws of the wrong labels for ours (default: 4)")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="side by side (default: one a core)")
    parser.add_argument("--filters", nargs="+", choices=(OURS, *PEERS), default=[OURS, *PEERS])
    options = parser.parse_args(arguments)
    names = list(options.filters)
    if "bogofilter" in names and shutil.which("bogofilter") is None:
        print("bogofilter is left out: no such command; the Debian package is called bogofilter")
        names.remove("bogofilter")
    with tempfile.TemporaryDirectory(prefix="label-noise-") as scratch:
        folder = Path(scratch)
        landing = options.landing or land_corpus(options.cache or folder / "cache", folder / "landing")
        days = LandingZone(landing).days()[: options.to_day]
        if not 1 <= options.from_day <= len(days):
            parser.error(f"--from-day {options.from_day} is outside of the {len(days)} days of {landing}")
        _MAIL.update(read_days(landing, days))
    _FEATURES.update({day: featurize_mail(frame) for day, frame in _MAIL.items()})
    tasks = [
        (name, Disturbance(kind, share, seed), options.from_day)
        for name in names
        for kind, share in DISTURBANCES
        for seed in range(options.seeds if share and name == OURS else 1)
    ]
    outcomes: dict[tuple[str, str, float], list[Outcome]] = {}
    with multiprocessing.get_context("fork").Pool(options.processes) as pool:
        for done, (name, wrong, outcome) in enumerate(pool.imap(_run, tasks), start=1):
            outcomes.setdefault((name, wrong.kind, wrong.share), []).append(outcome)
            print(f"{done} of {len(tasks)}: {name}, {wrong.kind} {wrong.share:.0%}", file=sys.stderr, flush=True)

    def tabulate(first: int) -> list[dict[str, Any]]:
        keys = [(kind, share, name) for kind, share in DISTURBANCES for name in names]
        rows = [
            {"kind": kind, "share": share, "filter": name, **summarize(outcomes[name, kind, share], first)}
            for kind, share, name in keys
        ]
        print_rows(rows, f"days {first} to {len(days)}; ours: mean (worst) of {options.seeds} seeds")
        return rows

    results: dict[str, Any] = {"days": [options.from_day, len(days)], "rows": tabulate(options.from_day)}
    if options.from_day < CORPUS_HELD_OUT_FROM <= len(days):
        results["held_out"] = {"days": [CORPUS_HELD_OUT_FROM, len(days)], "rows": tabulate(CORPUS_HELD_OUT_FROM)}
    results["suspects"] = []
    for kind, share in DISTURBANCES:
        shares = [outcome.suspects for outcome in outcomes.get((OURS, kind, share), []) if outcome.suspects]
        if shares:
            precision, recall = np.mean(shares, axis=0)
            worst = np.min(shares, axis=0)
            print(
                f"suspect labels, {kind} {share:.0%}: precision {precision:.3f} ({worst[0]:.3f}), "
                f"recall {recall:.3f} ({worst[1]:.3f})"
            )
            results["suspects"].append(
                {"kind": kind, "share": share, "precision": float(precision), "recall": float(recall)}
            )
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
