"""Who serves after whom: the champion, the best one that later candidates are held against, and those that wait."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from spam_assets.learning.dated_model import DatedModel
from spam_assets.learning.features import MailFeatures
from spam_assets.learning.gate import Decision, judge_candidate
from spam_assets.learning.gate_settings import GateSettings


@dataclass(frozen=True)
class Succession:
    """The models that the gate knows.

    Attributes:
        champion: It serves; None at first.
        best: The best champion of the last year, maybe the present one.
        waiting: Candidates that are neither promoted nor refused yet; all are newer than the champion.
        pin: What a person said when pinning the champion; empty if it is not pinned.
    """

    champion: DatedModel | None = None
    best: DatedModel | None = None
    waiting: tuple[DatedModel, ...] = ()
    pin: str = ""


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
) -> tuple[Succession, tuple[Judged, ...]]:
    """Judge a day's candidate, if it has one, and those that wait, newest first until one is promoted.

    A pinned champion stays: who would be promoted is held, and may be when the champion is no longer pinned.

    Args:
        before: The models as they stand.
        candidate: The model trained for the day; None where none was.
        mail: Features of the window that ends with the day.
        settings: See ``GateSettings``.

    Returns:
        The models as they stand then, and the candidates that were judged with their decisions.
    """
    if candidate is not None and before.champion is not None and _is_same_version(candidate, before.champion):
        return before, (Judged(candidate, Decision("promote", "it serves already")),)
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
        decision = judge_candidate(one, before.champion, before.best, mail, settings)
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


def _is_same_version(one: DatedModel, other: DatedModel) -> bool:
    return one.version is not None and one.version == other.version
