"""Validated mail: nothing is missing, all is in order, and a bad day never gets there."""

from datetime import timedelta

import pandas as pd
import pytest

from spam_assets.mail.columns import VALIDATED_MAIL_COLUMNS
from spam_assets.mail.dates import read_dates
from spam_assets.mail.schema import RAW_MAIL_SCHEMA, VALIDATED_MAIL_SCHEMA
from spam_assets.mail.validation import QualityError, select_valid_mail, validate_day
from spam_assets_tests.mail import DAY, MIDNIGHT, make_frame


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


def test_the_raw_schema_takes_what_landing_gives() -> None:
    RAW_MAIL_SCHEMA.validate(make_frame())
