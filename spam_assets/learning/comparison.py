"""Methods side by side on the same mail: each one's figures with intervals, and who is proven better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from spam_assets.learning.evaluation import (
    Evaluation,
    PairedDifference,
    bootstrap_interval,
    compare_scores,
    evaluate_scores,
)
from spam_assets.learning.replayed_days import ScoredMail


@dataclass(frozen=True)
class MethodFigures:
    """How a method did.

    Attributes:
        evaluation: At the thresholds of the days.
        interval: 95 % interval of (1-ROCA)%, days resampled.
    """

    evaluation: Evaluation
    interval: tuple[float, float]


def measure_method(scored: ScoredMail) -> MethodFigures:
    """The figures of a method; an interval is of 1,000 resamples of whole days, for the mail of a day is alike."""
    return MethodFigures(
        evaluate_scores(scored.labels, scored.scores, scored.thresholds, ()),
        bootstrap_interval(scored.labels, scored.scores, days=scored.day_numbers),
    )


def compare_methods(first: ScoredMail, second: ScoredMail) -> PairedDifference:
    """(1-ROCA)% of one method minus another's on the same messages, whole days resampled."""
    return compare_scores(first.labels, first.scores, second.scores, days=first.day_numbers)


def say_who_wins(runs: Mapping[str, ScoredMail]) -> str:
    """Name the method that ranks best, and say against each other one whether that is proven.

    Args:
        runs: Method name -> its scores of the same messages; at least one.
    """
    areas = {name: measure_area(scored) for name, scored in runs.items()}
    if any(math.isnan(area) for area in areas.values()):
        return "nobody wins: the mail is of one class"
    best = min(areas, key=lambda name: areas[name])
    if len(runs) == 1:
        return f"{best}: (1-ROCA)% {areas[best]:.3f}; there is nobody to compare it with"
    sentences = [f"{best} ranks best, with (1-ROCA)% {areas[best]:.3f}"]
    for name, scored in runs.items():
        if name == best:
            continue
        paired = compare_methods(scored, runs[best])
        low, high = paired.interval
        verdict = "is proven" if low > 0 else "is not proven, for the interval holds 0"
        difference = f"{paired.difference:.3f} more (95 % {low:.3f} to {high:.3f})"
        sentences.append(f"{name} has {difference}: that {best} is better {verdict}")
    return "; ".join(sentences)


def measure_area(scored: ScoredMail) -> float:
    """(1-ROCA)% of all messages together."""
    return evaluate_scores(scored.labels, scored.scores, scored.thresholds, ()).one_minus_roca_percent
