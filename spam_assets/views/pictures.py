"""The pictures that people see in the Dagster UI and in MLflow, as SVG."""

import io
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

    from spam_assets.learning.trained_model import TrainedModel

LEAST_SHARE = 1e-4
"""Smaller shares are drawn at the edge: a logarithmic axis has no zero."""

LEAST_MESSAGES = 0.5
"""What a count of none is drawn as, for the same reason."""
EDGES = np.linspace(0, 1, 41)
HAM_COLOUR, SPAM_COLOUR = "#2b7a78", "#c8553d"
STYLE: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "spam_assets", "font.size": 9}
"""Text stays text and ids are fixed: small files, and the same model gives the same bytes."""


def draw_evaluation(model: "TrainedModel", day: str) -> str:
    """Return one picture of a model on mail it had not learnt: DET curve, and scores of ham and of spam."""
    return prepare_picture().draw(model, day)


class _EvaluationPicture:
    """The picture without a model's lines: axes, ticks and legends take longer than they, and are made once a process.

    Places are given instead of found by a layout engine, and ticks are few: that is most of the time of a picture.
    """

    def __init__(self) -> None:
        from matplotlib.figure import Figure

        self._figure = Figure(figsize=(8.4, 3.4))
        det, scores = self._figure.subplots(
            1, 2, gridspec_kw={"left": 0.095, "right": 0.985, "bottom": 0.15, "top": 0.82, "wspace": 0.28}
        )
        self._title = self._figure.text(0.5, 0.95, "", ha="center")
        self._prepare_det(det)
        self._prepare_scores(scores)

    def _prepare_det(self, axes: "Axes") -> None:
        (self._det_curve,) = axes.plot([], [], color=SPAM_COLOUR, drawstyle="steps-pre")
        (self._at_threshold,) = axes.plot([], [], "o", color="black", label="at the threshold")
        self._det_title = axes.set_title("", fontsize=9)
        axes.set_xlabel("share of ham called spam (FPR)")
        axes.set_ylabel("share of spam missed")
        shares = [1e-4, 1e-3, 1e-2, 1e-1, 1]
        for set_scale, axis in ((axes.set_xscale, axes.xaxis), (axes.set_yscale, axes.yaxis)):
            _use_plain_log_scale(set_scale, axis, shares, "{:.4g}")
        axes.set_xlim(LEAST_SHARE, 1)
        axes.set_ylim(LEAST_SHARE, 1)
        axes.grid(alpha=0.3)
        axes.legend(loc="lower left", frameon=False)

    def _prepare_scores(self, axes: "Axes") -> None:
        self._scores = axes
        nothing = np.full(len(EDGES) - 1, LEAST_MESSAGES)
        self._stairs = {
            label: axes.stairs(nothing, EDGES, baseline=LEAST_MESSAGES, fill=True, color=colour, alpha=0.65, label=name)
            for label, name, colour in ((0, "ham", HAM_COLOUR), (1, "spam", SPAM_COLOUR))
        }
        self._threshold = axes.axvline(1, color="black", linewidth=1, linestyle="--", label="threshold")
        axes.set_title("Scores", fontsize=9)
        axes.set_xlabel("spam probability")
        axes.set_ylabel("messages")
        axes.set_xlim(0, 1)
        _use_plain_log_scale(axes.set_yscale, axes.yaxis, [1, 10, 100, 1000, 10_000, 100_000], "{:,.0f}")
        axes.legend(loc="upper center", frameon=False)

    def draw(self, model: "TrainedModel", day: str) -> str:
        """Return the picture of a model; the same model gives the same bytes, whatever was drawn before."""
        from matplotlib import rc_context

        from spam_assets.learning.evaluation import det_curve

        evaluation, labels, scores = model.evaluation, model.progressive.labels, model.progressive.scores
        self._title.set_text(
            f"train-{day}: {evaluation.messages} messages of {len(evaluation.days)} days, "
            "each scored before it was learnt"
        )
        false_alarms, misses = det_curve(labels, scores)
        self._det_curve.set_data(np.maximum(false_alarms, LEAST_SHARE), np.maximum(misses, LEAST_SHARE))
        self._at_threshold.set_data([max(evaluation.fpr, LEAST_SHARE)], [max(1 - evaluation.recall, LEAST_SHARE)])
        self._det_title.set_text(f"DET curve, (1-ROCA)% = {evaluation.one_minus_roca_percent:.3f}")
        most = 1.0
        for label, stairs in self._stairs.items():
            counts, _ = np.histogram(scores[labels == label], EDGES)
            stairs.set_data(np.maximum(counts, LEAST_MESSAGES))
            most = max(most, float(counts.max()))
        self._threshold.set_xdata([min(model.threshold, 1.0)] * 2)
        self._scores.set_ylim(LEAST_MESSAGES, 1.5 * most)
        picture = io.StringIO()
        with rc_context(STYLE):
            self._figure.savefig(picture, format="svg", metadata={"Date": None, "Creator": None})
        return picture.getvalue()


@lru_cache(maxsize=1)
def prepare_picture() -> _EvaluationPicture:
    """Return the picture that every model is drawn into."""
    from matplotlib import rc_context

    with rc_context(STYLE):
        return _EvaluationPicture()


def _use_plain_log_scale(set_scale: "Callable[..., None]", axis: "Axis", ticks: list[float], form: str) -> None:
    set_scale("log")
    axis.set_ticks(ticks, [form.format(tick) for tick in ticks])
    axis.set_ticks([], minor=True)
