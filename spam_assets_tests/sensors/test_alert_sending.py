"""The messages of one tick: what was told stays told, and a tick ends in time."""

import dagster as dg
import pytest
from pydantic import SecretStr

from spam_assets.alerts import delivery, services
from spam_assets.sensors import alert_sending
from spam_assets_tests.sensors.conftest import Told
from spam_assets_tests.sensors.ticks import FAILED, end_run, look_for_failures, say, start_run, use_settings
from spam_assets_tests.servers import SECRET, run_webhook


def test_a_message_that_one_channel_took_is_told_and_the_trouble_is_said(
    told: Told, instance: dg.DagsterInstance
) -> None:
    cursor = look_for_failures(instance, None).cursor
    end_run(instance, start_run(instance), FAILED)
    told.webhook.answers = [(404, {})]
    result = look_for_failures(instance, cursor)
    assert "the webhook answers HTTP 404" in say(result)
    assert say(look_for_failures(instance, result.cursor)) == "nothing to tell"
    assert (len(told.webhook.requests), len(told.mail.mails)) == (1, 1)


def test_a_tick_with_many_messages_and_a_hanging_channel_ends_in_time_and_the_next_one_goes_on(
    told: Told, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_sending, "SECONDS_FOR_SENDING", 0.5)
    cursor = look_for_failures(instance, None).cursor
    for _ in range(3):
        end_run(instance, start_run(instance), FAILED)
    told.webhook.answers = [(0, {})] * 3
    first = look_for_failures(instance, cursor)
    assert "the other messages follow at the next look" in say(first)
    assert 1 <= len(told.mail.mails) < 3
    while say(result := look_for_failures(instance, first.cursor)) != "nothing to tell":
        first = result
    assert len(told.mail.mails) == 3


def test_a_kind_that_nobody_wants_is_not_sent_and_not_kept(
    told: Told, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor = look_for_failures(instance, None).cursor
    use_settings(monkeypatch, told.settings.model_copy(update={"alert_on": "no_mail"}))
    end_run(instance, start_run(instance), FAILED)
    result = look_for_failures(instance, cursor)
    assert (say(result), told.texts) == ("nothing to tell", [])
    use_settings(monkeypatch, told.settings)
    assert say(look_for_failures(instance, result.cursor)) == "nothing to tell"


def test_what_only_a_service_of_apprise_took_is_told(
    told: Told, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor = look_for_failures(instance, None).cursor
    end_run(instance, start_run(instance), FAILED)
    told.webhook.answers = [(404, {})]
    told.mail.answers = {"RCPT": [b"550 nobody"]}
    monkeypatch.setattr(delivery, "TIMEOUT_SECONDS", 10.0)
    monkeypatch.setattr(services, "SECONDS_FOR_STARTING", 60.0)
    with run_webhook() as service:
        url = SecretStr(f"json://127.0.0.1:{service.port}/{SECRET}")
        use_settings(monkeypatch, told.settings.model_copy(update={"alert_urls": url}))
        result = look_for_failures(instance, cursor)
        assert "the webhook answers HTTP 404" in say(result)
        assert "the e-mail server 127.0.0.1 refuses every recipient" in say(result)
        assert say(look_for_failures(instance, result.cursor)) == "nothing to tell"
        assert len(service.requests) == 1
    assert SECRET not in say(result)
