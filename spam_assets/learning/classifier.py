"""The two learners as one scikit-learn estimator, for a batch of messages in memory.

``training.train_model`` is what the assets use. This estimator is for notebooks and pipelines. It is
a module of its own because importing scikit-learn costs a second that scoring and training need not pay.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from spam_assets.learning.calibration import Calibration
from spam_assets.learning.features import SparseRows
from spam_assets.learning.model import EVIDENCE_SHARE, score_patterns, score_words
from spam_assets.learning.training import Lesson, Sweep
from spam_assets.learning.word_counts import count_words, weigh_words


class SpamClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Linear machine and word evidence on presence features.

    Like most spam filters it asks which features a message has, not how often: every value other than zero
    counts as present. For values that matter, use a scikit-learn classifier.

    Args:
        cost: Largest weight of one message in the linear machine (C of a support vector machine).
        passes: Passes over the messages, newest (last) first.
        evidence_share: Margin = linear margin + ``evidence_share`` x mean log-odds of the words.

    Attributes:
        classes_: The two classes in sorted order; the second is the positive one, as ``spam`` after ``ham``.
        weights_: float32 weights of the linear machine, shape (n_features_in_,).
        log_odds_: float32 smoothed log-odds of each feature, shape (n_features_in_,).
        n_features_in_: Number of features seen in ``fit``.
    """

    def __init__(self, *, cost: float = 1.4, passes: int = 3, evidence_share: float = EVIDENCE_SHARE) -> None:
        self.cost = cost
        self.passes = passes
        self.evidence_share = evidence_share

    def fit(self, X: Any, y: Any) -> SpamClassifier:  # noqa: N803
        """Learn messages, in order of arrival.

        Args:
            X: Array or sparse matrix, shape (n, features).
            y: Labels of two classes, shape (n,).

        Returns:
            The fitted estimator.

        Raises:
            ValueError: If ``y`` does not have exactly two classes.
        """
        X, y = validate_data(self, X, y, accept_sparse="csr")  # noqa: N806
        check_classification_targets(y)
        if type_of_target(y) != "binary":
            message = f"Only binary classification is supported. The type of the target is {type_of_target(y)}."
            raise ValueError(message)
        self.classes_, positions = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            message = f"training needs two classes, y holds one class only: {self.classes_[0]!r}"
            raise ValueError(message)
        rows = _present_features(X)
        labels = positions.astype(np.int8)
        self.weights_ = np.zeros(self.n_features_in_, np.float32)
        lesson = Lesson(rows, labels, np.zeros(len(labels)))
        for _ in range(self.passes):
            lesson.descend(self.weights_, self.cost, Sweep(0.0, 1.0))
        counts = np.zeros((self.n_features_in_, 2), np.float32)
        count_words(rows.indices, rows.offsets, labels, np.ones(len(labels), np.bool_), counts)
        spam = int(labels.sum())
        self.log_odds_ = weigh_words(counts, len(labels) - spam, spam)
        return self

    def decision_function(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803
        """Margin of each message, shape (n,); above 0 leans to the second class."""
        check_is_fitted(self)
        rows = _present_features(validate_data(self, X, accept_sparse="csr", reset=False))
        margins = score_patterns(rows.indices, rows.offsets, self.weights_)
        evidence = score_words(rows.indices, rows.offsets, self.log_odds_)
        return np.asarray(margins + self.evidence_share * evidence, np.float64)

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803
        """Probability of each class, shape (n, 2); the sigmoid is the fixed prior of ``calibration``."""
        spam = Calibration().apply(self.decision_function(X))
        return np.column_stack([1.0 - spam, spam])

    def predict(self, X: Any) -> npt.NDArray[Any]:  # noqa: N803
        """The likelier class of each message, shape (n,)."""
        is_second = self.decision_function(X) > 0
        return np.asarray(self.classes_[is_second.astype(np.intp)])

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.classifier_tags.multi_class = False
        tags.classifier_tags.poor_score = True  # on the continuous features of scikit-learn's own checks
        return tags


def _present_features(X: Any) -> SparseRows:  # noqa: N803
    present = csr_matrix(X != 0)
    present.sort_indices()
    return SparseRows(present.indices.astype(np.uint32), present.indptr.astype(np.int64))
