"""From raw to validated: the mail of a day that models may learn from."""

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from typing import Any, overload

import numpy as np
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
from spam_assets.mail.mail_batches import Mail, collect_like, free_between, iterate_frames, read_columns, reorder_mail
from spam_assets.mail.mail_frame import UniqueIds, derive_message_ids
from spam_assets.mail.quarantine import find_quarantined


class QualityError(Exception):
    """A day breaks a blocking rule; the message holds the sentence of each rule that it breaks."""


@overload
def validate_day(mail: pd.DataFrame, day: str) -> pd.DataFrame: ...


@overload
def validate_day(mail: Mail, day: str) -> Mail: ...


def validate_day(mail: Mail, day: str) -> Mail:
    """Return the mail of a day that models may learn from, see `select_valid_mail`.

    Raises:
        QualityError: the day breaks a blocking rule.
    """
    broken = [verdict.sentence for verdict in judge_day(mail, day) if not verdict.passed]
    if broken:
        raise QualityError(" ".join(broken))
    from spam_assets.mail.schema import VALIDATED_MAIL_SCHEMA

    def check(frame: pd.DataFrame) -> pd.DataFrame:
        VALIDATED_MAIL_SCHEMA.validate(frame)
        return frame

    return _select(mail, day, check)


@overload
def complete_incoming_mail(mail: pd.DataFrame) -> pd.DataFrame: ...


@overload
def complete_incoming_mail(mail: Mail) -> Mail: ...


def complete_incoming_mail(mail: Mail) -> Mail:
    """Return the mail of a day without labels that passed `judge_incoming_day`: every row, in the order of the file.

    What is missing is filled in as `select_valid_mail` does, so that a message has the id that it has once its label
    comes; a body that is missing stays so, and scoring reads it from the raw message.
    """
    midnight = _find_midnight(iterate_frames(mail, [RECEIVED_AT]))
    return collect_like(mail, _fill_gaps(iterate_frames(mail), midnight))


@overload
def select_valid_mail(mail: pd.DataFrame, day: str | None = None) -> pd.DataFrame: ...


@overload
def select_valid_mail(mail: Mail, day: str | None = None) -> Mail: ...


def select_valid_mail(mail: Mail, day: str | None = None) -> Mail:
    """Return the mail that models may learn from, of a day that passed `judge_day`.

    Rows without a label or body are left out: at most `MAX_MISSING_PERCENT` of a good day each. So are messages that
    are put aside, see `quarantine`. Missing ids are derived from the content, and an id of several messages is made
    unique. Missing dates become the midnight of the day that the other rows are from, missing senders, recipients and
    subjects the empty text.

    Args:
        mail: the day.
        day: YYYY-MM-DD; without it no message is put aside.

    Returns:
        New mail with the columns of `VALIDATED_MAIL_COLUMNS`, sorted by `received_at` and `message_id`,
        index 0 to n - 1.
    """
    return _select(mail, day, lambda frame: frame)


def _select(mail: Mail, day: str | None, check: Callable[[pd.DataFrame], pd.DataFrame]) -> Mail:
    put_aside = set() if day is None else {message.row - 1 for message in find_quarantined(mail, day)}
    midnight = pd.NaT
    if read_columns(mail, [RECEIVED_AT])[RECEIVED_AT].hasnans:
        midnight = _find_midnight(_leave_out(iterate_frames(mail, [RECEIVED_AT, LABEL, BODY]), put_aside))
    kept = (frame[list(MAIL_COLUMNS)] for frame in _leave_out(iterate_frames(mail), put_aside))
    complete = (frame.assign(**{CONTENT_HASH: hash_contents(frame)}) for frame in _fill_gaps(kept, midnight))
    selected = collect_like(mail, free_between(map(check, complete)))
    keys = read_columns(selected, [RECEIVED_AT, MESSAGE_ID]).sort_values([RECEIVED_AT, MESSAGE_ID], kind="stable")
    return reorder_mail(selected, keys.index.to_numpy(np.int64))


def _leave_out(frames: Iterable[pd.DataFrame], put_aside: Set[int]) -> Iterator[pd.DataFrame]:
    """Yield frames of consecutive rows without those that are put aside or lack label or body."""
    first = 0
    for frame in frames:
        stays = np.array([row not in put_aside for row in range(first, first + len(frame))], dtype=bool)
        yield frame.loc[stays & frame[LABEL].notna() & frame[BODY].notna()]
        first += len(frame)


def _find_midnight(frames: Iterable[pd.DataFrame]) -> Any:
    """Return the midnight before the first date; missing where there is no date."""
    first = pd.Series([frame[RECEIVED_AT].min() for frame in frames]).min()
    return first if pd.isna(first) else first.normalize()


def _fill_gaps(frames: Iterable[pd.DataFrame], midnight: Any) -> Iterator[pd.DataFrame]:
    """Yield copies with senders, recipients, subjects, ids and dates where they are missing, and no id twice."""
    unique_ids = UniqueIds()
    for mail in frames:
        kept = mail.copy()
        for name in (SENDER, RECIPIENTS, SUBJECT):
            kept[name] = _replace_missing(kept[name], [""] * len(kept))
        is_missing = kept[MESSAGE_ID].isna()
        lacking = kept.loc[is_missing]
        derived = derive_message_ids(*(lacking[name].tolist() for name in (SENDER, RECIPIENTS, SUBJECT, BODY, RAW)))
        wanted = kept[MESSAGE_ID].copy()
        wanted[is_missing] = derived
        ids = [unique_ids.make_unique(message_id) for message_id in wanted]
        kept[MESSAGE_ID] = pd.Series(ids, index=kept.index, dtype=object)
        if not pd.isna(midnight):
            kept[RECEIVED_AT] = kept[RECEIVED_AT].fillna(midnight)
        yield kept


def _replace_missing(column: "pd.Series[Any]", replacements: Sequence[str]) -> "pd.Series[Any]":
    cells = [new if missing else cell for cell, new, missing in zip(column, replacements, column.isna(), strict=True)]
    return pd.Series(cells, index=column.index, dtype=object)
