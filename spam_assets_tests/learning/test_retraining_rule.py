import subprocess
import sys
from dataclasses import replace
from math import comb, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spam_assets.learning.dated_model import DatedModel
from spam_assets.learning.reporting import report_day
from spam_assets.learning.retraining_rule import (
    ChampionRecord,
    RetrainingSettings,
    compute_binomial_tail,
    decide_retraining,
)
from spam_assets.learning.training import TrainingSettings, train_model
from spam_assets_tests.conftest import PROJECT
from spam_assets_tests.learning import make_window
from spam_assets_tests.learning.day_reports import (
    CHAMPION,
    OLD,
    QUIET,
    TRAINED,
    day_after,
    decide,
    kinds_of,
    report,
)

# --- no champion, repetition, cool-down


def test_without_a_champion_a_model_is_trained():
    decision = decide_retraining([], None, TRAINED, RetrainingSettings())
    assert decision.retrain
    assert kinds_of(decision) == ["no_champion"]


def test_beside_a_champion_that_cannot_be_read_a_model_is_trained_for_that_reason():
    told = "version 7 of 2024-01-05 cannot score mail here: its artifact is damaged"
    decision = decide_retraining([], None, TRAINED, RetrainingSettings(), unreadable=told)
    assert decision.retrain
    assert [(reason.kind, reason.sentence) for reason in decision.reasons] == [
        ("unreadable_champion", f"the champion, {told}")
    ]


@pytest.mark.parametrize(
    ("newest", "expected"), [(day_after(19), False), (day_after(20), False), (day_after(21), True)]
)
@pytest.mark.parametrize(
    ("champion", "settings"),
    [(None, RetrainingSettings()), (CHAMPION, RetrainingSettings(cool_down_days=0))],  # no champion, no cool-down
)
def test_only_mail_newer_than_the_last_training_gives_another_one(champion, settings, newest, expected):
    decision = decide_retraining([], champion, newest, settings, last_training=day_after(20))
    assert decision.retrain is expected  # one day later is enough
    assert (decision.waiting is None) is expected


def test_a_quiet_day_asks_for_nothing():
    decision = decide([*OLD, *(report(number) for number in range(1, 6))])
    assert decision == replace(decision, retrain=False, reasons=(), waiting=None)


@pytest.mark.parametrize(("judged", "expected"), [(None, True), (39, True), (40, False), (41, False)])
def test_a_day_that_is_not_newer_than_the_last_one_judged_triggers_nothing(judged, expected):
    last = None if judged is None else day_after(judged)
    decision = decide_retraining([], CHAMPION, day_after(40), RetrainingSettings(), last_judged_day=last)
    assert decision.retrain is expected
    assert (decision.waiting is None) is expected


@pytest.mark.parametrize(("last_training", "expected"), [(None, True), (37, True), (38, True), (39, False)])
def test_nothing_is_retrained_until_the_cool_down_has_passed(last_training, expected):
    last = None if last_training is None else day_after(last_training)
    settings = RetrainingSettings(cool_down_days=2)
    decision = decide_retraining([], CHAMPION, day_after(40), settings, last_training=last)
    assert decision.retrain is expected
    assert kinds_of(decision) == ["age"]  # the reason is told all the same
    if not expected:
        assert decision.waiting == f"a model was trained for {last}, less than 2 days ago"


# --- age


@pytest.mark.parametrize(("age", "expected"), [(14, []), (15, ["age"])])
def test_a_champion_older_than_two_weeks_is_replaced(age, expected):
    decision = decide_retraining([], CHAMPION, day_after(age), RetrainingSettings())
    assert kinds_of(decision) == expected
    if expected:
        assert decision.reasons[0].sentence == (
            "the champion was trained for 2030-03-01, 15 days ago, and may be 14 days old"
        )


# --- new mail


@pytest.mark.parametrize(
    ("ham", "spam", "learnt", "expected"),
    [
        (980, 20, 100_000, ["new_mail"]),
        (979, 20, 100_000, []),
        (130, 20, 3000, ["new_mail"]),
        (129, 20, 3000, []),
        (80, 20, 100, ["new_mail"]),
        (79, 20, 100, []),
        (5000, 9, 3000, []),
        (9, 5000, 3000, []),
    ],
)
def test_enough_new_mail_of_both_classes_is_a_reason(ham, spam, learnt, expected):
    champion = replace(CHAMPION, learnt_messages=learnt)
    reports = [report(1, ham=ham - 5, spam=spam - 5, missed=0), report(2, ham=5, spam=5, missed=0)]
    assert kinds_of(decide(reports, RetrainingSettings(), champion)) == expected


def test_mail_that_a_refused_candidate_learnt_is_not_new():
    reports = [report(1, ham=500, missed=0), report(4, missed=0)]
    assert kinds_of(decide(reports, RetrainingSettings())) == ["new_mail"]
    assert kinds_of(decide(reports, RetrainingSettings(), last_training=day_after(1))) == []


# --- performance


def test_days_below_the_bar_are_a_reason_that_says_what_happened():
    reports = [*OLD, report(8, missed=5), report(9), report(10, spam=18, missed=7)]
    settings = replace(QUIET, drift_p_value=0.0)
    decision = decide(reports, settings)
    assert decision.retrain
    assert [reason.sentence for reason in decision.reasons] == [
        "missed 7 of 18 spam on 2030-03-11, where fresh models missed 6 % until 2030-03-01 (p = 6e-05), and 2 of the "
        "last 3 days were below the bar"
    ]


@pytest.mark.parametrize(
    ("missed", "expected"),
    [
        ([1, 1, 1, 1, 7], []),
        ([7, 1, 1, 1, 7], ["performance"]),
        ([7, 1, 1, 1, 1, 7], []),
        ([7, 7, 7, 7, 1], []),
        ([1, 1, 1, 7, 7], ["performance"]),
    ],
)
def test_two_of_the_last_five_days_have_to_be_below_the_bar_the_newest_included(missed, expected):
    reports = [report(number, missed=errors) for number, errors in enumerate(missed, 1)]
    assert kinds_of(decide(reports)) == expected


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ({"spam": 20, "missed": 5}, True),
        ({"spam": 20, "missed": 2}, False),
        ({"spam": 1, "missed": 1}, False),  # a single error
        ({"spam": 2, "missed": 2}, True),
        ({"spam": 0, "missed": 0}, False),
        ({"spam": 10_000, "missed": 700}, False),  # certainly worse than 6 %, but not much
        ({"spam": 10_000, "missed": 1000}, True),
        ({"called": 1}, False),
        ({"called": 2}, True),
        ({"ham": 10_000, "called": 14}, False),
        ({"ham": 10_000, "called": 25}, True),
    ],
)
def test_a_day_is_below_the_bar_by_errors_that_are_many_and_no_accident(day, expected):
    reports = [report(number, **{"missed": 1, **day}) for number in (1, 2)]
    decision = decide(reports, replace(QUIET, drift_p_value=0.0))
    assert kinds_of(decision) == ["performance"] * expected


def test_ham_called_spam_is_told_as_such():
    sentence = decide([report(1, called=2), report(2, called=3)]).reasons[0].sentence
    assert sentence.startswith(
        "called 3 of 40 ham spam on 2030-03-03, where fresh models did so to 0.1 % until 2030-03-01 (p = "
    )


def test_days_of_another_champion_say_nothing_about_this_one():
    reports = [report(1, missed=9, champion="2030-02-27"), report(2, missed=9)]
    assert kinds_of(decide(reports)) == []


def test_old_days_below_the_bar_do_not_count_when_the_newest_has_no_report():
    reports = [report(1, missed=9), report(2, missed=9)]
    assert kinds_of(decide(reports)) == ["performance"]
    assert kinds_of(decide(reports, newest=day_after(3))) == []


def test_a_champion_without_a_record_of_a_class_is_not_judged_by_it():
    reports = [report(1, missed=9), report(2, missed=9)]
    assert kinds_of(decide(reports, champion=replace(CHAMPION, recall=nan, spam=0))) == []
    faultless = replace(CHAMPION, recall=1.0, spam=10)  # 10 of 10 is no promise of 100 %
    assert kinds_of(decide([report(1, missed=3), report(2, missed=3)], champion=faultless)) == []


def test_settings_by_which_nothing_could_be_below_the_bar_are_refused():
    with pytest.raises(ValueError, match=r"below_bar_days \(6\) is more than performance_days \(5\)"):
        RetrainingSettings(below_bar_days=6)


# --- reports as they come


def test_the_order_of_reports_does_not_matter_and_later_days_are_not_looked_at():
    reports = [*OLD, report(1, missed=7), report(2, missed=7)]
    assert decide(reports[::-1]) == decide(reports)
    with_later_day = [*reports, report(3, missed=0)]
    assert decide(with_later_day, newest=day_after(2)) == decide(reports)


def test_of_two_reports_of_a_day_the_later_one_counts():
    reports = [report(1, missed=7), report(2, missed=7), report(1, missed=1)]
    assert kinds_of(decide(reports)) == []


@given(
    st.lists(
        st.tuples(st.integers(1, 60), st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 50)),
        max_size=12,
    ),
    st.floats(0, 1) | st.just(nan),
    st.floats(0, 1) | st.just(nan),
)
def test_whatever_the_reports_hold_there_is_a_decision_with_its_reasons(days, recall, fpr):
    reports = [
        report(number, ham=ham, spam=spam, missed=min(missed, spam), called=min(called, ham))
        for number, ham, spam, missed, called in days
    ]
    decision = decide(reports, RetrainingSettings(), replace(CHAMPION, recall=recall, fpr=fpr), newest=day_after(60))
    assert decision.retrain == bool(decision.reasons)
    assert all(reason.sentence for reason in decision.reasons)


def test_a_champion_is_told_by_its_evaluation_and_real_reports_of_it_ask_for_nothing():
    window = make_window(12)
    days = sorted(window)
    model = DatedModel(days[9], train_model({day: window[day] for day in days[:10]}, TrainingSettings()))
    record = ChampionRecord.from_model(model)
    evaluation = model.model.evaluation
    assert (record.training_date, record.learnt_messages) == (days[9], 280)
    assert (record.recall, record.spam, record.ham) == (
        evaluation.recall,
        evaluation.spam,
        evaluation.messages - evaluation.spam,
    )
    reports = [report_day(day, model, window[day]) for day in days[10:]]
    assert not decide_retraining(reports, record, days[11], RetrainingSettings()).retrain


# --- tests that the rule rests on


@given(st.integers(1, 60).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))), st.floats(0, 1))
def test_the_binomial_tail_is_the_sum_of_its_terms(found, probability):
    hits, trials = found
    terms = (
        comb(trials, count) * probability**count * (1 - probability) ** (trials - count)
        for count in range(hits, trials + 1)
    )
    assert compute_binomial_tail(hits, trials, probability) == pytest.approx(sum(terms), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("hits", "trials", "probability", "expected"),
    [
        (7, 18, 0.06, 4.9360804093541956e-05),
        (1200, 100_000, 0.01, 3.8125331021509546e-10),
        (3, 5, 0.9, 0.99144),
        (90_000, 100_000, 0.01, 0.0),
        (0, 0, 0.5, 1.0),
        (3, 3, 1.0, 1.0),
        (1, 3, 0.0, 0.0),
    ],
)
def test_the_binomial_tail_is_exact_from_small_days_to_large_ones(hits, trials, probability, expected):
    assert compute_binomial_tail(hits, trials, probability) == pytest.approx(expected, rel=1e-9, abs=1e-300)


def test_a_sensor_may_ask_the_rule_without_numpy():
    code = "import sys, spam_assets.learning.retraining_rule; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("judged", "expected"), [("2030-03-02", False), ("2030-03-01", True)])
def test_scipy_is_imported_where_a_new_day_is_judged_and_not_before(judged, expected):
    code = (
        "import sys; from spam_assets_tests.learning.day_reports import *; "
        f"decide([*OLD, report(1)], last_judged_day='{judged}'); sys.exit('scipy.stats' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False)
    assert done.returncode == expected
