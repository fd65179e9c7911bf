"""Quality rules: each keeps its promise, says what is wrong and what to do, and never trips over a frame."""

from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spam_assets.mail.columns import MAIL_COLUMNS, VALIDATED_MAIL_COLUMNS
from spam_assets.mail.dates import read_dates
from spam_assets.mail.quality import (
    BLOCKING_RULES,
    WARNING_RULES,
    DaySummary,
    QualityError,
    Verdict,
    both_classes_are_present,
    columns_are_present,
    dates_are_inside_partition,
    day_has_messages,
    frame_has_mail_schema,
    hash_contents,
    judge_day,
    labels_are_known,
    message_ids_are_unique,
    messages_are_new,
    select_valid_mail,
    spam_share_is_in_line,
    summarize_day,
    validate_day,
    volume_is_in_line,
    warn_about_day,
)
from spam_assets.mail.schema import RAW_MAIL_SCHEMA, VALIDATED_MAIL_SCHEMA

DAY = "2002-08-01"
MIDNIGHT = datetime(2002, 8, 1, tzinfo=timezone.utc)


def make_frame(count: int = 100, spam: int = 30, start: int = 0, **columns: list[Any]) -> pd.DataFrame:
    """A good day of `count` mails, with the given columns replaced."""
    numbers = range(start, start + count)
    data: dict[str, list[Any]] = {
        "message_id": [f"<{n}@x>" for n in numbers],
        "received_at": [MIDNIGHT + timedelta(seconds=n - start) for n in numbers],
        "sender": ["a@x"] * count,
        "recipients": ["b@x"] * count,
        "subject": [f"subject {n}" for n in numbers],
        "body": [f"body {n}" for n in numbers],
        "raw": [None] * count,
        "label": ["spam"] * spam + ["ham"] * (count - spam),
        **columns,
    }
    frame = pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in data.items()})
    if "received_at" not in columns:
        frame["received_at"] = read_dates(data["received_at"])
    return frame


def make_history(days: int = 28, messages: int = 100, spam: int = 30) -> list[DaySummary]:
    """Days before DAY that vary a little."""
    history = []
    for back in range(days, 0, -1):
        wobble = (back % 5) - 2
        day = str((MIDNIGHT - timedelta(days=back)).date())
        hashes = np.arange(messages, dtype=np.uint64) + np.uint64(10_000 * back)
        history.append(DaySummary(day, messages + 5 * wobble, spam + 2 * wobble, hashes))
    return history


def assert_fails(verdict: Verdict, *words: str) -> None:
    assert not verdict.passed
    assert verdict.sentence.startswith(f"training day {DAY}: ")
    assert verdict.sentence.endswith(".")
    assert "\n" not in verdict.sentence
    for word in words:
        assert word in verdict.sentence


def test_a_good_day_passes_every_rule() -> None:
    verdicts = judge_day(make_frame(), DAY)
    assert [verdict.rule for verdict in verdicts] == [rule.__name__ for rule in BLOCKING_RULES]
    assert all(verdict.passed for verdict in verdicts), verdicts
    warnings = warn_about_day(make_frame(), DAY, make_history())
    assert [verdict.rule for verdict in warnings] == [rule.__name__ for rule in WARNING_RULES]
    assert all(verdict.passed for verdict in warnings), warnings


# --- blocking rules


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


ODD_CELLS = st.one_of(
    st.none(),
    st.floats(),
    st.integers(),
    st.booleans(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.dates(),
    st.datetimes(),
    st.lists(st.integers(), max_size=2),
    st.just(pd.NaT),
    st.just(pd.NA),
    st.just("ham"),
    st.just("spam"),
    st.just(MIDNIGHT),
    st.just("\ud800"),
    st.just({"a": 1}),
    st.just(np.datetime64("2002-08-01")),
    st.complex_numbers(),
)


@settings(max_examples=60, deadline=None)
@given(
    columns=st.dictionaries(
        st.sampled_from([*MAIL_COLUMNS, "other"]), st.lists(ODD_CELLS, min_size=3, max_size=3), max_size=9
    ),
    repeated=st.booleans(),
)
def test_no_frame_makes_a_rule_raise(columns: dict[str, list[Any]], repeated: bool) -> None:
    frame = pd.DataFrame({name: pd.Series(cells, dtype=object) for name, cells in columns.items()})
    if repeated:
        frame = pd.concat([frame, frame], axis=1)
    for verdict in (*judge_day(frame, DAY), *warn_about_day(frame, DAY, make_history())):
        assert "\n" not in verdict.sentence


@pytest.mark.parametrize("dtype", ["category", "string", "Int64", "float64", "datetime64[ns]", "bool"])
def test_odd_dtypes_are_judged_and_not_tripped_over(dtype: str) -> None:
    frame = pd.DataFrame({name: pd.Series([1, 0], dtype="int64").astype(dtype) for name in MAIL_COLUMNS})
    assert len(judge_day(frame, DAY)) == len(BLOCKING_RULES)
    assert len(warn_about_day(frame, DAY, make_history())) == len(WARNING_RULES)


# --- warning rules


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


def test_content_is_compared_whatever_its_case_and_white_space() -> None:
    frame = make_frame(
        count=4,
        spam=1,
        subject=["Hi  there", "hi there", "hi", "hi there x"],
        body=["A\nB", " a b ", "there a b", None],
    )
    hashes = hash_contents(frame)
    assert hashes.dtype == np.uint64
    assert hashes[0] == hashes[1]
    assert len(set(hashes.tolist())) == 3


def test_content_hashes_do_not_change_between_versions_because_stored_ones_are_compared() -> None:
    assert hash_contents(make_frame(count=1, spam=0)).tolist() == [STORED_HASH]


STORED_HASH = 8265262448642354648


# --- validated mail


def test_validated_mail_lacks_nothing_and_is_in_order() -> None:
    frame = make_frame(
        count=5,
        spam=0,
        message_id=["<z>", "<a>", None, None, "<5>"],
        label=["ham", "spam", "ham", "ham", None],
        body=["b", "b", "same", "same", "b"],
        subject=["s", None, "s", "s", "s"],
    ).assign(received_at=read_dates([MIDNIGHT, MIDNIGHT, None, MIDNIGHT + timedelta(hours=1), MIDNIGHT]))
    valid = select_valid_mail(frame)
    VALIDATED_MAIL_SCHEMA.validate(valid)
    assert tuple(valid.columns) == VALIDATED_MAIL_COLUMNS
    assert len(valid) == 4
    assert valid["message_id"].tolist()[:2] == ["<a>", "<z>"]
    assert valid["received_at"].tolist() == [MIDNIGHT] * 3 + [MIDNIGHT + timedelta(hours=1)]
    assert valid["message_id"][3] == f"{valid['message_id'][2]}#2"
    assert valid["subject"].tolist()[0] == ""
    pd.testing.assert_frame_equal(valid, select_valid_mail(frame))


def test_rows_without_a_label_or_body_are_left_out() -> None:
    bodies: list[str | None] = ["", None, *["b"] * 98]
    valid = select_valid_mail(make_frame(body=bodies))
    assert len(valid) == 99
    assert "" in valid["body"].tolist()


def test_a_bad_day_is_never_validated() -> None:
    assert len(validate_day(make_frame(), DAY)) == 100
    with pytest.raises(QualityError, match=r"labels are neither ham nor spam.*message_id occur more than once"):
        validate_day(make_frame(count=2, spam=0, label=["x", "ham"], message_id=["<1>", "<1>"]), DAY)


def test_a_summary_counts_what_models_may_learn_from() -> None:
    summary = summarize_day(validate_day(make_frame(), DAY), DAY)
    assert (summary.day, summary.messages, summary.spam) == (DAY, 100, 30)
    assert sorted(summary.content_hashes.tolist()) == sorted(hash_contents(make_frame()).tolist())


def test_the_raw_schema_takes_what_landing_gives() -> None:
    RAW_MAIL_SCHEMA.validate(make_frame())
