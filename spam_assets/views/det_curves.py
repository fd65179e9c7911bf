"""DET curves of several methods on the same mail, in one picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spam_assets.learning.replayed_days import ScoredMail


def draw_det_curves(runs: "Mapping[str, ScoredMail]", path: Path) -> None:
    """Write the curves, one line a method, as the suffix of the path says (.svg, .png, .pdf)."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    from spam_assets.learning.evaluation import det_curve

    with rc_context({"svg.hashsalt": "det"}):  # the same curves give the same file
        figure = Figure(figsize=(7, 6), layout="constrained")
        axes = figure.subplots()
        for name, scored in runs.items():
            false_alarms, misses = det_curve(scored.labels, scored.scores)
            axes.step(100 * false_alarms, 100 * misses, where="pre", label=name)
        axes.set(
            xscale="log", yscale="log", xlim=(0.02, 50), ylim=(0.05, 100),
            xlabel="ham called spam, %", ylabel="spam missed, %", title="Detection error trade-off",
        )  # fmt: skip
        axes.grid(visible=True, which="both", alpha=0.3)
        axes.legend()
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
