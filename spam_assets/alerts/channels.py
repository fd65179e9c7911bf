"""Alerts: what is worth telling a person, and the webhook and e-mail that carry it.

Not here: when to alert, and which alerts were sent already; the sensors know both.

A webhook's URL and the mail server's password are secrets. The standard library sends both kinds of message because
it logs nothing; `requests` quotes the URL in its errors and urllib3 logs its path. Errors of the libraries below
never leave this module, neither as text nor as the context of ours.
"""

import json
import re
import smtplib
import ssl
import time
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime, localtime, make_msgid
from hashlib import sha256
from http.client import HTTPException
from ipaddress import ip_address
from socket import gaierror
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from pydantic import SecretStr

from spam_assets.settings import Settings
from spam_assets.urls import hide_credentials

TIMEOUT_SECONDS = 10.0
TRIES = 2
WAIT_SECONDS = 0.5
"""Between two tries, where the server does not ask for a longer wait."""
LONGEST_WAIT_SECONDS = 5.0
TITLE_CHARACTERS = 120
REASON_CHARACTERS = 600  # Discord takes 2,000 in all, Slack 3,000 in a block
LONGEST_INPUT_CHARACTERS = 100_000
SLACK_HEADER_CHARACTERS = 150
FAILURES_IN_FULL = 3
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
class Alert:
    """One thing to tell a person. Its texts are safe to show anywhere: see `neutralize`.

    Attributes:
        kind: One of `settings.ALERT_KINDS`.
        title: What happened, in a few words.
        day: The partition, if it is about one.
        reason: Why, in a sentence or two.
        link: Where to see more, an http(s) URL.
        key: The event's identity. Two alerts with one key are about the same event.
    """

    kind: str
    title: str
    day: str | None
    reason: str
    link: str | None
    key: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", neutralize(self.title, TITLE_CHARACTERS) or self.kind)
        object.__setattr__(self, "reason", neutralize(self.reason, REASON_CHARACTERS) or "no reason was given")
        object.__setattr__(self, "link", _clean_link(self.link))


_BECOMES_SPACE = {"Cc", "Zl", "Zp"}  # line breaks, NUL and terminal escapes
_IS_DROPPED = {"Cf", "Cs"}  # invisible, reverses the direction of writing, or cannot be encoded
_FULL_WIDTH = str.maketrans({letter: chr(ord(letter) + 0xFEE0) for letter in "<>&`*~|[]\\"})
_ZERO_WIDTH_SPACE = "\N{ZERO WIDTH SPACE}"
_STARTS_A_LINK_OR_MENTION = re.compile(r"@|:(?=//)|www(?=\.)", re.IGNORECASE)


def neutralize(text: str, longest_characters: int) -> str:
    """Return a text as one short line that no chat and no mail program takes for anything but text.

    Reasons quote mail. Slack, Mattermost and Discord each have their own markup, so nothing is escaped, which one
    of them would show: what could form markup becomes its full-width twin, and an invisible space breaks mentions
    (`@channel`) and links that start with a scheme or `www`. Credentials in URLs go. Doing it twice changes nothing.
    """
    text = text[:LONGEST_INPUT_CHARACTERS]
    categories = ((letter, unicodedata.category(letter)) for letter in text)
    text = "".join(" " if kind in _BECOMES_SPACE else letter for letter, kind in categories if kind not in _IS_DROPPED)
    text = hide_credentials(" ".join(text.split()))
    if len(text) > longest_characters:
        text = text[: longest_characters - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
    return _STARTS_A_LINK_OR_MENTION.sub(lambda found: found[0] + _ZERO_WIDTH_SPACE, text.translate(_FULL_WIDTH))


def _clean_link(link: str | None) -> str | None:
    if link is None or not link.startswith(("http://", "https://")):
        return None
    return quote(hide_credentials(link), safe="/:?#=&%[]", errors="replace")


def describe_run_failure(
    run_id: str, job_name: str, days: Sequence[str], failures: Sequence[tuple[str, str]], dagster_url: str | None
) -> Alert:
    """Describe a Dagster run that failed.

    Args:
        run_id: Of the run.
        job_name: Of its job.
        days: The days that failed, as far as they are known.
        failures: What failed (step or asset) and why, in a sentence.
        dagster_url: Where the Dagster UI is, for the link.
    """
    first, last = min(days, default=""), max(days, default="")
    when = {0: "", 1: f" for {first}"}.get(len(days), f" for {len(days)} days from {first} to {last}")
    shown = failures[:FAILURES_IN_FULL]
    room = REASON_CHARACTERS // max(len(shown), 1) - 10  # for what stands between them
    sentences = [neutralize(f"{step}: {sentence}".rstrip(". "), room) for step, sentence in shown]
    if len(failures) > len(shown):
        sentences.append(f"and {len(failures) - len(shown)} more")
    return Alert(
        kind="run_failed",
        title=f"{job_name} failed{when}",
        day=first if len(days) == 1 else None,
        reason="; ".join(sentences) or "no step says why; look at the run",
        link=_link(dagster_url, f"runs/{quote(run_id, safe='')}"),
        key=f"run_failed:{run_id}",
    )


def describe_decision_alert(
    day: str, version: int, *, promoted: bool, reason: str, dagster_url: str | None = None
) -> Alert:
    """Describe that a candidate became the champion, or that it was refused, and why."""
    return Alert(
        kind="champion_promoted" if promoted else "champion_refused",
        title=f"Model version {version}, trained for {day}, {'is the new champion' if promoted else 'was refused'}",
        day=day,
        reason=reason,
        link=_asset_link(dagster_url, "registered_model", day),
        key=f"champion_{'promoted' if promoted else 'refused'}:{day}:{version}",
    )


def describe_missing_mail(day: str, hours_late: float, dagster_url: str | None = None) -> Alert:
    """Describe a day for which nothing has landed, so many hours after it should have."""
    return Alert(
        kind="no_mail",
        title=f"No mail of {day}",
        day=day,
        reason=(
            f"{hours_late:.0f} hours after it was due, the landing zone has no file of {day}; "
            "see whether the program that lands mail still runs"
        ),
        link=_asset_link(dagster_url, "raw_mail", day),
        key=f"no_mail:{day}",
    )


def describe_landing_problem(day: str | None, problem: str, dagster_url: str | None = None) -> Alert:
    """Describe a day's file that cannot be used, or, without a day, a landing zone that cannot be read.

    Another problem of the same day is another event. All problems of the zone are one event, because their texts
    often change with every try; it ends, and its key is to be forgotten, when the zone can be read again.
    """
    what = "zone" if day is None else f"{day}:{sha256(problem.encode(errors='replace')).hexdigest()[:16]}"
    return Alert(
        kind="landing_problem",
        title="The landing zone cannot be read" if day is None else f"The landed file of {day} cannot be used",
        day=day,
        reason=problem,
        link=_asset_link(dagster_url, "raw_mail", day),
        key=f"landing_problem:{what}",
    )


def describe_landing_problems(problems: Sequence[Alert], dagster_url: str | None = None) -> Alert:
    """Describe the problems of many days at once: a program that does something wrong does it every day."""
    days = sorted(alert.day for alert in problems if alert.day is not None)
    shown = [f"{alert.day}: {alert.reason}" for alert in problems[:FAILURES_IN_FULL]]
    if len(problems) > len(shown):
        shown.append(f"and {len(problems) - len(shown)} more")
    return Alert(
        kind="landing_problem",
        title=f"The landed files of {len(days)} days from {days[0]} to {days[-1]} cannot be used",
        day=None,
        reason="; ".join(shown),
        link=_asset_link(dagster_url, "raw_mail", None),
        key="landing_problems:" + sha256("".join(alert.key for alert in problems).encode()).hexdigest()[:16],
    )


def _link(dagster_url: str | None, path: str) -> str | None:
    return dagster_url and f"{dagster_url.rstrip('/')}/{path}"


def _asset_link(dagster_url: str | None, asset: str, day: str | None) -> str | None:
    return _link(dagster_url, f"assets/{asset}?view=partitions" + (f"&partition={quote(day, safe='')}" if day else ""))


@dataclass(frozen=True)
class _Refusal:
    """Why a message was not delivered, in words of ours."""

    reason: str
    wait_seconds: float | None = None
    """How long to wait before it is tried again; None where that would be of no use."""
    has_reached_somebody: bool = False


@dataclass(frozen=True)
class Webhook:
    """An incoming webhook that takes Slack's JSON: Slack's own, Mattermost's, and Discord's with `/slack`."""

    url: SecretStr

    @property
    def name(self) -> str:
        """What errors call it. Not even the host: the URL as a whole is the secret."""
        return "the webhook"

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

    def try_to_send(self, body: bytes) -> _Refusal | None:
        """Post once; None if that went well."""
        try:
            request = Request(  # noqa: S310 - the settings take http and https only
                self.url.get_secret_value(),
                body,
                {"Content-Type": "application/json", "User-Agent": "spam_assets"},
                method="POST",
            )
            with build_opener(_FollowNothing).open(request, timeout=TIMEOUT_SECONDS):
                return None
        except HTTPError as error:
            with error:
                return _judge_status(error.code, error.headers.get("Retry-After"))
        except URLError as error:
            return _judge_connection(error.reason)
        except (OSError, HTTPException, ValueError) as error:
            return _judge_connection(error)


class _FollowNothing(HTTPRedirectHandler):
    """A redirect would send what was for one server to another."""

    def redirect_request(self, *_: Any) -> None:
        """Return that there is nothing to follow."""


def _judge_status(status: int, retry_after: str | None) -> _Refusal:
    if 300 <= status < 400:
        return _Refusal(f"answers with a redirect (HTTP {status}), which is not followed; set the final URL")
    if status != 429 and status < 500:
        return _Refusal(f"answers HTTP {status}; see whether it still exists and SPAM_ASSETS_ALERT_WEBHOOK is right")
    wait_seconds = WAIT_SECONDS
    with suppress(ValueError, TypeError):
        wait_seconds = float(retry_after or "")
    if not 0 <= wait_seconds <= LONGEST_WAIT_SECONDS:  # NaN as well
        return _Refusal(f"answers HTTP {status} and asks for a longer wait than {LONGEST_WAIT_SECONDS:g} seconds")
    return _Refusal(f"answers HTTP {status}", wait_seconds)


def _judge_connection(error: object) -> _Refusal:
    """Say why a server could not be talked to. The error's own text may quote the secret."""
    if isinstance(error, TimeoutError):
        # Not tried again: the message may have arrived, and a sensor's tick has a minute for everything.
        return _Refusal(f"does not answer within {TIMEOUT_SECONDS:g} seconds")
    if isinstance(error, ssl.SSLCertVerificationError):
        return _Refusal("shows a certificate that is not trusted; SSL_CERT_FILE can name your own authority's")
    if isinstance(error, ssl.SSLError):
        return _Refusal("does not speak TLS on this port")
    if isinstance(error, gaierror):
        return _Refusal("has a host name that cannot be found", WAIT_SECONDS)
    if isinstance(error, ConnectionRefusedError):
        return _Refusal("refuses the connection", WAIT_SECONDS)
    if isinstance(error, OSError | HTTPException):
        return _Refusal(f"cannot be reached ({type(error).__name__})", WAIT_SECONDS)
    return _Refusal(f"cannot be used ({type(error).__name__})")


@dataclass(frozen=True)
class EmailServer:
    """A mail server and whom to write to.

    A password only travels encrypted, to a server whose certificate is trusted, or within this machine. Without one,
    `smtp://` encrypts when the server offers it and trusts any certificate, as mail servers do among themselves
    (RFC 7435): refusing would not help, as a server in the middle need not offer encryption at all.
    """

    url: SecretStr
    sender: str
    recipients: tuple[str, ...]

    @property
    def name(self) -> str:
        """What errors call it."""
        return f"the e-mail server {urlsplit(self.url.get_secret_value()).hostname}"

    def compose(self, alert: Alert) -> EmailMessage:
        """Return the message. Its id is the same at a second try, so that a mail program shows it once."""
        message = EmailMessage()
        message["Subject"] = f"[spam_assets] {alert.title}"
        message["From"] = self.sender
        message["To"] = ", ".join(self.recipients)
        message["Date"] = format_datetime(localtime())
        message["Message-ID"] = make_msgid(domain=self.sender.rpartition("@")[2])
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office replies
        message.set_content("\n\n".join(filter(None, (f"{alert.title}.", f"Reason: {alert.reason}", alert.link))))
        return message

    def try_to_send(self, message: EmailMessage) -> _Refusal | None:
        """Hand the message over once; None if every recipient was accepted."""
        try:
            server = self._connect()
            try:
                self._log_in(server)
                refused = server.send_message(message, self.sender, self.recipients)
                with suppress(smtplib.SMTPException, OSError):  # the message is accepted, whatever comes now
                    server.quit()
            finally:
                server.close()
        except (smtplib.SMTPException, OSError, ValueError) as error:
            return _judge_smtp(error)
        if refused:
            return _Refusal(f"refuses {len(refused)} of {len(self.recipients)} recipients", has_reached_somebody=True)
        return None

    def _connect(self) -> smtplib.SMTP:
        url = urlsplit(self.url.get_secret_value())
        host = url.hostname or ""
        if url.scheme == "smtps":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(host, url.port or 465, timeout=TIMEOUT_SECONDS, context=context)
        return smtplib.SMTP(host, url.port or 25, timeout=TIMEOUT_SECONDS)

    def _log_in(self, server: smtplib.SMTP) -> None:
        url = urlsplit(self.url.get_secret_value())
        server.ehlo_or_helo_if_needed()
        if url.scheme == "smtp" and server.has_extn("starttls"):
            context = ssl.create_default_context()
            if url.username is None:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            server.starttls(context=context)
        elif url.scheme == "smtp" and url.username is not None and not _is_this_machine(url.hostname or ""):
            raise _UnprotectedPasswordError
        if url.username is not None:
            server.login(unquote(url.username), unquote(url.password or ""))


class _UnprotectedPasswordError(ValueError):
    """The server would get the password in the clear."""


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _judge_smtp(error: Exception) -> _Refusal:
    """Say why a mail server did not take a message; its own words may quote the user."""
    if isinstance(error, _UnprotectedPasswordError):
        return _Refusal("offers no encryption, so the password is not sent; try smtps://")
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return _Refusal("does not accept the user and password of SPAM_ASSETS_ALERT_SMTP")
    if isinstance(error, smtplib.SMTPNotSupportedError) or type(error) is smtplib.SMTPException:
        return _Refusal("offers no way to log in that is known here")
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        is_temporary = all(code < 500 for code, _ in error.recipients.values())
        return _Refusal("refuses every recipient", WAIT_SECONDS if is_temporary else None)
    if isinstance(error, smtplib.SMTPResponseException):
        return _Refusal(f"answers {error.smtp_code}", WAIT_SECONDS if error.smtp_code < 500 else None)
    if isinstance(error, smtplib.SMTPServerDisconnected):
        # smtplib says so of every connection that ends, also by a time-out
        return _judge_connection(error.__context__ if isinstance(error.__context__, OSError) else error)
    return _judge_connection(error)


@dataclass(frozen=True)
class AlertChannels:
    """Where alerts go, and which kinds of them."""

    channels: tuple[Webhook | EmailServer, ...]
    kinds: frozenset[str]

    @classmethod
    def from_settings(cls, settings: Settings) -> "AlertChannels":
        """Return the channels that the settings configure; there may be none."""
        channels: list[Webhook | EmailServer] = []
        if settings.alert_webhook is not None:
            channels.append(Webhook(settings.alert_webhook))
        if settings.alert_smtp is not None and settings.alert_email_from is not None:
            channels.append(EmailServer(settings.alert_smtp, settings.alert_email_from, settings.alert_recipients))
        return cls(tuple(channels), settings.alert_kinds)

    def send(self, alert: Alert) -> list[str]:
        """Send an alert once through every channel and return their names; none if its kind is not wanted.

        Raises:
            AlertError: a channel failed; the others were tried all the same.
        """
        if alert.kind not in self.kinds and alert.kind != TEST_KIND:
            return []
        sent: list[str] = []
        failed: list[str] = []
        for channel in self.channels:
            refusal = _send(channel, alert)
            if refusal is None or refusal.has_reached_somebody:
                sent.append(channel.name)
            if refusal is not None:
                failed.append(f"{channel.name} {refusal.reason}")
        if failed:
            raise AlertError(f"an alert did not get through: {'; '.join(failed)}", sent)
        return sent


def _send(channel: Webhook | EmailServer, alert: Alert) -> _Refusal | None:
    message: Any = channel.compose(alert)
    refusal = channel.try_to_send(message)
    for _ in range(TRIES - 1):
        if refusal is None or refusal.wait_seconds is None:
            break
        time.sleep(refusal.wait_seconds)
        refusal = channel.try_to_send(message)
    return refusal


def send_test_alert(settings: Settings) -> list[str]:
    """Send an alert about nothing through every channel, whatever SPAM_ASSETS_ALERT_ON says; return their names.

    Raises:
        AlertError: no channel is configured, or one failed.
    """
    channels = AlertChannels.from_settings(settings)
    if not channels.channels:
        raise AlertError(
            "no alerts are configured; set SPAM_ASSETS_ALERT_WEBHOOK, or the three SPAM_ASSETS_ALERT_EMAIL_TO, "
            "SPAM_ASSETS_ALERT_EMAIL_FROM and SPAM_ASSETS_ALERT_SMTP"
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
