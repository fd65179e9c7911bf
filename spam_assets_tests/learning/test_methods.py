"""Methods: which function a setting names, what it must return, and what is said where it does not."""

from pathlib import Path

import pytest

from spam_assets.learning.estimator_errors import EstimatorError
from spam_assets.learning.methods import OURS, Method, parse_method
from spam_assets.learning.model import SpamModel
from spam_assets.learning.training import TrainingSettings
from spam_assets_tests.learning import make_window
from spam_assets_tests.learning.estimators import write_module


@pytest.mark.parametrize("reference", [None, "", "  ", "ours"])
def test_without_a_name_the_method_is_ours(reference: str | None) -> None:
    assert parse_method(reference) is OURS
    assert OURS.name == "ours"
    assert isinstance(OURS.train(make_window(3), TrainingSettings()), SpamModel)


def test_a_method_keeps_its_name_and_imports_nothing_before_it_builds() -> None:
    method = parse_method("nowhere.at_all:build", frozenset({"some.Type"}))
    assert (method.name, method.is_ours, method.trusted_types) == ("nowhere.at_all:build", False, {"some.Type"})


@pytest.mark.parametrize("reference", ["my_models", "my_models:", ":build", "my models:build", "a:b:c", "a.py:b()"])
def test_what_names_no_function_is_refused(reference: str) -> None:
    with pytest.raises(EstimatorError, match="write module:function, as my_models:build_pipeline"):
        parse_method(reference)


@pytest.mark.parametrize(
    ("module", "text", "words"),
    [
        (
            "broken_import",
            "import not_installed_anywhere\ndef build(): pass",
            "No module named 'not_installed_anywhere'",
        ),
        ("broken_syntax", "def build(:", "module broken_syntax cannot be imported (SyntaxError"),
        ("without_function", "built = 1", "module without_function has no function build"),
        ("failing", "def build(): raise KeyError('a key')", "failing:build fails (KeyError: 'a key')"),
        ("nothing", "def build(): pass", "nothing:build returned nothing"),
        ("a_class", "from sklearn.svm import LinearSVC\ndef build(): return LinearSVC", "the class LinearSVC itself"),
        ("unfit", "def build(): return {}", "unfit:build returned something of type dict"),
        (
            "without_scores",
            "from sklearn.cluster import KMeans\ndef build(): return KMeans()",
            "without_scores:build returned something of type KMeans",
        ),
    ],
)
def test_what_a_function_is_or_returns_is_said_in_one_sentence(
    module: str, text: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_module(tmp_path, monkeypatch, module, text)
    with pytest.raises(EstimatorError) as raised:
        Method(f"{module}:build").build()
    assert str(raised.value).startswith(f"{module}:build")
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)
    if "cannot be imported" not in str(raised.value):
        assert "it must return an unfitted scikit-learn estimator or Pipeline whose fit(X, y)" in str(raised.value)


def test_a_module_of_the_working_directory_is_found_as_python_m_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models_of_here.py").write_text("from sklearn.svm import LinearSVC\ndef build(): return LinearSVC()")
    monkeypatch.setattr("sys.path", [entry for entry in __import__("sys").path if entry])
    monkeypatch.chdir(tmp_path)
    assert type(Method("models_of_here:build").build()).__name__ == "LinearSVC"


def test_chance_is_fixed_where_its_author_left_it_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "from sklearn.linear_model import SGDClassifier\ndef build(): return SGDClassifier({})"
    write_module(tmp_path, monkeypatch, "by_chance", text.format(""))
    write_module(tmp_path, monkeypatch, "by_seed", text.format("random_state=7"))
    assert Method("by_chance:build").build().random_state == 0
    assert Method("by_seed:build").build().random_state == 7
