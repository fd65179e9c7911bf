"""Ready estimators for SPAM_ASSETS_ESTIMATOR and `spam-assets compare`; docs/estimators.md tells how to write one.

Each function returns an unfitted scikit-learn Pipeline that takes a frame of the mail columns.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


def tfidf_logistic_regression() -> "Pipeline":
    """TF-IDF of the words of sender, subject and body, and a logistic regression: what most people try first."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    from spam_assets.learning.text_columns import TextColumns

    return make_pipeline(
        TextColumns(), TfidfVectorizer(min_df=2, sublinear_tf=True), LogisticRegression(C=10.0, max_iter=1000)
    )


def hashing_sgd() -> "Pipeline":
    """Hashed words of sender, subject and body, and a linear model that learns day by day (`partial_fit`)."""
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.linear_model import SGDClassifier
    from sklearn.pipeline import make_pipeline

    from spam_assets.learning.text_columns import TextColumns

    # Each call of partial_fit passes over all weights, so there are no more than a day's words need. A constant rate,
    # since mail changes: one that falls lets the newest days teach least. Chosen on the corpus's days up to 45.
    return make_pipeline(
        TextColumns(),
        HashingVectorizer(n_features=1 << 16, alternate_sign=False, binary=True),
        SGDClassifier(loss="log_loss", alpha=1e-5, learning_rate="constant", eta0=4.0, random_state=0),
    )


def spam_classifier() -> "Pipeline":
    """Our own learners (`learning.classifier.SpamClassifier`) on hashed four-letter sequences, as a plain estimator."""
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.pipeline import make_pipeline

    from spam_assets.learning.classifier import SpamClassifier
    from spam_assets.learning.text_columns import TextColumns

    return make_pipeline(
        TextColumns(),
        HashingVectorizer(analyzer="char", ngram_range=(4, 4), n_features=1 << 20, binary=True, norm=None),
        SpamClassifier(),
    )
