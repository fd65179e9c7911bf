"""Services through Apprise, on real HTTP servers, plain and with TLS: what Apprise does by itself is not enough."""

import logging
import pickle
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from spam_assets.alerts import delivery, services
from spam_assets.alerts.channels import AlertChannels, send_test_alert
from spam_assets.alerts.service_process import Answer, Order, Outcome
from spam_assets.settings import Settings
from spam_assets_tests.alerts.sending import DAGSTER, DAY, HOSTILE, failure_of, make_alert, webhook_channels
from spam_assets_tests.servers import SECRET, USER, MailServer, WebhookServer, run_webhook, serve_http

NAME = "JSON (entry 1 of SPAM_ASSETS_ALERT_URLS)"
NOT_THIS_MACHINE = "0.0.0.0"  # reaches it all the same


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine with much to do a process takes its time."""
    monkeypatch.setattr(delivery, "TIMEOUT_SECONDS", 10.0)
    monkeypatch.setattr(services, "SECONDS_FOR_STARTING", 60.0)
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


def service_url(server: WebhookServer, scheme: str = "json", host: str = "127.0.0.1", more: str = "") -> str:
    """An Apprise URL that is full of secrets: user, password, path and header."""
    return f"{scheme}://{USER}:{SECRET}@{host}:{server.port}/services/{SECRET}?+token={SECRET}{more}"


def service_channels(*urls: str) -> AlertChannels:
    return AlertChannels.from_settings(Settings(alert_urls=",".join(urls)))


@contextmanager
def serve_encrypted(tls: ssl.SSLContext) -> Iterator[WebhookServer]:
    server = serve_http(state := WebhookServer(), tls)
    yield state
    server.shutdown()
    server.server_close()


def test_a_service_gets_one_message_with_title_reason_and_link(webhook: WebhookServer) -> None:
    assert service_channels(service_url(webhook)).send(make_alert()) == [NAME]
    [(_, path, message)] = webhook.requests
    assert path == f"/services/{SECRET}"
    assert message["title"] == f"spam_assets: Model version 7, trained for {DAY}, was refused"
    link = f"{DAGSTER}/assets/registered_model?view=partitions&partition={DAY}"
    assert message["message"] == f"Reason: the day has no spam\n{link}"


def test_hostile_text_is_as_harmless_as_in_every_channel(webhook: WebhookServer) -> None:
    service_channels(service_url(webhook, more="&emojis=yes")).send(
        make_alert(HOSTILE + "\\n:smile:", title=HOSTILE, link=None)
    )
    [(_, _, message)] = webhook.requests
    for text in (message["title"], message["message"]):
        assert not re.search(r"[<>`*~|\[\]\\&\r\n]|@\w|://|www\.", text)
    assert ":smile:" in message["message"]


def test_a_message_brings_no_picture_from_another_server(webhook: WebhookServer) -> None:
    service_channels(f"mmost://127.0.0.1:{webhook.port}/{SECRET * 2}?image=yes").send(make_alert())
    [(_, _, message)] = webhook.requests
    assert message["username"] == "spam_assets"
    assert "icon_url" not in message
    assert "github" not in str(message)


def test_every_service_is_told_once_also_when_another_one_fails_or_hangs(
    webhook: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "TIMEOUT_SECONDS", 4.0)
    with run_webhook() as failing, run_webhook() as hanging:
        failing.answers, hanging.answers = [(500, {}), (500, {})], [(0, {}), (0, {})]
        channels = service_channels(service_url(failing), service_url(hanging), service_url(webhook))
        error = failure_of(channels)
        assert [len(server.requests) for server in (failing, hanging, webhook)] == [1, 1, 1]
    assert error.sent == ("JSON (entry 3 of SPAM_ASSETS_ALERT_URLS)",)
    assert str(error) == (
        "an alert did not get through: JSON (entry 1 of SPAM_ASSETS_ALERT_URLS) answers HTTP 500; "
        "JSON (entry 2 of SPAM_ASSETS_ALERT_URLS) does not answer within 4 seconds"
    )


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_by_a_service_either(webhook: WebhookServer, status: int) -> None:
    with run_webhook() as elsewhere:
        webhook.answers = [(status, {"Location": f"http://127.0.0.1:{elsewhere.port}/?stolen={SECRET}"})]
        error = failure_of(service_channels(service_url(webhook)))
        assert f"{NAME} answers with a redirect (HTTP {status}), which is not followed" in str(error)
        assert (len(webhook.requests), elsewhere.requests) == (1, [])


def test_the_certificate_of_a_service_is_checked(
    tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_encrypted(tls) as server:
        channels = service_channels(service_url(server, "jsons"))
        assert f"{NAME} did not take it; the address, the certificate" in str(failure_of(channels))
        assert server.requests == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert channels.send(make_alert()) == [NAME]


def test_what_the_settings_refuse_is_not_done_if_it_comes_by_another_way(
    webhook: WebhookServer, tls: ssl.SSLContext
) -> None:
    with serve_encrypted(tls) as encrypted, run_webhook() as elsewhere, run_webhook() as failing:
        webhook.answers = [(302, {"Location": f"http://127.0.0.1:{elsewhere.port}/"})]
        failing.answers = [(500, {})] * 3
        urls = (
            service_url(webhook, more="&redirect=yes"),
            service_url(encrypted, "jsons", more="&verify=no"),
            service_url(failing, more="&retry=2&wait=0&optional=yes"),
        )
        answers = services.run_process(Order(urls, "title", "body", 10.0))
        assert answers == [Answer("JSON", Outcome.FAILED, status) for status in (302, None, 500)]
        assert [len(server.requests) for server in (elsewhere, encrypted, failing)] == [0, 0, 1]


def test_nothing_goes_unencrypted_to_another_machine(webhook: WebhookServer, tls: ssl.SSLContext) -> None:
    error = failure_of(service_channels(service_url(webhook, host=NOT_THIS_MACHINE)))
    assert f"{NAME} would be sent unencrypted to another machine; take the scheme with TLS" in str(error)
    assert webhook.requests == []
    with serve_encrypted(tls) as server:  # with TLS it comes as far as the certificate
        error = failure_of(service_channels(service_url(server, "jsons", host=NOT_THIS_MACHINE)))
        assert "the certificate" in str(error)


def test_a_mail_server_gets_no_password_through_apprise_whatever_the_url_says(mail_server: MailServer) -> None:
    mail_server.knows = (USER, SECRET)
    url = f"{USER}:{SECRET}@{NOT_THIS_MACHINE}:{mail_server.port}?to=ops@example.com&from=a@example.org"
    for insecure in (f"mailto://{url}", f"mailtos://{url}&mode=insecure"):
        assert services.run_process(Order((insecure,), "title", "body", 10.0)) == [
            Answer("E-Mail", Outcome.UNENCRYPTED)
        ]
    assert mail_server.commands == []


def test_several_recipients_in_one_url_are_refused_for_nobody_could_say_who_was_told() -> None:
    error = failure_of(service_channels(f"ntfys://{USER}:{SECRET}@127.0.0.1:9/ops/boss"))
    assert "ntfy (entry 1 of SPAM_ASSETS_ALERT_URLS) names several recipients; write a URL for each" in str(error)


@pytest.mark.parametrize("url", [f"nosuchservice://{SECRET}", f"slack://{SECRET}", f"https://127.0.0.1:9/{SECRET}"])
def test_a_url_that_apprise_cannot_use_is_an_error_that_does_not_repeat_it(url: str) -> None:
    assert "entry 1 of SPAM_ASSETS_ALERT_URLS is no URL that Apprise can use" in str(failure_of(service_channels(url)))


def test_a_service_where_nobody_listens_is_an_error() -> None:
    server = serve_http(gone := WebhookServer())
    server.shutdown()
    server.server_close()
    assert f"{NAME} did not take it; the address" in str(failure_of(service_channels(service_url(gone))))


def test_a_service_that_drips_its_answer_for_ever_is_given_up(
    webhook: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time-outs of `requests` begin anew with every byte."""
    monkeypatch.setattr(delivery, "TIMEOUT_SECONDS", 2.0)
    monkeypatch.setattr(services, "SECONDS_FOR_STARTING", 30.0)  # ends before the drip does
    webhook.drips_seconds = 0.2
    assert "does not answer within 2 seconds" in str(failure_of(service_channels(service_url(webhook))))


def test_a_process_that_does_not_come_to_an_answer_is_ended_and_said(
    webhook: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "TIMEOUT_SECONDS", 0.0)
    monkeypatch.setattr(services, "SECONDS_FOR_STARTING", 0.01)
    error = failure_of(service_channels(service_url(webhook)))
    assert "entry 1 of SPAM_ASSETS_ALERT_URLS may not have been tried" in str(error)


def test_a_process_that_dies_is_said_and_its_traceback_is_shown_nowhere(
    webhook: WebhookServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "apprise.py").write_text(f"raise RuntimeError('{SECRET}')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    error = failure_of(service_channels(service_url(webhook)))
    assert "entry 1 of SPAM_ASSETS_ALERT_URLS may not have been tried: Apprise's process ended" in str(error)
    assert tuple(capfd.readouterr()) == ("", "")


@pytest.mark.parametrize("said", ["", "\n", "Segmentation fault", "[]", "[{}]", "{}", '[{"service": 1}]', "null"])
def test_what_is_no_answer_is_no_answer(said: str) -> None:
    assert services.read_answers(said) == []


def test_a_service_and_the_webhook_are_told_side_by_side(webhook: WebhookServer) -> None:
    with run_webhook() as other:
        settings = Settings(alert_webhook=webhook.url, alert_urls=service_url(other))
        assert send_test_alert(settings) == ["the webhook", NAME]
        assert (len(webhook.requests), len(other.requests)) == (1, 1)
    assert settings.has_alert_channel


def test_the_secrets_of_services_are_in_no_log_no_output_and_no_repr(
    webhook: WebhookServer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = Settings(alert_urls=service_url(webhook))
    channels = AlertChannels.from_settings(settings)
    channels.send(make_alert())
    webhook.answers = [(403, {})]
    failure_of(channels)
    printed = "".join(capfd.readouterr())
    assert printed == ""  # not even the warnings of Apprise, which may quote what a service says
    shown = (
        caplog.text
        + repr(settings)
        + str(settings.model_dump())
        + settings.model_dump_json()
        + repr(settings.alert_services)
    )
    shown += repr(channels) + str(channels) + repr(channels.channels)
    assert SECRET not in shown
    assert USER not in shown
    assert pickle.loads(pickle.dumps(channels)) == channels


def test_the_secrets_of_services_are_in_no_list_of_processes(
    webhook: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import subprocess

    started: list[tuple[object, object]] = []
    run = subprocess.run

    def note(command: list[str], **options: object) -> object:
        started.append((command, options["env"]))
        return run(command, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "run", note)
    service_channels(service_url(webhook)).send(make_alert())
    assert len(started) == 1
    assert SECRET not in str(started)


def test_apprise_is_not_imported_where_alerts_are_sent_from(webhook: WebhookServer) -> None:
    import sys

    webhook_channels(webhook.url, alert_urls=service_url(webhook)).send(make_alert())
    assert [name for name in sys.modules if name.partition(".")[0] == "apprise"] == []
