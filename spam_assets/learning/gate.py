"""The gate: may a candidate serve?

What is tried is the very model that would serve, as it was stored: its weights, its calibration and its threshold. It
is tried on mail that neither it nor the champion has learnt (``held_out``, and the days after both), and on mail that
both have learnt, where there are thousands of messages and a candidate that suddenly loses some is broken. A candidate
is held against the champion and against the best champion of the last year, for many small steps down are one big one.

Three answers: *promote*; *refuse*, when it is shown to be worse; *wait*, when it seems worse and there is too little
mail to show it, or too little mail altogether. A candidate that waits is judged again with the mail of each day that
follows, which neither has learnt. Waiting ends after a few days, because an old model is worse than almost any
candidate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np

from spam_assets.learning.dated_model import DatedModel
from spam_assets.learning.estimator_errors import EstimatorError
from spam_assets.learning.evaluation import one_minus_roca_percent
from spam_assets.learning.evidence import Examination, Pair, examine, take_newest_mail
from spam_assets.learning.features import MailFeatures
from spam_assets.learning.gate_settings import GateSettings
from spam_assets.learning.losses import Loss, find_less_separation, find_losses, is_behind

Verdict = Literal["promote", "refuse", "wait", "hold", "trail"]


@dataclass(frozen=True)
class Decision:
    """What becomes of a candidate.

    Attributes:
        verdict: ``promote``, ``refuse`` or ``wait``; ``hold`` where it would be promoted if a person had not pinned the
            champion; ``trail`` where it would be if the candidate of another method were not preferred.
        reason: One sentence with the number and what it was held against.
        is_best: Whether it is the best from now on, which later candidates are held against.
    """

    verdict: Verdict
    reason: str
    is_best: bool = False

    @property
    def promote(self) -> bool:
        """Whether it serves from now on."""
        return self.verdict == "promote"


def judge_candidate(
    candidate: DatedModel,
    champion: DatedModel | None,
    best: DatedModel | None,
    mail: Mapping[str, MailFeatures],
    settings: GateSettings | None = None,
) -> Decision:
    """Decide whether a candidate serves. The same arguments give the same decision.

    Args:
        candidate: The model as it is stored, loaded back.
        champion: The model that serves, if there is one.
        best: The best champion until now, if there is one; it may be the champion.
        mail: Features by day, up to the day of the judgement: the candidate's window, and days after it when a
            candidate that waits is judged again.
        settings: See ``GateSettings``.
    """
    settings = settings or GateSettings()
    if candidate.barred:
        return Decision("refuse", f"barred by a person: {candidate.barred}")
    if champion is not None and candidate.training_date < champion.training_date:
        reason = (
            f"trained for {candidate.training_date}, the champion for {champion.training_date}: "
            "a backfill never moves the champion back in time"
        )
        return Decision("refuse", reason)
    has_waited = has_waited_long_enough(candidate, mail, settings)
    mail = take_newest_mail(candidate, champion or candidate, mail)
    try:
        ours = examine(candidate, mail)
    except EstimatorError as error:
        return Decision("refuse", f"it cannot be tried: {error}")
    broken = _find_breakage(ours.select(ours.learnt), candidate.model.threshold, settings)
    if broken is not None:
        return Decision("refuse", broken)
    if champion is None:
        return _judge_first(candidate, ours.select(~ours.learnt), settings)
    rivals = _face_rivals(candidate, ours, champion, best, mail, settings)
    changed = _find_changed_labels(rivals[0], settings) if rivals[0].is_of_same_method else None
    if changed is not None:
        return Decision("refuse", changed)
    losses = [loss for rival in rivals for loss in _find_losses(rival, settings)]
    for loss in losses:
        if loss.is_shown:
            return Decision("refuse", loss.sentence)
    doubt = _find_doubt(candidate, rivals[0], mail, losses, settings)
    if doubt is not None and not has_waited:
        return Decision("wait", doubt)
    is_best = _is_best(rivals, after_full_wait=doubt is not None)
    comparison = _compare(rivals[0])
    if doubt is not None:
        days = _count_waited_days(candidate, mail)
        return Decision("promote", f"waited {days} days and is not shown to be worse: {comparison}", is_best)
    return Decision("promote", f"not worse: {comparison}", is_best)


def has_waited_long_enough(candidate: DatedModel, mail: Mapping[str, MailFeatures], settings: GateSettings) -> bool:
    """Whether a candidate has waited so long that the champion is too old to wait for proof."""
    return _count_waited_days(candidate, mail) >= settings.longest_wait_days


# --- the candidate by itself --------------------------------------------------------------------------------------


def _find_breakage(own: Examination, threshold: float, settings: GateSettings) -> str | None:
    """Say what is wrong with a model that does not even know what it has learnt."""
    if own.spam and own.caught_spam < settings.least_own_recall * own.spam:
        return (
            f"broken: at its threshold of {threshold:.3f} it catches {own.caught_spam} of {own.spam} spam that it has "
            f"learnt itself, where at least {settings.least_own_recall:.0%} are asked for"
        )
    if own.ham and own.lost_ham > settings.most_own_fpr * own.ham:
        return (
            f"broken: at its threshold of {threshold:.3f} it calls {own.lost_ham} of {own.ham} ham that it has learnt "
            f"itself spam, where at most {settings.most_own_fpr:.0%} are allowed"
        )
    return None


def _judge_first(candidate: DatedModel, unlearnt: Examination, settings: GateSettings) -> Decision:
    """Judge a model that replaces none.

    By mail that it has not learnt, if there is enough; else by its scores from before each day was learnt. These are
    not quite its own, but without a champion nothing serves, and that the very model works was tried before.
    """
    labels, scores = unlearnt.labels, unlearnt.scores
    seen = "messages that it has not learnt"
    if len(labels) < settings.first_messages or not unlearnt.ham or not unlearnt.spam:
        progressive = candidate.model.progressive
        labels, scores = progressive.labels, progressive.scores
        seen = "messages scored before they were learnt"
    if len(labels) < settings.first_messages:
        reason = f"only {len(labels)} {seen} to judge a first model by, {settings.first_messages} are asked for"
        return Decision("wait", reason)
    area = one_minus_roca_percent(labels, scores)
    if np.isnan(area):
        return Decision("wait", f"the {len(labels)} {seen} are of one class, so a first model cannot be judged by them")
    figures = f"(1-ROCA)% {area:.3f} on {len(labels)} {seen}, where at most {settings.first_area_percent:g} is allowed"
    if area > settings.first_area_percent:
        return Decision("refuse", f"not good enough for a first model: {figures}")
    return Decision("promote", f"the first model: {figures}", is_best=True)


# --- whether the labels can be trusted ----------------------------------------------------------------------------


def _find_changed_labels(champion: _Rival, settings: GateSettings) -> str | None:
    """Say how many labels are no longer what the champion learnt.

    A model knows by heart what it learnt. Where the champion contradicts labels of such mail and the candidate does
    not, they were changed in between, and cannot tell which of the two is right.
    """
    learnt = champion.pair.learnt
    by_champion, by_candidate = int(learnt.theirs.contradicts.sum()), int(learnt.ours.contradicts.sum())
    messages = len(learnt.ours.labels)
    if by_champion - by_candidate <= settings.most_changed_labels * messages:
        return None
    return (
        f"labels were changed: {champion.name} contradicts {by_champion} of {messages} labels of mail that it has "
        f"learnt, the candidate {by_candidate}; mend the labels, or promote by hand if the new ones are right"
    )


def _find_contradicted_day(
    candidate: DatedModel, champion: DatedModel, mail: Mapping[str, MailFeatures], settings: GateSettings
) -> str | None:
    """Name a day that the candidate has learnt and whose labels the champion, which has not, contradicts."""
    for day in sorted(candidate.model.learnt_days - champion.model.learnt_days, reverse=True):
        if day not in mail or len(mail[day]) < settings.least_contradicted_messages:
            continue
        contradicts = examine(champion, {day: mail[day]}).contradicts
        contradicted = int(contradicts.sum())
        if contradicted > settings.most_contradicted_labels * len(contradicts):
            return (
                f"labels of {day} are in doubt: the champion of {champion.training_date} contradicts {contradicted} of "
                f"{len(contradicts)}, and the candidate has learnt them"
            )
    return None


# --- the candidate beside other models ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Rival:
    """A model that the candidate is held against.

    Attributes:
        name: As sentences call it.
        dated: The model.
        pair: The candidate's examination and its own.
        is_of_same_method: Whether it was trained by the candidate's method. If not, nothing but mail that neither has
            learnt compares the two: how much of what it learnt a method knows by heart, and how far apart its margins
            are, says nothing of another one.
        is_champion: Whether it serves.
        is_best: Whether it is the best model until now.
        is_settled: Whether it has learnt enough for its threshold to be a standard.
    """

    name: str
    dated: DatedModel
    pair: Pair
    is_of_same_method: bool
    is_champion: bool
    is_best: bool
    is_settled: bool


def _face_rivals(
    candidate: DatedModel,
    ours: Examination,
    champion: DatedModel,
    best: DatedModel | None,
    mail: Mapping[str, MailFeatures],
    settings: GateSettings,
) -> list[_Rival]:
    """The champion, and the best model of the last year where that is another."""
    if best is not None and _count_days(best.training_date, candidate.training_date) > settings.best_of_days:
        best = None
    is_best = best is not None and best.model is champion.model

    def face(dated: DatedModel, name: str, *, is_champion: bool, is_best: bool) -> _Rival:
        return _Rival(
            f"{name} of {dated.training_date}",
            dated,
            Pair(ours, examine(dated, mail)),
            is_of_same_method=dated.model.method == candidate.model.method,
            is_champion=is_champion,
            is_best=is_best,
            is_settled=_is_settled(dated, settings),
        )

    rivals = [face(champion, "the champion", is_champion=True, is_best=is_best)]
    if best is not None and not is_best:
        rivals.append(face(best, "the best model of the last year,", is_champion=False, is_best=True))
    return rivals


def _find_losses(rival: _Rival, settings: GateSettings) -> list[Loss]:
    """What a rival shows the candidate to be worse at; of a best model whose threshold still moved, separation only."""
    separation = find_less_separation(rival.pair, rival.name, settings) if rival.is_of_same_method else ()
    if not rival.is_settled and not rival.is_champion:
        return list(separation)
    pair = rival.pair if rival.is_of_same_method else rival.pair.unlearnt
    unlearnt_fpr = rival.dated.model.evaluation.fpr
    return [*find_losses(pair, rival.name, settings, unlearnt_fpr=unlearnt_fpr), *separation]


def _is_best(rivals: Sequence[_Rival], *, after_full_wait: bool) -> bool:
    """Whether later candidates are held against this one from now on.

    Separation does not count after a full wait, in which days of new mail showed that nothing was lost for the lack of
    it: else a model of before labels became worse would make all later ones wait.
    """
    for rival in rivals:
        if rival.is_best:
            if not rival.is_of_same_method:
                return not is_behind(rival.pair.unlearnt, in_separation=False, in_calls=rival.is_settled)
            return not is_behind(rival.pair, in_separation=not after_full_wait, in_calls=rival.is_settled)
    return True


def _find_doubt(
    candidate: DatedModel,
    champion: _Rival,
    mail: Mapping[str, MailFeatures],
    losses: Sequence[Loss],
    settings: GateSettings,
) -> str | None:
    """Say why it is too early to promote, None if it is not."""
    for loss in losses:
        return f"seems worse, with too little mail to show it: {loss.sentence}"
    if _least_learnt(champion.dated) >= settings.mature_messages:
        contradicted = _find_contradicted_day(candidate, champion.dated, mail, settings)
        if contradicted is not None:
            return contradicted
    unlearnt = champion.pair.unlearnt.ours
    if champion.is_settled and (unlearnt.ham < settings.least_ham or unlearnt.spam < settings.least_spam):
        return (
            f"too little evidence: {unlearnt.ham} ham and {unlearnt.spam} spam that neither candidate nor champion has "
            f"learnt, at least {settings.least_ham} and {settings.least_spam} are asked for"
        )
    return None


def _is_settled(dated: DatedModel, settings: GateSettings) -> bool:
    return _least_learnt(dated) >= settings.settled_messages


def _least_learnt(dated: DatedModel) -> int:
    """Messages that a model has learnt of the class that it has learnt less of."""
    return min(dated.model.ham, dated.model.spam)


def _compare(rival: _Rival) -> str:
    """Both models' figures in a sentence."""
    unlearnt, learnt = rival.pair.unlearnt, rival.pair.learnt
    return (
        f"{_tell(unlearnt.ours)} of the mail that neither it nor {rival.name} has learnt, against "
        f"{_tell_counts(unlearnt.theirs)}; of the mail that both have learnt, {_tell(learnt.ours)}, against "
        f"{_tell_counts(learnt.theirs)}"
    )


def _tell(side: Examination) -> str:
    return f"it catches {side.caught_spam} of {side.spam} spam and loses {side.lost_ham} of {side.ham} ham"


def _tell_counts(side: Examination) -> str:
    return f"{side.caught_spam} and {side.lost_ham}"


def _count_waited_days(candidate: DatedModel, mail: Mapping[str, MailFeatures]) -> int:
    return _count_days(candidate.training_date, max(mail, default=candidate.training_date))


def _count_days(first: str, last: str) -> int:
    return (date.fromisoformat(last) - date.fromisoformat(first)).days
