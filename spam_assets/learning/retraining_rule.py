"""The retraining rule: is it time to train a new model?

Training every day is the ideal; the rule comes near it at a fraction of the trainings by asking for one when there
is something to learn (``age``, ``new_mail``) or when the champion is no longer what it was (``performance``,
``drift``). Whether the new model then serves is for ``gate`` to decide.

The rule sees reports only, never mail or models. A sensor may ask it every half minute: whether there is anything to
judge needs the standard library alone, and ``scipy.stats`` is imported where a new day is judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from math import isnan
from typing import TYPE_CHECKING, Literal

from spam_assets.learning.drift import DriftSettings, find_drift

if TYPE_CHECKING:
    from spam_assets.learning.dated_model import DatedModel
    from spam_assets.learning.reporting import DayReport

Kind = Literal["no_champion", "unreadable_champion", "age", "new_mail", "performance", "drift"]


@dataclass(frozen=True)
class RetrainingSettings(DriftSettings):
    """What a person may choose about retraining, drift included. Days of mail are days that have a report.

    Attributes:
        max_age_days: Retrain when the champion's training date is more than so many days ago.
        new_messages: Retrain when so many labelled messages came since the last training,
        new_share: or fewer, if they are this share of what the champion learnt,
        least_new_messages: but never for fewer than these,
        least_new_of_a_class: and only with at least so many of ham and of spam among them.
        performance_days: Retrain when the newest of so many days of mail is below the bar,
        below_bar_days: and so many of them are, the newest included.
        performance_p_value: A day is below the bar when so many errors are less likely than this,
        performance_ratio: and its error rate is at least so many times the champion's own,
        least_errors: and there are at least so many errors, for a single one may be anything.
        cool_down_days: Nothing is retrained on days that are fewer days than this after a training.
    """

    max_age_days: int = 14
    new_messages: int = 1000
    new_share: float = 0.05
    least_new_messages: int = 100
    least_new_of_a_class: int = 10
    performance_days: int = 5
    below_bar_days: int = 2
    performance_p_value: float = 0.1
    performance_ratio: float = 1.5
    least_errors: int = 2
    cool_down_days: int = 1

    def __post_init__(self) -> None:
        """Refuse settings by which a reason could never be given.

        Raises:
            ValueError: More days below the bar are asked for than are looked at.
        """
        if self.below_bar_days > self.performance_days:
            raise ValueError(
                f"below_bar_days ({self.below_bar_days}) is more than performance_days ({self.performance_days}), so "
                "no performance could ever be below the bar; lower the first or raise the second"
            )


@dataclass(frozen=True)
class ChampionRecord:
    """What the rule needs to know about the champion.

    Attributes:
        training_date: The last day that it learnt, ``YYYY-MM-DD``.
        learnt_messages: Number of messages that it learnt.
        ham: Messages of unseen ham that ``fpr`` rests on.
        spam: Messages of unseen spam that ``recall`` rests on.
        fpr: Share of unseen ham called spam; NaN without ham.
        recall: Share of unseen spam caught; NaN without spam.
    """

    training_date: str
    learnt_messages: int
    ham: int
    spam: int
    fpr: float
    recall: float

    @classmethod
    def from_model(cls, champion: DatedModel) -> ChampionRecord:
        """The record of a model by the daily protocol: each day was scored by what the days before it had taught.

        So its rates are those of fresh models on the next day's mail, which is what a champion is to live up to. The
        model's own figures are of held-out mail of days that it has learnt, and far fewer messages.
        """
        found = champion.model.evaluation
        learnt = champion.model.ham + champion.model.spam
        ham = found.messages - found.spam
        return cls(champion.training_date, learnt, ham, found.spam, found.fpr, found.recall)


@dataclass(frozen=True)
class Reason:
    """Why to retrain, in one sentence."""

    kind: Kind
    sentence: str


@dataclass(frozen=True)
class RetrainingDecision:
    """Retrain or not.

    Attributes:
        retrain: Whether to train for the newest day now.
        reasons: Everything that speaks for it.
        waiting: Why nothing is done in spite of the reasons, if so.
    """

    retrain: bool
    reasons: tuple[Reason, ...]
    waiting: str | None = None


def decide_retraining(
    reports: Sequence[DayReport],
    champion: ChampionRecord | None,
    newest_day: str,
    settings: RetrainingSettings,
    last_training: str | None = None,
    last_judged_day: str | None = None,
    unreadable: str | None = None,
) -> RetrainingDecision:
    """Decide whether to train a model for the newest day.

    Args:
        reports: Champion reports in any order; of two for the same day the later one counts. Those of days after
            ``newest_day`` are left out.
        champion: The champion, if there is one.
        newest_day: The newest day that has mail.
        settings: See ``RetrainingSettings``.
        last_training: The newest day that a model was trained for, whether it became the champion or not.
        last_judged_day: The newest day that was judged before. A day that is not newer, as one that is materialized
            again, triggers nothing.
        unreadable: Why there is no ``champion`` though one serves, as part of a sentence; None where none serves.
    """
    if last_judged_day is not None and newest_day <= last_judged_day:
        waiting = f"{newest_day} is not newer than {last_judged_day}, which was judged before"
        return RetrainingDecision(retrain=False, reasons=(), waiting=waiting)
    if last_training is not None and newest_day <= last_training:
        waiting = f"a model was trained for {last_training}; the next one wants newer mail"
        return RetrainingDecision(retrain=False, reasons=(), waiting=waiting)
    if champion is None and unreadable is not None:
        return RetrainingDecision(retrain=True, reasons=(Reason("unreadable_champion", f"the champion, {unreadable}"),))
    if champion is None:
        return RetrainingDecision(retrain=True, reasons=(Reason("no_champion", "there is no champion yet"),))
    known = {report.day: report for report in reports if report.day <= newest_day}
    ordered = [known[day] for day in sorted(known)]
    learnt_until = max(champion.training_date, last_training or "")
    found = [
        judge_age(champion, newest_day, settings),
        judge_new_mail(ordered, champion, learnt_until, settings),
        judge_performance(ordered, champion, newest_day, settings),
        judge_drift(ordered, learnt_until, newest_day, settings),
    ]
    reasons = tuple(reason for reason in found if reason is not None)
    if reasons and _count_days(learnt_until, newest_day) < settings.cool_down_days:
        waiting = f"a model was trained for {learnt_until}, less than {settings.cool_down_days} days ago"
        return RetrainingDecision(retrain=False, reasons=reasons, waiting=waiting)
    return RetrainingDecision(retrain=bool(reasons), reasons=reasons)


def judge_age(champion: ChampionRecord, newest_day: str, settings: RetrainingSettings) -> Reason | None:
    """A reason if the champion is too old."""
    age_days = _count_days(champion.training_date, newest_day)
    if age_days <= settings.max_age_days:
        return None
    sentence = f"the champion was trained for {champion.training_date}, {age_days} days ago"
    return Reason("age", f"{sentence}, and may be {settings.max_age_days} days old")


def judge_new_mail(
    reports: Sequence[DayReport], champion: ChampionRecord, learnt_until: str, settings: RetrainingSettings
) -> Reason | None:
    """A reason if there is enough mail that no model has learnt.

    The error of a learner falls as a power of the number of its examples (Hestness et al. 2017, "Deep Learning
    Scaling is Predictable, Empirically"), so it is the relative growth that counts: a young champion is replaced
    after few messages, an old one after many.
    """
    new = [report for report in reports if report.day > learnt_until]
    ham, spam = sum(report.ham for report in new), sum(report.spam for report in new)
    enough = max(settings.new_share * champion.learnt_messages, settings.least_new_messages)
    enough = min(enough, settings.new_messages)
    if ham + spam < enough or min(ham, spam) < settings.least_new_of_a_class:
        return None
    sentence = f"{ham + spam} new messages, {spam} of them spam, came since the training for {learnt_until}"
    return Reason(
        "new_mail", f"{sentence}, where {enough:.0f} are enough for a champion that learnt {champion.learnt_messages}"
    )


def judge_performance(
    reports: Sequence[DayReport], champion: ChampionRecord, newest_day: str, settings: RetrainingSettings
) -> Reason | None:
    """A reason if the champion makes more errors on the newest day, and on others of late, than fresh models did.

    Only days that the present champion scored count. By chance alone less than a tenth of the days are below the bar
    and the reason is given once or twice in 60 days at most, less on days of few messages or of very many.
    """
    recent = [report for report in reports if report.champion_training_date == champion.training_date]
    recent = recent[-settings.performance_days :]
    if not recent or recent[-1].day != newest_day:
        return None
    faults = [find_fault(report, champion, settings) for report in recent]
    below = sum(fault is not None for fault in faults)
    if faults[-1] is None or below < settings.below_bar_days:
        return None
    days = f"{below} of the last {len(recent)} days were below the bar"
    return Reason("performance", f"{faults[-1]}, and {days}")


def find_fault(report: DayReport, champion: ChampionRecord, settings: RetrainingSettings) -> str | None:
    """Say what is below the bar on a day, None if nothing is.

    One-sided exact binomial tests of missed spam and of ham called spam against the rates of the daily protocol up to
    the champion's training date. One error in two messages more is added to each rate (Laplace's rule of succession):
    models that made no error on few messages are not infallible. A day that is too small to reach
    ``performance_p_value`` is never below the bar.
    """
    found = (
        ("missed {} of {} spam", "missed", report.false_negatives, report.spam, 1 - champion.recall, champion.spam),
        ("called {} of {} ham spam", "did so to", report.false_positives, report.ham, champion.fpr, champion.ham),
    )
    for happened, did, errors, messages, own_rate, rests_on in found:
        if errors < settings.least_errors or isnan(own_rate):
            continue
        rate = (own_rate * rests_on + 1) / (rests_on + 2)
        p_value = compute_binomial_tail(errors, messages, rate)
        if p_value <= settings.performance_p_value and errors / messages >= settings.performance_ratio * rate:
            usual = f"where fresh models {did} {100 * own_rate:.3g} % until {champion.training_date}"
            return f"{happened.format(errors, messages)} on {report.day}, {usual} (p = {p_value:.1g})"
    return None


def judge_drift(
    reports: Sequence[DayReport], learnt_until: str, newest_day: str, settings: RetrainingSettings
) -> Reason | None:
    """A reason if the newest mail differs from the mail before it; see ``find_drift``."""
    sentence = find_drift(reports, learnt_until, newest_day, settings)
    return None if sentence is None else Reason("drift", sentence)


def compute_binomial_tail(hits: int, trials: int, probability: float) -> float:
    """Probability of at least so many hits: the p-value of the one-sided exact binomial test."""
    from scipy import stats

    return float(stats.binom.sf(hits - 1, trials, probability))


def _count_days(first: str, last: str) -> int:
    return (date.fromisoformat(last) - date.fromisoformat(first)).days
