import pytest

from spam_assets.learning.drift import compare_histograms, compare_shares
from spam_assets_tests.learning.day_reports import OLD, day_after, decide, kinds_of, report, spread


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"spam_scores": spread(20, 0.4)}, "spam scores lower in 68 of 100 pairs"),
        ({"ham_scores": spread(40, 0.5)}, "ham scores higher in 75 of 100 pairs"),
        ({"spam_unknown_words": spread(20, 0.05, 10, 15)}, "spam has more words unknown to the champion"),
        ({"ham": 1, "spam": 200, "missed": 3}, "the share of spam is 99.5 % after 33.3 %"),
    ],
)
def test_mail_that_differs_is_a_reason(change, said):
    decision = decide([*OLD, report(1, **change)])
    assert kinds_of(decision) == ["drift"]
    assert said in decision.reasons[0].sentence
    assert "mail of 2030-03-02 differs" in decision.reasons[0].sentence


@pytest.mark.parametrize(
    "change",
    [
        {"spam_scores": spread(20, 0.0)},  # spam scores higher: all the better
        {"ham_scores": spread(40, 1.0, 0)},
        {"spam_unknown_words": spread(20, 1.0, 5)},
        {"ham_unknown_words": spread(40, 0.0, 10, 19)},  # new topics, and no harm done
        {"ham": 60, "spam": 0, "missed": 0},  # the share of spam moves by a third only
        {"spam": 9, "spam_scores": spread(9, 1.0)},  # too few
    ],
)
def test_mail_that_differs_harmlessly_is_not(change):
    assert kinds_of(decide([*OLD, report(1, **change)])) == []


def test_a_small_difference_among_very_many_messages_is_no_drift():
    many = [report(-number, spam=10**6, spam_scores=spread(10**6, 0.05)) for number in range(1, 15)]
    assert kinds_of(decide([*many, report(1, spam=10**6, spam_scores=spread(10**6, 0.2))])) == []
    assert kinds_of(decide([*many, report(1, spam=10**6, spam_scores=spread(10**6, 0.3))])) == ["drift"]


def test_a_large_difference_among_few_messages_may_be_chance_and_is_no_drift():
    newest = report(1, ham=5, spam=10, missed=0, spam_scores=spread(10, 0.3))  # 62 of 100 pairs
    assert kinds_of(decide([OLD[0], newest])) == []
    assert kinds_of(decide([*OLD, newest])) == ["drift"]


def test_mail_is_compared_with_the_last_two_weeks_of_mail_only():
    long_ago = [report(-number, champion="2030-02-01", spam_scores=spread(20, 0.4)) for number in range(15, 100)]
    newest = report(1, spam_scores=spread(20, 0.4))
    assert kinds_of(decide([*long_ago, *OLD, newest])) == ["drift"]
    assert kinds_of(decide([*long_ago, newest])) == []


def test_small_days_are_added_up():
    small = [report(number, ham=10, spam=5, missed=0, spam_scores=spread(5, 0.4)) for number in (1, 2, 3)]
    assert kinds_of(decide([*OLD, *small[:1]])) == []
    decision = decide([*OLD, *small])
    assert kinds_of(decision) == ["drift"]
    assert "mail of 2030-03-03 to 2030-03-04 differs" in decision.reasons[0].sentence


def test_one_change_is_one_reason():
    changed = {"spam_unknown_words": spread(20, 0.05, 10, 15)}
    before = [*OLD, report(1, **changed)]
    assert kinds_of(decide(before)) == ["drift"]
    after = [*before, report(2, **changed), report(3, **changed)]
    assert kinds_of(decide(after, last_training=day_after(1))) == []
    other = [*after, report(4, **changed, spam_scores=spread(20, 0.6))]
    assert "spam scores lower" in decide(other, last_training=day_after(1)).reasons[0].sentence


def test_the_first_reports_have_nothing_to_be_compared_with():
    assert kinds_of(decide([report(1, spam_scores=spread(20, 0.9))])) == []


# --- tests that it rests on


def test_the_test_of_histograms_is_that_of_mann_and_whitney():
    stats = pytest.importorskip("scipy.stats")
    newer, older = (3, 4, 0, 5), (9, 20, 4, 2)
    values = [[bin_ for bin_, count in enumerate(counts) for _ in range(count)] for counts in (newer, older)]
    expected = stats.mannwhitneyu(*values, alternative="greater", method="asymptotic")
    superiority, p_value = compare_histograms(newer, older)
    assert superiority == pytest.approx(expected.statistic / (12 * 35))
    assert p_value == pytest.approx(expected.pvalue)


@pytest.mark.parametrize(
    ("counts", "p_value"),
    [
        ((7, 20, 30, 200), 0.022604550724644488),
        ((1, 10, 90, 100), 1.7593381710066329e-10),
        ((200, 201, 280, 840), 4.129440776951997e-64),
        ((500_000, 1_000_000, 7_010_000, 14_000_000), 0.16754589983445609),
    ],
)
def test_the_test_of_shares_is_that_of_two_proportions(counts, p_value):
    assert compare_shares(*counts) == pytest.approx(p_value, rel=1e-9)  # by the normal distribution's error function


def test_histograms_and_shares_without_any_difference_are_no_surprise():
    assert compare_histograms((0, 5, 0), (0, 9, 0)) == (0.5, 1.0)
    assert compare_shares(0, 10, 0, 20) == 1.0
    assert compare_shares(10, 10, 20, 20) == 1.0
