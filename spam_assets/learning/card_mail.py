"""What a model card has to know of a day of mail beside the scores that training gave it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from spam_assets.learning.features import MailFeatures, read_frame
from spam_assets.learning.held_out import find_held_out, select_messages
from spam_assets.mail.columns import BODY, LABEL, MESSAGE_ID, RAW, SENDER
from spam_assets.mail.sender_kinds import name_sender_kind

CARD_COLUMNS = (MESSAGE_ID, SENDER, BODY, RAW, LABEL)


@dataclass(frozen=True)
class CardDay:
    """A day of mail as a model card sees it.

    Attributes:
        sender_kinds: Of the n messages that may be learnt, in order: see ``mail.sender_kinds``.
        body_characters: Their lengths, shape (n,).
        has_headers: Whether their whole message is there, shape (n,).
        labels: 1 for spam, 0 for ham, shape (n,).
        held_out: The features of the other messages, which no model learns.
        held_out_bare: The same messages without their headers: the body alone.
    """

    sender_kinds: npt.NDArray[np.object_]
    body_characters: npt.NDArray[np.int64]
    has_headers: npt.NDArray[np.bool_]
    labels: npt.NDArray[np.int8]
    held_out: MailFeatures
    held_out_bare: MailFeatures


def describe_card_day(mail: pd.DataFrame, features: MailFeatures, held_out_share: float) -> CardDay | None:
    """Describe a day of validated mail, columns ``CARD_COLUMNS``; None if the features are of other messages."""
    if not np.array_equal(mail[MESSAGE_ID].to_numpy(dtype=object), features.message_ids):
        return None
    is_held_out = find_held_out(features, held_out_share)
    learnt = mail.loc[~is_held_out]
    kinds = [name_sender_kind(sender, raw) for sender, raw in zip(learnt[SENDER], learnt[RAW], strict=True)]
    return CardDay(
        sender_kinds=np.array(kinds, dtype=object),
        body_characters=np.array([len(body) for body in learnt[BODY]], np.int64),
        has_headers=learnt[RAW].notna().to_numpy(dtype=np.bool_),
        labels=np.array(features.labels[~is_held_out], np.int8),
        held_out=select_messages(features, is_held_out),
        held_out_bare=read_frame(mail.loc[is_held_out, [MESSAGE_ID, BODY, LABEL]]),
    )
