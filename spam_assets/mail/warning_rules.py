"""The rules that only warn: a day that is out of line with the trailing days may still be right."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from spam_assets.mail.columns import LABEL, LABELS, SPAM
from spam_assets.mail.day_summary import DaySummary, hash_contents
from spam_assets.mail.mail_batches import Mail
from spam_assets.mail.verdicts import Verdict, fail_day, pass_day, present_cells

TRAILING_DAYS: Final = 28
"""Four weeks, so that every weekday counts four times."""
MIN_TRAILING_DAYS: Final = 7
MAX_ROBUST_Z: Final = 3.5
"""Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993, section 3.3."""
MAX_REPEATED_PERCENT: Final = 50
"""Of a day's messages. Newsletters and campaigns repeat; half a day that repeats is a file landed twice."""

_MAD_TO_SIGMA: Final = 1.4826  # of a normal distribution

TrailingRule = Callable[[Mail, str, Sequence[DaySummary]], Verdict]
"""Given a day's mail, the day, and the days before it, in any order."""


def both_classes_are_present(
    mail: Mail,
    day: str,
    trailing: Sequence[DaySummary] = (),  # noqa: ARG001 - called like the other warning rules
) -> Verdict:
    """The day holds both ham and spam; real days may not, so this only warns."""
    labels = present_cells(mail, LABEL)
    counts = {label: sum(isinstance(cell, str) and cell == label for cell in labels) for label in LABELS}
    shown = " and ".join(f"{n:,} {label}" for label, n in counts.items())
    if all(counts.values()):
        return pass_day("both_classes_are_present", day, shown, **counts)
    return fail_day(
        "both_classes_are_present",
        day,
        shown,
        "check that both classes were exported, small days may lack one",
        **counts,
    )


def volume_is_in_line(mail: Mail, day: str, trailing: Sequence[DaySummary]) -> Verdict:
    """The number of messages is like that of the trailing days.

    Robust z-score of log(1 + messages) against the median of up to `TRAILING_DAYS` days. Its scale is the
    median absolute deviation times 1.4826 (Iglewicz and Hoaglin 1993), joined by the variance 1 / median
    that a Poisson count has on the log scale, so that small or very even days do not warn about chance.
    """
    days = _select_trailing(day, trailing)
    if len(days) < MIN_TRAILING_DAYS:
        return _pass_for_lack_of_days("volume_is_in_line", day, len(days), messages=len(mail))
    counts = np.array([summary.messages for summary in days], dtype=np.float64)
    usual = float(np.median(counts))
    z = _score_robustly(math.log1p(len(mail)), np.log1p(counts), 1 / max(usual, 1.0))
    figures: dict[str, int | float | str] = {
        "messages": len(mail),
        "usual_messages": usual,
        "robust_z": round(z, 2),
        "trailing_days": len(days),
    }
    sentence = f"{len(mail):,} messages, where {usual:,.0f} are usual in the last {len(days)} days (robust z {z:+.1f})"
    if abs(z) <= MAX_ROBUST_Z:
        return pass_day("volume_is_in_line", day, sentence, **figures)
    return fail_day(
        "volume_is_in_line", day, sentence, "check that the export is whole and holds one day only", **figures
    )


def spam_share_is_in_line(mail: Mail, day: str, trailing: Sequence[DaySummary]) -> Verdict:
    """The share of spam is like that of the trailing days.

    Robust z-score of Anscombe's asin(sqrt((k + 3/8) / (n + 3/4))) (Biometrika 35, 1948), which gives a
    binomial share the variance 1 / (4n + 2) whatever the share is. The median absolute deviation of the
    trailing days is added to that variance: shares of real days vary more than binomial ones.
    """
    rule = "spam_share_is_in_line"
    days = [summary for summary in _select_trailing(day, trailing) if summary.messages]
    count = len(mail)
    spam = sum(isinstance(cell, str) and cell == SPAM for cell in present_cells(mail, LABEL))
    if len(days) < MIN_TRAILING_DAYS or not count:
        return _pass_for_lack_of_days(rule, day, len(days), messages=count, spam=spam)
    counts = np.array([(summary.spam, summary.messages) for summary in days], dtype=np.float64)
    usual = float(np.median(counts[:, 0] / counts[:, 1]))
    z = _score_robustly(
        float(_stabilise_share(np.array([spam]), np.array([count]))[0]),
        _stabilise_share(counts[:, 0], counts[:, 1]),
        1 / (4 * count + 2),
    )
    figures: dict[str, int | float | str] = {
        "spam_share_percent": round(100 * spam / count, 2),
        "usual_spam_share_percent": round(100 * usual, 2),
        "robust_z": round(z, 2),
        "trailing_days": len(days),
    }
    sentence = (
        f"{100 * spam / count:.1f}% spam ({spam:,} of {count:,}), where {100 * usual:.1f}% are usual in the "
        f"last {len(days)} days (robust z {z:+.1f})"
    )
    if abs(z) <= MAX_ROBUST_Z:
        return pass_day(rule, day, sentence, **figures)
    return fail_day(
        rule, day, sentence, "check that the labels are not swapped and both classes were exported", **figures
    )


def messages_are_new(mail: Mail, day: str, trailing: Sequence[DaySummary]) -> Verdict:
    """Most messages are not those of the trailing days again, nor each other's copies."""
    rule = "messages_are_new"
    days = _select_trailing(day, trailing)
    count = len(mail)
    hashes = hash_contents(mail)
    unique = np.unique(hashes)
    overlaps = {s.day: int(np.isin(hashes, np.asarray(s.content_hashes, dtype=np.uint64)).sum()) for s in days}
    seen = np.unique(np.concatenate([np.asarray(s.content_hashes, dtype=np.uint64) for s in days] or [unique[:0]]))
    repeated = count - int((~np.isin(unique, seen)).sum())
    figures: dict[str, int | float | str] = {
        "messages": count,
        "repeated": repeated,
        "trailing_days": len(days),
    }
    share = 100 * repeated / count if count else 0.0
    sentence = (
        f"{share:.1f}% of the messages ({repeated:,} of {count:,}) repeat others of the day or of the last "
        f"{len(days)} days"
    )
    if repeated * 100 <= count * MAX_REPEATED_PERCENT:
        return pass_day(rule, day, sentence, **figures)
    closest = max(overlaps, key=lambda other: overlaps[other], default=day)
    if overlaps.get(closest):
        sentence += f", most of them {closest} ({overlaps[closest]:,})"
        figures["closest_day"] = closest
    return fail_day(rule, day, sentence, "check that the file is not another day's landed again", **figures)


WARNING_RULES: Final[tuple[TrailingRule, ...]] = (
    both_classes_are_present,
    volume_is_in_line,
    spam_share_is_in_line,
    messages_are_new,
)


def warn_about_day(mail: Mail, day: str, trailing: Sequence[DaySummary]) -> list[Verdict]:
    """Return the verdict of every warning rule."""
    return [rule(mail, day, trailing) for rule in WARNING_RULES]


def _pass_for_lack_of_days(rule: str, day: str, trailing_days: int, **figures: int | float | str) -> Verdict:
    return pass_day(
        rule,
        day,
        f"not judged, because it takes {MIN_TRAILING_DAYS} earlier days to compare with and there are {trailing_days}",
        trailing_days=trailing_days,
        **figures,
    )


def _select_trailing(day: str, trailing: Sequence[DaySummary]) -> list[DaySummary]:
    """Return the last days before this one, oldest first: a day is not compared with itself or later ones."""
    return sorted((s for s in trailing if s.day < day), key=lambda s: s.day)[-TRAILING_DAYS:]


def _score_robustly(value: float, trailing: npt.NDArray[np.float64], chance_variance: float) -> float:
    """Return how many robust standard deviations the value lies from the median of the trailing ones."""
    median = float(np.median(trailing))
    spread = _MAD_TO_SIGMA * float(np.median(np.abs(trailing - median)))
    return (value - median) / math.sqrt(spread**2 + chance_variance)


def _stabilise_share(hits: npt.NDArray[Any], counts: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return np.arcsin(np.sqrt((hits + 0.375) / (counts + 0.75)))
