"""Which method's candidate serves where several were trained for one date.

The gate asks of a candidate that it is not worse than the champion: newer mail is worth that. That one method learns
better than another is a claim of its own, and is asked to be proven, so that the champion does not go from one method
to another by chance. It is proven by the daily protocol of both trainings: the same messages, each scored by either
learner as it was before it learnt the day. What then serves has passed the gate as any other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from spam_assets.learning.dated_model import DatedModel
from spam_assets.learning.evaluation import one_minus_roca_percent
from spam_assets.learning.evidence import Examination, Pair, examine
from spam_assets.learning.features import MailFeatures
from spam_assets.learning.gate import Decision, has_waited_long_enough
from spam_assets.learning.gate_settings import GateSettings
from spam_assets.learning.losses import find_losses
from spam_assets.learning.methods import OURS_NAME
from spam_assets.learning.trained_model import ProgressiveScores, TrainedModel


@dataclass(frozen=True)
class Judged:
    """A candidate and what became of it."""

    candidate: DatedModel
    decision: Decision


def choose_method(
    judged: Sequence[Judged],
    champion: DatedModel | None,
    mail: Mapping[str, MailFeatures],
    methods: Collection[str] | None = None,
    settings: GateSettings | None = None,
) -> tuple[Judged, ...]:
    """Let at most one of the candidates of one date be promoted.

    The champion's method has the candidate of its own to defend it, and one of another method takes its place when that
    learns better beyond doubt. Where there is no champion, or its method is trained no longer, who ranked best serves.
    Where the method's own candidate was refused, or there is none, another must be shown better than the champion
    itself, until that has become too old to wait.

    Args:
        judged: The candidates of one date, one a method, each as the gate judged it by itself.
        champion: The model that serves, if there is one that can be read.
        mail: Features by day, up to the day of the judgement.
        methods: The methods that are trained, as ``TrainedModel.method``; None: the champion's is among them.
        settings: See ``GateSettings``.

    Returns:
        The same candidates in the same order; of those that the gate would promote, all but one ``trail`` or ``wait``.
    """
    settings = settings or GateSettings()
    fit = [one.candidate for one in judged if one.decision.promote]
    if not fit:
        return tuple(judged)
    if champion is None or (methods is not None and champion.model.method not in methods):
        return _settle(judged, min(fit, key=_measure_ranking))
    method = champion.model.method
    defender = next((one for one in judged if one.candidate.model.method == method), None)
    if defender is not None and defender.decision.verdict in ("promote", "wait"):
        own = defender.candidate
        proofs = {one.model.method: prove_better(one.model, own.model, settings) for one in fit if one is not own}
        better = [one for one in fit if proofs.get(one.model.method) is not None]
        winner = min(better, key=_measure_ranking, default=own)
        return _settle(judged, winner, proofs.get(winner.model.method))
    proofs = {one.model.method: _prove_better_than_champion(one, champion, mail, settings) for one in fit}
    better = [one for one in fit if proofs[one.model.method] is not None]
    if better or has_waited_long_enough(fit[0], mail, settings):
        winner = min(better or fit, key=_measure_ranking)
        return _settle(judged, winner, proofs[winner.model.method])
    why = (
        f"{name_method(method)}, the champion's method, has no candidate of {fit[0].training_date} that may serve, and "
        f"this one is not shown to be better than the champion of {champion.training_date}"
    )
    return tuple(replace(one, decision=Decision("wait", why)) if one.decision.promote else one for one in judged)


def prove_better(challenger: TrainedModel, defender: TrainedModel, settings: GateSettings) -> str | None:
    """Say at what one method is shown to be better than another and at nothing worse; None where it is not.

    Both are held against each other as the gate holds a candidate against the champion, by the messages that both
    learners scored before they learnt them, with a p value for claims that are made anew every day.
    """
    strict = replace(settings, p_value=settings.method_p_value)
    ours, theirs = _align(challenger.progressive, defender.progressive)
    if _find_shown(Pair(ours, theirs), challenger, defender, strict) is not None:
        return None
    return _find_shown(Pair(theirs, ours), defender, challenger, strict)


def name_method(method: str) -> str:
    """How people call a method that is known as ``TrainedModel.method``."""
    return method or OURS_NAME


def _prove_better_than_champion(
    one: DatedModel, champion: DatedModel, mail: Mapping[str, MailFeatures], settings: GateSettings
) -> str | None:
    """The same by the models themselves, on mail that neither has learnt."""
    pair = Pair(examine(one, mail), examine(champion, mail)).unlearnt
    if _find_shown(pair, one.model, champion.model, settings) is not None:
        return None
    return _find_shown(Pair(pair.theirs, pair.ours), champion.model, one.model, settings)


def _find_shown(pair: Pair, worse: TrainedModel, better: TrainedModel, settings: GateSettings) -> str | None:
    losses = find_losses(pair, name_method(better.method), settings, unlearnt_fpr=float("nan"))
    shown = next((loss.sentence for loss in losses if loss.is_shown), None)
    return f"{name_method(worse.method)} {shown}" if shown is not None else None


def _align(first: ProgressiveScores, second: ProgressiveScores) -> tuple[Examination, Examination]:
    """Both on the days that both scored with the same labels; a method may have left out a day that the other had."""
    by_day = {day: (_of_day(first, day), _of_day(second, day)) for day in first.days if day in second.days}
    same = [parts for parts in by_day.values() if np.array_equal(first.labels[parts[0]], second.labels[parts[1]])]
    nothing = np.empty(0, np.intp)
    return (
        _take(first, np.concatenate([nothing, *(parts[0] for parts in same)])),
        _take(second, np.concatenate([nothing, *(parts[1] for parts in same)])),
    )


def _of_day(progressive: ProgressiveScores, day: str) -> npt.NDArray[np.intp]:
    return np.flatnonzero(progressive.day_indices == progressive.days.index(day))


def _take(progressive: ProgressiveScores, chosen: npt.NDArray[np.intp]) -> Examination:
    scores = progressive.scores[chosen]
    return Examination(
        labels=progressive.labels[chosen],
        learnt=np.zeros(len(chosen), np.bool_),
        scores=scores,
        called=scores >= progressive.thresholds[chosen],
        margins=scores,
    )


def _measure_ranking(one: DatedModel) -> float:
    """(1-ROCA)% of the daily protocol; the worst there is where a class is absent."""
    progressive = one.model.progressive
    area = one_minus_roca_percent(progressive.labels, progressive.scores)
    return area if area == area else 100.0


def _tell_ranking(one: DatedModel, winner: DatedModel) -> str:
    return (
        f"not proven better than {name_method(winner.model.method)}, whose candidate of {winner.training_date} "
        f"goes on: (1-ROCA)% {_measure_ranking(one):.3f} against {_measure_ranking(winner):.3f}, each day scored "
        "before it was learnt"
    )


def _settle(judged: Sequence[Judged], winner: DatedModel, proof: str | None = None) -> tuple[Judged, ...]:
    """Let the winner keep its decision, with the proof it had to give, and those that it is preferred to trail."""
    settled = []
    for one in judged:
        decision = one.decision
        if one.candidate is winner and proof is not None:
            decision = replace(decision, reason=f"proven better: {proof}; {decision.reason}")
        elif one.candidate is not winner and decision.promote:
            decision = Decision("trail", _tell_ranking(one.candidate, winner))
        settled.append(Judged(one.candidate, decision))
    return tuple(settled)
