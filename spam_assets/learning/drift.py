"""Drift: does the newest mail differ from the mail before it?

Reports hold histograms, so Mann and Whitney's test is worked out on counts, which ``scipy.stats`` cannot do: a day of a
million messages costs what one of ten does (docs/decisions/statistics.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt

from spam_assets.learning.reporting import BINS, DayReport, Histogram


@dataclass(frozen=True)
class DriftSettings:
    """What a person may choose about drift. Days of mail are days that have a report.

    Attributes:
        drift_days: Drift compares up to so many newest days of mail, those since the last training,
        reference_days: with so many days of mail before them,
        least_drift_messages: if there are at least so many messages of a class in both.
        drift_p_value: Drift is a difference less likely than this by chance,
        least_superiority: where a new message exceeds an old one in at least this share of pairs (0.5 is equality),
        least_share_change: or where the share of spam moved by at least this much.
    """

    drift_days: int = 3
    reference_days: int = 14
    least_drift_messages: int = 10
    drift_p_value: float = 0.003
    least_superiority: float = 0.6
    least_share_change: float = 0.5


def find_drift(reports: Sequence[DayReport], learnt_until: str, newest_day: str, settings: DriftSettings) -> str | None:
    """Say how the newest mail differs from the mail before it, None if it does not.

    The newest day, the newest two and so on up to ``drift_days`` are added up and compared with the days before
    them, added up as well: a great change shows in one day, a small one, or one on small days, in several. Three
    differences count, where training can mend something: spam that scores lower or ham that scores higher; spam
    with more words that the champion does not know; and a share of spam that jumps. New words of ham do not count:
    they come with its topics, harm nothing by themselves (a "virtual" drift: Gama et al. 2014, "A Survey on Concept
    Drift Adaptation"), and where they do harm ham scores higher. Each difference has to be unlikely by chance and
    large, because among enough messages everything differs a little. A difference that the days before the last
    training showed as well was answered by that training: one change is one reason.

    Args:
        reports: One a day, in order; none of a day after ``newest_day``.
        learnt_until: The newest day that a model has learnt.
        newest_day: The newest day that has mail; nothing is said of it without its report.
        settings: See ``DriftSettings``.
    """
    unlearnt = sum(report.day > learnt_until for report in reports)
    if not unlearnt or reports[-1].day != newest_day:
        return None
    answered = {what for _, found in _scan_days(reports[:-unlearnt], settings) for what in found}
    for first_day, found in _scan_days(reports, settings, most_days=unlearnt):
        new = [sentence for what, sentence in found.items() if what not in answered]
        if new:
            days = newest_day if first_day == newest_day else f"{first_day} to {newest_day}"
            return f"mail of {days} differs from that of the days before: {'; '.join(new)}"
    return None


def _scan_days(
    reports: Sequence[DayReport], settings: DriftSettings, most_days: int | None = None
) -> Iterator[tuple[str, dict[str, str]]]:
    """First day and differences of the newest day, the newest two and so on."""
    for count in range(1, min(settings.drift_days, len(reports), most_days or len(reports)) + 1):
        newest, before = reports[-count:], reports[:-count][-settings.reference_days :]
        yield newest[0].day, find_differences(newest, before, settings)


def find_differences(
    newest: Sequence[DayReport], before: Sequence[DayReport], settings: DriftSettings
) -> dict[str, str]:
    """What differs in newer days from older ones, each with its sentence; see ``find_drift``."""
    differences = {}
    for what, name, goes_up in (
        ("spam scores lower", "spam_scores", False),
        ("ham scores higher", "ham_scores", True),
        ("spam has more words unknown to the champion", "spam_unknown_words", True),
    ):
        new, old = _add_up(newest, name), _add_up(before, name)
        if min(sum(new), sum(old)) < settings.least_drift_messages:
            continue
        superiority, p_value = compare_histograms(new, old) if goes_up else compare_histograms(new[::-1], old[::-1])
        if p_value <= settings.drift_p_value and superiority >= settings.least_superiority:
            differences[what] = f"{what} in {100 * superiority:.0f} of 100 pairs (p = {p_value:.1g})"
    spam, messages = sum(report.spam for report in newest), sum(report.messages for report in newest)
    old_spam, old_messages = sum(report.spam for report in before), sum(report.messages for report in before)
    if min(messages, old_messages) >= settings.least_drift_messages:
        share, old_share = spam / messages, old_spam / old_messages
        p_value = compare_shares(spam, messages, old_spam, old_messages)
        if p_value <= settings.drift_p_value and abs(share - old_share) >= settings.least_share_change:
            sentence = f"the share of spam is {100 * share:.3g} % after {100 * old_share:.3g} % (p = {p_value:.1g})"
            differences["the share of spam jumps"] = sentence
    return differences


def compare_histograms(newer: Histogram, older: Histogram) -> tuple[float, float]:
    """Whether newer values are higher than older ones.

    Returns:
        The share of pairs where the newer is higher, a tie counting half (Vargha & Delaney 2000's A, 0.5 is
        equality), and the one-sided p-value of Mann & Whitney's test (1947), with the normal approximation and
        its correction for ties.
    """
    from scipy import stats  # takes longer to import than all of this to work out: only where a new day is judged

    new, old = sum(newer), sum(older)
    total = new + old
    wins = ties = 0.0
    below = 0
    for in_newer, in_older in zip(newer, older, strict=True):
        wins += in_newer * (below + in_older / 2)
        below += in_older
        ties += (in_newer + in_older) ** 3 - (in_newer + in_older)
    variance = new * old / 12 * (total + 1 - ties / (total * (total - 1)))
    excess = wins - new * old / 2 - 0.5  # 0.5 for continuity
    return wins / (new * old), float(stats.norm.sf(excess / sqrt(variance))) if variance > 0 else 1.0


def compare_shares(hits: int, trials: int, old_hits: int, old_trials: int) -> float:
    """Two-sided p-value of the two-proportion z test, which is Pearson's chi-squared test of a table of four."""
    if hits + old_hits in (0, trials + old_trials):
        return 1.0  # the test is not defined where nobody differs
    from scipy import stats

    table = [[hits, trials - hits], [old_hits, old_trials - old_hits]]
    return float(stats.chi2_contingency(table, correction=False).pvalue)


def _add_up(reports: Sequence[DayReport], name: str) -> Histogram:
    return tuple(
        sum(counts) for counts in zip((0,) * BINS, *(getattr(report, name) for report in reports), strict=True)
    )
