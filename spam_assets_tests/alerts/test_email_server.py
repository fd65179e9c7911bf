"""A mail server, on real SMTP servers, plain and with TLS."""

import re
import ssl
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from spam_assets_tests.alerts.sending import DAGSTER, DAY, HOSTILE, failure_of, mail_channels, make_alert, read
from spam_assets_tests.servers import SECRET, USER, MailServer


def test_an_email_reaches_every_recipient_once(mail_server: MailServer) -> None:
    assert mail_channels(mail_server.url()).send(make_alert()) == ["the e-mail server 127.0.0.1"]
    [(sender, recipients, raw)] = mail_server.mails
    assert sender.lower().startswith("from:<spam-assets@example.org>")
    assert [recipient.lower() for recipient in recipients] == ["to:<ops@example.com>", "to:<boss@example.com>"]
    message = read(raw)
    assert message["Subject"] == f"[spam_assets] Model version 7, trained for {DAY}, was refused"
    assert message["From"] == "spam-assets@example.org"
    assert message["To"] == "ops@example.com, boss@example.com"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"].endswith("@example.org>")
    assert abs(message["Date"].datetime - datetime.now(timezone.utc)) < timedelta(minutes=1)
    assert "Reason: the day has no spam" in message.get_content()
    assert f"{DAGSTER}/assets/registered_model?view=partitions&partition={DAY}" in message.get_content()


def test_hostile_text_adds_no_header_no_recipient_and_no_link(mail_server: MailServer) -> None:
    mail_channels(mail_server.url()).send(make_alert(HOSTILE + "\r\n.\r\nQUIT", title=HOSTILE, link=None))
    [(_, recipients, raw)] = mail_server.mails
    message = read(raw)
    assert len(recipients) == 2
    assert "Bcc" not in message
    assert message["Subject"].startswith("[spam_assets] subject")
    assert not re.search(r"://|[\r\n]", message["Subject"])
    assert "://" not in message.get_content()


def test_letters_of_any_script_arrive(mail_server: MailServer) -> None:
    mail_channels(mail_server.url()).send(make_alert("größer 日本 🎉", title="Übung 日本"))
    message = read(mail_server.mails[0][2])
    assert message["Subject"] == "[spam_assets] Übung 日本"
    assert "Reason: größer 日本 🎉" in message.get_content()


def test_a_password_goes_through_starttls(
    mail_server: MailServer, tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mail_server.tls, mail_server.knows = tls, (USER, f"{SECRET}@/")
    channels = mail_channels(mail_server.url(user=True))
    assert "shows a certificate that is not trusted" in str(failure_of(channels))
    assert "AUTH" not in mail_server.commands
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert channels.send(make_alert()) == ["the e-mail server 127.0.0.1"]
    assert mail_server.commands.index("STARTTLS") < mail_server.commands.index("AUTH")
    assert len(mail_server.mails) == 1


def test_smtps_is_tls_from_the_start_with_a_checked_certificate(
    mail_server: MailServer, tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mail_server.tls, mail_server.is_tls_from_the_start, mail_server.knows = tls, True, (USER, f"{SECRET}@/")
    channels = mail_channels(mail_server.url(user=True, scheme="smtps"))
    assert "shows a certificate that is not trusted" in str(failure_of(channels))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert channels.send(make_alert()) == ["the e-mail server 127.0.0.1"]
    assert "STARTTLS" not in mail_server.commands


def test_smtps_to_a_server_without_tls_is_an_error(mail_server: MailServer) -> None:
    assert "does not speak TLS on this port" in str(failure_of(mail_channels(mail_server.url(scheme="smtps"))))


def test_a_password_is_not_sent_in_the_clear_to_another_machine(mail_server: MailServer) -> None:
    mail_server.knows = (USER, f"{SECRET}@/")
    error = failure_of(mail_channels(mail_server.url(user=True, host="0.0.0.0")))
    assert "the e-mail server 0.0.0.0 offers no encryption, so the password is not sent" in str(error)
    assert "AUTH" not in mail_server.commands
    assert mail_channels(mail_server.url(user=True)).send(make_alert())  # within this machine it is


def test_without_a_password_any_certificate_will_do(mail_server: MailServer, tls: ssl.SSLContext) -> None:
    mail_server.tls = tls
    mail_channels(mail_server.url()).send(make_alert())
    assert "STARTTLS" in mail_server.commands
    assert len(mail_server.mails) == 1


def test_a_wrong_password_is_an_error_that_does_not_repeat_it(mail_server: MailServer) -> None:
    mail_server.knows = ("another", "password")
    error = failure_of(mail_channels(mail_server.url(user=True)))
    assert "does not accept the user and password of SPAM_ASSETS_ALERT_SMTP" in str(error)
    assert mail_server.commands.count("AUTH") == 1


def test_a_login_that_the_server_does_not_offer_is_an_error(mail_server: MailServer) -> None:
    assert "offers no way to log in" in str(failure_of(mail_channels(mail_server.url(user=True))))


@pytest.mark.parametrize("command", ["EHLO", "MAIL", "RCPT", "DATA"])
def test_a_mail_server_that_fails_for_a_moment_is_tried_again(mail_server: MailServer, command: str) -> None:
    later = [b"450 later"] * (2 if command == "RCPT" else 1)  # there are two recipients
    mail_server.answers = {command: later, "HELO": [b"450 later"]}
    assert mail_channels(mail_server.url()).send(make_alert())
    assert len(mail_server.mails) == 1


def test_a_mail_server_that_refuses_is_not_tried_again(mail_server: MailServer) -> None:
    mail_server.answers = {"MAIL": [f"550 {USER} {SECRET} no".encode()]}
    assert "the e-mail server 127.0.0.1 answers 550" in str(failure_of(mail_channels(mail_server.url())))
    assert mail_server.commands.count("MAIL") == 1
    mail_server.answers = {"RCPT": [b"550 nobody"] * 2}
    assert "refuses every recipient" in str(failure_of(mail_channels(mail_server.url())))
    assert mail_server.mails == []


def test_one_refused_recipient_of_two_is_an_error_after_the_other_got_it(mail_server: MailServer) -> None:
    mail_server.answers = {"RCPT": [b"550 nobody"]}
    error = failure_of(mail_channels(mail_server.url()))
    assert "refuses 1 of 2 recipients" in str(error)
    assert error.sent == ("the e-mail server 127.0.0.1",)
    assert len(mail_server.mails) == 1


def test_a_second_try_is_the_same_message_to_mail_programs(mail_server: MailServer) -> None:
    mail_server.ends_at = "AFTER DATA"
    mail_channels(mail_server.url()).send(make_alert())
    first, second = (read(raw)["Message-ID"] for _, _, raw in mail_server.mails)
    assert first == second
    mail_channels(mail_server.url()).send(make_alert())
    assert read(mail_server.mails[2][2])["Message-ID"] != first


def test_what_comes_after_the_message_was_accepted_does_not_matter(mail_server: MailServer) -> None:
    mail_server.answers = {"QUIT": [b"421 no"]}
    assert mail_channels(mail_server.url()).send(make_alert())
    mail_server.ends_at = "QUIT"
    assert mail_channels(mail_server.url()).send(make_alert())
    assert len(mail_server.mails) == 2


def test_a_mail_server_that_hangs_is_given_up_and_not_tried_again(mail_server: MailServer) -> None:
    mail_server.hangs_at = "MAIL"
    assert "does not answer within 0.5 seconds" in str(failure_of(mail_channels(mail_server.url())))
    assert mail_server.commands.count("MAIL") == 1


def test_a_mail_server_that_hangs_up_twice_is_an_error(mail_server: MailServer) -> None:
    mail_server.ends_at = "MAIL"
    assert "cannot be reached" in str(failure_of(mail_channels(mail_server.url())))
    assert mail_server.commands.count("MAIL") == 2
