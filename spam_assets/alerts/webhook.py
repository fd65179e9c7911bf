"""An incoming webhook that takes Slack's JSON.

Its URL is a secret. The standard library posts because it logs nothing: `requests` quotes the URL in its errors, and
urllib3 logs its path. Errors of the library never leave this module, neither as text nor as the context of ours.
"""

import json
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from pydantic import SecretStr

from spam_assets.alerts import delivery
from spam_assets.alerts.delivery import Delivery, Refusal, deliver
from spam_assets.alerts.message import Alert

SLACK_HEADER_CHARACTERS = 150


@dataclass(frozen=True)
class Webhook:
    """An incoming webhook that takes Slack's JSON: Slack's own, Mattermost's, and Discord's with `/slack`."""

    url: SecretStr

    @property
    def name(self) -> str:
        """What errors call it. Not even the host: the URL as a whole is the secret."""
        return "the webhook"

    def send(self, alert: Alert) -> list[Delivery]:
        """Post an alert, a second time where the server was busy."""
        body = self.compose(alert)
        return [deliver(self.name, lambda: self.try_to_send(body))]

    def compose(self, alert: Alert) -> bytes:
        """Return the request body. Slack shows the blocks; the others, and Slack's notifications, the text."""
        text = "\n".join(filter(None, (f"spam_assets: {alert.title}", f"Reason: {alert.reason}", alert.link)))
        title = {"type": "plain_text", "text": alert.title[:SLACK_HEADER_CHARACTERS], "emoji": False}
        reason = {"type": "plain_text", "text": alert.reason, "emoji": False}
        blocks: list[dict[str, Any]] = [{"type": "header", "text": title}, {"type": "section", "text": reason}]
        if alert.link:
            link = {"type": "mrkdwn", "text": f"<{alert.link.replace('&', '&amp;')}|Open in Dagster>"}
            blocks.append({"type": "section", "text": link})
        return json.dumps({"text": text, "blocks": blocks, "unfurl_links": False, "unfurl_media": False}).encode()

    def try_to_send(self, body: bytes) -> Refusal | None:
        """Post once; None if that went well."""
        try:
            request = Request(  # noqa: S310 - the settings take http and https only
                self.url.get_secret_value(),
                body,
                {"Content-Type": "application/json", "User-Agent": "spam_assets"},
                method="POST",
            )
            with build_opener(_FollowNothing).open(request, timeout=delivery.TIMEOUT_SECONDS):
                return None
        except HTTPError as error:
            with error:
                return _judge_status(error.code, error.headers.get("Retry-After"))
        except URLError as error:
            return delivery.judge_connection(error.reason)
        except (OSError, HTTPException, ValueError) as error:
            return delivery.judge_connection(error)


class _FollowNothing(HTTPRedirectHandler):
    """A redirect would send what was for one server to another."""

    def redirect_request(self, *_: Any) -> None:
        """Return that there is nothing to follow."""


def _judge_status(status: int, retry_after: str | None) -> Refusal:
    if 300 <= status < 400:
        return Refusal(f"answers with a redirect (HTTP {status}), which is not followed; set the final URL")
    if status != 429 and status < 500:
        return Refusal(f"answers HTTP {status}; see whether it still exists and SPAM_ASSETS_ALERT_WEBHOOK is right")
    wait_seconds = delivery.WAIT_SECONDS
    with suppress(ValueError, TypeError):
        wait_seconds = float(retry_after or "")
    if not 0 <= wait_seconds <= delivery.LONGEST_WAIT_SECONDS:  # NaN as well
        return Refusal(
            f"answers HTTP {status} and asks for a longer wait than {delivery.LONGEST_WAIT_SECONDS:g} seconds"
        )
    return Refusal(f"answers HTTP {status}", wait_seconds)
