"""Alerts: what they say, that hostile text stays text, that they arrive, and that secrets are shown nowhere.

They are sent to real servers on this machine: HTTP and SMTP, plain and with TLS.
"""

import logging
import pickle
import re
import ssl
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from spam_assets.alerts import channels as alerts
from spam_assets.alerts.channels import (
    REASON_CHARACTERS,
    TITLE_CHARACTERS,
    Alert,
    AlertChannels,
    AlertError,
    describe_decision_alert,
    describe_landing_problem,
    describe_missing_mail,
    describe_run_failure,
    neutralize,
    send_test_alert,
)
from spam_assets.settings import ALERT_KINDS, Settings, load_settings
from spam_assets_tests.servers import SECRET, USER, MailServer, WebhookServer, run_mail_server, run_webhook, serve_http

DAY = "2024-02-29"
DAGSTER = "http://127.0.0.1:3000"
HOSTILE = (
    "subject <!channel> <https://evil.example/|click> @here [win](https://evil.example) ![x](http://evil.example/p.png)"
    "\r\nBcc: everyone@example.com\x00\x1b[31m `code` *bold* ~gone~ ||spoiler|| www.evil.example \u202egnp.exe \ud800"
)


@pytest.fixture(autouse=True)
def plain_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No .env, no proxy between the tests and their servers, and no long waits."""
    monkeypatch.chdir(tmp_path)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(alerts, "TIMEOUT_SECONDS", 0.5)
    monkeypatch.setattr(alerts, "WAIT_SECONDS", 0.05)


def make_alert(reason: str = "the day has no spam", **changes: Any) -> Alert:
    return replace(
        describe_decision_alert(DAY, 7, promoted=False, reason=reason, dagster_url=DAGSTER),
        **changes,
    )


# What alerts say


def test_a_failed_run_says_which_job_which_day_which_step_and_why() -> None:
    failures = [("raw_mail", "3 messages have no label."), ("mail_features", "not enough memory.")]
    alert = describe_run_failure("r-1", "train_job", [DAY], failures, DAGSTER)
    assert alert == Alert(
        kind="run_failed",
        title=f"train_job failed for {DAY}",
        day=DAY,
        reason="raw_mail: 3 messages have no label; mail_features: not enough memory",
        link="http://127.0.0.1:3000/runs/r-1",
        key="run_failed:r-1",
    )


def test_a_failed_run_of_many_days_names_the_range_and_the_first_failures() -> None:
    failures = [(f"step_{number}", "x" * 1000) for number in range(9)]
    alert = describe_run_failure("r-1", "train_job", ["2024-03-02", "2024-03-01", "2024-03-05"], failures, DAGSTER)
    assert alert.title == "train_job failed for 3 days from 2024-03-01 to 2024-03-05"
    assert alert.day is None
    assert all(f"step_{number}: x" in alert.reason for number in range(3))
    assert alert.reason.endswith("; and 6 more")
    assert len(alert.reason) <= REASON_CHARACTERS


def test_a_failed_run_that_says_nothing_is_an_alert_all_the_same() -> None:
    alert = describe_run_failure("r-1", "train_job", [], [], None)
    assert alert.title == "train_job failed"
    assert alert.reason == "no step says why; look at the run"
    assert alert.link is None


@pytest.mark.parametrize(
    ("promoted", "kind", "words"),
    [(True, "champion_promoted", "is the new champion"), (False, "champion_refused", "was refused")],
)
def test_a_decision_says_version_day_and_reason(promoted: bool, kind: str, words: str) -> None:
    alert = describe_decision_alert(DAY, 7, promoted=promoted, reason="over the bar", dagster_url=DAGSTER)
    assert (alert.kind, alert.day, alert.reason) == (kind, DAY, "over the bar")
    assert alert.title == f"Model version 7, trained for {DAY}, {words}"
    assert alert.link == f"{DAGSTER}/assets/registered_model?view=partitions&partition={DAY}"
    assert alert.key == f"{kind}:{DAY}:7"


def test_missing_mail_says_day_and_delay_and_stays_one_event_as_the_delay_grows() -> None:
    alert = describe_missing_mail(DAY, 6.0, DAGSTER)
    assert alert.kind == "no_mail"
    assert DAY in alert.title
    assert "6 hours" in alert.reason
    assert alert.key == describe_missing_mail(DAY, 30.0, DAGSTER).key
    assert alert.key != describe_missing_mail("2024-03-01", 6.0, DAGSTER).key


def test_another_problem_of_a_landed_day_is_another_event_and_the_same_one_is_not() -> None:
    alert = describe_landing_problem(DAY, "two files for one day", DAGSTER)
    assert (alert.kind, alert.day, alert.reason) == ("landing_problem", DAY, "two files for one day")
    assert alert.key == describe_landing_problem(DAY, "two files for one day").key
    assert alert.key != describe_landing_problem(DAY, "the file is empty").key
    assert alert.key != describe_landing_problem("2024-03-01", "two files for one day").key


def test_a_zone_that_cannot_be_read_is_one_event_whatever_words_each_try_has() -> None:
    alert = describe_landing_problem(None, "request 1 timed out")
    assert alert.key == describe_landing_problem(None, "request 2 timed out").key
    assert alert.day is None


def test_every_kind_of_alert_is_a_kind_of_the_settings() -> None:
    made = [
        describe_run_failure("r", "j", [], [], None),
        describe_decision_alert(DAY, 1, promoted=True, reason=""),
        describe_decision_alert(DAY, 1, promoted=False, reason=""),
        describe_missing_mail(DAY, 1),
        describe_landing_problem(DAY, ""),
    ]
    assert tuple(alert.kind for alert in made) == ALERT_KINDS


# Hostile text stays text


@pytest.mark.parametrize(
    "build",
    [
        lambda text: describe_run_failure("r", "train_job", [DAY], [("raw_mail", text)], DAGSTER),
        lambda text: describe_decision_alert(DAY, 1, promoted=False, reason=text),
        lambda text: describe_landing_problem(DAY, text),
        lambda text: Alert("no_mail", text, None, text, None, "k"),
    ],
)
def test_hostile_text_forms_no_markup_no_mention_and_no_line(build: Callable[[str], Alert]) -> None:
    alert = build(HOSTILE)
    for text in (alert.title, alert.reason):
        assert text.isprintable() or set(filter(lambda letter: not letter.isprintable(), text)) == {"\u200b"}
        assert not re.search(r"[<>`*~|\[\]\\&]|@\w|://|www\.|\u202e|[\ud800-\udfff]", text)
    assert "subject" in alert.reason


def test_plain_text_is_left_as_it_is() -> None:
    sentence = "(1-ROCA)% 0.158 (at most 5) and spam recall 0.827 at 1 % FPR, trained_model; größer, 日本, #3!"
    assert neutralize(sentence, 200) == sentence


@pytest.mark.parametrize("text", [HOSTILE, "@" * 500, "a://b@c", "x" * 700, "", "  ", "www.www.x", "@@://@"])
def test_neutralizing_twice_changes_nothing(text: str) -> None:
    once = neutralize(text, 50)
    assert neutralize(once, 50) == once


def test_long_texts_are_cut() -> None:
    alert = Alert("no_mail", "t" * 10_000, None, "r" * 10_000_000, None, "k")
    assert (len(alert.title), len(alert.reason)) == (TITLE_CHARACTERS, REASON_CHARACTERS)
    assert alert.reason.endswith("…")


def test_credentials_of_a_url_go_even_where_the_text_is_cut() -> None:
    assert neutralize(f"no answer from postgresql://me:{SECRET}@db.example.com/x", 200) == (
        "no answer from postgresql:\u200b//db.example.com/x"
    )
    for padding in range(REASON_CHARACTERS):
        failure = ("raw_mail", "x" * padding + f" https://me:{SECRET}@db.example.com")
        assert SECRET[:6] not in describe_run_failure("r", "j", [], [failure], None).reason


def test_no_text_is_replaced_by_words() -> None:
    alert = Alert("no_mail", "\n", None, " \x00 ", None, "k")
    assert (alert.title, alert.reason) == ("no_mail", "no reason was given")


@pytest.mark.parametrize("link", ["javascript:alert(1)", "file:///etc/passwd", ""])
def test_a_link_is_http_or_none(link: str) -> None:
    assert make_alert(link=link).link is None


def test_a_link_can_close_nothing_and_holds_no_credentials() -> None:
    alert = make_alert(link=f"https://me:{SECRET}@dagster.example.com/runs/1>|<!here> \r\nx")
    assert alert.link is not None
    assert alert.link.startswith("https://dagster.example.com/runs/1%3E%7C%3C")
    assert not re.search(r"[<>|\s]", alert.link)


# A webhook


@pytest.fixture
def webhook() -> Iterator[WebhookServer]:
    with run_webhook() as state:
        yield state


def webhook_channels(url: str, **others: Any) -> AlertChannels:
    return AlertChannels.from_settings(Settings(alert_webhook=url, **others))


def failure_of(channels: AlertChannels, alert: Alert | None = None) -> AlertError:
    """Send, expect an error, and see that nothing about it shows a secret."""
    with pytest.raises(AlertError) as raised:
        channels.send(alert or make_alert())
    error = raised.value
    shown = "".join(traceback.format_exception(error)) + repr(error) + repr(channels) + repr(error.sent)
    assert SECRET not in shown
    assert USER not in shown
    assert error.__cause__ is None
    assert error.__context__ is None
    return error


def test_a_webhook_gets_one_message_in_slacks_json(webhook: WebhookServer) -> None:
    assert webhook_channels(webhook.url).send(make_alert()) == ["the webhook"]
    [(_, path, message)] = webhook.requests
    assert path == f"/services/{SECRET}?token={SECRET}"
    assert webhook.content_types == ["application/json"]
    link = f"{DAGSTER}/assets/registered_model?view=partitions&partition={DAY}"
    title = f"Model version 7, trained for {DAY}, was refused"
    assert message["text"] == f"spam_assets: {title}\nReason: the day has no spam\n{link}"
    header, reason, button = message["blocks"]
    assert header == {"type": "header", "text": {"type": "plain_text", "text": title, "emoji": False}}
    assert reason["text"] == {"type": "plain_text", "text": "the day has no spam", "emoji": False}
    assert button["text"] == {"type": "mrkdwn", "text": f"<{link.replace('&', '&amp;')}|Open in Dagster>"}
    assert message["unfurl_links"] is False


def test_hostile_text_cannot_mention_link_or_outgrow_what_chats_take(webhook: WebhookServer) -> None:
    for reason in (HOSTILE, "@" * 10_000, "<!channel>" * 1000):
        webhook_channels(webhook.url).send(make_alert(reason, title=reason, link=None))
    for _, _, message in webhook.requests:
        assert not re.search(r"[<>]|@\w|://|\]\(", message["text"])
        assert message["text"].count("\n") == 1
        assert len(message["text"]) <= 2000
        assert len(message["blocks"]) == 2
        assert len(message["blocks"][0]["text"]["text"]) <= 150
        assert {block["text"]["type"] for block in message["blocks"]} == {"plain_text"}


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_webhook_that_fails_for_a_moment_is_tried_again(webhook: WebhookServer, status: int) -> None:
    webhook.answers = [(status, {})]
    assert webhook_channels(webhook.url).send(make_alert()) == ["the webhook"]
    assert len(webhook.requests) == 2


def test_a_webhook_that_goes_on_failing_is_tried_twice(webhook: WebhookServer) -> None:
    webhook.answers = [(500, {}), (502, {})]
    error = failure_of(webhook_channels(webhook.url))
    assert str(error) == "an alert did not get through: the webhook answers HTTP 502"
    assert len(webhook.requests) == 2


@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_a_webhook_that_refuses_is_not_tried_again(webhook: WebhookServer, status: int) -> None:
    webhook.answers = [(status, {})]
    assert f"the webhook answers HTTP {status}; see whether" in str(failure_of(webhook_channels(webhook.url)))
    assert len(webhook.requests) == 1


def test_a_webhook_is_left_in_peace_for_as_long_as_it_asks(webhook: WebhookServer) -> None:
    webhook.answers = [(429, {"Retry-After": "1"})]
    webhook_channels(webhook.url).send(make_alert())
    (first, _, _), (second, _, _) = webhook.requests
    assert 1.0 <= second - first < 3.0


@pytest.mark.parametrize("wait", ["60", "1e999", "nan", "-1"])
def test_a_long_or_senseless_wait_is_not_waited_for(webhook: WebhookServer, wait: str) -> None:
    webhook.answers = [(429, {"Retry-After": wait})]
    assert "HTTP 429 and asks for a longer wait" in str(failure_of(webhook_channels(webhook.url)))
    assert len(webhook.requests) == 1


def test_a_wait_in_words_is_tried_after_our_own(webhook: WebhookServer) -> None:
    webhook.answers = [(503, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"})]
    assert webhook_channels(webhook.url).send(make_alert()) == ["the webhook"]


def test_a_webhook_that_hangs_is_given_up_and_not_tried_again(webhook: WebhookServer) -> None:
    webhook.answers = [(0, {}), (0, {})]
    began = time.monotonic()
    assert "the webhook does not answer within 0.5 seconds" in str(failure_of(webhook_channels(webhook.url)))
    assert time.monotonic() - began < 3
    assert len(webhook.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(webhook: WebhookServer, status: int) -> None:
    elsewhere = WebhookServer()
    server = serve_http(elsewhere)
    webhook.answers = [(status, {"Location": f"http://127.0.0.1:{elsewhere.port}/?stolen={SECRET}"})]
    assert f"a redirect (HTTP {status}), which is not followed" in str(failure_of(webhook_channels(webhook.url)))
    assert elsewhere.requests == []
    assert len(webhook.requests) == 1
    server.shutdown()
    server.server_close()


def test_a_webhook_where_nobody_listens_is_an_error(webhook: WebhookServer) -> None:
    server = serve_http(gone := WebhookServer())
    server.shutdown()
    server.server_close()
    assert "the webhook refuses the connection" in str(failure_of(webhook_channels(gone.url)))


def test_a_webhook_whose_name_is_nowhere_is_an_error() -> None:
    channels = webhook_channels(f"https://{SECRET}.invalid/services/x")
    assert "the webhook has a host name that cannot be found" in str(failure_of(channels))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and self-signed certificate of 127.0.0.1, in one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(timezone.utc)
    public = key.public_key()
    is_used_for = dict.fromkeys(
        "content_commitment key_encipherment data_encipherment key_agreement crl_sign encipher_only "
        "decipher_only".split(),
        False,
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        # Python 3.13 asks for all of these
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, key_cert_sign=True, **is_used_for), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + made.public_bytes(encoding))
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_the_certificate_of_a_webhook_is_checked(
    tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve_http(state := WebhookServer(), tls)
    channels = webhook_channels(state.url.replace("http:", "https:"))
    assert "the webhook shows a certificate that is not trusted" in str(failure_of(channels))
    assert state.requests == []
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert channels.send(make_alert()) == ["the webhook"]
    server.shutdown()
    server.server_close()


# A mail server


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    with run_mail_server() as state:
        yield state


def mail_settings(url: str, **others: Any) -> Settings:
    return Settings(
        alert_smtp=url,
        alert_email_to="ops@example.com, boss@example.com,ops@example.com",
        alert_email_from="spam-assets@example.org",
        **others,
    )


def mail_channels(url: str, **others: Any) -> AlertChannels:
    return AlertChannels.from_settings(mail_settings(url, **others))


def read(raw: bytes) -> EmailMessage:
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


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


# All channels together


def test_an_alert_goes_to_every_channel(webhook: WebhookServer, mail_server: MailServer) -> None:
    channels = mail_channels(mail_server.url(), alert_webhook=webhook.url)
    assert channels.send(make_alert()) == ["the webhook", "the e-mail server 127.0.0.1"]
    assert (len(webhook.requests), len(mail_server.mails)) == (1, 1)


def test_when_one_channel_fails_the_other_is_still_tried(webhook: WebhookServer, mail_server: MailServer) -> None:
    channels = mail_channels(mail_server.url(), alert_webhook=webhook.url)
    webhook.answers = [(404, {})]
    error = failure_of(channels)
    assert "the webhook" in str(error)
    assert "e-mail" not in str(error)
    assert error.sent == ("the e-mail server 127.0.0.1",)
    assert len(mail_server.mails) == 1
    mail_server.answers = {"MAIL": [b"550 no"]}
    error = failure_of(channels)
    assert "the e-mail server 127.0.0.1" in str(error)
    assert error.sent == ("the webhook",)
    assert len(webhook.requests) == 2


def test_an_error_names_every_channel_that_failed(webhook: WebhookServer, mail_server: MailServer) -> None:
    webhook.answers = [(404, {})]
    mail_server.answers = {"MAIL": [b"550 no"]}
    error = failure_of(mail_channels(mail_server.url(), alert_webhook=webhook.url))
    assert "the webhook answers HTTP 404" in str(error)
    assert "; the e-mail server 127.0.0.1 answers 550" in str(error)
    assert error.sent == ()


def test_only_the_kinds_that_are_wanted_are_sent(webhook: WebhookServer) -> None:
    channels = webhook_channels(webhook.url, alert_on="run_failed, no_mail")
    assert channels.send(make_alert()) == []
    assert webhook.requests == []
    assert channels.send(describe_missing_mail(DAY, 3)) == ["the webhook"]


def test_without_a_channel_nothing_is_sent() -> None:
    assert AlertChannels.from_settings(Settings()).send(make_alert()) == []


def test_a_test_alert_goes_to_every_channel_whatever_is_wanted(webhook: WebhookServer, mail_server: MailServer) -> None:
    settings = mail_settings(mail_server.url(), alert_webhook=webhook.url, alert_on="no_mail")
    assert send_test_alert(settings) == ["the webhook", "the e-mail server 127.0.0.1"]
    assert "Test: alerts arrive here" in webhook.requests[0][2]["text"]
    assert "no_mail" in read(mail_server.mails[0][2]).get_content()


def test_a_test_alert_without_a_channel_says_what_to_set() -> None:
    with pytest.raises(AlertError, match="SPAM_ASSETS_ALERT_WEBHOOK"):
        send_test_alert(Settings())


def test_secrets_are_in_no_log_no_output_and_no_repr(
    webhook: WebhookServer,
    mail_server: MailServer,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    mail_server.knows = (USER, f"{SECRET}@/")
    settings = mail_settings(mail_server.url(user=True), alert_webhook=webhook.url)
    channels = AlertChannels.from_settings(settings)
    channels.send(make_alert())
    webhook.answers, mail_server.answers = [(500, {}), (500, {})], {"MAIL": [b"550 no"]}
    failure_of(channels)
    shown = caplog.text + "".join(capfd.readouterr())
    shown += repr(settings) + str(settings.model_dump()) + settings.model_dump_json()
    shown += repr(channels) + str(channels) + repr(channels.channels)
    assert SECRET not in shown
    assert USER not in shown
    assert pickle.loads(pickle.dumps(channels)) == channels


# Settings


@pytest.mark.parametrize(
    "url",
    [
        SECRET,
        f"ftp://example.com/{SECRET}",
        f"file:///{SECRET}",
        f"https:///{SECRET}",
        f"https://me:{SECRET}@example.com/x",
        f"https://example.com/{SECRET} x",
        f"https://example.com/{SECRET}\nx",
        f"https://example.com/{SECRET}\u00e9",
        f"https://example.com:{SECRET}/",
        f"https://[{SECRET}/",
        f"https://example.com/#{SECRET}",
    ],
)
def test_a_webhook_that_is_no_url_is_refused_without_showing_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPAM_ASSETS_ALERT_WEBHOOK", url)
    assert "SPAM_ASSETS_ALERT_WEBHOOK must be the whole URL" in refusal()


@pytest.mark.parametrize(
    "url",
    [
        SECRET,
        f"https://{USER}:{SECRET}@example.com",
        f"smtp://{USER}:{SECRET}@",
        f"smtp://{USER}:{SECRET}/x@example.com",  # a slash in the password makes it the port
        f"smtp://{USER}:1#{SECRET}@example.com",
        f"smtp://{USER}:{SECRET}@example.com:99999",
        f"smtp://{USER}:{SECRET}@example.com/path",
        f"smtp://{USER}:{SECRET}@example.com?tls=no",
        f"smtp://{SECRET}@example.com",
        f"smtp://:{SECRET}@example.com",
        f"smtp://{USER}:{SECRET}%0d%0a@example.com",
        f"smtp://{USER}:{SECRET}\u2100@example.com",
        "smtp://@example.com",
        "smtp://",
    ],
)
def test_a_mail_server_that_is_no_url_is_refused_without_showing_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_email(monkeypatch, SMTP=url)
    assert "SPAM_ASSETS_ALERT_SMTP must be smtp://user:password@host:587" in refusal()


@pytest.mark.parametrize(
    "url",
    [
        "smtp://localhost",
        "smtp://localhost:25/",
        f"smtp://{USER}:{SECRET}@example.com:587",
        f"smtps://{USER}%40example.com:{SECRET}%40%2F%23@example.com",
        "smtps://[::1]:465",
    ],
)
def test_a_mail_server_that_is_a_url_is_taken(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_email(monkeypatch, SMTP=url)
    settings = load_settings()
    assert settings.alert_smtp is not None
    assert settings.alert_smtp.get_secret_value() == url


@pytest.mark.parametrize("missing", ["EMAIL_TO", "EMAIL_FROM", "SMTP"])
def test_email_without_one_of_its_three_settings_is_refused_by_their_names(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_email(monkeypatch, **{missing: ""})
    message = refusal()
    assert f"are set but SPAM_ASSETS_ALERT_{missing} is not; alerts by e-mail need all three" in message
    assert all(f"SPAM_ASSETS_ALERT_{name}" in message for name in ("EMAIL_TO", "EMAIL_FROM", "SMTP"))


def test_email_with_one_of_its_three_settings_is_refused_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    set_email(monkeypatch, EMAIL_TO="", EMAIL_FROM="")
    assert (
        "SPAM_ASSETS_ALERT_SMTP is set but SPAM_ASSETS_ALERT_EMAIL_TO and SPAM_ASSETS_ALERT_EMAIL_FROM are not"
        in refusal()
    )


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("EMAIL_TO", "a@example.com,no address", "entry 2 of SPAM_ASSETS_ALERT_EMAIL_TO"),
        ("EMAIL_TO", "a@example.com\nBcc: b@example.com", "entry 1 of SPAM_ASSETS_ALERT_EMAIL_TO"),
        ("EMAIL_TO", "a@exämple.com", "entry 1 of SPAM_ASSETS_ALERT_EMAIL_TO"),
        ("EMAIL_FROM", "Ops <ops@example.com>", "SPAM_ASSETS_ALERT_EMAIL_FROM must be one address"),
        ("EMAIL_FROM", "a@example.com,b@example.com", "SPAM_ASSETS_ALERT_EMAIL_FROM must be one address"),
        ("ON", "run_failed,everything", "entry 2 of SPAM_ASSETS_ALERT_ON is none of run_failed, champion_promoted,"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_name(
    name: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_email(monkeypatch, **{name: value})
    assert words in refusal()


def test_every_kind_is_sent_unless_some_are_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().alert_kinds == set(ALERT_KINDS)
    monkeypatch.setenv("SPAM_ASSETS_ALERT_ON", "no_mail, run_failed,")
    assert load_settings().alert_kinds == {"no_mail", "run_failed"}


def set_email(monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    values = {
        "EMAIL_TO": "ops@example.com",
        "EMAIL_FROM": "spam-assets@example.com",
        "SMTP": f"smtp://{USER}:{SECRET}@mail.example.com:587",
    }
    for name, value in {**values, **changes}.items():
        monkeypatch.setenv(f"SPAM_ASSETS_ALERT_{name}", value)


def refusal() -> str:
    """The message for settings that cannot be used, which shows no secret however it is shown."""
    with pytest.raises(ValidationError) as raised:
        load_settings()
    error = raised.value
    shown = "".join(traceback.format_exception(error)) + repr(error)
    shown += str(error.errors(include_url=False, include_input=False))
    assert SECRET not in shown
    assert USER not in shown
    return str(error)
