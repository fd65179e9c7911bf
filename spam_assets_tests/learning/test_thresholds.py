import numpy as np
import pytest

from spam_assets.learning.calibration import PRIOR_SLOPE, Calibration
from spam_assets.learning.thresholds import CAUTIOUS_THRESHOLD, calibrate, choose_margin, fit_calibration


def test_without_messages_the_calibration_is_its_prior():
    assert fit_calibration(np.empty(0), np.empty(0, np.int8)) == Calibration(PRIOR_SLOPE, 0.0)


def test_much_mail_overrules_the_prior():
    generator = np.random.default_rng(1)
    margins = generator.normal(size=50_000)
    labels = (generator.random(50_000) < Calibration(1.0, -0.5).apply(margins)).astype(np.int8)
    fitted = fit_calibration(margins, labels)
    assert fitted.slope == pytest.approx(1.0, abs=0.1)
    assert fitted.intercept == pytest.approx(-0.5, abs=0.1)


def test_extreme_margins_neither_overflow_nor_reverse_the_order():
    margins = np.array([-1e6, -50.0, 0.0, 50.0, 1e6])
    fitted = fit_calibration(margins, np.array([0, 1, 0, 0, 1], np.int8))
    assert (np.diff(fitted.apply(margins)) >= 0).all()


def test_the_margin_leaves_the_target_share_of_ham_above_it():
    ham = np.random.default_rng(2).permutation(np.arange(10_000.0))
    assert np.sum(ham >= np.nextafter(choose_margin(ham, 0.001), np.inf)) == 9
    assert np.sum(ham > choose_margin(ham, 0.01)) == 99


def test_ham_to_come_exceeds_the_margin_as_seldom_as_promised():
    generator = np.random.default_rng(3)
    shares = [
        np.mean(generator.normal(size=2000) > choose_margin(generator.normal(size=999), 0.01)) for _ in range(300)
    ]
    assert np.mean(shares) == pytest.approx(0.01, abs=0.001)


def test_with_little_ham_the_margin_is_the_highest_seen():
    assert choose_margin(np.arange(100.0), 0.001) == 99.0


def test_with_hardly_any_ham_the_threshold_is_cautious():
    margins = np.linspace(-2, -1, 10)
    assert calibrate(margins, np.zeros(10, np.int8), 0.001)[1] == CAUTIOUS_THRESHOLD


def test_a_message_more_likely_ham_is_never_called_spam():
    margins = np.concatenate([np.full(200, -3.0), np.full(200, 3.0)])
    labels = np.repeat(np.array([0, 1], np.int8), 200)
    assert calibrate(margins, labels, 0.5)[1] == 0.5


def test_the_ham_that_sets_the_threshold_stays_below_it():
    margins = np.concatenate([np.full(99, -3.0), [0.7], np.full(100, 3.0)])
    labels = np.repeat(np.array([0, 1], np.int8), 100)
    calibration, threshold = calibrate(margins, labels, 0.001)
    assert (calibration.apply(margins) >= threshold).tolist() == (labels == 1).tolist()
