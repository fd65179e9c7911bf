import json
from dataclasses import replace
from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spam_assets.learning.dated_model import DatedModel
from spam_assets.learning.evaluation import one_minus_roca_percent
from spam_assets.learning.features import WORDS, MailFeatures, featurize_mail
from spam_assets.learning.reporting import (
    BINS,
    DayReport,
    measure_unknown_words,
    report_day,
    roca_interval,
    wilson_interval,
)
from spam_assets.learning.training import TrainingSettings, train_model
from spam_assets_tests.learning import make_mail, make_window

LAST_LEARNT = "2030-01-08"
NEXT_DAY = "2030-01-09"


@pytest.fixture(scope="module")
def champion() -> DatedModel:
    return DatedModel(LAST_LEARNT, train_model(make_window(8), TrainingSettings()))


def featurize(ham: int, spam: int) -> MailFeatures:
    return featurize_mail(make_mail(NEXT_DAY, ham=ham, spam=spam))


def test_a_report_counts_what_the_champion_did(champion):
    features = featurize(30, 12)
    report = report_day(NEXT_DAY, champion, features)
    scores = champion.model.score(features)
    called, is_spam = scores >= champion.model.threshold, features.labels == 1
    assert (report.day, report.champion_training_date) == (NEXT_DAY, LAST_LEARNT)
    assert (report.messages, report.ham, report.spam) == (42, 30, 12)
    assert report.false_positives == np.sum(called & ~is_spam)
    assert report.false_negatives == np.sum(~called & is_spam)
    assert report.recall == pytest.approx(np.mean(called[is_spam]))
    assert report.fpr == pytest.approx(np.mean(called[~is_spam]))
    assert report.brier == pytest.approx(np.mean((scores - is_spam) ** 2))
    assert report.calibration_error == pytest.approx(scores.mean() - 12 / 42)
    assert report.one_minus_roca_percent == pytest.approx(one_minus_roca_percent(is_spam, scores))
    assert report.spam_scores == tuple(np.histogram(scores[is_spam], BINS, (0, 1))[0])


@pytest.mark.parametrize(("ham", "spam"), [(5, 2), (1, 0), (0, 1)])
def test_every_message_is_in_one_bin_of_each_histogram(champion, ham, spam):
    report = report_day(NEXT_DAY, champion, featurize(ham, spam))
    for histogram, messages in (
        (report.ham_scores, ham),
        (report.ham_unknown_words, ham),
        (report.spam_scores, spam),
        (report.spam_unknown_words, spam),
    ):
        assert len(histogram) == BINS
        assert sum(histogram) == messages


@pytest.mark.parametrize("training_date", [NEXT_DAY, "2030-02-01"])
def test_a_champion_that_may_have_learnt_the_day_does_not_report_it(champion, training_date):
    with pytest.raises(ValueError, match=f"the champion of {training_date} may have learnt the mail of {NEXT_DAY}"):
        report_day(NEXT_DAY, replace(champion, training_date=training_date), featurize(3, 3))


def test_a_day_of_one_class_leaves_the_other_ones_figures_open(champion):
    report = report_day(NEXT_DAY, champion, featurize(20, 0))
    assert isnan(report.recall)
    assert all(map(isnan, report.recall_interval))
    assert isnan(report.one_minus_roca_percent)
    assert not isnan(report.fpr)
    assert not isnan(report.calibration_error)


def test_a_day_without_mail_is_all_open(champion):
    report = report_day(NEXT_DAY, champion, featurize(0, 0))
    assert report.messages == 0
    for figure in (report.fpr, report.recall, report.brier, report.spam_share, report.unknown_words_share):
        assert isnan(figure)


def test_a_report_survives_json_with_its_open_figures(champion):
    for ham, spam in ((30, 12), (20, 0), (0, 0)):
        report = report_day(NEXT_DAY, champion, featurize(ham, spam))
        text = json.dumps(report.to_dict(), allow_nan=False)
        again = DayReport.from_dict(json.loads(text))
        assert repr(again) == repr(report)  # NaN differs from itself
        assert json.dumps(again.to_dict()) == text


def test_a_stored_report_may_have_more_figures_but_not_fewer(champion):
    figures = report_day(NEXT_DAY, champion, featurize(5, 5)).to_dict()
    assert DayReport.from_dict({**figures, "of_a_later_version": 1}).spam == 5
    del figures["brier"]
    with pytest.raises(ValueError, match=f"the champion report of {NEXT_DAY} lacks brier"):
        DayReport.from_dict(figures)


def test_words_never_learnt_are_unknown_and_telling_words_are_not(champion):
    mail = make_mail(NEXT_DAY, ham=4, spam=4)
    strange = mail.assign(body="blockchain giveaway metaverse influencer smartphone", subject="", sender="")
    known = mail.assign(body="viagra casino winner million guarantee", subject="", sender="")
    assert measure_unknown_words(champion.model, featurize_mail(strange)).min() > 0.7
    assert measure_unknown_words(champion.model, featurize_mail(known)).max() < 0.4
    nothing = mail.assign(body="", subject="", sender="", recipients="")
    np.testing.assert_array_equal(measure_unknown_words(champion.model, featurize_mail(nothing)), np.zeros(8))


def test_unknown_words_are_counted_message_by_message(champion):
    features = featurize(6, 6)
    words = features.views[WORDS]
    expected = [
        np.mean(champion.model.log_odds[words.indices[words.offsets[row] : words.offsets[row + 1]]] == 0)
        for row in range(12)
    ]
    np.testing.assert_allclose(measure_unknown_words(champion.model, features), expected)


@pytest.mark.parametrize(
    ("hits", "trials", "expected"),
    [(0, 10, (0.0, 0.2775)), (5, 10, (0.2366, 0.7634)), (10, 10, (0.7225, 1.0)), (81, 263, (0.2553, 0.3662))],
)
def test_wilsons_interval_is_that_of_the_literature(hits, trials, expected):
    assert wilson_interval(hits, trials) == pytest.approx(expected, abs=5e-5)  # last row: Newcombe 1998, table I


@given(st.integers(1, 10_000).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_wilsons_interval_holds_the_share(found):
    hits, trials = found
    low, high = wilson_interval(hits, trials)
    assert 0 <= low <= hits / trials <= high <= 1


@pytest.mark.parametrize(("hits", "trials"), [(0, 1), (1, 1), (0, 10), (3, 40), (40, 40), (81, 263), (5, 10**7)])
def test_wilsons_interval_is_that_of_scipy(hits, trials):
    from scipy import stats

    expected = stats.binomtest(hits, trials).proportion_ci(method="wilson")
    assert wilson_interval(hits, trials) == pytest.approx(tuple(expected), rel=1e-9, abs=1e-12)


@given(st.floats(0, 100), st.integers(1, 5000), st.integers(1, 5000))
def test_the_interval_of_the_area_holds_the_area(area, ham, spam):
    low, high = roca_interval(area, ham, spam)
    assert 0 <= low <= area + 1e-9
    assert area - 1e-9 <= high <= 100


def test_a_perfect_day_is_less_sure_the_fewer_messages_it_has():
    few, many = roca_interval(0.0, 20, 5), roca_interval(0.0, 2000, 500)
    assert few[0] == many[0] == 0.0
    assert 5 < few[1] < 40
    assert many[1] < 0.5
    assert all(map(isnan, roca_interval(nan, 20, 0)))


def test_the_interval_of_the_area_covers_it_about_as_often_as_promised():
    generator = np.random.default_rng(1)
    labels = np.repeat([0, 1], [40, 15])
    true = 100 * 0.0786  # 1 - Phi(2 / sqrt 2)
    covered = 0
    for _ in range(500):
        found = one_minus_roca_percent(labels, generator.normal(size=55) + 2 * labels)
        low, high = roca_interval(found, 40, 15)
        covered += low <= true <= high
    assert 0.92 <= covered / 500 <= 0.99
