"""Apprise, in a process of its own: `python -m spam_assets.alerts.service_process`.

It reads an order from standard input and answers on standard output, both JSON. Apprise and the libraries below it
log URLs with the secrets in them, follow redirects unless told otherwise and leave threads behind when a service
hangs. Here nobody hears the logs, and the threads end with the process. Only this module imports Apprise.
"""

import json
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any

from spam_assets.alerts.delivery import is_this_machine

if TYPE_CHECKING:
    from apprise import AppriseAsset

STATUS = re.compile(r"\berror=(\d{3})\b")
"""How Apprise's services quote an HTTP status; the rest of their words may quote a secret."""


class Outcome(str, Enum):
    """What became of a message at one service."""

    SENT = "sent"
    UNKNOWN = "unknown"
    UNENCRYPTED = "unencrypted"
    SEVERAL_RECIPIENTS = "several recipients"
    NO_ANSWER = "no answer"
    FAILED = "failed"
    NOT_TOLD = "not told"
    """The process ended without an answer."""


@dataclass(frozen=True)
class Order:
    """A message and the Apprise URLs to send it to, each of which is a secret."""

    urls: tuple[str, ...]
    title: str
    body: str
    timeout_seconds: float


@dataclass(frozen=True)
class Answer:
    """What became of a message at one service.

    Attributes:
        service: Its name, if Apprise knows it.
        outcome: Whether it was sent, or why not.
        status: The HTTP status of the answer, where Apprise tells it.
    """

    service: str | None
    outcome: Outcome
    status: int | None = None


def send_to_services(order: Order) -> list[Answer]:
    """Send a message to each service once, to all of them at the same time."""
    from apprise import AppriseAsset

    asset = AppriseAsset(
        app_id="spam_assets",
        image_url_mask="",  # no picture from another server beside the text
        image_url_logo="",
        http_redirects=False,  # for what a service prepares when it is made
        interpret_emojis=False,
        language="en",
    )
    pool = ThreadPoolExecutor(len(order.urls))
    return list(pool.map(partial(send_to_service, order, asset), order.urls))


def send_to_service(order: Order, asset: "AppriseAsset", url: str) -> Answer:
    """Send a message to one service."""
    from apprise import Apprise
    from apprise.result import AppriseResultStatus

    service = Apprise.instantiate(url, asset=asset)
    if service is None:
        return Answer(None, Outcome.UNKNOWN)
    name = str(service.service_name)
    # The settings refuse URLs that ask for anything else; their grammar is Apprise's own, so this makes sure.
    service.verify_certificate = True
    service.redirects = False
    service.retry = 0
    service.socket_connect_timeout = service.socket_read_timeout = (
        2 * order.timeout_seconds
    )  # Apprise's own comes first
    if is_unencrypted(service) and not is_this_machine(str(service.host or "")):
        return Answer(name, Outcome.UNENCRYPTED)
    if len(service) > 1:
        return Answer(name, Outcome.SEVERAL_RECIPIENTS)
    sender = Apprise(asset=asset)
    sender.add(service)
    result = sender.notify(body=order.body, title=order.title, body_format="text", timeout=order.timeout_seconds)
    attempts = [attempt for service_result in result for attempt in service_result]
    statuses = {attempt.status for attempt in attempts}
    if AppriseResultStatus.SUCCESS in statuses:
        return Answer(name, Outcome.SENT)
    if AppriseResultStatus.TIMEOUT in statuses:
        return Answer(name, Outcome.NO_ANSWER)
    found = [STATUS.search(entry.message) for attempt in attempts for entry in attempt]
    return Answer(name, Outcome.FAILED, next((int(match[1]) for match in found if match), None))


def is_unencrypted(service: Any) -> bool:
    """Return whether a service would be talked to without TLS."""
    plain, secure = _list_schemes(service.protocol), _list_schemes(service.secure_protocol)
    is_plain_scheme = service.schema in plain and service.schema not in secure
    return is_plain_scheme or getattr(service, "secure_mode", None) in ("insecure", "none")  # SMTP and XMPP


def _list_schemes(schemes: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (schemes,) if isinstance(schemes, str) else tuple(schemes or ())


def main() -> None:
    """Carry out the order on standard input."""
    order = json.load(sys.stdin)
    answers = send_to_services(Order(**{**order, "urls": tuple(order["urls"])}))
    sys.stdout.write("\n" + json.dumps([asdict(answer) for answer in answers]) + "\n")
    sys.stdout.flush()
    os._exit(0)  # without waiting for the threads of services that hang


if __name__ == "__main__":
    main()
