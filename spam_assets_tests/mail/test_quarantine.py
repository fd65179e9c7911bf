"""What one sender forged is put aside; the day's other mail is learnt, and a file that is wrong still fails."""

from datetime import timedelta

import pandas as pd
import pytest

from spam_assets.mail.blocking_rules import dates_are_inside_partition, message_ids_are_unique
from spam_assets.mail.columns import MAIL_COLUMNS
from spam_assets.mail.dates import read_dates
from spam_assets.mail.quarantine import (
    CONTRADICTED,
    OUTSIDE,
    REPEATED,
    QuarantinedMessage,
    count_allowed,
    find_quarantined,
)
from spam_assets.mail.validation import QualityError, validate_day
from spam_assets_tests.mail import DAY, MIDNIGHT, make_frame


def forge_dates(frame: pd.DataFrame, count: int) -> pd.DataFrame:
    dates = [MIDNIGHT - timedelta(days=9)] * count + [MIDNIGHT] * (len(frame) - count)
    return frame.assign(received_at=read_dates(dates))


def repeat_rows(frame: pd.DataFrame, count: int) -> pd.DataFrame:
    return pd.concat([frame, frame[:count]], ignore_index=True)


@pytest.mark.parametrize(
    ("messages", "allowed"), [(0, 0), (9, 0), (10, 1), (29, 2), (30, 3), (59, 3), (80, 4), (100, 5), (10_000, 500)]
)
def test_five_percent_may_be_put_aside_and_of_a_small_day_a_tenth(messages: int, allowed: int) -> None:
    assert count_allowed(messages) == allowed


def test_one_forged_date_is_put_aside_and_the_day_is_learnt() -> None:
    frame = forge_dates(make_frame(), 1)
    assert find_quarantined(frame, DAY) == (QuarantinedMessage(1, "<0@x>", OUTSIDE),)
    verdict = dates_are_inside_partition(frame, DAY)
    assert verdict.passed
    assert "1 of 100 messages were not received on the day" in verdict.sentence
    assert "put aside" in verdict.sentence
    valid = validate_day(frame, DAY)
    assert len(valid) == 99
    assert "<0@x>" not in valid["message_id"].tolist()


def test_a_day_fails_when_too_many_dates_are_not_of_it() -> None:
    assert dates_are_inside_partition(forge_dates(make_frame(), 5), DAY).passed
    assert not dates_are_inside_partition(forge_dates(make_frame(), 6), DAY).passed
    with pytest.raises(QualityError, match="6 of 100 messages were not received on the day"):
        validate_day(forge_dates(make_frame(), 6), DAY)


def test_ids_that_do_not_tell_messages_apart_fail_the_day() -> None:
    frame = make_frame(message_id=["<same>"] * 51 + [f"<{n}>" for n in range(49)])
    assert not message_ids_are_unique(frame, DAY).passed


def test_an_id_that_other_messages_have_is_made_unique() -> None:
    """The sender chooses the id: a campaign may send many messages with one."""
    frame = make_frame(message_id=["<same>"] * 50 + [f"<{n}>" for n in range(50)])
    assert find_quarantined(frame, DAY) == ()
    verdict = message_ids_are_unique(frame, DAY)
    assert verdict.passed
    assert "1 message_id occur more than once, for example '<same>' 50 times" in verdict.sentence
    assert "made unique" in verdict.sentence
    valid = validate_day(frame, DAY)
    assert len(valid) == 100
    assert {"<same>", "<same>#2", "<same>#50"} <= set(valid["message_id"])


def test_a_row_that_repeats_another_is_put_aside_and_too_many_fail_the_day() -> None:
    frame = repeat_rows(make_frame(), 2)
    assert [(message.row, message.reason) for message in find_quarantined(frame, DAY)] == [
        (101, REPEATED),
        (102, REPEATED),
    ]
    assert message_ids_are_unique(frame, DAY).passed
    assert len(validate_day(frame, DAY)) == 100
    with pytest.raises(QualityError, match=r"20 message_id occur more than once.*20 rows repeat the content"):
        validate_day(repeat_rows(make_frame(), 20), DAY)


def test_a_message_that_is_called_both_ham_and_spam_is_not_learnt_at_all() -> None:
    frame = repeat_rows(make_frame(), 1)
    frame.loc[100, "label"] = "ham"
    assert [(message.row, message.reason) for message in find_quarantined(frame, DAY)] == [
        (1, CONTRADICTED),
        (101, CONTRADICTED),
    ]
    assert len(validate_day(frame, DAY)) == 99


@pytest.mark.parametrize("frame", [make_frame(0, 0), pd.DataFrame(), pd.DataFrame({"message_id": [1, 1, None]})])
def test_odd_frames_raise_nothing(frame: pd.DataFrame) -> None:
    for day in (DAY, "yesterday"):
        find_quarantined(frame, day)
    assert set(MAIL_COLUMNS) >= {"message_id"}
