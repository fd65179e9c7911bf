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

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np

from spam_assets.learning.comparison import DatedModel
from spam_assets.learning.evaluation import compare_scores, one_minus_roca_percent
from spam_assets.learning.evidence import Examination, Pair, examine, take_newest_mail
from spam_assets.learning.features import MailFeatures
from spam_assets.learning.retraining_rule import compute_binomial_tail

Verdict = Literal["promote", "refuse", "wait"]


@dataclass(frozen=True)
class GateSettings:
    """How the gate judges.

    Attributes:
        p_value: A candidate is shown to be worse by a difference that is less likely than this by chance. It is judged
            at most ``longest_wait_days + 1`` times, so that by Bonferroni's inequality one that is not worse is
            refused for a measure with a probability of at most 4 %, however the looks depend on each other (Armitage,
            McPherson & Rowe 1969, "Repeated Significance Tests on Accumulating Data").
        ham_margin: So great a share of ham more may be called spam.
        spam_margin: So great a share of spam less may be caught.
        area_margin_percent: So many points of (1-ROCA)% more are allowed.
        least_lost_ham: A candidate that calls so many more messages of ham spam seems worse, shown or not.
        least_missed_spam: The same of spam that it misses.
        least_reserve: A candidate whose median spam, or ham, is not even this share as far from its threshold as the
            rival's seems worse: mail to come is less like the mail at hand, and would be on the wrong side first.
        least_ham: Fewer messages of ham that neither has learnt are too little evidence.
        least_spam: The same for spam.
        mature_messages: A champion that has learnt fewer of ham or of spam says nothing of a day's labels.
        settled_messages: While a champion has learnt fewer of ham or of spam its threshold still moves and more mail
            counts more than caution: it is no standard for reserve, and nothing waits for evidence.
        longest_wait_days: So many days after its training date a candidate that was not shown to be worse is promoted.
        best_of_days: The best champion counts for so long after its training date.
        least_own_recall: A candidate must catch this share of the spam that it has learnt itself,
        most_own_fpr: and may call so much of the ham that it has learnt spam: wrong labels make some of it.
        most_changed_labels: More labels than this share, other than those that the champion learnt, are in doubt.
        most_contradicted_labels: A new day is in doubt when the champion contradicts more of its labels,
        least_contradicted_messages: if it has so many messages.
        first_area_percent: A first champion may have so much (1-ROCA)% on mail that was scored before it was learnt.
            Wrong labels alone make some: with 5 % of them a perfect filter has about 8.
        first_messages: It is judged by at least so many messages, of both classes.
    """

    p_value: float = 0.01
    ham_margin: float = 0.001
    spam_margin: float = 0.02
    area_margin_percent: float = 0.2
    least_lost_ham: int = 1
    least_missed_spam: int = 2
    least_reserve: float = 0.85
    least_ham: int = 10
    least_spam: int = 5
    mature_messages: int = 100
    settled_messages: int = 300
    longest_wait_days: int = 3
    best_of_days: int = 365
    least_own_recall: float = 0.3
    most_own_fpr: float = 0.1
    most_changed_labels: float = 0.1
    most_contradicted_labels: float = 0.5
    least_contradicted_messages: int = 10
    first_area_percent: float = 20.0
    first_messages: int = 50


@dataclass(frozen=True)
class Decision:
    """What becomes of a candidate.

    Attributes:
        verdict: ``promote``, ``refuse`` or ``wait``.
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
    if champion is not None and candidate.training_date < champion.training_date:
        reason = (
            f"trained for {candidate.training_date}, the champion for {champion.training_date}: "
            "a backfill never moves the champion back in time"
        )
        return Decision("refuse", reason)
    judged_on = max(mail, default=candidate.training_date)
    mail = take_newest_mail(candidate, champion or candidate, mail)
    ours = examine(candidate, mail)
    broken = _find_breakage(ours.select(ours.learnt), candidate.model.threshold, settings)
    if broken is not None:
        return Decision("refuse", broken)
    if champion is None:
        return _judge_first(candidate, ours.select(~ours.learnt), settings)
    champion_name = f"the champion of {champion.training_date}"
    by_champion = Pair(ours, examine(champion, mail))
    changed = _find_changed_labels(by_champion.learnt, champion_name, settings)
    if changed is not None:
        return Decision("refuse", changed)
    pairs = {champion_name: by_champion}
    best = _best_of_last_year(candidate, best, settings)
    if best is not None and best.model is not champion.model:
        pairs[f"the best model of the last year, of {best.training_date}"] = Pair(ours, examine(best, mail))
    losses = [loss for name, pair in pairs.items() for loss in _find_losses(pair, name, settings)]
    if _least_learnt(champion) >= settings.settled_messages:
        losses += [loss for name, pair in pairs.items() for loss in _find_smaller_reserve(pair, name, settings)]
    for loss in losses:
        if loss.is_shown:
            return Decision("refuse", loss.sentence)
    doubt = _find_doubt(candidate, champion, mail, by_champion, losses, settings)
    waited_days = _count_days(candidate.training_date, judged_on)
    if doubt is not None and waited_days < settings.longest_wait_days:
        return Decision("wait", doubt)
    is_best = best is None or not _is_behind(list(pairs.values())[-1], but_for_reserve=doubt is not None)
    comparison = _compare(by_champion, champion_name)
    if doubt is not None:
        return Decision("promote", f"waited {waited_days} days and is not shown to be worse: {comparison}", is_best)
    return Decision("promote", f"not worse: {comparison}", is_best)


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


def _find_changed_labels(learnt: Pair, champion: str, settings: GateSettings) -> str | None:
    """Say how many labels are no longer what the champion learnt.

    A model knows by heart what it learnt. Where the champion contradicts labels of such mail and the candidate does
    not, they were changed in between, and cannot tell which of the two is right.
    """
    by_champion, by_candidate = int(learnt.theirs.contradicts.sum()), int(learnt.ours.contradicts.sum())
    messages = len(learnt.ours.labels)
    if by_champion - by_candidate <= settings.most_changed_labels * messages:
        return None
    return (
        f"labels were changed: {champion} contradicts {by_champion} of {messages} labels of mail that it has learnt, "
        f"the candidate {by_candidate}; mend the labels, or promote by hand if the new ones are right"
    )


def _find_contradicted_day(
    candidate: DatedModel, champion: DatedModel, mail: Mapping[str, MailFeatures], settings: GateSettings
) -> str | None:
    """Name a day that the candidate has learnt and whose labels the champion, which has not, contradicts."""
    for day in sorted(set(candidate.model.days) - set(champion.model.days), reverse=True):
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


# --- the candidate beside another model ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Loss:
    """Something at which the candidate is worse by more than the margin.

    Attributes:
        sentence: What, with its numbers.
        is_shown: Whether chance is out of the question.
    """

    sentence: str
    is_shown: bool


def _find_losses(pair: Pair, rival: str, settings: GateSettings) -> Iterator[_Loss]:
    """Where the candidate is worse than a rival by more than the margins."""
    for some, where in ((pair.learnt, "both have learnt"), (pair.unlearnt, "neither has learnt")):
        ours, theirs, is_ham = some.ours.called, some.theirs.called, some.ours.is_ham
        lost, saved = int((is_ham & ours & ~theirs).sum()), int((is_ham & ~ours & theirs).sum())
        if lost - saved >= max(settings.least_lost_ham, settings.ham_margin * some.ours.ham):
            what = f"calls {lost} ham spam that {rival} lets pass"
            yield _weigh_loss(what, lost, saved, f"{some.ours.ham} ham that {where}", settings)
        missed, won = int((~is_ham & ~ours & theirs).sum()), int((~is_ham & ours & ~theirs).sum())
        if missed - won >= max(settings.least_missed_spam, settings.spam_margin * some.ours.spam):
            what = f"misses {missed} spam that {rival} catches"
            yield _weigh_loss(what, missed, won, f"{some.ours.spam} spam that {where}", settings)
    yield from _find_worse_ranking(pair.unlearnt, rival, settings)


def _weigh_loss(what: str, worse: int, better: int, of: str, settings: GateSettings) -> _Loss:
    """Weigh messages that only the rival gets right against those that only the candidate does.

    McNemar's test (1947), exact and one-sided.
    """
    p_value = compute_binomial_tail(worse, worse + better, 0.5)
    sentence = f"{what}, against {better} the other way round, of {of} (p = {p_value:.2g})"
    return _Loss(sentence, p_value <= settings.p_value)


def _find_worse_ranking(unlearnt: Pair, rival: str, settings: GateSettings) -> Iterator[_Loss]:
    """The ranking, by the paired bootstrap of (1-ROCA)% (Efron & Tibshirani 1993)."""
    labels, scores, others = unlearnt.ours.labels, unlearnt.ours.scores, unlearnt.theirs.scores
    area, other_area = one_minus_roca_percent(labels, scores), one_minus_roca_percent(labels, others)
    if not area - other_area > settings.area_margin_percent:  # nor where it is NaN, without ham or without spam
        return
    p_value = 1 - compare_scores(labels, scores, others).share_above_zero
    sentence = (
        f"ranks worse than {rival}: (1-ROCA)% {area:.3f} against {other_area:.3f} on {len(labels)} messages that "
        f"neither has learnt (p = {p_value:.2g})"
    )
    yield _Loss(sentence, p_value <= settings.p_value)


def _find_smaller_reserve(pair: Pair, rival: str, settings: GateSettings) -> Iterator[_Loss]:
    """Whether mail is nearer to the candidate's threshold; not yet a loss, so it is never shown."""
    messages = {"spam": pair.on_equal_terms.ours.spam, "ham": pair.on_equal_terms.ours.ham}
    for kind in messages:
        ours, theirs = (_measure_reserve(side, kind) for side in _on_equal_terms(pair))
        if theirs > 0 and ours < settings.least_reserve * theirs:
            sentence = (
                f"is less sure of {kind}: half of it is {ours:.2f} or more from the threshold, against {theirs:.2f} of "
                f"{rival}, on {messages[kind]} messages; at least {settings.least_reserve:.0%} of that is asked for"
            )
            yield _Loss(sentence, is_shown=False)


def _find_doubt(
    candidate: DatedModel,
    champion: DatedModel,
    mail: Mapping[str, MailFeatures],
    by_champion: Pair,
    losses: Sequence[_Loss],
    settings: GateSettings,
) -> str | None:
    """Say why it is too early to promote, None if it is not."""
    for loss in losses:
        return f"seems worse, with too little mail to show it: {loss.sentence}"
    if _least_learnt(champion) >= settings.mature_messages:
        contradicted = _find_contradicted_day(candidate, champion, mail, settings)
        if contradicted is not None:
            return contradicted
    if _least_learnt(champion) < settings.settled_messages:
        return None
    unlearnt = by_champion.unlearnt.ours
    if unlearnt.ham < settings.least_ham or unlearnt.spam < settings.least_spam:
        return (
            f"too little evidence: {unlearnt.ham} ham and {unlearnt.spam} spam that neither candidate nor champion has "
            f"learnt, at least {settings.least_ham} and {settings.least_spam} are asked for"
        )
    return None


def _least_learnt(dated: DatedModel) -> int:
    """Messages that a model has learnt of the class that it has learnt less of."""
    return min(dated.model.ham, dated.model.spam)


def _best_of_last_year(candidate: DatedModel, best: DatedModel | None, settings: GateSettings) -> DatedModel | None:
    if best is None or _least_learnt(best) < settings.settled_messages:
        return None
    if _count_days(best.training_date, candidate.training_date) > settings.best_of_days:
        return None
    return best


def _is_behind(pair: Pair, *, but_for_reserve: bool) -> bool:
    """Whether the candidate is behind in anything, by however little.

    Reserve does not count after a full wait, in which days of new mail showed that nothing was lost for the lack of it:
    else a lucky model of months ago would make every later one wait.
    """
    unlearnt = pair.unlearnt
    areas = [one_minus_roca_percent(side.labels, side.scores) for side in (unlearnt.ours, unlearnt.theirs)]
    reserves = [(_measure_reserve(side, "ham"), _measure_reserve(side, "spam")) for side in _on_equal_terms(pair)]
    return (
        areas[0] > areas[1]
        or (not but_for_reserve and any(ours < theirs for ours, theirs in zip(*reserves, strict=True)))
        or any(
            some.ours.lost_ham > some.theirs.lost_ham or some.ours.caught_spam < some.theirs.caught_spam
            for some in (unlearnt, pair.learnt)
        )
    )


def _on_equal_terms(pair: Pair) -> tuple[Examination, Examination]:
    return pair.on_equal_terms.ours, pair.on_equal_terms.theirs


def _measure_reserve(side: Examination, kind: str) -> float:
    """How far half of the ham, or of the spam, is on its side of the threshold; NaN without any."""
    reserves = -side.reserves[side.is_ham] if kind == "ham" else side.reserves[~side.is_ham]
    return float(np.median(reserves)) if len(reserves) else float("nan")


def _compare(pair: Pair, rival: str) -> str:
    """Both models' figures in a sentence."""
    unlearnt, learnt = pair.unlearnt, pair.learnt
    return (
        f"{_tell(unlearnt.ours)} of the mail that neither it nor {rival} has learnt, against "
        f"{_tell_counts(unlearnt.theirs)}; of the mail that both have learnt, {_tell(learnt.ours)}, against "
        f"{_tell_counts(learnt.theirs)}"
    )


def _tell(side: Examination) -> str:
    return f"it catches {side.caught_spam} of {side.spam} spam and loses {side.lost_ham} of {side.ham} ham"


def _tell_counts(side: Examination) -> str:
    return f"{side.caught_spam} and {side.lost_ham}"


def _count_days(first: str, last: str) -> int:
    return (date.fromisoformat(last) - date.fromisoformat(first)).days
