"""Estimators as bytes: the same in every process, nothing run that nobody trusts, vocabularies small."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from spam_assets.learning.estimator_errors import EstimatorError
from spam_assets.learning.methods import Method
from spam_assets.learning.stored_estimators import (
    find_unknown_types,
    list_modules,
    name_unfitted,
    pack_estimator,
    unpack_estimator,
)
from spam_assets_tests.conftest import PROJECT
from spam_assets_tests.learning.estimators import write_module

FITTED = """
import sys
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.naive_bayes import BernoulliNB
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier
TEXTS = ["free money now", "lunch at noon", "money money", "see you at lunch"] * 3
def fit(last): return make_pipeline(TfidfVectorizer(stop_words=["at"]), last).fit(TEXTS, [1, 0, 1, 0] * 3)
def build(): return fit(LogisticRegression())
def build_tree(): return fit(DecisionTreeClassifier(random_state=0))
"""
TEXTS = ["free lunch", "money now", "at noon"]


@pytest.fixture(autouse=True)
def fitted_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_module(tmp_path, monkeypatch, "fitted_models", FITTED)


def test_equal_estimators_give_equal_bytes() -> None:
    first, second = (pack_estimator(Method("fitted_models:build").build(), "a name")[0] for _ in range(2))
    assert first == second
    assert pack_estimator(unpack_estimator(first, "a name"), "another name")[0] == first


@pytest.mark.slow
def test_equal_estimators_give_equal_bytes_in_any_process(tmp_path: Path) -> None:
    estimator = Method("fitted_models:build").build()
    here, unknown = pack_estimator(estimator, "a name")
    code = (
        "import sys; from spam_assets.learning.stored_estimators import pack_estimator; "
        "from spam_assets.learning.methods import Method; "
        "sys.stdout.buffer.write(pack_estimator(Method('fitted_models:build').build(), 'x')[0])"
    )
    environment = {"PYTHONPATH": f"{PROJECT}:{tmp_path}", "PYTHONHASHSEED": "7"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert done.stdout == here
    assert unknown == ()


def test_an_estimator_comes_back_as_it_was_and_is_not_changed_by_storing_it() -> None:
    estimator = Method("fitted_models:build").build()
    words = dict(estimator[0].vocabulary_)
    content, _ = pack_estimator(estimator, "a name")
    assert estimator[0].vocabulary_ == words
    loaded = unpack_estimator(content, "a name")
    assert loaded[0].vocabulary_ == words
    assert np.array_equal(loaded.predict_proba(TEXTS), estimator.predict_proba(TEXTS))
    assert list_modules(content) >= {"sklearn.pipeline", "sklearn.linear_model._logistic"}


def test_types_that_are_not_known_to_be_safe_are_named_with_the_setting_that_lets_them_in() -> None:
    tree = Method("fitted_models:build_tree").build()
    wanted = r"types that are not known to be safe: sklearn.tree._tree.Tree; .*SPAM_ASSETS_TRUSTED_TYPES=sklearn\.tree"
    with pytest.raises(EstimatorError, match=wanted):
        pack_estimator(tree, "fitted_models:build_tree")
    content, unknown = pack_estimator(tree, "a name", {"sklearn.tree._tree.Tree"})
    assert list(unknown) == find_unknown_types(content) == ["sklearn.tree._tree.Tree"]
    with pytest.raises(EstimatorError, match=wanted):
        unpack_estimator(content, "a name")
    loaded = unpack_estimator(content, "a name", unknown)
    assert np.array_equal(loaded.predict_proba(TEXTS), tree.predict_proba(TEXTS))


def test_what_cannot_be_stored_or_is_damaged_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.preprocessing import FunctionTransformer

    content, _ = pack_estimator(Method("fitted_models:build").build(), "a name")
    with pytest.raises(EstimatorError, match="a name: its stored estimator is damaged"):
        unpack_estimator(content[: len(content) // 2], "a name")
    with pytest.raises(EstimatorError, match="a name: "):
        pack_estimator(FunctionTransformer(lambda mail: mail), "a name")


def test_unfitted_steps_have_a_name_by_their_parameters_unless_it_hangs_on_foreign_code() -> None:
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.preprocessing import FunctionTransformer

    names = {name_unfitted(HashingVectorizer(n_features=n)) for n in (8, 8, 16)}
    assert len(names) == 2
    assert "" not in names
    assert name_unfitted(FunctionTransformer(Method("fitted_models:build").build)) == ""
