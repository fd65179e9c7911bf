"""The pictures that people see in the Dagster UI and in MLflow, as SVG."""

import io
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from spam_assets.learning.model import SpamModel

HAM_COLOUR, SPAM_COLOUR = "#2b7a78", "#c8553d"


def draw_evaluation(model: "SpamModel", day: str) -> str:
    """Return one picture of a model on mail it had not learnt: DET curve, and scores of ham and of spam."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    # Text stays text and ids are fixed: small files, and the same model gives the same bytes.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "spam_assets", "font.size": 9}):
        figure = Figure(figsize=(8.4, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        _draw_det(left, model)
        _draw_scores(right, model)
        evaluation = model.evaluation
        figure.suptitle(
            f"train-{day}: {evaluation.messages} messages of {len(evaluation.days)} days, each scored before learnt",
            fontsize=9,
        )
        picture = io.StringIO()
        figure.savefig(picture, format="svg", metadata={"Date": None, "Creator": None})
    return picture.getvalue()


def _draw_det(axes: "Axes", model: "SpamModel") -> None:
    from spam_assets.learning.evaluation import det_curve

    false_alarms, misses = det_curve(model.progressive.labels, model.progressive.scores)
    least = 1e-4
    axes.plot(np.maximum(false_alarms, least), np.maximum(misses, least), color=SPAM_COLOUR, drawstyle="steps-post")
    evaluation = model.evaluation
    axes.plot(
        [max(evaluation.fpr, least)], [max(1 - evaluation.recall, least)], "o", color="black", label="at threshold"
    )
    axes.set(
        xscale="log", yscale="log", xlim=(least, 1), ylim=(least, 1),
        xlabel="share of ham called spam (FPR)", ylabel="share of spam missed",
        title=f"DET curve, (1-ROCA)% = {evaluation.one_minus_roca_percent:.3f}",
    )  # fmt: skip
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left", frameon=False)


def _draw_scores(axes: "Axes", model: "SpamModel") -> None:
    labels, scores = model.progressive.labels, model.progressive.scores
    edges = np.linspace(0, 1, 41)
    for label, name, colour in ((0, "ham", HAM_COLOUR), (1, "spam", SPAM_COLOUR)):
        axes.hist(scores[labels == label], edges, log=True, color=colour, alpha=0.65, label=name)
    axes.axvline(model.threshold, color="black", linewidth=1, linestyle="--", label="threshold")
    axes.set(xlabel="spam probability", ylabel="messages", title="Scores", xlim=(0, 1))
    axes.legend(loc="upper center", frameon=False)
