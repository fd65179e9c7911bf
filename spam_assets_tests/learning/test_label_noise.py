import numpy as np
import pytest

from spam_assets.learning.calibration import PRIOR_SLOPE
from spam_assets.learning.label_noise import _tail, count_believed_ham
from spam_assets.learning.thresholds import calibrate, choose_margin, fit_calibration

TARGET = 0.001


def draw_margins(seed, *, ham=3000, spam=1000, distance=6.0):
    """Descending margins of ham and of spam; their tails meet at a distance of about 5."""
    generator = np.random.default_rng(seed)
    of_ham = generator.normal(-distance / 2, 0.7, ham)
    of_spam = generator.normal(distance / 2, 1.2, spam)
    return np.sort(of_ham)[::-1], np.sort(of_spam)[::-1]


def mislabel(ham, spam, share, seed):
    """A random share of the spam called ham."""
    is_wrong = np.random.default_rng(seed).random(len(spam)) < share
    return np.sort(np.concatenate([ham, spam[is_wrong]]))[::-1], spam[~is_wrong]


@pytest.mark.parametrize("distance", [3.5, 5.0, 8.0])
def test_with_right_labels_the_margin_is_that_of_the_conformal_rule_or_next_to_it(distance):
    for seed in range(20):
        ham, spam = draw_margins(seed, distance=distance)
        at = count_believed_ham(ham, spam, TARGET)
        conformal = int(np.flatnonzero(ham == choose_margin(ham, TARGET))[0])
        assert conformal <= at <= conformal + 2


@pytest.mark.parametrize("share", [0.01, 0.02, 0.05, 0.1])
def test_spam_called_ham_is_taken_off_hams_tail_and_little_ham_with_it(share):
    caught, lost = [], []
    for seed in range(20):
        ham, spam = draw_margins(seed)
        seen, kept = mislabel(ham, spam, share, seed)
        margin = seen[count_believed_ham(seen, kept, TARGET)]
        caught.append(np.mean(spam > margin))
        lost.append(np.mean(ham > margin))
    assert np.mean(caught) > 0.95
    assert min(caught) > 0.6
    assert np.mean(lost) <= TARGET
    assert max(lost) <= 3 * TARGET


def test_the_conformal_rule_alone_would_miss_most_spam():
    ham, spam = mislabel(*draw_margins(0), 0.05, 0)
    assert np.mean(spam > choose_margin(ham, TARGET)) < 0.2


def test_ham_called_spam_does_not_hide_spam_called_ham():
    ham, spam = draw_margins(1)
    seen, kept = mislabel(ham, spam, 0.05, 1)
    is_wrong = np.random.default_rng(2).random(len(ham)) < 0.05
    reported = np.sort(np.concatenate([kept, ham[is_wrong]]))[::-1]
    margin = seen[count_believed_ham(seen, reported, TARGET)]
    assert np.mean(spam > margin) > 0.9
    assert np.mean(ham > margin) <= 3 * TARGET


def test_ham_that_its_own_tail_explains_is_not_called_mislabelled():
    generator = np.random.default_rng(3)
    shares = []
    for _ in range(20):
        ham = np.sort(generator.exponential(1.0, 3000) - 4.0)[::-1]  # 2 in 1,000 are above spam's median
        spam = np.sort(generator.normal(2.2, 1.0, 1000))[::-1]
        shares.append(np.mean(ham > ham[count_believed_ham(ham, spam, TARGET)]))
    assert np.mean(shares) <= 3 * TARGET


def test_where_hams_tail_reaches_chance_excuses_little():
    """With 15 % of spam called ham; by significance alone 0.32 % of ham is lost on average, 0.93 % at most."""
    generator = np.random.default_rng(3)
    lost, caught = [], []
    for seed in range(20):
        true = np.sort(generator.exponential(0.8, 3000) - 4.0)[::-1]
        spam = np.sort(generator.normal(2.2, 1.2, 1500))[::-1]
        ham, kept = mislabel(true, spam, 0.15, seed)
        margin = ham[count_believed_ham(ham, kept, TARGET)]
        lost.append(np.mean(true > margin))
        caught.append(np.mean(spam > margin))
    assert np.mean(lost) <= 2 * TARGET
    assert max(lost) <= 6 * TARGET
    assert np.mean(caught) > 0.7


def test_without_spam_every_label_is_believed():
    ham = np.arange(2000.0)[::-1]
    assert ham[count_believed_ham(ham, np.empty(0), TARGET)] == choose_margin(ham, TARGET)


def test_all_margins_alike_are_survived():
    assert count_believed_ham(np.zeros(500), np.zeros(500), TARGET) in range(500)


def test_the_sigmoid_is_fitted_without_labels_on_the_wrong_side():
    ham, spam = draw_margins(4)
    right = fit_calibration(np.concatenate([ham, spam]), np.repeat(np.array([0, 1], np.int8), [3000, 1000]))
    seen, kept = mislabel(ham, spam, 0.05, 4)
    labels = np.repeat(np.array([0, 1], np.int8), [len(seen), len(kept)])
    fooled = fit_calibration(np.concatenate([seen, kept]), labels)
    trimmed, _ = calibrate(np.concatenate([seen, kept]), labels, TARGET)
    assert trimmed.slope == pytest.approx(right.slope, abs=0.5)
    assert fooled.slope < right.slope - 0.7
    assert right.slope > PRIOR_SLOPE / 2


@pytest.mark.parametrize(("shape", "ratio"), [(1.0, 0.05), (3.0, 0.4), (40.0, 0.9), (2500.0, 1.0)])
def test_the_tail_is_that_of_a_negative_binomial_number(shape, ratio):
    from scipy.stats import nbinom

    for seen in (1, 2, 5, int(shape * ratio), int(1.1 * shape * ratio) + 1):
        if seen > 0:
            assert _tail(seen, shape, ratio) == pytest.approx(nbinom.sf(seen - 1, shape, 1 / (1 + ratio)), abs=1e-9)
