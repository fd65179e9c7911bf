"""The last days of the champion as small pictures, which the UI shows at once.

Dagster plots figures by the time at which they were made, and days of the past are made all at once.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from math import isnan, nan
from typing import TYPE_CHECKING

import dagster as dg

from spam_assets.views.small_pictures import embed_svg

if TYPE_CHECKING:
    from spam_assets.learning.reporting import DayReport

DAYS_SHOWN = 60
LEVELS = 20


def describe_last_days(reports: "Mapping[str, DayReport]", last_day: str) -> dict[str, dg.MarkdownMetadataValue]:
    """Return recall, FPR and the champion's age over the calendar days up to the last as metadata with pictures.

    Args:
        reports: By day; there is one of the last day.
        last_day: YYYY-MM-DD.
    """
    last = date.fromisoformat(last_day)
    days = [(last - timedelta(days=offset)).isoformat() for offset in reversed(range(DAYS_SHOWN))]
    known = [reports.get(day) for day in days]
    rates = [report.fpr if report else nan for report in known]
    ages = [
        float((date.fromisoformat(day) - date.fromisoformat(report.champion_training_date)).days) if report else nan
        for day, report in zip(days, known, strict=True)
    ]
    worst, oldest = _find_highest(rates), _find_highest(ages)
    return {
        f"recall_of_{DAYS_SHOWN}_days": _show(
            [report.recall if report else nan for report in known], 1.0, last_day, "{:.2%}"
        ),
        f"fpr_of_{DAYS_SHOWN}_days": _show(rates, worst, last_day, "{:.2%}"),
        f"champion_age_of_{DAYS_SHOWN}_days": _show(ages, oldest, last_day, "{:.0f} days"),
    }


def _show(values: Sequence[float], highest: float, last_day: str, form: str) -> dg.MarkdownMetadataValue:
    newest = "no figure" if isnan(values[-1]) else form.format(values[-1])
    said = f"{newest} on {last_day}; the top is {form.format(highest)}"
    return dg.MetadataValue.md(f"{embed_svg(draw_line(values, highest), said)}\n\n{said}")


def draw_line(values: Sequence[float], highest: float) -> str:
    """Return a picture of values from 0 to the highest, left to right, with gaps where one is NaN."""
    path = ""
    drawn = nan
    for at, value in enumerate(values):
        if isnan(value):
            drawn = nan
            continue
        level = LEVELS - round(LEVELS * min(value / highest, 1.0)) if highest > 0 else LEVELS
        if isnan(drawn):
            path += f"M{at} {level}"
        elif level != drawn:
            path += f"V{level}"
        else:
            path = path[: path.rindex("H")]  # the line goes on
        path += f"H{at + 1}"
        drawn = level
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='360' height='44' viewBox='0 -1 {len(values)} {LEVELS + 2}' "
        f"preserveAspectRatio='none'><path d='M0 0H{len(values)}V{LEVELS}H0Z' fill='#f4f4f4'/>"
        f"<path d='{path}' fill='none' stroke='#2b7a78' stroke-width='2' vector-effect='non-scaling-stroke'/></svg>"
    )


def _find_highest(values: Iterable[float]) -> float:
    return max((value for value in values if not isnan(value)), default=0.0)
