"""Somebody else's estimator by our protocol: scored before it learns, held-out mail never learnt, the same bytes."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spam_assets.io_managers.fingerprints import fingerprint_model, fingerprint_stored_model
from spam_assets.learning.calibration import Calibration
from spam_assets.learning.daily_protocol import NotEnoughMailError
from spam_assets.learning.estimator_errors import EstimatorError
from spam_assets.learning.estimator_model import EstimatorModel
from spam_assets.learning.estimator_training import REFIT_GROWTH
from spam_assets.learning.features import MailFeatures
from spam_assets.learning.held_out import find_held_out
from spam_assets.learning.label_suspects import LEAST_CONTRADICTED
from spam_assets.learning.mail_text import ESTIMATOR_COLUMNS
from spam_assets.learning.methods import Method
from spam_assets.learning.model_files import dump_model, load_model
from spam_assets.learning.training import TrainingSettings
from spam_assets_tests.learning.estimators import DAY_BY_DAY, FIVE_LINES, read_window, without_mail, write_module

SETTINGS = TrainingSettings(held_out_share=0.1)
WITNESS = """
import numpy as np
from {place} import EVENTS
class Witness:
    def fit(self, X, y):
        EVENTS.append(("fit", X.copy(), np.array(y)))
        return self
    def decision_function(self, X):
        EVENTS.append(("score", X.copy(), None))
        return np.array(["viagra" in t or "casino" in t for t in X.subject + X.body]) * 2.0 - 1
def build(): return Witness()
"""
SCALED = """
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from spam_assets.learning.text_columns import TextColumns
class Scaled(RidgeClassifier):
    def decision_function(self, X): return {factor} * super().decision_function(X)
def build(): return make_pipeline(TextColumns(), TfidfVectorizer(), Scaled(alpha=0.1))
"""
EVENTS: list[tuple[str, pd.DataFrame, Any]] = []


@pytest.fixture(scope="module")
def window() -> dict[str, MailFeatures]:
    return read_window(8, ham=24, spam=24)


@pytest.fixture(scope="module", params=[("five_lines", FIVE_LINES), ("day_by_day", DAY_BY_DAY)])
def method(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Method]:
    name, text = request.param
    with pytest.MonkeyPatch.context() as patch:
        write_module(tmp_path_factory.mktemp("modules"), patch, name, text)
        yield Method(f"{name}:build_pipeline")


@pytest.fixture(scope="module")
def model(method: Method, window: dict[str, MailFeatures]) -> EstimatorModel:
    model = method.train(window, SETTINGS)
    assert isinstance(model, EstimatorModel)
    return model


def see_witness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: dict[str, MailFeatures]) -> str:
    """What an estimator that cannot be stored, as its class is nobody's friend, was given; returns the refusal."""
    EVENTS.clear()
    write_module(tmp_path, monkeypatch, "witness_models", WITNESS.format(place=__name__))
    with pytest.raises(EstimatorError) as raised:
        Method("witness_models:build").train(window, SETTINGS)
    return str(raised.value)


def test_it_tells_spam_from_ham_and_is_judged_as_ours(model: EstimatorModel, window: dict[str, MailFeatures]) -> None:
    assert model.days == tuple(window)
    assert model.evaluation.one_minus_roca_percent < 5
    assert model.evaluation.days == model.progressive.days
    assert model.held_out is not None
    assert model.held_out.messages == sum(int(find_held_out(day, 0.1).sum()) for day in window.values())
    assert 0.5 <= model.threshold < 1
    scores = model.score(next(iter(window.values())))
    assert scores[24:].mean() > 0.5 > scores[:24].mean()


def test_the_same_mail_gives_the_same_bytes(
    method: Method, model: EstimatorModel, window: dict[str, MailFeatures]
) -> None:
    again = method.train(window, SETTINGS)
    assert dump_model(again) == dump_model(model)
    assert fingerprint_stored_model(dump_model(model)) == fingerprint_model(model) == fingerprint_model(again)
    fewer = method.train(dict(list(window.items())[:-1]), SETTINGS)
    assert fingerprint_model(fewer) != fingerprint_model(model)


def test_a_stored_model_comes_back_as_it_was(model: EstimatorModel, window: dict[str, MailFeatures]) -> None:
    loaded = load_model(dump_model(model))
    day = next(iter(window.values()))
    assert loaded.method == model.method
    assert loaded.learning_told == model.learning_told
    assert np.array_equal(loaded.score(day), model.score(day))
    assert loaded.held_out == model.held_out
    assert (loaded.ham, loaded.spam, loaded.threshold) == (model.ham, model.spam, model.threshold)


def test_every_day_is_scored_before_it_is_learnt_and_held_out_mail_is_never_learnt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: dict[str, MailFeatures]
) -> None:
    see_witness(tmp_path, monkeypatch, window)
    kept = {day: set(f.message_ids[find_held_out(f, 0.1)].tolist()) for day, f in window.items()}
    learnt: set[str] = set()
    scored_days = 0
    for kind, mail, labels in EVENTS:
        ids = set(mail["message_id"])
        assert not ids & set().union(*kept.values())
        if kind == "score":
            assert not ids & learnt, "a message was learnt before it was scored"
            scored_days += 1
            continue
        assert learnt < ids, "a fit forgets nothing and adds something"
        assert set(labels.tolist()) == {0, 1}
        learnt = ids
    assert scored_days == len(window) - 1
    assert learnt == {i for f in window.values() for i in f.message_ids.tolist()} - set().union(*kept.values())


def test_fits_stand_at_growing_distances_and_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: dict[str, MailFeatures]
) -> None:
    see_witness(tmp_path, monkeypatch, window)
    sizes = [len(mail) for kind, mail, _ in EVENTS if kind == "fit"]
    assert all(later >= REFIT_GROWTH * earlier for earlier, later in pairwise(sizes[:-1]))
    assert 3 <= len(sizes) < len(window)


def test_a_frame_has_the_mail_columns_whole_and_no_label(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: dict[str, MailFeatures]
) -> None:
    see_witness(tmp_path, monkeypatch, window)
    for _, mail, _ in EVENTS:
        assert tuple(mail.columns) == ESTIMATOR_COLUMNS
        assert not mail.isna().any().any()
        assert (mail["raw"] == b"").all()


def test_how_it_learnt_is_told(model: EstimatorModel) -> None:
    if "day_by_day" in model.method:
        assert model.learning_told == "it learnt day by day (partial_fit), each day scored before"
        assert model.fitted_days == ()
    else:
        assert model.learning_told.startswith(f"it was fitted {len(model.fitted_days)} times at growing distances")
        assert model.fitted_days[-1] == model.days[-1]


def test_a_day_with_ham_and_spam_exchanged_is_not_learnt(method: Method) -> None:
    days = read_window(7, ham=24, spam=24)
    turned = "2030-01-07"
    days[turned] = replace(days[turned], labels=1 - days[turned].labels)
    model = method.train(days, SETTINGS)
    assert [found.day for found in model.contradicting_days] == [turned]
    assert model.contradicting_days[0].contradicted >= LEAST_CONTRADICTED
    assert turned not in model.days
    vouched = method.train(days, replace(SETTINGS, vouched_days=frozenset({turned})))
    assert vouched.contradicting_days == ()


def test_a_wrong_label_is_suspected_whatever_the_scale_of_the_margins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = read_window(7, ham=24, spam=24)
    turned = days["2030-01-06"]
    at = next(int(at) for at in np.flatnonzero(turned.labels) if not find_held_out(turned, 0.1)[at])
    labels = np.array(turned.labels)
    labels[at] = 0
    days["2030-01-06"] = replace(turned, labels=labels)
    found = []
    for factor in (0.01, 100):
        name = f"scaled_{round(1000 * factor)}"
        write_module(tmp_path, monkeypatch, name, SCALED.format(factor=factor))
        model = Method(f"{name}:build", frozenset({f"{name}.Scaled"})).train(days, SETTINGS)
        found.append([(suspect.message_id, suspect.label) for suspect in model.suspects])
        assert model.evaluation.one_minus_roca_percent < 5
    assert found[0] == found[1] == [(str(turned.message_ids[at]), 0)]


def test_too_little_mail_is_said_as_ours_says_it(method: Method) -> None:
    with pytest.raises(NotEnoughMailError, match="training needs at least 10 of each"):
        method.train(read_window(3, spam=2), SETTINGS)


def test_a_day_of_which_all_mail_is_held_out_or_none_is_no_trouble(method: Method) -> None:
    days = read_window(3) | {"2030-01-04": read_window(1, ham=1, spam=0)["2030-01-01"]}
    for share in (0.0, 0.5):
        assert method.train(days, replace(SETTINGS, held_out_share=share)).days == tuple(days)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("def fit(self, X, y): raise ValueError('two\\nlines of X')", "fit failed on mail up to 2030-01-01"),
        ("def fit(self, X, y): self.columns_ = X['no such column']", "(KeyError: 'no such column')"),
        ("def decision_function(self, X): return [[1, 2, 3]] * len(X)", "decision_function gave an array of shape"),
        ("def decision_function(self, X): return [float('nan')] * len(X)", "values that are no numbers"),
        ("def decision_function(self, X): return None", "scoring failed on mail up to 2030-01-01"),
        ("def partial_fit(self, X, y, classes): raise OSError('its disk')", "partial_fit failed on mail up to 2030-01"),
    ],
)
def test_an_error_in_somebody_elses_code_names_function_and_date_and_what_it_must_return(
    body: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"failing_{abs(hash(body))}"
    text = "class Model:\n    def fit(self, X, y): return self\n"
    text += "    def decision_function(self, X): return [0.0] * len(X)\n"
    write_module(tmp_path, monkeypatch, name, f"{text}    {body}\ndef build(): return Model()\n")
    with pytest.raises(EstimatorError) as raised:
        Method(f"{name}:build").train(read_window(4), SETTINGS)
    said = str(raised.value)
    assert said.startswith(f"{name}:build: ")
    assert words in said
    assert "for the model of 2030-01-04" in said
    assert "it must return an unfitted scikit-learn estimator" in said
    assert "\n" not in said


def test_features_without_their_mail_are_refused_by_name(method: Method, window: dict[str, MailFeatures]) -> None:
    with pytest.raises(EstimatorError, match="only hashed features are at hand"):
        method.train({day: without_mail(features) for day, features in window.items()}, SETTINGS)


def test_margins_are_standardised_by_what_calibration_makes_of_them() -> None:
    calibration = Calibration(slope=0.03, intercept=0.6)
    assert calibration.standardise(np.array([80.0, -20.0])).tolist() == [1.0, 0.0]
