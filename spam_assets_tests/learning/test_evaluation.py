import math

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from spam_assets.learning.evaluation import (
    bootstrap_interval,
    compare_scores,
    det_curve,
    evaluate_scores,
    lam_percent,
    one_minus_roca_percent,
    recall_at_fpr,
)


@pytest.fixture
def scored() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(7)
    labels = (generator.random(2000) < 0.3).astype(np.int8)
    scores = np.round(1 / (1 + np.exp(-(generator.normal(size=2000) + 2.5 * labels - 1))), 2)
    return labels, scores


def test_area_above_the_roc_curve_agrees_with_scikit_learn_ties_included(scored):
    labels, scores = scored
    assert one_minus_roca_percent(labels, scores) == pytest.approx(100 * (1 - roc_auc_score(labels, scores)))


def test_perfect_scores_have_no_area_above_the_curve_and_equal_scores_half():
    assert one_minus_roca_percent([0, 0, 1], [0.1, 0.2, 0.3]) == 0
    assert one_minus_roca_percent([0, 0, 1], [0.2, 0.2, 0.2]) == 50
    assert one_minus_roca_percent([0, 1], [1.0, 0.0]) == 100


def test_recall_at_fpr_allows_exactly_that_share_of_ham():
    labels = [0] * 1000 + [1] * 4
    scores = [*np.linspace(0, 0.999, 1000), 0.9995, 0.9985, 0.9975, 0.5]
    assert recall_at_fpr(labels, scores, 0.0) == 0.25
    assert recall_at_fpr(labels, scores, 0.001) == 0.5
    assert recall_at_fpr(labels, scores, 0.002) == 0.75
    assert recall_at_fpr(labels, scores, 1.0) == 1.0


def test_recall_at_fpr_does_not_split_ties():
    assert recall_at_fpr([0] * 10 + [1, 1], [0.0] * 8 + [0.9, 0.9] + [0.9, 0.95], 0.1) == 0.5


def test_recall_at_fpr_is_what_the_best_threshold_reaches(scored):
    labels, scores = scored
    allowed = 0.01 * np.sum(labels == 0)
    best = max(
        np.mean(scores[labels == 1] >= threshold)
        for threshold in np.append(np.unique(scores), 2)
        if np.sum(scores[labels == 0] >= threshold) <= allowed
    )
    assert recall_at_fpr(labels, scores, 0.01) == best


def test_lam_is_the_logistic_mean_of_both_error_rates():
    assert lam_percent(10, 1000, 10, 1000) == pytest.approx(100 * 10.5 / 1001)
    assert lam_percent(0, 999, 999, 999) == pytest.approx(50)
    assert lam_percent(0, 100, 0, 100) > 0


def test_measures_of_one_class_are_nan():
    for labels in ([0, 0], [1, 1], []):
        scores = [0.1, 0.9][: len(labels)]
        assert math.isnan(one_minus_roca_percent(labels, scores))
        assert math.isnan(recall_at_fpr(labels, scores, 0.01))
        assert det_curve(labels, scores)[0].size == 0
        assert math.isnan(bootstrap_interval(labels, scores)[0])
    assert math.isnan(lam_percent(0, 0, 1, 2))


def test_det_curve_runs_from_all_spam_to_all_ham(scored):
    false_alarms, misses = det_curve(*scored)
    assert (false_alarms[0], misses[0]) == (1, 0)
    assert (false_alarms[-1], misses[-1]) == (0, 1)
    assert (np.diff(false_alarms) <= 0).all()
    assert (np.diff(misses) >= 0).all()


def test_evaluation_counts_messages_at_the_threshold_of_their_day():
    evaluation = evaluate_scores([0, 0, 1, 1], [0.2, 0.6, 0.6, 0.9], [0.5, 0.7, 0.7, 0.5], ["d1", "d2"])
    assert (evaluation.true_positives, evaluation.false_negatives) == (1, 1)
    assert (evaluation.true_negatives, evaluation.false_positives) == (2, 0)
    assert (evaluation.fpr, evaluation.recall) == (0, 0.5)
    assert evaluation.days == ("d1", "d2")
    assert evaluation.threshold == 0.5
    assert evaluate_scores([0], [0.5], 0.5, ["d"]).false_positives == 1


def test_brier_score_agrees_with_scikit_learn(scored):
    labels, scores = scored
    assert evaluate_scores(labels, scores, 0.5, []).brier == pytest.approx(brier_score_loss(labels, scores))


def test_evaluation_of_no_messages_is_nan_not_an_error():
    evaluation = evaluate_scores([], [], [], [])
    assert evaluation.messages == 0
    assert math.isnan(evaluation.brier)
    assert math.isnan(evaluation.threshold)


def test_bootstrap_interval_is_reproducible_and_holds_the_value(scored):
    low, high = bootstrap_interval(*scored, resamples=200)
    assert low < one_minus_roca_percent(*scored) < high
    assert (low, high) == bootstrap_interval(*scored, resamples=200)
    assert (low, high) != bootstrap_interval(*scored, resamples=200, seed=1)


def test_where_days_differ_resampling_them_gives_the_wider_interval():
    """Half of the days are ranked perfectly, the others by chance; by message the days would not count."""
    generator = np.random.default_rng(0)
    days = np.repeat(np.arange(20), 50)
    labels = np.tile(np.repeat([0, 1], 25), 20)
    scores = np.where(days % 2 == 0, labels + generator.random(1000), 2 * generator.random(1000))
    (low, high), (day_low, day_high) = (
        bootstrap_interval(labels, scores, days=which, resamples=300) for which in (None, days)
    )
    assert day_high - day_low > 1.5 * (high - low)
    paired = compare_scores(labels, scores, labels, days=days, resamples=300)
    assert paired.interval[0] > 0
    assert paired.interval[1] - paired.interval[0] == pytest.approx(day_high - day_low)


def test_days_of_one_class_alone_are_resampled_too():
    days = np.repeat([1, 2, 3], 10)
    labels = np.repeat([0, 1, 1], 10)
    low, high = bootstrap_interval(labels, labels + np.linspace(0, 0.5, 30), days=days, resamples=50)
    assert (low, high) == (0.0, 0.0)
    assert compare_scores(labels, labels, -labels, days=days, resamples=50).interval == (-100.0, -100.0)


def test_paired_comparison_sees_the_better_scores(scored):
    labels, scores = scored
    better = scores + 0.1 * labels
    paired = compare_scores(labels, better, scores, resamples=200)
    assert paired.difference < 0
    assert paired.interval[1] < 0
    assert paired.share_above_zero == 0
    assert compare_scores(labels, scores, scores, resamples=50).share_above_zero == 0.5
