"""What a model card has to know of a day of mail beside the scores that training gave it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spam_assets.learning.day_parts import join_parts, select_messages, take_messages
from spam_assets.learning.features import MailFeatures, read_frame
from spam_assets.learning.held_out import find_held_out
from spam_assets.mail.columns import BODY, LABEL, MESSAGE_ID, RAW, SENDER
from spam_assets.mail.mail_batches import Mail, iterate_frames
from spam_assets.mail.sender_kinds import name_sender_kind

HELD_OUT_TRIED = 2000
"""So many held-out messages of a day are tried at most; bounds memory, and is all of any day of up to 40,000 messages.
"""
CARD_COLUMNS = (MESSAGE_ID, SENDER, BODY, RAW, LABEL)


@dataclass(frozen=True)
class CardDay:
    """A day of mail as a model card sees it.

    Attributes:
        sender_kinds: Of the n messages that may be learnt, in order: see ``mail.sender_kinds``.
        body_characters: Their lengths, shape (n,).
        has_headers: Whether their whole message is there, shape (n,).
        labels: 1 for spam, 0 for ham, shape (n,).
        held_out: The features of the other messages, which no model learns; of the first ``HELD_OUT_TRIED`` of them.
        held_out_bare: The same messages without their headers: the body alone.
    """

    sender_kinds: npt.NDArray[np.object_]
    body_characters: npt.NDArray[np.int64]
    has_headers: npt.NDArray[np.bool_]
    labels: npt.NDArray[np.int8]
    held_out: MailFeatures
    held_out_bare: MailFeatures


def describe_card_day(mail: Mail, features: MailFeatures, held_out_share: float) -> CardDay | None:
    """Describe a day of validated mail, columns ``CARD_COLUMNS``; None if the features are of other messages."""
    is_held_out = find_held_out(features, held_out_share)
    kinds: list[str] = []
    characters: list[int] = []
    has_headers = [np.empty(0, np.bool_)]
    held_out: list[MailFeatures] = []
    held_out_bare: list[MailFeatures] = []
    first = tried = 0
    for frame in iterate_frames(mail, CARD_COLUMNS):
        part = take_messages(features, first, first + len(frame))
        if not np.array_equal(frame[MESSAGE_ID].to_numpy(dtype=object), part.message_ids):
            return None
        is_apart = is_held_out[first : first + len(frame)]
        first += len(frame)
        learnt = frame.loc[~is_apart]
        kinds += [name_sender_kind(sender, raw) for sender, raw in zip(learnt[SENDER], learnt[RAW], strict=True)]
        characters += [len(body) for body in learnt[BODY]]
        has_headers.append(learnt[RAW].notna().to_numpy(dtype=np.bool_))
        chosen = is_apart & (np.cumsum(is_apart) <= HELD_OUT_TRIED - tried)
        tried += int(chosen.sum())
        held_out.append(select_messages(part, chosen))
        held_out_bare.append(read_frame(frame.loc[chosen, [MESSAGE_ID, BODY, LABEL]]))
    if first != len(features):
        return None
    return CardDay(
        sender_kinds=np.array(kinds, dtype=object),
        body_characters=np.array(characters, np.int64),
        has_headers=np.concatenate(has_headers),
        labels=np.array(features.labels[~is_held_out], np.int8),
        held_out=join_parts(held_out),
        held_out_bare=join_parts(held_out_bare),
    )
