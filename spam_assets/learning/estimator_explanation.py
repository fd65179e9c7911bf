"""Why somebody else's estimator takes a message for ham or spam.

By coefficients, where the estimator is a Pipeline that ends in a linear model and can name what that weighs; else by
leaving each word of subject and body out and asking again (occlusion: Zeiler & Fergus 2014, "Visualizing and
Understanding Convolutional Networks"), the first ``MOST_WORDS`` different words of a message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spam_assets.learning.estimator_errors import EstimatorError, tell_error
from spam_assets.learning.estimator_model import EstimatorModel
from spam_assets.learning.estimator_scores import compute_margins
from spam_assets.learning.explanation_parts import Explanation, Reason, make_printable, sum_up_reasons
from spam_assets.learning.mail_text import shape_mail
from spam_assets.mail.columns import BODY, MESSAGE_ID, SUBJECT

MOST_WORDS = 200
"""Each word that is left out is a message more to score."""

WORD = re.compile(r"\w[\w$!'.-]*\w|\w")


def explain_by_estimator(model: EstimatorModel, mail: pd.DataFrame, count: int) -> Iterator[Explanation]:
    """Explain each message of a frame that has the mail columns, in its order; see ``explanation.explain_mail``.

    Raises:
        EstimatorError: The estimator cannot be loaded, or fails.
    """
    shaped = shape_mail(mail)
    try:
        named = _name_weights(model.estimator)
        for row in range(len(shaped)):
            message = shaped.iloc[[row]]
            margin = float(compute_margins(model.estimator, message)[0])
            reasons = _leave_words_out(model.estimator, message, margin) if named is None else _weigh(*named, message)
            yield sum_up_reasons(model, str(shaped[MESSAGE_ID].iloc[row]), margin, reasons, count)
    except EstimatorError:
        raise
    except Exception as error:
        raise EstimatorError(f"{model.method} fails to explain mail ({tell_error(error)})") from error


def _name_weights(estimator: Any) -> tuple[Any, npt.NDArray[np.float64], npt.NDArray[np.object_]] | None:
    """The steps before a linear model, its coefficients, and the names of what they weigh; None where it is another."""
    from sklearn.pipeline import Pipeline

    if not isinstance(estimator, Pipeline) or not hasattr(estimator.steps[-1][1], "coef_"):
        return None
    coefficients = estimator.steps[-1][1].coef_
    if hasattr(coefficients, "toarray"):
        coefficients = coefficients.toarray()
    weights = np.asarray(coefficients, np.float64).ravel()
    first = Pipeline(estimator.steps[:-1])
    try:
        names = np.asarray(_name_features(first), dtype=object)
    except (AttributeError, ValueError, TypeError):  # hashed, or steps that do not say
        return None
    return (first, weights, names) if len(names) == len(weights) else None


def _name_features(steps: Any) -> Any:
    """Names of what comes out of a Pipeline's steps, from the last step that makes names by itself."""
    try:
        return steps.get_feature_names_out()
    except (AttributeError, ValueError, TypeError):
        return steps.steps[-1][1].get_feature_names_out()


def _weigh(
    first: Any, weights: npt.NDArray[np.float64], names: npt.NDArray[np.object_], message: pd.DataFrame
) -> list[Reason]:
    from scipy import sparse

    row = sparse.csr_matrix(first.transform(message))
    return [
        _name_reason(str(names[at]), float(value * weights[at]))
        for at, value in zip(row.indices, row.data, strict=True)
        if value * weights[at]
    ]


def _name_reason(name: str, contribution: float) -> Reason:
    """A reason from a feature's name, in which ColumnTransformer puts the transformer before two underscores."""
    where, _, word = name.rpartition("__")
    return Reason(make_printable(word.encode("utf-8", "replace")), where, True, contribution, ())  # noqa: FBT003


def _leave_words_out(estimator: Any, message: pd.DataFrame, margin: float) -> list[Reason]:
    texts = {column: str(message[column].iloc[0]) for column in (SUBJECT, BODY)}
    words = list(dict.fromkeys(word for text in texts.values() for word in WORD.findall(text)))[:MOST_WORDS]
    if not words:
        return []
    without = pd.concat([message] * len(words), ignore_index=True)
    for column, text in texts.items():
        without[column] = pd.Series([_leave_out(text, word) for word in words], dtype=object)
    lost = margin - compute_margins(estimator, without)
    return [
        Reason(make_printable(word.encode("utf-8", "replace")), "", True, float(part), ())  # noqa: FBT003
        for word, part in zip(words, lost, strict=True)
        if part
    ]


def _leave_out(text: str, word: str) -> str:
    return WORD.sub(lambda found: "" if found[0] == word else found[0], text)
