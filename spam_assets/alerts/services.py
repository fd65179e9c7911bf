"""Every other service, through Apprise: one URL of SPAM_ASSETS_ALERT_URLS each."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import SecretStr

from spam_assets.alerts import delivery
from spam_assets.alerts.delivery import Delivery, Refusal
from spam_assets.alerts.message import Alert
from spam_assets.alerts.service_process import Answer, Order, Outcome

SECONDS_FOR_STARTING = 10.0
"""Of the process, on a machine with much to do."""
FOLDER_OF_THE_PACKAGE = Path(__file__).parents[2]


@dataclass(frozen=True)
class Services:
    """The services that Apprise sends to, each tried once: Apprise does not tell a busy server from a lost answer."""

    urls: tuple[SecretStr, ...]

    def send(self, alert: Alert) -> list[Delivery]:
        """Send an alert to every service, at the same time, in a process of its own."""
        order = Order(
            urls=tuple(url.get_secret_value() for url in self.urls),
            title=f"spam_assets: {alert.title}",
            body="\n".join(filter(None, (f"Reason: {alert.reason}", alert.link))),
            timeout_seconds=delivery.TIMEOUT_SECONDS,
        )
        answers = run_process(order)
        return [describe_answer(position, answer) for position, answer in enumerate(answers, start=1)]


def run_process(order: Order) -> list[Answer]:
    """Carry out an order in a process of its own, and return the answer of each service.

    The URLs go through a pipe, so that neither the list of processes nor a file shows them.
    """
    environment = {**os.environ, "PYTHONPATH": _put_in_front(FOLDER_OF_THE_PACKAGE, os.environ.get("PYTHONPATH"))}
    if "SSL_CERT_FILE" in environment:  # one setting for all channels; `requests` has a name of its own for it
        environment["REQUESTS_CA_BUNDLE"] = environment["SSL_CERT_FILE"]
    said = ""
    with suppress(subprocess.TimeoutExpired, OSError):
        said = subprocess.run(
            [sys.executable, "-m", "spam_assets.alerts.service_process"],
            input=json.dumps(asdict(order)),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # logs and tracebacks quote URLs
            encoding="utf-8",
            timeout=order.timeout_seconds + SECONDS_FOR_STARTING,
            check=False,
        ).stdout
    answers = read_answers(said)
    return answers if len(answers) == len(order.urls) else [Answer(None, Outcome.NOT_TOLD)] * len(order.urls)


def _put_in_front(folder: Path, folders: str | None) -> str:
    return os.pathsep.join(filter(None, (str(folder), folders)))


def read_answers(said: str) -> list[Answer]:
    """Return the answers in the last line that a process said; none if there are none."""
    with suppress(ValueError, TypeError, KeyError, IndexError):
        rows = json.loads(said.splitlines()[-1])
        return [Answer(row["service"], Outcome(row["outcome"]), row["status"]) for row in rows]
    return []


def describe_answer(position: int, answer: Answer) -> Delivery:
    """Return what became of an alert at the service of an entry, in words of ours."""
    entry = f"entry {position} of SPAM_ASSETS_ALERT_URLS"
    name = f"{answer.service} ({entry})" if answer.service else entry
    return Delivery(name, None if answer.outcome is Outcome.SENT else Refusal(_say_why(answer)))


def _say_why(answer: Answer) -> str:
    if answer.outcome is Outcome.UNKNOWN:
        return "is no URL that Apprise can use; see its page for the service, and whether it needs a package of its own"
    if answer.outcome is Outcome.UNENCRYPTED:
        return "would be sent unencrypted to another machine; take the scheme with TLS, which mostly ends in s"
    if answer.outcome is Outcome.SEVERAL_RECIPIENTS:
        return "names several recipients; write a URL for each, so that each is told once"
    if answer.outcome is Outcome.NOT_TOLD:
        return "may not have been tried: Apprise's process ended without an answer; see whether it is installed"
    if answer.outcome is Outcome.NO_ANSWER:
        return f"does not answer within {delivery.TIMEOUT_SECONDS:g} seconds"
    if answer.status is None:
        return (
            "did not take it; the address, the certificate or the URL's tokens may be wrong, Apprise does not say which"
        )
    if 300 <= answer.status < 400:
        return f"answers with a redirect (HTTP {answer.status}), which is not followed; set the final URL"
    return f"answers HTTP {answer.status}"
