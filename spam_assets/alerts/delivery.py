"""One delivery of a message to one channel: what can go wrong, and when it is tried again."""

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from ipaddress import ip_address
from socket import gaierror

TIMEOUT_SECONDS = 10.0
TRIES = 2
WAIT_SECONDS = 0.5
"""Between two tries, where the server does not ask for a longer wait."""
LONGEST_WAIT_SECONDS = 5.0


@dataclass(frozen=True)
class Refusal:
    """Why a message was not delivered, in words of ours."""

    reason: str
    wait_seconds: float | None = None
    """How long to wait before it is tried again; None where that would be of no use."""
    has_reached_somebody: bool = False


@dataclass(frozen=True)
class Delivery:
    """What became of a message in one channel.

    Attributes:
        name: Of the channel, for people; it shows no secret.
        refusal: None if it went well.
    """

    name: str
    refusal: Refusal | None

    @property
    def is_told(self) -> bool:
        """Whether sending again would give it to somebody twice."""
        return self.refusal is None or self.refusal.has_reached_somebody


def deliver(name: str, try_to_send: Callable[[], Refusal | None]) -> Delivery:
    """Try to send a message, and once more where the server was only busy."""
    refusal = try_to_send()
    for _ in range(TRIES - 1):
        if refusal is None or refusal.wait_seconds is None:
            break
        time.sleep(refusal.wait_seconds)
        refusal = try_to_send()
    return Delivery(name, refusal)


def judge_connection(error: object) -> Refusal:
    """Say why a server could not be talked to. The error's own text may quote the secret."""
    if isinstance(error, TimeoutError):
        # Not tried again: the message may have arrived, and a sensor's tick has a minute for everything.
        return Refusal(f"does not answer within {TIMEOUT_SECONDS:g} seconds")
    if isinstance(error, ssl.SSLCertVerificationError):
        return Refusal("shows a certificate that is not trusted; SSL_CERT_FILE can name your own authority's")
    if isinstance(error, ssl.SSLError):
        return Refusal("does not speak TLS on this port")
    if isinstance(error, gaierror):
        return Refusal("has a host name that cannot be found", WAIT_SECONDS)
    if isinstance(error, ConnectionRefusedError):
        return Refusal("refuses the connection", WAIT_SECONDS)
    if isinstance(error, OSError | HTTPException):
        return Refusal(f"cannot be reached ({type(error).__name__})", WAIT_SECONDS)
    return Refusal(f"cannot be used ({type(error).__name__})")


def is_this_machine(host: str) -> bool:
    """Return whether a host is the one that this runs on, so that nobody else reads what is sent to it."""
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
