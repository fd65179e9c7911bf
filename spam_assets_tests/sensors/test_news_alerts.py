"""The sensor alerts: each thing is told once, and what was not told is told later."""

from pathlib import Path

import dagster as dg
import pytest

from spam_assets.registry.registered_models import CHAMPION, MODEL_NAME, ModelRegistry
from spam_assets.sensors import news_alerts
from spam_assets_tests.conftest import day_text
from spam_assets_tests.sensors.conftest import Told
from spam_assets_tests.sensors.ticks import SUCCEEDED, decide, end_run, land, land_twice, look_for_news, say, start_run


def test_a_promotion_and_a_refusal_are_told_once_each(told: Told, instance: dg.DagsterInstance) -> None:
    first = look_for_news(instance, None)
    assert say(first) == "watching from now on"
    for version, promoted in ((1, True), (2, False)):
        run = start_run(instance)
        decide(instance, run, day_text(version), version, promoted)
        end_run(instance, run, SUCCEEDED)
    result = look_for_news(instance, first.cursor)
    promotion, refusal = told.texts
    assert f"Model version 1, trained for {day_text(1)}, is the new champion\nReason: reason 1" in promotion
    assert f"Model version 2, trained for {day_text(2)}, was refused\nReason: reason 2" in refusal
    assert f"partition={day_text(2)}" in refusal
    assert len(result.cursor or "") < 1000
    assert say(look_for_news(instance, result.cursor)) == "nothing to tell"

    run = start_run(instance)  # the day is run again, with the same outcome
    decide(instance, run, day_text(2), 2, promoted=False)
    end_run(instance, run, SUCCEEDED)
    assert say(look_for_news(instance, result.cursor)) == "nothing to tell"
    assert len(told.texts) == 2


def test_what_a_person_changed_is_told_once_with_the_reason_and_the_gates_own_changes_are_not(
    told: Told, instance: dg.DagsterInstance
) -> None:
    registry = ModelRegistry(told.settings)
    registry._client.create_registered_model(MODEL_NAME)
    for _ in range(2):
        registry._client.create_model_version(MODEL_NAME, "file:///nowhere")
    registry.change("person", "of before anybody watched", {CHAMPION: 1})
    cursor = look_for_news(instance, None).cursor
    registry.change("gate", "not worse", {CHAMPION: 2})
    registry.change("rollback", "it loses newsletters", {CHAMPION: 1}, pins=True)
    told.webhook.answers = [(404, {})]
    told.mail.answers = {"RCPT": [b"550 nobody"]}
    failing = look_for_news(instance, cursor)
    assert "HTTP 404" in say(failing)
    told.webhook.requests.clear()
    result = look_for_news(instance, failing.cursor)
    (text,) = told.texts
    assert "Changed by hand (rollback): champion 2 to 1, pinned\nReason: it loses newsletters" in text
    assert say(look_for_news(instance, result.cursor)) == "nothing to tell"


def test_decisions_that_could_not_be_told_are_told_later_and_no_other_twice(
    told: Told, instance: dg.DagsterInstance
) -> None:
    cursor = look_for_news(instance, None).cursor
    for version in range(3):
        run = start_run(instance)
        decide(instance, run, day_text(version), version)
        end_run(instance, run, SUCCEEDED)
    told.webhook.answers = [(200, {}), (404, {})]
    told.mail.answers = {"RCPT": [b"250 ok", b"550 nobody"]}
    failing = look_for_news(instance, cursor)
    assert "HTTP 404" in say(failing)
    told.webhook.requests.clear()
    told.mail.mails.clear()
    result = look_for_news(instance, failing.cursor)
    assert ["version 1" in told.texts[0], "version 2" in told.texts[1]] == [True, True]
    assert say(look_for_news(instance, result.cursor)) == "nothing to tell"
    assert len(told.texts) == 2


def test_a_zone_that_fails_is_told_once_and_again_after_it_recovered(
    told: Told, instance: dg.DagsterInstance, landing: Path
) -> None:
    land(landing, day_text(0))
    cursor = look_for_news(instance, None).cursor
    said = []
    for is_there in (False, False, True, True, False, False):
        away = landing.with_name("away")
        if is_there and away.exists():
            away.rename(landing)
        elif not is_there and landing.exists():
            landing.rename(away)
        result = look_for_news(instance, cursor)
        said.append(say(result))
        cursor = result.cursor
    trouble, calm = "The landing zone cannot be read", "nothing to tell"
    assert said == [trouble, calm, calm, calm, trouble, calm]
    assert all("does not exist" in text for text in told.texts)


def test_problems_of_many_days_are_one_message_and_stay_told(
    told: Told, instance: dg.DagsterInstance, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news_alerts, "KEYS_REMEMBERED", 5)
    cursor = look_for_news(instance, None).cursor
    for offset in range(30):
        land_twice(landing, offset)
    for _ in range(3):
        cursor = look_for_news(instance, cursor).cursor
    (text,) = told.texts
    assert f"The landed files of 30 days from {day_text(0)} to {day_text(29)} cannot be used" in text
    assert "and 27 more" in text
    land_twice(landing, 30)
    cursor = look_for_news(instance, cursor).cursor
    assert f"The landed file of {day_text(30)} cannot be used" in told.texts[1]
    for path in landing.glob("*.jsonl"):
        path.unlink()
    known = news_alerts.AlertState.from_cursor(look_for_news(instance, cursor).cursor)
    assert known is not None
    assert len(known.keys) == 5
    assert len(told.texts) == 2


def test_what_was_told_survives_the_cursor_and_what_is_still_the_matter_is_never_forgotten() -> None:
    state = news_alerts.AlertState(7, ()).with_keys(f"k{number}" for number in range(300))
    current = {f"k{number}" for number in range(150)}
    kept = state.forget_old(current)
    assert current <= set(kept.keys)
    assert len(kept.keys) == 150 + news_alerts.KEYS_REMEMBERED
    assert kept.keys[-1] == "k299"
    assert news_alerts.AlertState.from_cursor(kept.to_cursor()) == kept
    assert news_alerts.AlertState.from_cursor(None) is None
    assert kept.without("k299").keys == kept.keys[:-1]
