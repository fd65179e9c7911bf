"""Blocking rules: each keeps its promise, says what is wrong and what to do."""

from datetime import timedelta

import pandas as pd
import pytest

from spam_assets.mail.blocking_rules import (
    columns_are_present,
    dates_are_inside_partition,
    day_has_messages,
    frame_has_mail_schema,
    labels_are_known,
    message_ids_are_unique,
)
from spam_assets.mail.columns import MAIL_COLUMNS
from spam_assets.mail.dates import read_dates
from spam_assets_tests.mail import DAY, MIDNIGHT, assert_fails, make_frame


@pytest.mark.parametrize(
    ("frame", "word"),
    [
        (make_frame().drop(columns="sender"), "sender"),
        (make_frame()[list(reversed(MAIL_COLUMNS))], "column_ordered"),
        (make_frame().assign(extra=1), "extra"),
        (make_frame().assign(subject=1), "subject"),
        (make_frame(count=2, spam=1, body=["a", 7]), "body"),
        (make_frame(count=2, spam=1, raw=["text", None]), "raw"),
        (make_frame().assign(received_at=pd.Timestamp(DAY)), "received_at"),
        (pd.concat([make_frame(), make_frame()[["label"]]], axis=1), "label"),
    ],
)
def test_a_frame_with_other_columns_or_types_fails(frame: pd.DataFrame, word: str) -> None:
    assert_fails(frame_has_mail_schema(frame, DAY), "columns or their types are wrong", word)


def test_missing_cells_and_odd_labels_are_no_matter_of_the_schema() -> None:
    frame = make_frame(
        count=2, spam=1, label=[None, "junk"], body=[None, ""], message_id=[None, None], raw=[b"x", None]
    )
    frame["received_at"] = pd.Series([pd.NaT, pd.NaT], dtype="datetime64[us, UTC]")
    assert frame_has_mail_schema(frame, DAY).passed
    assert frame_has_mail_schema(make_frame(count=0, spam=0), DAY).passed


def test_a_day_without_messages_fails() -> None:
    assert_fails(day_has_messages(make_frame(count=0, spam=0), DAY), "no messages", "land the day again")
    assert day_has_messages(make_frame(count=1, spam=0), DAY).passed


def test_exactly_five_percent_missing_passes_and_more_fails_with_the_sentence_in_the_documentation() -> None:
    labels: list[str | None] = ["ham"] * 100
    labels[:5] = [None] * 5
    assert columns_are_present(make_frame(label=labels), DAY).passed
    labels[:6] = [None] * 6
    verdict = columns_are_present(make_frame(label=labels), DAY)
    assert verdict.sentence == (
        "training day 2002-08-01: column label has 6.0% missing (6 of 100), more than the 5% allowed; "
        "fill in the labels in the landing file and land the day again."
    )
    assert not verdict.passed
    assert verdict.figures["missing_label"] == 6


def test_a_hair_more_than_five_percent_does_not_read_as_five() -> None:
    bodies: list[str | None] = ["x"] * 10_000
    bodies[:501] = [None] * 501
    frame = make_frame(count=10_000, body=bodies)
    assert_fails(columns_are_present(frame, DAY), "5.010% missing (501 of 10,000)", "fill in the column body")


@pytest.mark.parametrize("name", [name for name in MAIL_COLUMNS if name != "raw"])
def test_every_column_but_raw_must_be_there(name: str) -> None:
    assert_fails(columns_are_present(make_frame().drop(columns=name), DAY), f"column {name} is not there")
    missing = make_frame()
    missing[name] = pd.Series([None] * 100, dtype=missing[name].dtype)
    assert_fails(columns_are_present(missing, DAY), f"column {name} has 100.0% missing")


def test_empty_texts_are_not_missing_and_raw_is_optional() -> None:
    assert columns_are_present(make_frame(subject=[""] * 100, body=[""] * 100, sender=[""] * 100), DAY).passed


def test_labels_other_than_ham_and_spam_fail_and_missing_ones_do_not() -> None:
    assert labels_are_known(make_frame(count=3, spam=0, label=["ham", None, "spam"]), DAY).passed
    verdict = labels_are_known(make_frame(count=4, spam=0, label=["ham", "junk", "junk", "Spam"]), DAY)
    assert_fails(verdict, "3 labels are neither", "first in row 2", "'junk' (2 times)", "'Spam' (1 times)")


def test_a_hostile_label_cannot_fill_or_break_the_sentence() -> None:
    verdict = labels_are_known(make_frame(count=2, spam=0, label=["x\n\u202e" + "y" * 10_000, ["list"]]), DAY)
    assert_fails(verdict)
    assert len(verdict.sentence) < 400
    assert verdict.sentence.isascii()


def test_an_id_that_repeats_fails_and_missing_ones_do_not() -> None:
    assert message_ids_are_unique(make_frame(count=3, spam=0, message_id=["<1>", None, None]), DAY).passed
    verdict = message_ids_are_unique(make_frame(count=4, spam=0, message_id=["<1>", "<2>", "<1>", "<1>"]), DAY)
    assert_fails(verdict, "1 message_id", "'<1>' 3 times")
    assert verdict.figures["surplus_rows"] == 2


def test_dates_must_lie_in_the_utc_day() -> None:
    last = MIDNIGHT + timedelta(days=1, microseconds=-1)
    inside = make_frame(count=3, spam=0).assign(received_at=read_dates([MIDNIGHT, last, None]))
    assert dates_are_inside_partition(inside, DAY).passed
    for wrong in (MIDNIGHT - timedelta(microseconds=1), MIDNIGHT + timedelta(days=1)):
        frame = make_frame(count=3, spam=0).assign(received_at=read_dates([MIDNIGHT, wrong, None]))
        assert_fails(dates_are_inside_partition(frame, DAY), "1 of 3 messages", "row 2", str(wrong.date()))
    assert_fails(dates_are_inside_partition(make_frame(received_at=[DAY] * 100), DAY), "100 of 100")
    assert not dates_are_inside_partition(make_frame(), "yesterday").passed
