"""All channels together: an alert goes to each, and secrets are shown nowhere."""

import logging
import pickle

import pytest

from spam_assets.alerts.channels import AlertChannels, AlertError, send_test_alert
from spam_assets.alerts.events import describe_missing_mail
from spam_assets.settings import Settings
from spam_assets_tests.alerts.sending import (
    DAY,
    failure_of,
    mail_channels,
    mail_settings,
    make_alert,
    read,
    webhook_channels,
)
from spam_assets_tests.servers import SECRET, USER, MailServer, WebhookServer


def test_an_alert_goes_to_every_channel(webhook: WebhookServer, mail_server: MailServer) -> None:
    channels = mail_channels(mail_server.url(), alert_webhook=webhook.url)
    assert channels.send(make_alert()) == ["the webhook", "the e-mail server 127.0.0.1"]
    assert (len(webhook.requests), len(mail_server.mails)) == (1, 1)


def test_when_one_channel_fails_the_other_is_still_tried(webhook: WebhookServer, mail_server: MailServer) -> None:
    channels = mail_channels(mail_server.url(), alert_webhook=webhook.url)
    webhook.answers = [(404, {})]
    error = failure_of(channels)
    assert "the webhook" in str(error)
    assert "e-mail" not in str(error)
    assert error.sent == ("the e-mail server 127.0.0.1",)
    assert len(mail_server.mails) == 1
    mail_server.answers = {"MAIL": [b"550 no"]}
    error = failure_of(channels)
    assert "the e-mail server 127.0.0.1" in str(error)
    assert error.sent == ("the webhook",)
    assert len(webhook.requests) == 2


def test_an_error_names_every_channel_that_failed(webhook: WebhookServer, mail_server: MailServer) -> None:
    webhook.answers = [(404, {})]
    mail_server.answers = {"MAIL": [b"550 no"]}
    error = failure_of(mail_channels(mail_server.url(), alert_webhook=webhook.url))
    assert "the webhook answers HTTP 404" in str(error)
    assert "; the e-mail server 127.0.0.1 answers 550" in str(error)
    assert error.sent == ()


def test_only_the_kinds_that_are_wanted_are_sent(webhook: WebhookServer) -> None:
    channels = webhook_channels(webhook.url, alert_on="run_failed, no_mail")
    assert channels.send(make_alert()) == []
    assert webhook.requests == []
    assert channels.send(describe_missing_mail(DAY, 3)) == ["the webhook"]


def test_without_a_channel_nothing_is_sent() -> None:
    assert AlertChannels.from_settings(Settings()).send(make_alert()) == []


def test_a_test_alert_goes_to_every_channel_whatever_is_wanted(webhook: WebhookServer, mail_server: MailServer) -> None:
    settings = mail_settings(mail_server.url(), alert_webhook=webhook.url, alert_on="no_mail")
    assert send_test_alert(settings) == ["the webhook", "the e-mail server 127.0.0.1"]
    assert "Test: alerts arrive here" in webhook.requests[0][2]["text"]
    assert "no_mail" in read(mail_server.mails[0][2]).get_content()


def test_a_test_alert_without_a_channel_says_what_to_set() -> None:
    with pytest.raises(AlertError, match="SPAM_ASSETS_ALERT_WEBHOOK"):
        send_test_alert(Settings())


def test_secrets_are_in_no_log_no_output_and_no_repr(
    webhook: WebhookServer,
    mail_server: MailServer,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    mail_server.knows = (USER, f"{SECRET}@/")
    settings = mail_settings(mail_server.url(user=True), alert_webhook=webhook.url)
    channels = AlertChannels.from_settings(settings)
    channels.send(make_alert())
    webhook.answers, mail_server.answers = [(500, {}), (500, {})], {"MAIL": [b"550 no"]}
    failure_of(channels)
    shown = caplog.text + "".join(capfd.readouterr())
    shown += repr(settings) + str(settings.model_dump()) + settings.model_dump_json()
    shown += repr(channels) + str(channels) + repr(channels.channels)
    assert SECRET not in shown
    assert USER not in shown
    assert pickle.loads(pickle.dumps(channels)) == channels
