"""Warning rules: a day out of line is told, chance is not."""

from typing import Any

import numpy as np
import pytest

from spam_assets.mail.day_summary import DaySummary, summarize_day
from spam_assets.mail.validation import select_valid_mail
from spam_assets.mail.warning_rules import (
    both_classes_are_present,
    messages_are_new,
    spam_share_is_in_line,
    volume_is_in_line,
)
from spam_assets_tests.mail import DAY, assert_fails, make_frame, make_history


def test_a_day_of_one_class_warns() -> None:
    assert both_classes_are_present(make_frame(), DAY).passed
    assert_fails(both_classes_are_present(make_frame(spam=0), DAY), "100 ham and 0 spam")
    assert_fails(both_classes_are_present(make_frame(spam=100), DAY), "0 ham and 100 spam")


@pytest.mark.parametrize("count", [70, 100, 140])
def test_a_usual_volume_passes(count: int) -> None:
    assert volume_is_in_line(make_frame(count=count), DAY, make_history()).passed


@pytest.mark.parametrize("count", [40, 300, 5000])
def test_an_unusual_volume_warns(count: int) -> None:
    assert_fails(
        volume_is_in_line(make_frame(count=count), DAY, make_history()),
        f"{count:,} messages",
        "100 are usual",
    )


def test_a_small_mailbox_does_not_warn_about_chance() -> None:
    history = [DaySummary(s.day, 4, 1, s.content_hashes[:4]) for s in make_history()]
    for count in (1, 4, 12):
        assert volume_is_in_line(make_frame(count=count, spam=1), DAY, history).passed


@pytest.mark.parametrize("spam", [20, 30, 42])
def test_a_usual_share_of_spam_passes(spam: int) -> None:
    assert spam_share_is_in_line(make_frame(spam=spam), DAY, make_history()).passed


@pytest.mark.parametrize("spam", [0, 70, 100])
def test_an_unusual_share_of_spam_warns(spam: int) -> None:
    assert_fails(
        spam_share_is_in_line(make_frame(spam=spam), DAY, make_history()),
        f"{spam}.0% spam",
        "30.0% are usual",
    )


def test_a_share_that_swings_from_day_to_day_widens_what_is_usual() -> None:
    swinging = [
        DaySummary(s.day, 100, 10 if number % 2 else 60, s.content_hashes) for number, s in enumerate(make_history())
    ]
    assert spam_share_is_in_line(make_frame(spam=70), DAY, swinging).passed
    assert not spam_share_is_in_line(make_frame(spam=70), DAY, make_history()).passed


def test_the_same_share_on_few_messages_does_not_warn() -> None:
    assert spam_share_is_in_line(make_frame(count=2, spam=2), DAY, make_history()).passed


@pytest.mark.parametrize("rule", [volume_is_in_line, spam_share_is_in_line])
def test_six_earlier_days_are_too_few_to_judge_and_seven_are_enough(rule: Any) -> None:
    odd = make_frame(count=5000, spam=5000)
    verdict = rule(odd, DAY, make_history(days=6))
    assert verdict.passed
    assert "not judged, because it takes 7 earlier days to compare with and there are 6" in verdict.sentence
    assert not rule(odd, DAY, make_history(days=7)).passed


def test_days_that_are_not_earlier_and_days_long_ago_do_not_count() -> None:
    later = [DaySummary(f"2002-09-{n:02}", 5000, 5000, np.zeros(0, np.uint64)) for n in range(1, 29)]
    same = DaySummary(DAY, 5000, 5000, np.zeros(0, np.uint64))
    long_ago = [
        DaySummary(f"2001-0{m}-{n:02}", 5000, 0, np.zeros(0, np.uint64)) for m in (1, 2, 3) for n in range(1, 29)
    ]
    history = [*later, same, *make_history(), *long_ago]
    for rule in (volume_is_in_line, spam_share_is_in_line):
        assert rule(make_frame(), DAY, history).passed
        assert rule(make_frame(), DAY, history).figures["trailing_days"] == 28


def test_mail_that_landed_yesterday_already_warns_and_names_that_day() -> None:
    yesterday = summarize_day(select_valid_mail(make_frame()), "2002-07-31")
    assert_fails(messages_are_new(make_frame(), DAY, [yesterday]), "100.0%", "2002-07-31 (100)")
    assert messages_are_new(make_frame(start=50), DAY, [yesterday]).passed  # exactly half
    assert not messages_are_new(make_frame(start=49), DAY, [yesterday]).passed
    assert messages_are_new(make_frame(start=1000), DAY, [yesterday]).passed


def test_a_day_of_copies_of_one_message_warns() -> None:
    assert_fails(messages_are_new(make_frame(subject=["s"] * 100, body=["b"] * 100), DAY, []), "99.0%")
