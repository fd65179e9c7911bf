"""Pictures drawn without a library: small enough for the UI to show at once, or one of a kind in a model card.

Dagster's UI shows Markdown of 1,000 characters and more behind a link.
"""

import base64
from collections.abc import Callable, Sequence
from math import log10
from typing import TYPE_CHECKING

from spam_assets.learning.reporting import wilson_interval

if TYPE_CHECKING:
    from spam_assets.learning.model_card import CalibrationBin
    from spam_assets.learning.trained_model import TrainedModel

INLINE_CHARACTERS = 999
LEAST_SHARE = 1e-4
"""Smaller shares are drawn at the edge: a logarithmic axis has no zero."""
_SIDE = 120


def embed_svg(svg: str, title: str) -> str:
    """Return an SVG as a Markdown image that holds all of it."""
    return f"![{title}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def draw_small_det(model: "TrainedModel") -> str:
    """Return a DET curve, both axes logarithmic from 0.01 % to 100 %, as Markdown that the UI shows at once."""
    from spam_assets.learning.evaluation import det_curve

    false_alarms, misses = det_curve(model.progressive.labels, model.progressive.scores)
    evaluation = model.evaluation
    for step in (1, 2, 3, 4, 6, 10, 20, 60):  # as fine as there is room for
        curve = _draw_steps([_place(share, step) for share in false_alarms], [_flip(share, step) for share in misses])
        dot = f"<circle cx='{_place(evaluation.fpr, 1)}' cy='{_flip(1 - evaluation.recall, 1)}' r='3'/>"
        marks = "".join(f"M{at} 0V120M0 {at}H120" for at in (30, 60, 90))
        shown = embed_svg(
            "<svg xmlns='http://www.w3.org/2000/svg' width='180' height='180' viewBox='-3 -3 126 126'>"
            f"<path d='M0 0H120V120H0Z{marks}' fill='#fff' stroke='#ccc'/>"
            f"<path d='{curve}' fill='none' stroke='#c8553d' stroke-width='2'/>{dot}</svg>",
            "DET curve",
        )
        shown += "\n\nspam missed (up) over ham lost (across), each from 0.01 % to 100 %, a line each tenfold"
        if len(shown) <= INLINE_CHARACTERS:
            return shown
    raise ValueError("a DET curve of three steps takes more room than there is; shorten what is drawn round it")


def _place(share: float, step: int) -> int:
    """Return where a share lies on an axis from 0.01 % to 100 %, as a multiple of a step; NaN at its start."""
    place = _SIDE * (1 + log10(min(max(share, LEAST_SHARE), 1.0)) / 4) if share == share else 0.0
    return round(place / step) * step


def _flip(share: float, step: int) -> int:
    return _SIDE - _place(share, step)


def _draw_steps(across: Sequence[int], down: Sequence[int]) -> str:
    """Return a path through points in few characters: what does not move is left out."""
    if not across:
        return "M0 0"
    moves = [("M", f"{across[0]} ", down[0])]
    last_across, last_down = across[0], down[0]
    for x, y in zip(across, down, strict=True):
        for letter, place, last in (("V", y, last_down), ("H", x, last_across)):
            if place == last:
                continue
            if moves[-1][0] == letter:
                moves.pop()
            moves.append((letter, "", place))
        last_across, last_down = x, y
    return "".join(f"{letter}{before}{place}" for letter, before, place in moves)


def draw_calibration(bins: "Sequence[CalibrationBin]") -> str:
    """Return a reliability diagram: the share of spam, with its 95 % interval, over the score that was given."""
    across: Callable[[float], float] = lambda share: 50 + 240 * share  # noqa: E731
    up: Callable[[float], float] = lambda share: 260 - 240 * share  # noqa: E731
    marks = []
    for found in bins:
        low, high = wilson_interval(found.spam, found.messages)
        x, y = across(found.mean_score), up(found.spam / found.messages)
        marks.append(
            f"<path d='M{x:.1f} {up(low):.1f}V{up(high):.1f}' stroke='#c8553d'/>"
            f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3' fill='#c8553d'>"
            f"<title>{found.spam} of {found.messages} are spam, mean score {found.mean_score:.3f}</title></circle>"
        )
    ticks = "".join(
        f"<text x='{across(share):.0f}' y='276' text-anchor='middle'>{share:g}</text>"
        f"<text x='44' y='{up(share) + 3:.0f}' text-anchor='end'>{share:g}</text>"
        for share in (0, 0.25, 0.5, 0.75, 1)
    )
    return (
        "<svg xmlns='http://www.w3.org/2000/svg' width='310' height='310' viewBox='0 0 310 310' "
        "font-family='sans-serif' font-size='10'>"
        "<path d='M50 20H290V260H50ZM50 260L290 20' fill='none' stroke='#bbb'/>"
        f"{''.join(marks)}{ticks}<text x='170' y='296' text-anchor='middle'>spam probability that was given</text>"
        "<text transform='translate(14 140) rotate(-90)' text-anchor='middle'>share of spam that was found</text></svg>"
    )
