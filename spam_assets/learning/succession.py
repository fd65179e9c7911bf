"""Who serves after whom: the champion, the best one that later candidates are held against, and those that wait."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from spam_assets.learning.dated_model import DatedModel, UnreadableModel
from spam_assets.learning.features import MailFeatures
from spam_assets.learning.gate import Decision, judge_candidate
from spam_assets.learning.gate_settings import GateSettings
from spam_assets.learning.method_choice import Judged, choose_method


@dataclass(frozen=True)
class Succession:
    """The models that the gate knows.

    Attributes:
        champion: It serves; None at first, and where it cannot be read.
        best: The best champion of the last year, maybe the present one.
        waiting: Candidates that are neither promoted nor refused yet; all are newer than the champion.
        pin: What a person said when pinning the champion; empty if it is not pinned.
        unreadable_champion: It serves, and cannot be held against anybody here.
        unreadable_best: The best champion, if it cannot be read and is not the one that serves.
        unreadable_waiting: Candidates that wait and cannot be read, so that they wait in vain.
    """

    champion: DatedModel | None = None
    best: DatedModel | None = None
    waiting: tuple[DatedModel, ...] = ()
    pin: str = ""
    unreadable_champion: UnreadableModel | None = None
    unreadable_best: UnreadableModel | None = None
    unreadable_waiting: tuple[UnreadableModel, ...] = ()

    @property
    def serving(self) -> DatedModel | UnreadableModel | None:
        """Who serves, whether it can be read here or not."""
        return self.champion or self.unreadable_champion


def judge_day(
    before: Succession,
    candidates: Sequence[DatedModel],
    mail: Mapping[str, MailFeatures],
    settings: GateSettings | None = None,
    excluded: Mapping[str, str] | None = None,
    methods: Collection[str] | None = None,
) -> tuple[Succession, tuple[Judged, ...]]:
    """Judge a day's candidates, one a method, and those that wait, newest first until one is promoted.

    A pinned champion stays: who would be promoted is held, and may be when the champion is no longer pinned.

    Args:
        before: The models as they stand.
        candidates: The models trained for the day, at most one of each method.
        mail: Features of the window that ends with the day.
        settings: See ``GateSettings``.
        excluded: Days that a person took back, each with the reason: who has learnt one does not come to serve.
        methods: See ``choose_method``.

    Returns:
        The models as they stand then, and the candidates that were judged with their decisions.
    """
    last_day = max(mail, default="")
    trained_again = {(one.training_date, one.model.method) for one in candidates}
    to_judge = [
        waiting
        for waiting in before.waiting
        if waiting.training_date <= last_day and (waiting.training_date, waiting.model.method) not in trained_again
    ]
    to_judge += candidates
    judged: list[Judged] = []
    still_waiting = [one for one in before.waiting if one.training_date > last_day]  # an older day that runs again
    for date in sorted({one.training_date for one in to_judge}, reverse=True):
        of_date = [
            Judged(one, _judge(one, before, mail, settings, excluded or {}))
            for one in to_judge
            if one.training_date == date
        ]
        for one in choose_method(of_date, before.champion, mail, methods, settings):
            serves_already = _serves(one.candidate, before)
            if one.decision.promote and before.pin and not serves_already:
                reason = f"would be promoted ({one.decision.reason}), but the champion is pinned: {before.pin}"
                one = Judged(one.candidate, Decision("hold", reason))
            judged.append(one)
            if one.decision.verdict in ("wait", "hold"):
                still_waiting.append(one.candidate)
        chosen = next((one for one in judged if one.decision.verdict in ("promote", "hold")), None)
        if chosen is None:
            continue
        if chosen.decision.verdict == "hold" or _serves(chosen.candidate, before):
            return replace(before, waiting=tuple(still_waiting)), tuple(judged)
        best = chosen.candidate if chosen.decision.is_best else before.best
        newer = tuple(other for other in still_waiting if other.training_date > date)
        return Succession(chosen.candidate, best, newer), tuple(judged)
    return replace(before, waiting=tuple(still_waiting)), tuple(judged)


def _judge(
    one: DatedModel,
    before: Succession,
    mail: Mapping[str, MailFeatures],
    settings: GateSettings | None,
    excluded: Mapping[str, str],
) -> Decision:
    """Judge a candidate by its days, then by the gate, which is told whom it could not be held against."""
    learnt = _tell_excluded(one, excluded)
    if _serves(one, before):
        return Decision("promote", f"it serves already, though {learnt}" if learnt else "it serves already")
    if learnt is not None:
        return Decision("refuse", f"{learnt}; train it again")
    serving = before.unreadable_champion
    if serving is not None and one.training_date < serving.training_date:
        reason = f"trained for {one.training_date}, the champion for {serving.training_date}"
        return Decision("refuse", f"{reason}: a backfill never moves the champion back in time")
    decision = judge_candidate(one, before.champion, before.best, mail, settings)
    reason = decision.reason
    if serving is not None:
        reason += f"; judged by the bar of a first model, because the champion, {serving.told}"
    if before.unreadable_best is not None:
        reason += f"; not held against the best model of the last year, because {before.unreadable_best.told}"
    return replace(decision, reason=reason)


def _tell_excluded(one: DatedModel, excluded: Mapping[str, str]) -> str | None:
    """Say which excluded days a model has learnt, None if it has learnt none."""
    days = sorted(one.model.learnt_days & set(excluded))
    return f"it has learnt what is excluded: {', '.join(f'{day} ({excluded[day]})' for day in days)}" if days else None


def _serves(one: DatedModel, before: Succession) -> bool:
    return one.version is not None and before.champion is not None and one.version == before.champion.version
