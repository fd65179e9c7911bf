"""The pictures that people see in the Dagster UI and in MLflow, as SVG."""

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

    from spam_assets.learning.trained_model import TrainedModel

LEAST_SHARE = 1e-4
"""Smaller shares are drawn at the edge: a logarithmic axis has no zero."""

HAM_COLOUR, SPAM_COLOUR = "#2b7a78", "#c8553d"


def draw_evaluation(model: "TrainedModel", day: str) -> str:
    """Return one picture of a model on mail it had not learnt: DET curve, and scores of ham and of spam."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    # Text stays text and ids are fixed: small files, and the same model gives the same bytes. Places are given
    # instead of found by a layout engine, and ticks are few: that is nine tenths of the time of a picture.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "spam_assets", "font.size": 9}):
        figure = Figure(figsize=(8.4, 3.4))
        left, right = figure.subplots(
            1, 2, gridspec_kw={"left": 0.095, "right": 0.985, "bottom": 0.15, "top": 0.82, "wspace": 0.28}
        )
        _draw_det(left, model)
        _draw_scores(right, model)
        evaluation = model.evaluation
        figure.text(
            0.5, 0.95, ha="center",
            s=f"train-{day}: {evaluation.messages} messages of {len(evaluation.days)} days, "
            "each scored before it was learnt",
        )  # fmt: skip
        picture = io.StringIO()
        figure.savefig(picture, format="svg", metadata={"Date": None, "Creator": None})
    return picture.getvalue()


def _draw_det(axes: "Axes", model: "TrainedModel") -> None:
    from spam_assets.learning.evaluation import det_curve

    false_alarms, misses = det_curve(model.progressive.labels, model.progressive.scores)
    axes.plot(
        np.maximum(false_alarms, LEAST_SHARE), np.maximum(misses, LEAST_SHARE),
        color=SPAM_COLOUR, drawstyle="steps-pre",
    )  # fmt: skip
    evaluation = model.evaluation
    axes.plot(
        [max(evaluation.fpr, LEAST_SHARE)], [max(1 - evaluation.recall, LEAST_SHARE)],
        "o", color="black", label="at the threshold",
    )  # fmt: skip
    axes.set_title(f"DET curve, (1-ROCA)% = {evaluation.one_minus_roca_percent:.3f}", fontsize=9)
    axes.set_xlabel("share of ham called spam (FPR)")
    axes.set_ylabel("share of spam missed")
    shares = [1e-4, 1e-3, 1e-2, 1e-1, 1]
    for set_scale, axis in ((axes.set_xscale, axes.xaxis), (axes.set_yscale, axes.yaxis)):
        _use_plain_log_scale(set_scale, axis, shares, "{:.4g}")
    axes.set_xlim(LEAST_SHARE, 1)
    axes.set_ylim(LEAST_SHARE, 1)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left", frameon=False)


def _draw_scores(axes: "Axes", model: "TrainedModel") -> None:
    labels, scores = model.progressive.labels, model.progressive.scores
    edges = np.linspace(0, 1, 41)
    for label, name, colour in ((0, "ham", HAM_COLOUR), (1, "spam", SPAM_COLOUR)):
        counts, _ = np.histogram(scores[labels == label], edges)
        axes.stairs(np.maximum(counts, 0.5), edges, baseline=0.5, fill=True, color=colour, alpha=0.65, label=name)
    axes.axvline(min(model.threshold, 1.0), color="black", linewidth=1, linestyle="--", label="threshold")
    axes.set_title("Scores", fontsize=9)
    axes.set_xlabel("spam probability")
    axes.set_ylabel("messages")
    axes.set_xlim(0, 1)
    _use_plain_log_scale(axes.set_yscale, axes.yaxis, [1, 10, 100, 1000, 10_000, 100_000], "{:,.0f}")
    axes.set_ylim(0.5, None)
    axes.legend(loc="upper center", frameon=False)


def _use_plain_log_scale(set_scale: "Callable[..., None]", axis: "Axis", ticks: list[float], form: str) -> None:
    set_scale("log")
    axis.set_ticks(ticks, [form.format(tick) for tick in ticks])
    axis.set_ticks([], minor=True)
