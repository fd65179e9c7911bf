"""Decisions on candidates, as alerts."""

import re
import time

import dagster as dg
import pytest

from spam_assets.sensors import champion_decisions
from spam_assets_tests.conftest import day_text
from spam_assets_tests.sensors.conftest import Told, Trained
from spam_assets_tests.sensors.ticks import SUCCEEDED, decide, end_run, look_for_news, say, start_run


def test_a_backfill_of_many_candidates_is_one_message_when_it_is_over(
    told: Told, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(champion_decisions, "EVENTS_PER_PAGE", 7)
    cursor = look_for_news(instance, None).cursor
    run = start_run(instance)
    for number in range(20):
        decide(instance, run, day_text(number), number, promoted=number % 2 == 0)
        if number % 5 == 0:
            cursor = look_for_news(instance, cursor).cursor
    assert told.texts == []
    end_run(instance, run, SUCCEEDED)
    result = look_for_news(instance, cursor)
    (text,) = told.texts
    assert "Model version 19" in text
    assert say(look_for_news(instance, result.cursor)) == "nothing to tell"


def test_a_run_that_never_ends_does_not_hold_up_alerts_for_ever(told: Told, instance: dg.DagsterInstance) -> None:
    run = start_run(instance)
    decide(instance, run, day_text(0), 1)
    assert champion_decisions.find_decisions(instance, 0, time.time()) == ([], 0)
    ((event_id, alert),), last_seen = champion_decisions.find_decisions(
        instance, 0, time.time() + champion_decisions.SILENT_RUN_SECONDS
    )
    assert "version 1" in alert.title
    assert event_id == last_seen > 0


def test_what_a_real_run_decided_is_told(told: Told, trained: Trained) -> None:
    ((_, alert),), _ = champion_decisions.find_decisions(trained.instance, 0, time.time())
    assert alert.kind == "champion_promoted"
    assert alert.day == day_text(3)
    assert re.search(r"it catches \d+ of \d+ spam and loses \d+ of \d+ ham", alert.reason)
