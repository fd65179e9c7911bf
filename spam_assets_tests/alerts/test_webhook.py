"""A webhook, on real HTTP servers, plain and with TLS."""

import re
import ssl
import time
from pathlib import Path

import pytest

from spam_assets_tests.alerts.sending import DAGSTER, DAY, HOSTILE, failure_of, make_alert, webhook_channels
from spam_assets_tests.servers import SECRET, WebhookServer, serve_http


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
