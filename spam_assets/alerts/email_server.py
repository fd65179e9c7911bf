"""A mail server that alerts are handed to.

Its password is a secret. Errors of the standard library, which quote what the server says, never leave this module,
neither as text nor as the context of ours.
"""

import smtplib
import ssl
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime, localtime, make_msgid
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from spam_assets.alerts import delivery
from spam_assets.alerts.delivery import Delivery, Refusal, deliver, is_this_machine
from spam_assets.alerts.message import Alert


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

    def send(self, alert: Alert) -> list[Delivery]:
        """Hand an alert over, a second time where the server was busy."""
        message = self.compose(alert)
        return [deliver(self.name, lambda: self.try_to_send(message))]

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

    def try_to_send(self, message: EmailMessage) -> Refusal | None:
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
            return Refusal(f"refuses {len(refused)} of {len(self.recipients)} recipients", has_reached_somebody=True)
        return None

    def _connect(self) -> smtplib.SMTP:
        url = urlsplit(self.url.get_secret_value())
        host = url.hostname or ""
        if url.scheme == "smtps":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(host, url.port or 465, timeout=delivery.TIMEOUT_SECONDS, context=context)
        return smtplib.SMTP(host, url.port or 25, timeout=delivery.TIMEOUT_SECONDS)

    def _log_in(self, server: smtplib.SMTP) -> None:
        url = urlsplit(self.url.get_secret_value())
        server.ehlo_or_helo_if_needed()
        if url.scheme == "smtp" and server.has_extn("starttls"):
            context = ssl.create_default_context()
            if url.username is None:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            server.starttls(context=context)
        elif url.scheme == "smtp" and url.username is not None and not is_this_machine(url.hostname or ""):
            raise _UnprotectedPasswordError
        if url.username is not None:
            server.login(unquote(url.username), unquote(url.password or ""))


class _UnprotectedPasswordError(ValueError):
    """The server would get the password in the clear."""


def _judge_smtp(error: Exception) -> Refusal:
    """Say why a mail server did not take a message; its own words may quote the user."""
    if isinstance(error, _UnprotectedPasswordError):
        return Refusal("offers no encryption, so the password is not sent; try smtps://")
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return Refusal("does not accept the user and password of SPAM_ASSETS_ALERT_SMTP")
    if isinstance(error, smtplib.SMTPNotSupportedError) or type(error) is smtplib.SMTPException:
        return Refusal("offers no way to log in that is known here")
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        is_temporary = all(code < 500 for code, _ in error.recipients.values())
        return Refusal("refuses every recipient", delivery.WAIT_SECONDS if is_temporary else None)
    if isinstance(error, smtplib.SMTPResponseException):
        return Refusal(f"answers {error.smtp_code}", delivery.WAIT_SECONDS if error.smtp_code < 500 else None)
    if isinstance(error, smtplib.SMTPServerDisconnected):
        # smtplib says so of every connection that ends, also by a time-out
        return delivery.judge_connection(error.__context__ if isinstance(error.__context__, OSError) else error)
    return delivery.judge_connection(error)
