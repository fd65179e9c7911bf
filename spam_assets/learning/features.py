"""Mail to sparse binary features.

Two views of a message, each a set of hashed features:

* ``words``: the words of headers and body, whatever header they stand in. Few and telling: the Bayesian
  evidence counts them.
* ``patterns``: the words tagged with the header they stand in, and every overlapping sequence of four bytes.
  Many and redundant: the linear classifier weighs them. Byte 4-grams see through misspelt words, need no
  language and were the strongest features of the TREC spam tracks (Goodman & Yih 2006, "Online Discriminative
  Spam Filter Training"; Sculley & Wachman 2007, "Relaxed Online SVMs for Spam Filtering").

The text of a message is its ``From``, ``To`` and ``Subject`` as columns, the headers of ``raw`` where there
is one, and the decoded body, each cut to a fixed size. Left out are marks that are put on a message after its
delivery (by the reader's mail program, or the verdict of another filter): they tell the label, not the mail.

Hashes depend on the bytes only, never on platform, process or order of messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from numba import njit

from spam_assets.learning.mail_text import MailText, hold_mail
from spam_assets.mail.columns import BODY, LABEL, MESSAGE_ID, RAW, RECIPIENTS, SENDER, SPAM, SUBJECT

WORDS = "words"
PATTERNS = "patterns"
VIEWS = (WORDS, PATTERNS)
WORD_BITS = 21
PATTERN_BITS = 20
TABLE_SIZES: Mapping[str, int] = {WORDS: 1 << WORD_BITS, PATTERNS: 1 << PATTERN_BITS}

HEADER_BYTES = 8192
BODY_BYTES = 4096
_COLUMN_BYTES = 1000
_CHUNK_MESSAGES = 512
_LONGEST_WORD_BYTES = 40

_ENVELOPE = re.compile(rb"\A(?:>?From [^\n]*\n)+")
_END_OF_HEADERS = re.compile(rb"\r?\n\r?\n")
_MARKS_AFTER_DELIVERY = re.compile(
    rb"^(?:status|x-status|x-keywords|x-uid|x-imap|x-mozilla-[a-z0-9-]+|x-evolution[a-z-]*|x-folder|x-label"
    rb"|x-gmail-labels|x-gm-[a-z-]+|content-length|lines|x-spam[a-z0-9-]*|x-bogosity|x-dspam-[a-z-]+"
    rb"|x-crm114-[a-z-]+|x-spambayes-[a-z-]+|x-spamprobe|x-ham-report|x-rspamd-[a-z-]+|x-spamd-[a-z-]+"
    rb"|x-barracuda-[a-z-]+|x-ms-exchange-organization-(?:scl|pcl)|x-forefront-antispam-report"
    rb"|x-microsoft-antispam[a-z-]*|x-proofpoint-spam[a-z-]*):[^\n]*\n(?:[ \t][^\n]*\n)*",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True)
class SparseRows:
    """Binary sparse rows: row i has the features ``indices[offsets[i]:offsets[i + 1]]``, each once."""

    indices: npt.NDArray[np.uint32]
    offsets: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1


@dataclass(frozen=True)
class MailFeatures:
    """The features of one day's mail.

    Attributes:
        message_ids: Object array of n message ids.
        labels: int8 array of n labels, 1 for spam and 0 for ham.
        views: One ``SparseRows`` of n rows for each name in ``VIEWS``.
        mail: The same n messages for models that read words; None where only the features are known.
    """

    message_ids: npt.NDArray[np.object_]
    labels: npt.NDArray[np.int8]
    views: Mapping[str, SparseRows]
    mail: MailText | None = None

    def __len__(self) -> int:
        return len(self.labels)


def featurize_mail(frame: pd.DataFrame) -> MailFeatures:
    """Hash every message of a frame that has the mail columns.

    Args:
        frame: n messages. Missing values count as empty; without a ``label`` column every label is 0.

    Returns:
        The features of the n messages, in the order of the frame.
    """
    if LABEL in frame:
        labels = np.array([label == SPAM for label in frame[LABEL]], np.int8)
    else:
        labels = np.zeros(len(frame), np.int8)
    parts: dict[str, list[SparseRows]] = {view: [] for view in VIEWS}
    for documents in cut_documents(frame):
        words, word_offsets, patterns, pattern_offsets, *_ = hash_documents(
            *concatenate_documents(documents), is_locating=False
        )
        parts[WORDS].append(SparseRows(words, word_offsets))
        parts[PATTERNS].append(SparseRows(patterns, pattern_offsets))
    views = {view: _stack(rows) for view, rows in parts.items()}
    # A copy: a view would keep the frame's whole block of texts, of every batch of a long day.
    return MailFeatures(frame[MESSAGE_ID].to_numpy(dtype=object, copy=True), labels, views)


def read_frame(frame: pd.DataFrame) -> MailFeatures:
    """As ``featurize_mail``, with the frame itself for models that read words; so it stays in memory as long."""
    return replace(featurize_mail(frame), mail=hold_mail(frame))


NO_HEADER = -1
"""In place of where a header's name starts: the word stands in the body."""

FOUR_GRAM = -2
"""In place of where a header's name starts: not a word but four bytes."""


@dataclass(frozen=True)
class LocatedFeatures:
    """The features of some messages and where in their text each of them first appears.

    Attributes:
        text: The bytes that are hashed: headers and body of each message in turn.
        views: As in ``MailFeatures``.
        places: One int32 array for each view, shape (features, 3): start and stop in ``text``, and where the
            name of the header starts that the feature stands in (or ``NO_HEADER``, ``FOUR_GRAM``).
    """

    text: bytes
    views: Mapping[str, SparseRows]
    places: Mapping[str, npt.NDArray[np.int32]]


def locate_features(mail: pd.DataFrame) -> Iterator[LocatedFeatures]:
    """Hash the messages of a frame, some hundreds at a time, and keep where each feature stands.

    For explanations: hashes cannot be turned back into text. The features are those of ``featurize_mail``.
    """
    for documents in cut_documents(mail):
        text, offsets, body_starts = concatenate_documents(documents)
        words, word_offsets, patterns, pattern_offsets, *places = hash_documents(
            text, offsets, body_starts, is_locating=True
        )
        yield LocatedFeatures(
            text.tobytes(),
            {WORDS: SparseRows(words, word_offsets), PATTERNS: SparseRows(patterns, pattern_offsets)},
            {WORDS: places[0], PATTERNS: places[1]},
        )


def _stack(parts: list[SparseRows]) -> SparseRows:
    indices = np.concatenate([np.empty(0, np.uint32), *[rows.indices for rows in parts]])
    lengths = np.concatenate([np.empty(0, np.int64), *[np.diff(rows.offsets) for rows in parts]])
    return SparseRows(indices, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


def cut_documents(frame: pd.DataFrame) -> Iterator[list[tuple[bytes, bytes]]]:
    """Chunks of (headers, body), so that memory beyond the result does not grow with the day."""
    columns = [
        frame[name] if name in frame else [None] * len(frame) for name in (SENDER, RECIPIENTS, SUBJECT, BODY, RAW)
    ]
    rows = zip(*columns, strict=True)
    chunk: list[tuple[bytes, bytes]] = []
    for sender, recipients, subject, body, raw in rows:
        headers = _column_headers(sender, recipients, subject) + _raw_headers(raw)
        chunk.append((headers + b"\n", _encode(body, BODY_BYTES)))
        if len(chunk) == _CHUNK_MESSAGES:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _column_headers(sender: Any, recipients: Any, subject: Any) -> bytes:
    lines = ((b"From: ", sender), (b"To: ", recipients), (b"Subject: ", subject))
    values = ((name, _encode(value, _COLUMN_BYTES).replace(b"\n", b" ")) for name, value in lines)
    return b"".join(name + value + b"\n" for name, value in values if value)


def _raw_headers(raw: Any) -> bytes:
    if not isinstance(raw, bytes):
        return b""
    envelope = _ENVELOPE.match(raw[:_COLUMN_BYTES])
    start = envelope.end() if envelope else 0
    top = raw[start : start + 2 * HEADER_BYTES]
    end = _END_OF_HEADERS.search(top)
    headers = (top[: end.start()] if end else top).replace(b"\r\n", b"\n") + b"\n"
    return _MARKS_AFTER_DELIVERY.sub(b"", headers)[:HEADER_BYTES]


def _encode(value: Any, limit: int) -> bytes:
    return value[:limit].encode("utf-8", "replace")[:limit] if isinstance(value, str) else b""


def concatenate_documents(
    documents: list[tuple[bytes, bytes]],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """All text as one array, where each document starts (n + 1), and where each body starts (n)."""
    text = np.frombuffer(b"".join(part for document in documents for part in document), np.uint8)
    lengths = np.array([[len(headers), len(body)] for headers, body in documents], np.int64)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths.sum(axis=1))])
    return text, offsets, offsets[:-1] + lengths[:, 0]


# $ ! ' - . are parts of words, as in bogofilter; so is every byte of a character beyond ASCII
_IS_IN_WORDS = np.array([chr(byte).isalnum() or chr(byte) in "$!'-." or byte >= 128 for byte in range(256)])


@njit(inline="always")
def _note_place(place: npt.NDArray[np.int32], start: int, stop: int, header: int) -> None:
    place[0] = start
    place[1] = stop
    place[2] = header


@njit(cache=True, nogil=True)
def hash_documents(
    text: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    body_starts: npt.NDArray[np.int64],
    is_locating: bool,  # noqa: FBT001 - numba knows no keyword-only arguments
) -> tuple[
    npt.NDArray[np.uint32],
    npt.NDArray[np.int64],
    npt.NDArray[np.uint32],
    npt.NDArray[np.int64],
    npt.NDArray[np.int32],
    npt.NDArray[np.int32],
]:
    """Words and patterns of each document, each once per document, in order of first appearance.

    A table of the last document that had a feature takes the place of sorting or a set; its entries are two bytes
    to fit the processor's cache, which bounds the documents of one call to 65,535. The places at the end
    (see ``LocatedFeatures``) are empty unless ``is_locating``.
    """
    golden = np.uint64(0x9E3779B97F4A7C15)  # Fibonacci hashing: the high bits of a product are well mixed
    prime = np.uint64(0x100000001B3)  # FNV-1a
    word_shift = np.uint64(64 - WORD_BITS)
    pattern_shift = np.uint64(64 - PATTERN_BITS)
    documents = len(offsets) - 1
    if documents >= 1 << 16:
        raise ValueError("at most 65,535 documents can be hashed at once")
    word_seen = np.zeros(1 << WORD_BITS, np.uint16)  # the number of the last document, counted from 1
    pattern_seen = np.zeros(1 << PATTERN_BITS, np.uint16)
    words = np.empty(len(text) // 2 + documents + 1, np.uint32)
    patterns = np.empty(len(text) + len(text) // 2 + documents + 1, np.uint32)
    word_places = np.empty((len(words) if is_locating else 0, 3), np.int32)
    pattern_places = np.empty((len(patterns) if is_locating else 0, 3), np.int32)
    word_offsets = np.zeros(documents + 1, np.int64)
    pattern_offsets = np.zeros(documents + 1, np.int64)
    word_count = 0
    pattern_count = 0
    for row in range(documents):
        number = np.uint16(row + 1)
        start, body, stop = offsets[row], body_starts[row], offsets[row + 1]
        tag = np.uint64(0)
        token = np.uint64(0)
        length = 0
        is_name = start < body
        name_start = int(start)
        header = NO_HEADER
        window = np.uint64(0)
        for at in range(start, stop + 1):
            byte = np.uint64(text[at]) if at < stop else np.uint64(10)
            if at < stop:
                window = ((window << np.uint64(8)) | byte) & np.uint64(0xFFFFFFFF)
                if at >= start + 3:
                    index = (window * golden) >> pattern_shift
                    # written always and kept if new: a branch here could not be predicted
                    patterns[pattern_count] = index
                    if is_locating:
                        _note_place(pattern_places[pattern_count], at - 3, at + 1, FOUR_GRAM)
                    pattern_count += pattern_seen[index] != number
                    pattern_seen[index] = number
            if at == body:
                tag = np.uint64(0)
                header = NO_HEADER
                token = np.uint64(0)
                length = 0
                is_name = False
            if is_name:
                if byte == 58:  # a colon ends the header's name
                    is_name = False
                    tag = token * golden
                    header = name_start
                    token = np.uint64(0)
                elif byte == 10:
                    token = np.uint64(0)
                    name_start = at + 1
                else:
                    token = (token ^ (byte | np.uint64(32))) * prime
                continue
            if _IS_IN_WORDS[byte]:
                token = (token ^ byte) * prime
                length += 1
                continue
            if length > 0 and length <= _LONGEST_WORD_BYTES:
                index = (token * golden) >> word_shift
                if word_seen[index] != number:
                    word_seen[index] = number
                    words[word_count] = index
                    if is_locating:
                        _note_place(word_places[word_count], at - length, at, header)
                    word_count += 1
                tagged = (token ^ tag) * golden
                index = ((tagged ^ (tagged >> np.uint64(29))) * golden) >> pattern_shift
                if pattern_seen[index] != number:
                    pattern_seen[index] = number
                    patterns[pattern_count] = index
                    if is_locating:
                        _note_place(pattern_places[pattern_count], at - length, at, header)
                    pattern_count += 1
            token = np.uint64(0)
            length = 0
            if byte == 10 and at < body:
                is_name = at + 1 < body and text[at + 1] != 32 and text[at + 1] != 9
                name_start = at + 1
        word_offsets[row + 1] = word_count
        pattern_offsets[row + 1] = pattern_count
    return (
        words[:word_count].copy(),
        word_offsets,
        patterns[:pattern_count].copy(),
        pattern_offsets,
        word_places[:word_count].copy(),
        pattern_places[:pattern_count].copy(),
    )
