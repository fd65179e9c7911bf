"""What MLflow's own UI tells of a version: where it comes from, its figures, and what the gate said last."""

from typing import TYPE_CHECKING

from spam_assets.learning.methods import OURS_NAME
from spam_assets.registry.store import DAILY_PROTOCOL, TRAINING_DATE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow import MlflowClient
    from mlflow.entities import Run

VERDICT = "gate_verdict"
"""Tag: what the gate said last of a version, one of `learning.gate.Verdict`."""
REASON = "gate_reason"
GATE_SAID = "\n\nThe gate said last: "
METHOD = "method"
FIGURES = {
    "one_minus_roca_percent": "(1-ROCA)% {:.3f}",
    "recall": "recall {:.3f}",
    "fpr": "FPR {:.4f}",
    "messages": "{:.0f} messages",
}
LINEAGE = ("window_first_day", "window_last_day", "window_days", "features_version", "model_version", METHOD)
"""Parameters of the training run that a version carries as tags."""


def describe_lineage(run: "Run") -> str:
    """Return where the model of a training run comes from, and its figures, in two sentences."""
    parameters, metrics = run.data.params, run.data.metrics
    day = parameters.get(TRAINING_DATE, "?")
    known = {name: metrics[DAILY_PROTOCOL + name] for name in FIGURES if DAILY_PROTOCOL + name in metrics}
    figures = ", ".join(FIGURES[name].format(value) for name, value in known.items())
    return (
        f"Trained for {day} on {parameters.get('window_days', '?')} days of mail, "
        f"{parameters.get('window_first_day', '?')} to {parameters.get('window_last_day', '?')}, in the run "
        f"{run.info.run_name}. Each day scored before it was learnt: {figures or 'no figures'}."
    )


def list_lineage_tags(run: "Run") -> dict[str, str]:
    """Return the tags by which versions are found by what they were trained on, and their figures."""
    parameters, metrics = run.data.params, run.data.metrics
    tags = {name: parameters[name] for name in LINEAGE if name in parameters}
    names = [DAILY_PROTOCOL + name for name in FIGURES]
    return {**tags, **{name: f"{metrics[name]:g}" for name in names if name in metrics}}


def read_method(tags: "Mapping[str, str]") -> str:
    """Return the method of a version by its tags, as `learning.methods.Method.reference`: empty for ours."""
    method = tags.get(METHOD, OURS_NAME)
    return "" if method == OURS_NAME else method


def write_verdict(client: "MlflowClient", name: str, version: int, verdict: str, reason: str) -> None:
    """Note what the gate said of a version: as tags, and at the end of its description."""
    client.set_model_version_tag(name, str(version), REASON, reason)
    lineage = (client.get_model_version(name, str(version)).description or "").partition(GATE_SAID)[0]
    description = f"{lineage}{GATE_SAID}{verdict}: {reason}"[:5000]
    client.update_model_version(name, str(version), description)
    client.set_model_version_tag(name, str(version), VERDICT, verdict)  # last: a version with a verdict has the rest
