"""What alerts say about each kind of event."""

import pytest

from spam_assets.alerts.events import (
    describe_decision_alert,
    describe_landing_problem,
    describe_manual_change,
    describe_missing_mail,
    describe_run_failure,
)
from spam_assets.alerts.message import REASON_CHARACTERS, Alert
from spam_assets.settings import ALERT_KINDS
from spam_assets_tests.alerts.sending import DAGSTER, DAY


def test_a_failed_run_says_which_job_which_day_which_step_and_why() -> None:
    failures = [("raw_mail", "3 messages have no label."), ("mail_features", "not enough memory.")]
    alert = describe_run_failure("r-1", "train_job", [DAY], failures, DAGSTER)
    assert alert == Alert(
        kind="run_failed",
        title=f"train_job failed for {DAY}",
        day=DAY,
        reason="raw_mail: 3 messages have no label; mail_features: not enough memory",
        link="http://127.0.0.1:3000/runs/r-1",
        key="run_failed:r-1",
    )


def test_a_failed_run_of_many_days_names_the_range_and_the_first_failures() -> None:
    failures = [(f"step_{number}", "x" * 1000) for number in range(9)]
    alert = describe_run_failure("r-1", "train_job", ["2024-03-02", "2024-03-01", "2024-03-05"], failures, DAGSTER)
    assert alert.title == "train_job failed for 3 days from 2024-03-01 to 2024-03-05"
    assert alert.day is None
    assert all(f"step_{number}: x" in alert.reason for number in range(3))
    assert alert.reason.endswith("; and 6 more")
    assert len(alert.reason) <= REASON_CHARACTERS


def test_a_failed_run_that_says_nothing_is_an_alert_all_the_same() -> None:
    alert = describe_run_failure("r-1", "train_job", [], [], None)
    assert alert.title == "train_job failed"
    assert alert.reason == "no step says why; look at the run"
    assert alert.link is None


@pytest.mark.parametrize(
    ("promoted", "kind", "words"),
    [(True, "champion_promoted", "is the new champion"), (False, "champion_refused", "was refused")],
)
def test_a_decision_says_version_day_and_reason(promoted: bool, kind: str, words: str) -> None:
    alert = describe_decision_alert(DAY, 7, promoted=promoted, reason="over the bar", dagster_url=DAGSTER)
    assert (alert.kind, alert.day, alert.reason) == (kind, DAY, "over the bar")
    assert alert.title == f"Model version 7, trained for {DAY}, {words}"
    assert alert.link == f"{DAGSTER}/assets/registered_model?view=partitions&partition={DAY}"
    assert alert.key == f"{kind}:{DAY}:7"


def test_a_decision_that_a_pin_holds_back_says_so_and_is_news_again_after_a_change_by_hand() -> None:
    held = describe_decision_alert(DAY, 7, promoted=False, held=True, reason="it would be promoted", manual_change=3)
    assert held.kind == "champion_refused"
    assert held.title == f"Model version 7, trained for {DAY}, would be the new champion, but the present one is pinned"
    later = describe_decision_alert(DAY, 7, promoted=False, held=True, reason="it would be promoted", manual_change=9)
    refused = describe_decision_alert(DAY, 7, promoted=False, reason="worse", manual_change=3)
    assert len({held.key, later.key, refused.key}) == 3


@pytest.mark.parametrize(("moves", "kind"), [(True, "champion_promoted"), (False, "champion_refused")])
def test_a_change_by_hand_says_what_and_why(moves: bool, kind: str) -> None:
    alert = describe_manual_change(4, "champion 5 to 3, pinned", "rollback", "loses ham", moves_champion=moves)
    assert (alert.kind, alert.title) == (kind, "Changed by hand (rollback): champion 5 to 3, pinned")
    assert (alert.reason, alert.key, alert.day) == ("loses ham", "champion_changed:4", None)


def test_missing_mail_says_day_and_delay_and_stays_one_event_as_the_delay_grows() -> None:
    alert = describe_missing_mail(DAY, 6.0, DAGSTER)
    assert alert.kind == "no_mail"
    assert DAY in alert.title
    assert "6 hours" in alert.reason
    assert alert.key == describe_missing_mail(DAY, 30.0, DAGSTER).key
    assert alert.key != describe_missing_mail("2024-03-01", 6.0, DAGSTER).key


def test_another_problem_of_a_landed_day_is_another_event_and_the_same_one_is_not() -> None:
    alert = describe_landing_problem(DAY, "two files for one day", DAGSTER)
    assert (alert.kind, alert.day, alert.reason) == ("landing_problem", DAY, "two files for one day")
    assert alert.key == describe_landing_problem(DAY, "two files for one day").key
    assert alert.key != describe_landing_problem(DAY, "the file is empty").key
    assert alert.key != describe_landing_problem("2024-03-01", "two files for one day").key


def test_a_zone_that_cannot_be_read_is_one_event_whatever_words_each_try_has() -> None:
    alert = describe_landing_problem(None, "request 1 timed out")
    assert alert.key == describe_landing_problem(None, "request 2 timed out").key
    assert alert.day is None


def test_every_kind_of_alert_is_a_kind_of_the_settings() -> None:
    made = [
        describe_run_failure("r", "j", [], [], None),
        describe_decision_alert(DAY, 1, promoted=True, reason=""),
        describe_decision_alert(DAY, 1, promoted=False, reason=""),
        describe_missing_mail(DAY, 1),
        describe_landing_problem(DAY, ""),
    ]
    assert tuple(alert.kind for alert in made) == ALERT_KINDS
