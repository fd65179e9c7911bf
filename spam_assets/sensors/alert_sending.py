"""What becomes of the messages of one tick: they are sent in order, and what nobody got is for the next tick."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

import dagster as dg

from spam_assets.alerts.channels import AlertChannels, AlertError
from spam_assets.alerts.message import Alert
from spam_assets.partitions import SETTINGS
from spam_assets.settings import Settings

SECONDS_FOR_SENDING = 15.0
"""Of one tick; Dagster gives it a minute, and a message to channels that all hang takes up to 40 seconds."""
DEFAULT_STATUS = dg.DefaultSensorStatus.RUNNING if SETTINGS.has_alert_channel else dg.DefaultSensorStatus.STOPPED
"""Of the sensors that send: on once there is a channel."""


@dataclass(frozen=True)
class Sending:
    """What became of the messages of a tick.

    Attributes:
        told: keys of the alerts that are done with.
        titles: of those that somebody got; the others are of kinds that nobody wants.
        troubles: what did not go well, one sentence each.
    """

    told: frozenset[str]
    titles: tuple[str, ...]
    troubles: tuple[str, ...]

    def say(self) -> str:
        """Return what happened as the sentence of a tick."""
        return "; ".join([*self.titles, *self.troubles]) or "nothing to tell"


def send_alerts(settings: Settings, alerts: Iterable[Alert]) -> Sending:
    """Send alerts in order until one reaches nobody or the time is up; the rest is for the next tick."""
    channels = AlertChannels.from_settings(settings)
    deadline = time.monotonic() + SECONDS_FOR_SENDING
    told: list[str] = []
    titles: list[str] = []
    troubles: list[str] = []
    for alert in alerts:
        if time.monotonic() > deadline:
            troubles.append("the other messages follow at the next look")
            break
        try:
            was_sent = bool(channels.send(alert))
        except AlertError as error:
            troubles.append(str(error))
            if not error.sent:
                break
            was_sent = True  # again it would reach somebody twice
        told.append(alert.key)
        if was_sent:
            titles.append(alert.title)
    return Sending(frozenset(told), tuple(titles), tuple(dict.fromkeys(troubles)))
