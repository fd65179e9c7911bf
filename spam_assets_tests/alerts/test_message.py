"""Hostile text stays text."""

import re
from collections.abc import Callable

import pytest

from spam_assets.alerts.events import describe_decision_alert, describe_landing_problem, describe_run_failure
from spam_assets.alerts.message import REASON_CHARACTERS, TITLE_CHARACTERS, Alert, neutralize
from spam_assets_tests.alerts.sending import DAGSTER, DAY, HOSTILE, make_alert
from spam_assets_tests.servers import SECRET


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
