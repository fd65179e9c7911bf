"""A day's features part by part, so that a long day, which is mapped from a file, is never in memory whole."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from spam_assets.learning.features import MailFeatures, SparseRows
from spam_assets.learning.mail_text import join_mail

PART_MESSAGES = 8192


@dataclass(frozen=True)
class ChosenMessages:
    """Some messages of a day in their order, copied when they are asked for, a part at a time.

    Attributes:
        features: The day's n messages.
        chosen: True for those wanted, shape (n,).
    """

    features: MailFeatures
    chosen: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def labels(self) -> npt.NDArray[np.int8]:
        """As in ``MailFeatures``, of the chosen messages."""
        return np.asarray(self.features.labels)[self.chosen]

    @cached_property
    def message_ids(self) -> npt.NDArray[np.object_]:
        """As in ``MailFeatures``, of the chosen messages."""
        return self.features.message_ids[self.chosen]


Messages = MailFeatures | ChosenMessages


def iterate_parts(messages: Messages, *, backwards: bool = False) -> Iterator[MailFeatures]:
    """Yield a day's messages, some thousands at a time, the first or the last of them first; at least one part.

    Within a part messages keep their order. Parts of features share memory with them; of a day of more than one part,
    pages that are mapped from a file are given back after each, and read again when they are needed again.
    """
    features = messages if isinstance(messages, MailFeatures) else messages.features
    starts = range(0, max(len(features), 1), PART_MESSAGES)
    for start in reversed(starts) if backwards else starts:
        part = take_messages(features, start, start + PART_MESSAGES)
        if isinstance(messages, ChosenMessages):
            part = select_messages(part, messages.chosen[start : start + PART_MESSAGES])
        yield part
        if len(starts) > 1:
            for rows in features.views.values():
                give_back_pages(rows.indices)


def map_parts(function: Callable[[MailFeatures], npt.NDArray[Any]], messages: Messages) -> npt.NDArray[Any]:
    """What a function says of each message, shape (n,), asked part by part."""
    return np.concatenate([function(part) for part in iterate_parts(messages)])


def take_messages(features: MailFeatures, start: int, stop: int) -> MailFeatures:
    """A run of a day's messages, sharing memory with it."""
    if start == 0 and stop >= len(features):
        return features
    views = {name: SparseRows(rows.indices, rows.offsets[start : stop + 1]) for name, rows in features.views.items()}
    mail = None if features.mail is None else features.mail.select(np.arange(start, min(stop, len(features))))
    return MailFeatures(features.message_ids[start:stop], features.labels[start:stop], views, mail)


def take_all(messages: Messages) -> MailFeatures:
    """All of a day's messages, in memory at once."""
    return messages if isinstance(messages, MailFeatures) else select_messages(messages.features, messages.chosen)


def take_newest(messages: Messages, count: int) -> MailFeatures:
    """At least the last messages of a day, so many or all that there are."""
    if isinstance(messages, MailFeatures):
        return messages
    taken: list[MailFeatures] = []
    for part in iterate_parts(messages, backwards=True):
        taken.insert(0, part)
        if sum(map(len, taken)) >= count:
            break
    return join_parts(taken)


def join_parts(parts: list[MailFeatures]) -> MailFeatures:
    """Consecutive parts of a day, at least one, as one."""
    if len(parts) == 1:
        return parts[0]
    views = {name: join_rows([part.views[name] for part in parts]) for name in parts[0].views}
    return MailFeatures(
        np.concatenate([part.message_ids for part in parts]),
        np.concatenate([part.labels for part in parts]),
        views,
        join_mail([part.mail for part in parts]),
    )


def join_rows(parts: list[SparseRows]) -> SparseRows:
    """Rows one after the other."""
    lengths = [np.diff(rows.offsets) for rows in parts]
    return SparseRows(
        np.concatenate([rows.indices[rows.offsets[0] : rows.offsets[-1]] for rows in parts]),
        np.cumsum(np.concatenate([np.zeros(1, np.int64), *lengths])),
    )


def select_messages(features: MailFeatures, chosen: npt.NDArray[np.bool_]) -> MailFeatures:
    """Some messages of a day, in their order.

    Args:
        features: n messages.
        chosen: True for those wanted, shape (n,).
    """
    rows = np.flatnonzero(chosen)
    views = {name: SparseRows(*_copy_rows(view.indices, view.offsets, rows)) for name, view in features.views.items()}
    mail = None if features.mail is None else features.mail.select(rows)
    return MailFeatures(features.message_ids[rows], np.asarray(features.labels)[rows], views, mail)


@njit(cache=True)
def _copy_rows(
    indices: npt.NDArray[np.uint32], offsets: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    new_offsets = np.zeros(len(rows) + 1, np.int64)
    for at in range(len(rows)):
        new_offsets[at + 1] = new_offsets[at] + offsets[rows[at] + 1] - offsets[rows[at]]
    copied = np.empty(new_offsets[-1], np.uint32)
    for at in range(len(rows)):
        copied[new_offsets[at] : new_offsets[at + 1]] = indices[offsets[rows[at]] : offsets[rows[at] + 1]]
    return copied, new_offsets


def give_back_pages(array: npt.NDArray[Any]) -> None:
    """Let the system take back the pages of the file that an array is mapped from, if it is."""
    owner: Any = array
    while isinstance(owner, (np.ndarray, memoryview)):
        owner = owner.base if isinstance(owner, np.ndarray) else owner.obj
    if isinstance(owner, mmap.mmap):
        owner.madvise(mmap.MADV_DONTNEED)
