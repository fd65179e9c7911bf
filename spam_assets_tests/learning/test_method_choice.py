"""Which method serves where several have a candidate of one date."""

import dataclasses

import numpy as np
import pytest

from spam_assets.landing.zone import LandingZone
from spam_assets.learning.dated_model import DatedModel
from spam_assets.learning.features import read_frame
from spam_assets.learning.gate import Decision
from spam_assets.learning.gate_settings import GateSettings
from spam_assets.learning.held_out import HELD_OUT_SHARE, find_held_out
from spam_assets.learning.method_choice import Judged, choose_method, prove_better
from spam_assets.learning.methods import OURS, Method
from spam_assets.learning.model import SpamModel
from spam_assets.learning.succession import Succession, judge_day
from spam_assets.learning.training import TrainingSettings, train_model
from spam_assets.mail.validation import validate_day
from spam_assets_tests.corpus import land_first_days
from spam_assets_tests.learning import make_window
from spam_assets_tests.learning.estimators import write_module
from spam_assets_tests.learning.test_gate import forget

WINDOW = make_window(24, ham=40, spam=24)
DAYS = sorted(WINDOW)
OTHER, THIRD = "my_models:other", "my_models:third"
SETTINGS = GateSettings()


def mail_until(number: int):
    return {day: WINDOW[day] for day in DAYS[:number]}


def train_until(number: int) -> DatedModel:
    return DatedModel(
        DAYS[number - 1], train_model(mail_until(number), TrainingSettings(held_out_share=HELD_OUT_SHARE))
    )


@pytest.fixture(scope="module")
def models() -> dict[int, DatedModel]:
    return {number: train_until(number) for number in (19, 20, 23)}


def learn_worse(dated: DatedModel, share: float, *, method: str = "") -> DatedModel:
    """One whose learner, day after day, took so large a share of the messages for those of the other class."""
    progressive = dated.model.progressive
    wrong = np.random.default_rng(0).random(len(progressive.scores)) < share
    scores = np.where(wrong, 1 - progressive.scores, progressive.scores)
    model = dataclasses.replace(dated.model, method=method, progressive=dataclasses.replace(progressive, scores=scores))
    return dataclasses.replace(dated, model=model)


def of_method(dated: DatedModel, method: str) -> DatedModel:
    return learn_worse(dated, 0, method=method)


def verdicts(judged) -> dict[str, str]:
    return {one.candidate.model.method: one.decision.verdict for one in judged}


class Forgetful(SpamModel):
    """A model that does not know a third of what it learnt by heart."""

    def score(self, features):
        scores = super().score(features)
        learnt = ~find_held_out(features, self.held_out_share)
        return np.where(learnt & (np.arange(len(scores)) % 3 == 0), 0.0, scores)


@pytest.mark.parametrize("other_is_first", [False, True])
def test_the_champions_method_keeps_its_place_where_nobody_is_proven_better(models, other_is_first):
    own, other = models[20], of_method(models[20], OTHER)
    candidates = [other, own] if other_is_first else [own, other]
    after, judged = judge_day(Succession(models[19], models[19]), candidates, mail_until(20))
    assert after.champion is own
    assert verdicts(judged) == {"": "promote", OTHER: "trail"}
    reason = next(one.decision.reason for one in judged if one.candidate is other)
    assert f"not proven better than ours, whose candidate of {DAYS[19]} goes on" in reason


def test_what_is_proven_better_takes_the_place_of_the_champions_method_and_says_at_what(models):
    own, other = learn_worse(models[20], 0.2), of_method(models[20], OTHER)
    after, judged = judge_day(Succession(models[19], models[19]), [own, other], mail_until(20))
    assert after.champion is other
    assert verdicts(judged) == {"": "trail", OTHER: "promote"}
    assert "proven better: ours calls" in judged[1].decision.reason
    assert f"that {OTHER} lets pass" in judged[1].decision.reason


def test_no_method_is_preferred_for_being_ours(models):
    champion = of_method(models[19], OTHER)
    after, judged = judge_day(
        Succession(champion, champion), [models[20], of_method(models[20], OTHER)], mail_until(20)
    )
    assert after.champion is not None
    assert after.champion.model.method == OTHER
    assert verdicts(judged) == {"": "trail", OTHER: "promote"}


def test_of_several_that_are_proven_better_the_best_serves(models):
    own = learn_worse(models[20], 0.3)
    other, third = learn_worse(models[20], 0.05, method=OTHER), of_method(models[20], THIRD)
    for candidates in ([own, other, third], [third, other, own]):
        after, judged = judge_day(Succession(models[19], models[19]), candidates, mail_until(20))
        assert after.champion is third
        assert verdicts(judged) == {"": "trail", OTHER: "trail", THIRD: "promote"}


def test_a_method_that_learns_better_does_not_serve_with_a_model_that_the_gate_refuses(models):
    own, broken = learn_worse(models[20], 0.2), of_method(models[20], OTHER)
    weights_gone = dataclasses.replace(broken, model=forget(broken.model, 1.0))
    after, judged = judge_day(Succession(models[19], models[19]), [own, weights_gone], mail_until(20))
    assert after.champion is own
    assert verdicts(judged) == {"": "promote", OTHER: "refuse"}


def test_the_first_champion_is_of_the_method_that_ranked_best(models):
    worse, other = learn_worse(models[20], 0.1), of_method(models[20], OTHER)
    for candidates in ([worse, other], [other, worse]):
        after, _ = judge_day(Succession(), candidates, mail_until(20))
        assert after.champion is other


def test_where_the_champions_method_has_no_fit_candidate_another_waits_until_it_is_proven_or_the_champion_is_old(
    models,
):
    broken = dataclasses.replace(models[20], model=forget(models[20].model, 1.0))
    other = of_method(models[20], OTHER)
    before = Succession(models[19], models[19])
    after, judged = judge_day(before, [broken, other], mail_until(20))
    assert after.champion is models[19]
    assert verdicts(judged) == {"": "refuse", OTHER: "wait"}
    assert "ours, the champion's method, has no candidate" in judged[1].decision.reason
    for number in (21, 22):
        after, judged = judge_day(after, [], mail_until(number))
        assert verdicts(judged) == {OTHER: "wait"}
    after, judged = judge_day(after, [], mail_until(23))
    assert verdicts(judged) == {OTHER: "promote"}
    assert after.champion is other


def test_a_champion_whose_method_is_trained_no_longer_has_nobody_to_defend_it(models):
    before, other = Succession(models[19], models[19]), of_method(models[20], OTHER)
    kept, _ = judge_day(before, [other], mail_until(20), methods=["", OTHER])
    assert kept.champion is models[19]
    moved, judged = judge_day(before, [other], mail_until(20), methods=[OTHER])
    assert moved.champion is other
    assert verdicts(judged) == {OTHER: "promote"}


def test_a_pinned_champion_holds_the_one_that_would_be_promoted(models):
    pinned = Succession(models[19], models[19], pin="an audit")
    after, judged = judge_day(pinned, [models[20], of_method(models[20], OTHER)], mail_until(20))
    assert after.champion is models[19]
    assert verdicts(judged) == {"": "hold", OTHER: "trail"}


def test_a_day_that_runs_again_lets_a_challenger_take_the_champions_place_only_if_it_is_better(models):
    serving = dataclasses.replace(models[20], version=7)
    other = dataclasses.replace(of_method(models[20], OTHER), version=8)
    before = Succession(serving, serving)
    after, judged = judge_day(before, [dataclasses.replace(models[20], version=7), other], mail_until(20))
    assert after.champion is serving
    assert verdicts(judged) == {"": "promote", OTHER: "trail"}
    weak = dataclasses.replace(learn_worse(models[20], 0.2), version=7)
    after, judged = judge_day(Succession(weak, weak), [weak, other], mail_until(20))
    assert after.champion is other


def test_a_method_that_is_better_at_one_thing_and_worse_at_another_is_not_proven_better(models):
    own = learn_worse(models[20], 0.2)
    timid = of_method(models[20], OTHER)  # it ranks better, and lets all spam pass
    never = np.full_like(timid.model.progressive.thresholds, 2.0)
    progressive = dataclasses.replace(timid.model.progressive, thresholds=never)
    timid = dataclasses.replace(timid, model=dataclasses.replace(timid.model, progressive=progressive))
    assert prove_better(of_method(models[20], OTHER).model, own.model, SETTINGS) is not None
    assert prove_better(timid.model, own.model, SETTINGS) is None


def test_methods_are_compared_on_days_that_both_have_scored_with_the_same_labels(models):
    own, other = learn_worse(models[20], 0.2), of_method(models[20], OTHER)
    relabelled = dataclasses.replace(
        other.model.progressive, labels=(1 - other.model.progressive.labels).astype(np.int8)
    )
    assert prove_better(dataclasses.replace(other.model, progressive=relabelled), own.model, SETTINGS) is None


def test_what_a_method_does_not_know_by_heart_of_what_it_learnt_is_no_loss_to_another_method(models):
    """It misses a third of the spam that both have learnt, and does as well as the champion on all other mail."""
    champion = models[19]
    parts = {field.name: getattr(models[20].model, field.name) for field in dataclasses.fields(models[20].model)}
    forgetful = dataclasses.replace(models[20], model=Forgetful(**parts))
    before = Succession(champion, champion)
    after, judged = judge_day(before, [forgetful], mail_until(20))
    assert verdicts(judged) == {"": "refuse"}
    assert "both have learnt" in judged[0].decision.reason
    after, judged = judge_day(before, [of_method(forgetful, OTHER), models[20]], mail_until(20))
    assert verdicts(judged) == {OTHER: "trail", "": "promote"}
    assert after.champion is models[20]


def test_who_is_not_fit_by_himself_stays_so(models):
    judged = [
        Judged(models[20], Decision("refuse", "broken")),
        Judged(of_method(models[20], OTHER), Decision("wait", "")),
    ]
    assert choose_method(judged, models[19], mail_until(20)) == tuple(judged)


METHODS = ("spam_assets.estimators:tfidf_logistic_regression", "spam_assets.estimators:hashing_sgd")
RANDOM = """
import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import make_pipeline
from spam_assets.learning.text_columns import TextColumns

class RandomWeights(SGDClassifier):
    def partial_fit(self, X, y, classes=None):
        super().partial_fit(X, y, classes=classes)
        self.coef_ = np.random.default_rng(0).normal(size=self.coef_.shape)
        return self

def build(): return make_pipeline(TextColumns(), HashingVectorizer(n_features=2**16), RandomWeights(loss="log_loss"))
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_on_real_mail_ours_serves_for_its_figures_alone_and_another_does_once_its_weights_are_random(
    tmp_path, monkeypatch
):
    days = land_first_days(tmp_path / "landing", tmp_path / "cache", "2002-08-22")
    zone = LandingZone(str(tmp_path / "landing"))
    mail = {day: read_frame(validate_day(zone.read(day).frame, day)) for day in days}
    write_module(tmp_path, monkeypatch, "random_weights", RANDOM)
    random = Method("random_weights:build", frozenset({"random_weights.RandomWeights"}))
    others = [Method(reference) for reference in METHODS]

    def train(method: Method) -> DatedModel:
        return DatedModel(days[-1], method.train(mail, TrainingSettings(held_out_share=HELD_OUT_SHARE)))

    candidates = [train(method) for method in others]
    with_ours, _ = judge_day(Succession(), [*candidates, train(OURS)], mail)
    assert with_ours.champion is not None
    assert with_ours.champion.model.method == ""
    with_random, _ = judge_day(Succession(), [*candidates, train(random)], mail)
    assert with_random.champion is not None
    assert with_random.champion.model.method in METHODS
