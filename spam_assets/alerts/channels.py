"""The channels of the settings, and an alert sent through all of them.

Not here: when to alert, and which alerts were sent already; the sensors know both.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from spam_assets.alerts.email_server import EmailServer
from spam_assets.alerts.message import Alert
from spam_assets.alerts.services import Services
from spam_assets.alerts.webhook import Webhook
from spam_assets.settings import Settings

TEST_KIND = "test"


class AlertError(Exception):
    """An alert did not reach every channel; the message names those that failed, and shows no secret.

    Attributes:
        sent: The channels that did get it, if only in part. Sending again would give it to them twice.
    """

    def __init__(self, message: str, sent: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.sent = tuple(sent)


@dataclass(frozen=True)
class AlertChannels:
    """Where alerts go, and which kinds of them."""

    channels: tuple[Webhook | EmailServer | Services, ...]
    kinds: frozenset[str]

    @classmethod
    def from_settings(cls, settings: Settings) -> "AlertChannels":
        """Return the channels that the settings configure; there may be none."""
        channels: list[Webhook | EmailServer | Services] = []
        if settings.alert_webhook is not None:
            channels.append(Webhook(settings.alert_webhook))
        if settings.alert_smtp is not None and settings.alert_email_from is not None:
            channels.append(EmailServer(settings.alert_smtp, settings.alert_email_from, settings.alert_recipients))
        if settings.alert_services:
            channels.append(Services(settings.alert_services))
        return cls(tuple(channels), settings.alert_kinds)

    def send(self, alert: Alert) -> list[str]:
        """Send an alert once through every channel and return their names; none if its kind is not wanted.

        Raises:
            AlertError: a channel failed; the others were tried all the same.
        """
        if alert.kind not in self.kinds and alert.kind != TEST_KIND:
            return []
        deliveries = [delivery for channel in self.channels for delivery in channel.send(alert)]
        sent = [delivery.name for delivery in deliveries if delivery.is_told]
        failed = [f"{delivery.name} {delivery.refusal.reason}" for delivery in deliveries if delivery.refusal]
        if failed:
            raise AlertError(f"an alert did not get through: {'; '.join(failed)}", sent)
        return sent


def send_test_alert(settings: Settings) -> list[str]:
    """Send an alert about nothing through every channel, whatever SPAM_ASSETS_ALERT_ON says; return their names.

    Raises:
        AlertError: no channel is configured, or one failed.
    """
    channels = AlertChannels.from_settings(settings)
    if not channels.channels:
        raise AlertError(
            "no alerts are configured; set SPAM_ASSETS_ALERT_WEBHOOK, SPAM_ASSETS_ALERT_URLS, or the three "
            "SPAM_ASSETS_ALERT_EMAIL_TO, SPAM_ASSETS_ALERT_EMAIL_FROM and SPAM_ASSETS_ALERT_SMTP"
        )
    wanted = ", ".join(sorted(channels.kinds))
    return channels.send(
        Alert(
            kind=TEST_KIND,
            title="Test: alerts arrive here",
            day=None,
            reason=f"somebody asked for a test; nothing happened. Alerts are sent about: {wanted}",
            link=settings.dagster_url,
            key=TEST_KIND,
        )
    )
