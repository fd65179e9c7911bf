"""An alert, the channels it is sent through, and what a failure may show."""

import traceback
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest

from spam_assets.alerts.channels import AlertChannels, AlertError
from spam_assets.alerts.events import describe_decision_alert
from spam_assets.alerts.message import Alert
from spam_assets.settings import Settings
from spam_assets_tests.servers import SECRET, USER

DAY = "2024-02-29"
DAGSTER = "http://127.0.0.1:3000"
HOSTILE = (
    "subject <!channel> <https://evil.example/|click> @here [win](https://evil.example) ![x](http://evil.example/p.png)"
    "\r\nBcc: everyone@example.com\x00\x1b[31m `code` *bold* ~gone~ ||spoiler|| www.evil.example \u202egnp.exe \ud800"
)


def make_alert(reason: str = "the day has no spam", **changes: Any) -> Alert:
    return replace(
        describe_decision_alert(DAY, 7, promoted=False, reason=reason, dagster_url=DAGSTER),
        **changes,
    )


def webhook_channels(url: str, **others: Any) -> AlertChannels:
    return AlertChannels.from_settings(Settings(alert_webhook=url, **others))


def mail_settings(url: str, **others: Any) -> Settings:
    return Settings(
        alert_smtp=url,
        alert_email_to="ops@example.com, boss@example.com,ops@example.com",
        alert_email_from="spam-assets@example.org",
        **others,
    )


def mail_channels(url: str, **others: Any) -> AlertChannels:
    return AlertChannels.from_settings(mail_settings(url, **others))


def failure_of(channels: AlertChannels, alert: Alert | None = None) -> AlertError:
    """Send, expect an error, and see that nothing about it shows a secret."""
    with pytest.raises(AlertError) as raised:
        channels.send(alert or make_alert())
    error = raised.value
    shown = "".join(traceback.format_exception(error)) + repr(error) + repr(channels) + repr(error.sent)
    assert SECRET not in shown
    assert USER not in shown
    assert error.__cause__ is None
    assert error.__context__ is None
    return error


def read(raw: bytes) -> EmailMessage:
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message
