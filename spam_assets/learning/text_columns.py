"""Columns of mail as one text, for scikit-learn's vectorisers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags

from spam_assets.mail.columns import BODY, SENDER, SUBJECT


class TextColumns(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Joins columns of a frame of mail to one text a message, a line each.

    Args:
        columns: Which columns of text, in order.
    """

    def __init__(self, columns: Sequence[str] = (SENDER, SUBJECT, BODY)) -> None:
        self.columns = columns

    def fit(self, X: pd.DataFrame, y: Any = None) -> TextColumns:  # noqa: ARG002, N803
        """Learn nothing."""
        return self

    def transform(self, X: pd.DataFrame) -> list[str]:  # noqa: N803
        """The texts of n messages, a list of n."""
        return ["\n".join(cells) for cells in zip(*(X[name] for name in self.columns), strict=True)]

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        return tags
