"""What the whole policy serves when something is planted: training, checks, gate.

    python -m benchmarks.gate [--landing DIR] [--json FILE] [--dates N]

A trial is a scenario and a date D of the mail that has ten days after it. Until the day before, a model is trained
every day on mail that is as it is, and the gate decides. On D the checks, the training and the gate read what the
scenario plants (a day that fails the checks is in no window and has no candidate), or the trained model is replaced by
what it plants. From the next day on the mail is as it was: somebody has mended it, or the fault was the training's; a
model is trained every day again, and what was planted may still wait, serve, or be what later candidates are held
against. Mail of each of the ten days after D is scored by what serves on its morning, which is judged by the true
labels and held against what serves where nothing is planted.

`promoted`, `refused` and `waiting` tell what became of the planted candidate; one that waits on D and is promoted later
counts as promoted, `waited` counts those that waited on D. `harmed`: of the ten days' spam less than 0.9 of what
is caught where nothing is planted was caught, or 0.2 points more of the ham was called spam.

Because a bad model that is promoted on D is replaced within days by one that is well, `harmed_if_kept` judges what
serves on the day after D as if it served on all ten of them, and leaves out what is no worse than the champion of the
day before kept for as long: what was lost by promoting, not by being a day old.

In `slow_degradation` all happens on D: forty candidates follow one another, each of which has forgotten a further
20th of the weights of the last, and what serves after them is kept for the ten days.

Models learn all mail but the held-out share, as the assets' do. Days with an index up to 45 are those by which the
gate's settings were chosen; `chosen_on` and `held_out` in the JSON tell the two halves apart. The later ones were
looked at on the way, though: versions of the gate were tried on all dates, and what harmed on some of 69 to 71 led to
one of its measures. That what is planted is mended the next day was settled after seeing that otherwise keeping the
champion of the day before counts as harm, too (docs/retraining.md has the figures).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.quality import land_corpus
from benchmarks.retraining import load_mail
from spam_assets.learning.daily_protocol import NotEnoughMailError
from spam_assets.learning.dated_model import DatedModel
from spam_assets.learning.day_parts import select_messages
from spam_assets.learning.features import MailFeatures, featurize_mail
from spam_assets.learning.held_out import HELD_OUT_SHARE
from spam_assets.learning.method_choice import Judged
from spam_assets.learning.model import SpamModel
from spam_assets.learning.model_files import dump_model, load_model
from spam_assets.learning.succession import Succession, judge_day
from spam_assets.learning.trained_model import TrainedModel
from spam_assets.learning.training import TrainingSettings, train_model
from spam_assets.mail.blocking_rules import judge_day as check_day
from spam_assets.mail.columns import BODY

FIRST_DATE = 11
LAST_CHOSEN_ON = 45
DAYS_AFTER = 10
WINDOW_DAYS = 90
NEWEST_DAYS = 5
STEPS = 40
FORGOTTEN_A_STEP = 0.05
RECALL_KEPT = 0.9
FPR_ADDED = 0.002
FRESH_DAYS = 3

UNDISTURBED = "undisturbed"
SLOW = "slow_degradation"
PLANTED_MAIL = (
    "same_quality",
    "labels_flipped_5_percent_window",
    "labels_flipped_20_percent_window",
    "labels_random_window",
    "labels_inverted_newest_day",
    "labels_flipped_20_percent_newest_5_days",
    "bodies_empty_newest_5_days",
)
PLANTED_MODELS = ("calls_nothing_spam", "calls_everything_spam", "weights_zeroed")
SCENARIOS = (UNDISTURBED, *PLANTED_MAIL, *PLANTED_MODELS, SLOW)


# --- what is planted --------------------------------------------------------------------------------------------


def plant_mail(
    scenario: str, window: Mapping[str, MailFeatures], emptied: Mapping[str, MailFeatures]
) -> dict[str, MailFeatures]:
    """The window as the training of its last day reads it; of emptied days only those that pass the checks."""
    days = sorted(window)
    newest = days[-NEWEST_DAYS:]
    if scenario == "same_quality":  # the same mail in another order within each day
        return {day: _shuffle(day, window[day]) for day in days}
    if scenario == "labels_flipped_5_percent_window":
        return {day: flip_labels(day, window[day], 0.05) for day in days}
    if scenario == "labels_flipped_20_percent_window":
        return {day: flip_labels(day, window[day], 0.2) for day in days}
    if scenario == "labels_random_window":
        return {day: flip_labels(day, window[day], 0.5) for day in days}
    if scenario == "labels_inverted_newest_day":
        return {**window, days[-1]: flip_labels(days[-1], window[days[-1]], 1.0)}
    if scenario == "labels_flipped_20_percent_newest_5_days":
        return {**window, **{day: flip_labels(day, window[day], 0.2) for day in newest}}
    if scenario == "bodies_empty_newest_5_days":
        good = {day: window[day] for day in days if day not in newest}
        return good | {day: emptied[day] for day in newest if day in emptied}
    return dict(window)


def flip_labels(day: str, features: MailFeatures, share: float) -> MailFeatures:
    """A share of a day's labels turned round; those of a smaller share are among those of a larger one."""
    turned = np.random.default_rng(zlib.crc32(day.encode())).random(len(features)) < share
    labels = np.where(turned, 1 - features.labels, features.labels).astype(np.int8)
    return MailFeatures(features.message_ids, labels, features.views)


def _shuffle(day: str, features: MailFeatures) -> MailFeatures:
    order = np.random.default_rng(zlib.crc32(day.encode())).permutation(len(features))
    one_by_one = [select_messages(features, np.arange(len(features)) == row) for row in order]
    return join_messages(one_by_one) if one_by_one else features


def join_messages(parts: Sequence[MailFeatures]) -> MailFeatures:
    """Messages one after another."""
    views = {}
    for name in parts[0].views:
        rows = [part.views[name] for part in parts]
        lengths = np.concatenate([np.diff(row.offsets) for row in rows])
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        views[name] = type(rows[0])(np.concatenate([row.indices for row in rows]), offsets)
    return MailFeatures(
        np.concatenate([part.message_ids for part in parts]), np.concatenate([part.labels for part in parts]), views
    )


def plant_model(scenario: str, model: TrainedModel) -> TrainedModel:
    """The model that takes the place of the trained one."""
    assert isinstance(model, SpamModel)
    if scenario == "calls_nothing_spam":
        return replace(model, threshold=1.1)
    if scenario == "calls_everything_spam":
        return replace(model, threshold=0.0)
    if scenario == "weights_zeroed":
        return replace(model, weights=np.zeros_like(model.weights), log_odds=np.zeros_like(model.log_odds))
    return model


def forget(model: TrainedModel, steps: int) -> TrainedModel:
    """A model that has lost a 20th of its weights so many times."""
    assert isinstance(model, SpamModel)
    kept = (1 - FORGOTTEN_A_STEP) ** steps
    weights, log_odds = (
        np.where(np.random.default_rng(seed).random(len(values)) < kept, values, 0).astype(np.float32)
        for seed, values in enumerate((model.weights, model.log_odds))
    )
    return replace(model, weights=weights, log_odds=log_odds)


# --- the policy -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Served:
    """Counts of mail as what serves calls it."""

    caught: int = 0
    spam: int = 0
    lost: int = 0
    ham: int = 0

    def __add__(self, other: Served) -> Served:
        return Served(self.caught + other.caught, self.spam + other.spam, self.lost + other.lost, self.ham + other.ham)

    @property
    def recall(self) -> float:
        """Share of spam caught; NaN without spam."""
        return self.caught / self.spam if self.spam else float("nan")

    @property
    def fpr(self) -> float:
        """Share of ham lost; NaN without ham."""
        return self.lost / self.ham if self.ham else float("nan")

    def is_harmed(self, undisturbed: Served) -> bool:
        """Whether clearly less is caught or more is lost than where nothing is planted; the mail is the same."""
        less = self.caught < RECALL_KEPT * undisturbed.caught
        return less or self.lost - undisturbed.lost >= FPR_ADDED * self.ham > 0


class Policy:
    """Daily training and the gate, over the days of the mail; undisturbed models are trained once."""

    def __init__(self, features: Mapping[str, MailFeatures], emptied: Mapping[str, MailFeatures]) -> None:
        self.features = features
        self.emptied = emptied
        self.days = sorted(features)
        self._models: dict[str, DatedModel | None] = {}
        self._served: dict[tuple[str, str], Served] = {}
        self.states: dict[str, Succession] = {}
        self.judged: dict[str, tuple[Judged, ...]] = {}
        state = Succession()
        for day in self.days:
            state, self.judged[day] = judge_day(state, _list(self.train(day)), self.window(day))
            self.states[day] = state

    def window(self, day: str) -> dict[str, MailFeatures]:
        """The mail of the window that ends with a day."""
        first = (date.fromisoformat(day) - timedelta(days=WINDOW_DAYS - 1)).isoformat()
        return {earlier: self.features[earlier] for earlier in self.days if first <= earlier <= day}

    def train(self, day: str) -> DatedModel | None:
        """The undisturbed model of a day; None where there was too little mail."""
        if day not in self._models:
            self._models[day] = train_stored(day, self.window(day))
        return self._models[day]

    def go_on(self, state: Succession, day: str) -> Succession:
        """The next day, undisturbed but for the state."""
        if _are_same(state, self.states[_day_before(self.days, day)]):
            return self.states[day]
        return judge_day(state, _list(self.train(day)), self.window(day))[0]

    def serve(self, champion: DatedModel | None, day: str) -> Served:
        """A day's mail as a champion calls it."""
        labels = np.asarray(self.features[day].labels)
        spam = int(labels.sum())
        if champion is None:
            return Served(0, spam, 0, len(labels) - spam)
        key = (champion.training_date, day)
        is_undisturbed = self._models.get(champion.training_date) is champion
        if is_undisturbed and key in self._served:
            return self._served[key]
        called = champion.model.score(self.features[day]) >= champion.model.threshold
        caught, lost = int(called[labels != 0].sum()), int(called[labels == 0].sum())
        served = Served(caught, spam, lost, len(labels) - spam)
        if is_undisturbed:
            self._served[key] = served
        return served

    def keep(self, champion: DatedModel | None, days: Sequence[str]) -> Served:
        """Days as one champion calls them."""
        return sum((self.serve(champion, day) for day in days), Served())


def train_stored(day: str, window: Mapping[str, MailFeatures]) -> DatedModel | None:
    """The model of a window as it is stored and loaded back."""
    try:
        model = train_model(window, TrainingSettings(held_out_share=HELD_OUT_SHARE))
    except NotEnoughMailError:
        return None
    return DatedModel(day, load_model(dump_model(model)))


def _list(candidate: DatedModel | None) -> list[DatedModel]:
    return [candidate] if candidate is not None else []


# --- trials -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trial:
    """What came of a scenario on a date.

    Attributes:
        number: The date's index among the days, from 1.
        fate: ``promoted``, ``refused`` or ``waiting``: what became of the planted candidate.
        waited: Whether it waited on the date itself.
        reason: The gate's on the date itself.
        served: The ten days as they were served.
        undisturbed: The same where nothing is planted.
        harmed_if_kept: See above.
        days_behind: So many days what serves after the date is older than the newest model.
    """

    number: int
    fate: str
    waited: bool
    reason: str
    served: Served
    undisturbed: Served
    harmed_if_kept: bool
    days_behind: int

    @property
    def harmed(self) -> bool:
        """Whether people are served worse."""
        return self.served.is_harmed(self.undisturbed)


def try_scenario(policy: Policy, scenario: str, number: int) -> Trial:
    """A trial of a scenario in which something is planted once."""
    day = policy.days[number - 1]
    after = policy.days[number : number + DAYS_AFTER]
    before = policy.states[policy.days[number - 2]]
    window = policy.window(day)
    if scenario in PLANTED_MAIL:
        window = plant_mail(scenario, window, policy.emptied)
        candidate = train_stored(day, window) if day in window else None
    else:
        candidate = policy.train(day)
        if candidate is not None and scenario in PLANTED_MODELS:
            candidate = DatedModel(day, load_model(dump_model(plant_model(scenario, candidate.model))))
    state, judged = judge_day(before, _list(candidate), window)
    decision = next((one.decision for one in judged if candidate and one.candidate.model is candidate.model), None)
    verdict = decision.verdict if decision else "refuse"
    served = undisturbed = Served()
    next_day_champion = state.champion
    promoted = verdict == "promote"
    waits = verdict == "wait"
    for later in after:
        served += policy.serve(state.champion, later)
        undisturbed += policy.serve(policy.states[_day_before(policy.days, later)].champion, later)
        state = policy.go_on(state, later)
        promoted |= candidate is not None and state.champion is not None and state.champion.model is candidate.model
    kept = policy.keep(next_day_champion, after)
    reference = policy.keep(policy.states[day].champion, after)
    stale = policy.keep(before.champion, after)
    harmed_if_kept = kept.is_harmed(reference) and (kept.caught < stale.caught or kept.lost > stale.lost)
    return Trial(
        number,
        "promoted" if promoted else "waiting" if waits else "refused",
        waits,
        decision.reason if decision else "no model could be trained",
        served,
        undisturbed,
        harmed_if_kept,
        _count_days_behind(next_day_champion, day),
    )


def try_slow_degradation(policy: Policy, number: int) -> Trial:
    """A trial of forty candidates, each a little worse than the last."""
    day = policy.days[number - 1]
    after = policy.days[number : number + DAYS_AFTER]
    start = policy.states[day]
    window = policy.window(day)
    state, promoted, last = replace(start, waiting=()), 0, None
    for step in range(1, STEPS + 1):
        if start.champion is None:
            break
        candidate = DatedModel(day, load_model(dump_model(forget(start.champion.model, step))))
        state, judged = judge_day(replace(state, waiting=()), [candidate], window)
        last = judged[-1].decision
        promoted += last.promote
    served, undisturbed = policy.keep(state.champion, after), policy.keep(start.champion, after)
    fate = {"promote": "promoted", "wait": "waiting", "refuse": "refused"}[last.verdict if last else "refuse"]
    reason = f"{promoted} of {STEPS} promoted; then: {last.reason if last else 'no champion'}"
    return Trial(
        number=number,
        fate=fate,
        waited=fate == "waiting",
        reason=reason,
        served=served,
        undisturbed=undisturbed,
        harmed_if_kept=served.is_harmed(undisturbed),
        days_behind=_count_days_behind(state.champion, day),
    )


def _count_days_behind(champion: DatedModel | None, day: str) -> int:
    if champion is None:
        return 10**6
    return (date.fromisoformat(day) - date.fromisoformat(champion.training_date)).days


def _are_same(state: Succession, other: Succession) -> bool:
    models, others = ([one.champion, one.best, *one.waiting] for one in (state, other))
    return len(models) == len(others) and all(one is another for one, another in zip(models, others, strict=True))


def _day_before(days: Sequence[str], day: str) -> str:
    return days[days.index(day) - 1]


# --- running ----------------------------------------------------------------------------------------------------


def summarize(name: str, trials: Sequence[Trial]) -> dict[str, Any]:
    """The figures of a scenario."""
    fates = [trial.fate for trial in trials]

    def mean(values: Sequence[float]) -> float | None:
        finite = [value for value in values if not np.isnan(value)]
        return float(np.mean(finite)) if finite else None

    return {
        "name": name,
        "trials": len(trials),
        "promoted": fates.count("promoted"),
        "waiting": fates.count("waiting"),
        "refused": fates.count("refused"),
        "waited": sum(trial.waited for trial in trials),
        "harmed": sum(trial.harmed for trial in trials),
        "harmed_if_kept": sum(trial.harmed_if_kept for trial in trials),
        "recall": mean([trial.served.recall for trial in trials]),
        "recall_undisturbed": mean([trial.undisturbed.recall for trial in trials]),
        "fpr": mean([trial.served.fpr for trial in trials]),
        "fpr_undisturbed": mean([trial.undisturbed.fpr for trial in trials]),
        "at_most_3_days_behind": sum(trial.days_behind <= FRESH_DAYS for trial in trials),
        "harmed_on": [trial.number for trial in trials if trial.harmed],
        "reasons": {str(trial.number): f"{trial.fate}: {trial.reason}" for trial in trials},
    }


def measure(mail: Mapping[str, pd.DataFrame], dates: int | None) -> dict[str, Any]:
    """All figures."""
    features = {day: featurize_mail(frame) for day, frame in mail.items()}
    frames = {day: frame.assign(**{BODY: ""}) for day, frame in mail.items()}
    emptied = {
        day: featurize_mail(frame)
        for day, frame in frames.items()
        if all(verdict.passed for verdict in check_day(frame, day))
    }
    started = time.process_time()
    policy = Policy(features, emptied)
    report(f"{len(policy.days)} days undisturbed: {time.process_time() - started:.0f} CPU s")
    numbers = choose_dates(len(policy.days), dates)
    halves = {"scenarios": numbers}
    if len(policy.days) > LAST_CHOSEN_ON:
        halves["chosen_on"] = [number for number in numbers if number <= LAST_CHOSEN_ON]
        halves["held_out"] = [number for number in numbers if number > LAST_CHOSEN_ON]
    results: dict[str, Any] = {half: [] for half in halves}
    for name in SCENARIOS:
        trials = [
            try_slow_degradation(policy, number) if name == SLOW else try_scenario(policy, name, number)
            for number in numbers
        ]
        for half, chosen in halves.items():
            results[half].append(summarize(name, [trial for trial in trials if trial.number in chosen]))
        report(f"{tell(results['scenarios'][-1])}; {time.process_time() - started:.0f} CPU s")
    return results


def choose_dates(days: int, wanted: int | None) -> list[int]:
    """Indices of the dates tried, from 1; evenly spread where not all are wanted."""
    possible = list(range(FIRST_DATE, days - DAYS_AFTER + 1))
    if wanted is None or wanted >= len(possible):
        return possible
    return sorted({possible[round(at)] for at in np.linspace(0, len(possible) - 1, wanted)})


def tell(row: Mapping[str, Any]) -> str:
    """A scenario in a line."""

    def percent(value: float | None) -> str:
        return "   -  " if value is None else f"{100 * value:6.2f}"

    return (
        f"{row['name']:40} {row['trials']:3} trials {row['promoted']:3} promoted {row['waiting']:3} waiting "
        f"{row['refused']:3} refused {row['harmed']:3} harmed {row['harmed_if_kept']:3} if kept  recall "
        f"{percent(row['recall'])} ({percent(row['recall_undisturbed'])}) FPR {percent(row['fpr'])} "
        f"({percent(row['fpr_undisturbed'])})  fresh {row['at_most_3_days_behind']:3}"
    )


def report(line: str) -> None:
    """A line of progress."""
    print(line, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--landing", help="landing zone (default: the SpamAssassin corpus, downloaded)")
    parser.add_argument("--cache", type=Path, help="keep the downloaded corpus in this folder")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--dates", type=int, help="try so many dates, evenly spread (default: all)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="gate-") as name:
        scratch = Path(name)
        mail = load_mail(options.landing or land_corpus(options.cache or scratch / "cache", scratch / "landing"))
    if len(mail) < FIRST_DATE + DAYS_AFTER:
        parser.error(f"{len(mail)} days have mail; it takes at least {FIRST_DATE + DAYS_AFTER}")
    results = measure(mail, options.dates)
    for half in ("chosen_on", "held_out"):
        for row in results.get(half, ()):
            report(f"{half:9} {tell(row)}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
