import numpy as np
import pytest

from spam_assets.learning.promotion import PromotionBar, Standing, decide_promotion

BAR = PromotionBar()


def stand(date: str, *, noise: float, threshold: float = 0.8, messages: int = 400, seed: int = 5) -> Standing:
    generator = np.random.default_rng(seed)
    labels = np.tile(np.array([0, 0, 0, 1], np.int8), messages // 4)
    scores = np.clip(0.1 + 0.8 * labels + noise * generator.normal(size=len(labels)), 0, 1)
    return Standing(date, labels, scores, threshold)


def test_the_first_model_over_the_bar_is_promoted():
    decision = decide_promotion(stand("2030-01-05", noise=0.1), None, BAR)
    assert decision.promote
    assert "over the bar" in decision.reason


def test_a_first_model_below_the_bar_is_not():
    decision = decide_promotion(stand("2030-01-05", noise=2.0), None, BAR)
    assert not decision.promote
    assert "below the bar" in decision.reason


def test_a_first_model_needs_enough_unseen_mail_of_both_classes():
    few = stand("2030-01-05", noise=0.0, messages=40)
    assert "only 40 unseen messages" in decide_promotion(few, None, BAR).reason
    ham = Standing("2030-01-05", np.zeros(100, np.int8), np.zeros(100), 0.5)
    decision = decide_promotion(ham, None, BAR)
    assert not decision.promote
    assert "one class" in decision.reason


def test_an_equal_or_better_newer_model_is_promoted():
    champion = stand("2030-01-04", noise=0.2)
    assert decide_promotion(stand("2030-01-05", noise=0.2), champion, BAR).promote
    assert decide_promotion(stand("2030-01-05", noise=0.1), champion, BAR).promote


def test_a_model_that_is_hardly_worse_is_promoted():
    champion = stand("2030-01-04", noise=0.3)
    assert decide_promotion(stand("2030-01-05", noise=0.3, seed=6), champion, BAR).promote


def test_a_clearly_worse_model_is_not_promoted():
    decision = decide_promotion(stand("2030-01-05", noise=0.6), stand("2030-01-04", noise=0.1), BAR)
    assert not decision.promote
    assert "worse than the champion" in decision.reason
    assert "2030-01-04" in decision.reason


def test_a_model_that_calls_more_ham_spam_at_its_threshold_is_not_promoted():
    champion = stand("2030-01-04", noise=0.2)
    decision = decide_promotion(stand("2030-01-05", noise=0.2, threshold=0.3), champion, BAR)
    assert not decision.promote
    assert "calls more ham spam" in decision.reason
    assert decide_promotion(champion, stand("2030-01-04", noise=0.2, threshold=0.3), BAR).promote


def test_a_backfill_never_moves_the_champion_back_in_time():
    decision = decide_promotion(stand("2030-01-03", noise=0.0), stand("2030-01-04", noise=1.0), BAR)
    assert not decision.promote
    assert "back in time" in decision.reason


def test_a_model_of_the_same_date_may_replace_the_champion():
    assert decide_promotion(stand("2030-01-04", noise=0.1), stand("2030-01-04", noise=0.2), BAR).promote


@pytest.mark.parametrize("labels", [np.empty(0, np.int8), np.zeros(30, np.int8)])
def test_without_mail_to_compare_by_the_newer_model_is_promoted(labels):
    scores = np.zeros(len(labels))
    champion, candidate = (Standing(date, labels, scores, 0.5) for date in ("2030-01-04", "2030-01-05"))
    decision = decide_promotion(candidate, champion, BAR)
    assert decision.promote
    assert "nothing says that it is worse" in decision.reason


def test_models_that_scored_different_mail_are_judged_by_the_bar():
    champion = stand("2030-01-04", noise=0.0, messages=200)
    assert decide_promotion(stand("2030-01-05", noise=0.1), champion, BAR).promote
    assert not decide_promotion(stand("2030-01-05", noise=2.0), champion, BAR).promote


def test_the_decision_is_the_same_every_time():
    champion, candidate = stand("2030-01-04", noise=0.30), stand("2030-01-05", noise=0.34)
    assert decide_promotion(candidate, champion, BAR) == decide_promotion(candidate, champion, BAR)
