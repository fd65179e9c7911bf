"""Margins of somebody else's estimator, and which part of it sees each message by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_LEAST = 1e-15


def is_scoring(estimator: Any) -> bool:
    """Whether an estimator can tell how likely mail is spam."""
    return hasattr(estimator, "decision_function") or hasattr(estimator, "predict_proba")


def compute_margins(estimator: Any, mail: Any) -> npt.NDArray[np.float64]:
    """The margin of each of n messages, shape (n,): its decision function, else the log-odds of its probabilities.

    A decision function comes first because probabilities of 0 and 1 do not tell one message from another.

    Args:
        estimator: A fitted estimator.
        mail: n rows of what it was fitted to.

    Raises:
        ValueError: What it answers is no number for each message.
    """
    count = mail.shape[0]
    if count == 0:  # most estimators refuse a frame without rows
        return np.empty(0)
    if hasattr(estimator, "decision_function"):
        asked = "decision_function"
        answer = np.asarray(estimator.decision_function(mail), np.float64)
        if answer.shape == (count, 1):
            answer = answer[:, 0]
    else:
        asked = "predict_proba"
        answer = np.asarray(estimator.predict_proba(mail), np.float64)
        if answer.shape == (count, 2):
            probabilities = np.clip(answer[:, 1], _LEAST, 1 - _LEAST)
            answer = np.log(probabilities / (1 - probabilities))
    if answer.shape != (count,):
        raise ValueError(f"{asked} gave an array of shape {answer.shape} for {count} messages of two classes")
    if not np.isfinite(answer).all():
        raise ValueError(f"{asked} gave {np.sum(~np.isfinite(answer))} values that are no numbers")
    return answer


def split_stateless(estimator: Any) -> tuple[Any, Any]:
    """The steps of a Pipeline that see each message by itself, and its last step.

    Returns:
        A Pipeline of the same step objects, or None where there are none or one of them learns from the mail; and the
        last step, or the whole estimator.
    """
    from sklearn.pipeline import Pipeline

    if isinstance(estimator, Pipeline) and len(estimator.steps) > 1 and estimator.memory is None:
        first = estimator.steps[:-1]
        if all(is_stateless(step) for _, step in first):
            return Pipeline(first), estimator.steps[-1][1]
    return None, estimator


def is_stateless(transformer: Any) -> bool:
    """Whether a transformer makes of a message what it would make of it whatever it was fitted to."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import FeatureUnion, Pipeline
    from sklearn.utils import get_tags

    if isinstance(transformer, str) or transformer is None:  # "passthrough", "drop"
        return transformer is None or transformer in ("passthrough", "drop")
    if isinstance(transformer, Pipeline):
        return all(is_stateless(step) for _, step in transformer.steps)
    if isinstance(transformer, ColumnTransformer):
        return all(is_stateless(step) for _, step, _ in transformer.transformers) and is_stateless(
            transformer.remainder
        )
    if isinstance(transformer, FeatureUnion):
        return all(is_stateless(step) for _, step in transformer.transformer_list)
    try:
        return not get_tags(transformer).requires_fit
    except Exception:  # noqa: BLE001 - no scikit-learn object, so nobody knows
        return False
