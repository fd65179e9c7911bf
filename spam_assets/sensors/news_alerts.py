"""News: decisions on a champion, missing mail and landing problems, each told once.

The sensor's cursor holds what it has told.
"""

import json
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

import dagster as dg

from spam_assets.partitions import SETTINGS
from spam_assets.sensors.alert_sending import DEFAULT_STATUS, send_alerts
from spam_assets.sensors.champion_decisions import find_decisions, find_manual_changes
from spam_assets.sensors.described import described
from spam_assets.sensors.landing_problems import find_landing_alerts, join_problems

KEYS_REMEMBERED = 100
ZONE_KEY = "landing_problem:zone"


@described(dg.sensor, name="alerts", minimum_interval_seconds=SETTINGS.sensor_seconds, default_status=DEFAULT_STATUS)
def alerts_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Send a message when a candidate or a person changes who serves, mail is missing, or landed files are no use."""
    state = AlertState.from_cursor(context.cursor)
    if state is None:  # turned on just now: what happened before is no news
        newest = context.instance.fetch_materializations(dg.AssetKey("registered_model"), limit=1).records
        state = AlertState(newest[0].storage_id if newest else 0, (), find_manual_changes(None)[1])
        return dg.SensorResult(skip_reason="watching from now on", cursor=state.to_cursor())
    now_seconds = time.time()
    landing, zone_answers = find_landing_alerts(SETTINGS, now_seconds)
    if zone_answers:
        state = state.without(ZONE_KEY)
    news = join_problems([alert for alert in landing if alert.key not in state.keys])
    decisions, last_seen = find_decisions(context.instance, state.last_seen, now_seconds)
    new_decisions = {alert.key: alert for _, alert in decisions if alert.key not in state.keys}
    manual_changes, last_change = find_manual_changes(state.last_change)
    sending = send_alerts(SETTINGS, [*news, *new_decisions.values(), *(alert for _, alert in manual_changes)])
    for alert, keys in news.items():
        if alert.key in sending.told:
            state = state.with_keys(keys)
    for event_id, alert in decisions:
        if alert.key in new_decisions and alert.key not in sending.told:
            break
        state = replace(state, last_seen=event_id)
    else:
        state = replace(state, last_seen=last_seen)
    untold = [number for number, alert in manual_changes if alert.key not in sending.told]
    state = replace(state, last_change=untold[0] - 1 if untold else last_change)
    state = state.with_keys(key for key in new_decisions if key in sending.told)
    state = state.forget_old({alert.key for alert in landing})
    return dg.SensorResult(skip_reason=sending.say(), cursor=state.to_cursor())


@dataclass(frozen=True)
class AlertState:
    """What the alerts sensor has told: decisions up to an event id, keys of the last alerts, changes up to a number."""

    last_seen: int
    keys: tuple[str, ...]
    last_change: int | None = None

    @classmethod
    def from_cursor(cls, cursor: str | None) -> "AlertState | None":
        """Undo `to_cursor`; None where there is none."""
        if not cursor:
            return None
        known = json.loads(cursor)
        return cls(int(known["last_seen"]), tuple(known["keys"]), known.get("last_change"))

    def to_cursor(self) -> str:
        """Return the state as text."""
        return json.dumps({"last_seen": self.last_seen, "keys": self.keys, "last_change": self.last_change})

    def with_keys(self, keys: Iterable[str]) -> "AlertState":
        """Return the state after alerts were sent."""
        return replace(self, keys=tuple(dict.fromkeys((*self.keys, *keys))))

    def without(self, key: str) -> "AlertState":
        """Return the state after what an alert was about has ended."""
        return replace(self, keys=tuple(known for known in self.keys if known != key))

    def forget_old(self, current: Collection[str]) -> "AlertState":
        """Return the state with all that is still the matter, and the last keys of what is not."""
        past = set([key for key in self.keys if key not in current][-KEYS_REMEMBERED:])
        return replace(self, keys=tuple(key for key in self.keys if key in current or key in past))
