"""From raw to validated: the mail of a day that models may learn from."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from spam_assets.mail.blocking_rules import judge_day
from spam_assets.mail.columns import (
    BODY,
    CONTENT_HASH,
    LABEL,
    MAIL_COLUMNS,
    MESSAGE_ID,
    RAW,
    RECEIVED_AT,
    RECIPIENTS,
    SENDER,
    SUBJECT,
)
from spam_assets.mail.day_summary import hash_contents
from spam_assets.mail.mail_frame import derive_message_ids, make_ids_unique
from spam_assets.mail.quarantine import find_quarantined


class QualityError(Exception):
    """A day breaks a blocking rule; the message holds the sentence of each rule that it breaks."""


def validate_day(frame: pd.DataFrame, day: str) -> pd.DataFrame:
    """Return the mail of a day that models may learn from, see `select_valid_mail`.

    Raises:
        QualityError: the day breaks a blocking rule.
    """
    broken = [verdict.sentence for verdict in judge_day(frame, day) if not verdict.passed]
    if broken:
        raise QualityError(" ".join(broken))
    from spam_assets.mail.schema import VALIDATED_MAIL_SCHEMA

    validated: pd.DataFrame = VALIDATED_MAIL_SCHEMA.validate(select_valid_mail(frame, day))
    return validated


def complete_incoming_mail(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the mail of a day without labels that passed `judge_incoming_day`: every row, in the order of the file.

    What is missing is filled in as `select_valid_mail` does, so that a message has the id that it has once its label
    comes; a body that is missing stays so, and scoring reads it from the raw message.
    """
    return _fill_gaps(frame)


def select_valid_mail(frame: pd.DataFrame, day: str | None = None) -> pd.DataFrame:
    """Return the mail that models may learn from, of a day that passed `judge_day`.

    Rows without a label or body are left out: at most `MAX_MISSING_PERCENT` of a good day each. So are messages that
    are put aside, see `quarantine`. Missing ids are derived from the content, and an id of several messages is made
    unique. Missing dates become the midnight of the day that the other rows are from, missing senders, recipients and
    subjects the empty text.

    Args:
        frame: the day.
        day: YYYY-MM-DD; without it no message is put aside.

    Returns:
        A new frame with the columns of `VALIDATED_MAIL_COLUMNS`, sorted by `received_at` and `message_id`,
        index 0 to n - 1.
    """
    if day is not None:
        put_aside = {message.row - 1 for message in find_quarantined(frame, day)}
        frame = frame.iloc[[row for row in range(len(frame)) if row not in put_aside]]
    kept = _fill_gaps(frame.loc[frame[LABEL].notna() & frame[BODY].notna(), list(MAIL_COLUMNS)])
    kept[CONTENT_HASH] = hash_contents(kept)
    return kept.sort_values([RECEIVED_AT, MESSAGE_ID], kind="stable", ignore_index=True)


def _fill_gaps(mail: pd.DataFrame) -> pd.DataFrame:
    """Return a copy with senders, recipients, subjects, ids and dates where they are missing."""
    kept = mail.copy()
    for name in (SENDER, RECIPIENTS, SUBJECT):
        kept[name] = _replace_missing(kept[name], [""] * len(kept))
    content_ids = derive_message_ids(*(kept[name].tolist() for name in (SENDER, RECIPIENTS, SUBJECT, BODY, RAW)))
    ids = _replace_missing(kept[MESSAGE_ID], content_ids)
    kept[MESSAGE_ID] = pd.Series(list(make_ids_unique(ids)), index=kept.index, dtype=object)
    first = kept[RECEIVED_AT].min()
    if not pd.isna(first):
        kept[RECEIVED_AT] = kept[RECEIVED_AT].fillna(first.normalize())
    return kept


def _replace_missing(column: "pd.Series[Any]", replacements: Sequence[str]) -> "pd.Series[Any]":
    cells = [new if missing else cell for cell, new, missing in zip(column, replacements, column.isna(), strict=True)]
    return pd.Series(cells, index=column.index, dtype=object)
