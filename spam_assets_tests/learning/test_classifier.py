import subprocess
import sys

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import check_estimator

from spam_assets.learning.classifier import SpamClassifier
from spam_assets.learning.features import TABLE_SIZES, WORDS, featurize_mail
from spam_assets_tests.learning import make_mail


def words_of(day: str) -> tuple[csr_matrix, np.ndarray]:
    mail = make_mail(day, ham=60, spam=40)
    rows = featurize_mail(mail).views[WORDS]
    ones = np.ones(len(rows.indices))
    shape = (len(mail), TABLE_SIZES[WORDS])
    return csr_matrix((ones, rows.indices.astype(np.int64), rows.offsets), shape), mail["label"].to_numpy()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_it_is_a_scikit_learn_estimator():
    check_estimator(SpamClassifier())


def test_it_tells_spam_from_ham_it_has_not_seen():
    classifier = SpamClassifier().fit(*words_of("2030-01-01"))
    messages, labels = words_of("2030-01-02")
    assert classifier.classes_.tolist() == ["ham", "spam"]
    assert np.mean(classifier.predict(messages) == labels) > 0.97
    probabilities = classifier.predict_proba(messages)
    assert probabilities.sum(axis=1) == pytest.approx(1)
    assert ((probabilities[:, 1] > 0.5) == (classifier.predict(messages) == "spam")).all()


def test_it_refuses_to_score_before_it_has_learnt():
    with pytest.raises(NotFittedError):
        SpamClassifier().predict(np.zeros((1, 3)))


def test_it_refuses_more_or_fewer_than_two_classes():
    with pytest.raises(ValueError, match="one class"):
        SpamClassifier().fit(np.eye(3), [1, 1, 1])
    with pytest.raises(ValueError, match="binary"):
        SpamClassifier().fit(np.eye(3), [0, 1, 2])


def test_scoring_and_training_do_not_import_scikit_learn():
    code = "import sys, spam_assets.learning.training; print('sklearn' in sys.modules)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "False"
