"""Who serves after whom: the champion, the best one that later candidates are held against, and those that wait."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from spam_assets.learning.dated_model import DatedModel, UnreadableModel
from spam_assets.learning.features import MailFeatures
from spam_assets.learning.gate import Decision, judge_candidate
from spam_assets.learning.gate_settings import GateSettings


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


@dataclass(frozen=True)
class Judged:
    """A candidate and what became of it."""

    candidate: DatedModel
    decision: Decision


def judge_day(
    before: Succession,
    candidate: DatedModel | None,
    mail: Mapping[str, MailFeatures],
    settings: GateSettings | None = None,
    excluded: Mapping[str, str] | None = None,
) -> tuple[Succession, tuple[Judged, ...]]:
    """Judge a day's candidate, if it has one, and those that wait, newest first until one is promoted.

    A pinned champion stays: who would be promoted is held, and may be when the champion is no longer pinned.

    Args:
        before: The models as they stand.
        candidate: The model trained for the day; None where none was.
        mail: Features of the window that ends with the day.
        settings: See ``GateSettings``.
        excluded: Days that a person took back, each with the reason: who has learnt one does not come to serve.

    Returns:
        The models as they stand then, and the candidates that were judged with their decisions.
    """
    if candidate is not None and before.champion is not None and _is_same_version(candidate, before.champion):
        learnt = _tell_excluded(candidate, excluded or {})
        reason = f"it serves already, though {learnt}" if learnt else "it serves already"
        return before, (Judged(candidate, Decision("promote", reason)),)
    last_day = max(mail, default="")
    candidates = [
        waiting
        for waiting in before.waiting
        if waiting.training_date <= last_day
        and (candidate is None or waiting.training_date != candidate.training_date)  # it was trained again
    ]
    candidates += [] if candidate is None else [candidate]
    judged: list[Judged] = []
    still_waiting = [one for one in before.waiting if one.training_date > last_day]  # an older day that runs again
    for one in sorted(candidates, key=lambda dated: dated.training_date, reverse=True):
        decision = _judge(one, before, mail, settings, excluded or {})
        if decision.verdict == "promote" and before.pin:
            reason = f"would be promoted ({decision.reason}), but the champion is pinned: {before.pin}"
            judged.append(Judged(one, Decision("hold", reason)))
            return replace(before, waiting=(*still_waiting, one)), tuple(judged)
        judged.append(Judged(one, decision))
        if decision.verdict == "wait":
            still_waiting.append(one)
        if decision.verdict == "promote":
            best = one if decision.is_best else before.best
            newer = tuple(other for other in still_waiting if other.training_date > one.training_date)
            return Succession(one, best, newer), tuple(judged)
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


def _is_same_version(one: DatedModel, other: DatedModel) -> bool:
    return one.version is not None and one.version == other.version
