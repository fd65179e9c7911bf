"""Several methods on the same days, in one table and one picture."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from math import isnan
from typing import TYPE_CHECKING, Any

import dagster as dg

from spam_assets.learning.methods import OURS_NAME
from spam_assets.views.small_pictures import embed_svg
from spam_assets.views.sparklines import DAYS_SHOWN

if TYPE_CHECKING:
    from spam_assets.learning.reporting import DayReport, MethodDay

COLOURS = ("#2b7a78", "#c8553d", "#4a6fa5", "#8e6c8a", "#b8860b")
WIDTH, HEIGHT = 300, 120


def describe_methods(reports: "Mapping[str, DayReport]", day: str) -> dict[str, Any]:
    """Return the methods side by side as metadata: figures of the day, a table, and a picture of the last days.

    Nothing where only one method is trained.

    Args:
        reports: By day; there is one of the day.
        day: YYYY-MM-DD.
    """
    today = reports[day]
    if not today.methods:
        return {}
    first = (date.fromisoformat(day) - timedelta(days=DAYS_SHOWN - 1)).isoformat()
    shown = [reports[past] for past in sorted(reports) if first <= past <= day and reports[past].methods]
    names = list(dict.fromkeys(one.method for one in today.methods))
    figures: dict[str, Any] = {}
    for one in today.methods[1:]:
        name = _shorten(one.method)
        figures[f"{name}_missed_spam"] = one.false_negatives
        figures[f"{name}_ham_called_spam"] = one.false_positives
    picture = embed_svg(draw_methods(shown, names), "spam missed and ham lost, added up, a line a method")
    return {
        "methods": dg.MetadataValue.md(_write_table(today, shown)),
        f"methods_of_{DAYS_SHOWN}_days": dg.MetadataValue.md(picture),
        **figures,
    }


def draw_methods(reports: "Sequence[DayReport]", names: "Sequence[str]") -> str:
    """Return a picture: from day to day the spam that each method missed so far, and the ham that it lost."""
    parts = []
    for at, (title, of) in enumerate((("spam missed", "false_negatives"), ("ham called spam", "false_positives"))):
        sums = {name: _add_up(reports, name, of) for name in names}
        top = max((max(line) for line in sums.values()), default=0)
        left = 40 + at * (WIDTH + 60)
        parts.append(
            f"<text x='{left}' y='14'>{title}, added up</text><path d='M{left} 20V{20 + HEIGHT}H{left + WIDTH}' "
            f"fill='none' stroke='#999'/><text x='{left - 4}' y='28' text-anchor='end'>{top}</text>"
            f"<text x='{left - 4}' y='{20 + HEIGHT}' text-anchor='end'>0</text>"
        )
        parts += [
            f"<path d='{_draw_line(line, top, left)}' fill='none' stroke='{colour}' stroke-width='2'/>"
            for line, colour in zip(sums.values(), _colours(names), strict=True)
        ]
    for number, (name, colour) in enumerate(zip(names, _colours(names), strict=True)):
        y = 20 + HEIGHT + 22 + 16 * number
        parts.append(f"<path d='M40 {y - 4}h20' stroke='{colour}' stroke-width='2'/>")
        parts.append(f"<text x='66' y='{y}'>{_shorten(name)}</text>")
    height = 20 + HEIGHT + 30 + 16 * len(names)
    days = f"{reports[0].day} to {reports[-1].day}" if reports else ""
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{2 * WIDTH + 120}' height='{height}' font-family='sans-serif' "
        f"font-size='11'>{''.join(parts)}<text x='{WIDTH + 100}' y='{20 + HEIGHT + 22}'>{days}</text></svg>"
    )


def _colours(names: "Sequence[str]") -> list[str]:
    return [COLOURS[number % len(COLOURS)] for number in range(len(names))]


def _add_up(reports: "Sequence[DayReport]", name: str, of: str) -> list[int]:
    """Return the sum after each day; a day on which a method has no model yet adds nothing."""
    so_far, line = 0, []
    for report in reports:
        so_far += sum(getattr(one, of) for one in report.methods if one.method == name)
        line.append(so_far)
    return line


def _draw_line(line: "Sequence[int]", top: int, left: int) -> str:
    step = WIDTH / max(len(line) - 1, 1)
    points = (
        f"{left + step * at:.1f} {20 + HEIGHT - HEIGHT * value / max(top, 1):.1f}" for at, value in enumerate(line)
    )
    return "M" + "L".join(points)


def _write_table(today: "DayReport", shown: "Sequence[DayReport]") -> str:
    lines = [
        f"| method | spam missed of {today.spam} | ham lost of {today.ham} | (1-ROCA)% "
        f"| missed in {len(shown)} days | lost |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for number, one in enumerate(today.methods):
        name = _shorten(one.method) + (", champion" if number == 0 else "")
        missed, lost = (_add_up(shown, one.method, of)[-1] for of in ("false_negatives", "false_positives"))
        lines.append(
            f"| {name} | {one.false_negatives} | {one.false_positives} | {_tell_area(one)} | {missed} | {lost} |"
        )
    return "\n".join(lines)


def _shorten(method: str) -> str:
    """The function's name: the page has room for no more."""
    return method.rpartition(":")[2] or OURS_NAME


def _tell_area(one: "MethodDay") -> str:
    return "-" if isnan(one.one_minus_roca_percent) else f"{one.one_minus_roca_percent:.3f}"
