"""Bytes of a message -> `Message`.

Mail is hostile input: nothing here, nor in `headers`, `mime`, `text` and `dates`, raises, recurses deeply or
backtracks. Python's `email` package is not used for the structure: it checks every line against every open boundary
and recurses once a level, so that a nested 20 MB message takes minutes or ends in RecursionError. What stands in its
place reads each byte a bounded number of times.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from spam_assets.mail.dates import parse_mail_date
from spam_assets.mail.headers import (
    MAX_FIELD_CHARACTERS,
    MAX_HEADER_BYTES,
    Headers,
    decode_first,
    decode_header_value,
    find_first,
    parse_headers,
    split_envelope,
)
from spam_assets.mail.mime import Attachment, read_content

_ENVELOPE_DATE = re.compile(rb"[ \t]((?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),?[ \t].*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Message:
    """The parts of a message that a filter reads. All text can be encoded as UTF-8 and holds no NUL.

    Attributes:
        message_id: the Message-ID header, with its angle brackets; None if there is none.
        received_at: when the message was delivered, aware and in UTC; None if no date can be read.
        sender: the From header (else Sender, else Return-Path), decoded.
        recipients: the To and Cc headers, decoded, joined by `, `.
        subject: the Subject header, decoded.
        body: text of all text parts in order; see `mime.read_content`.
        attachments: every part that is not shown as text.
    """

    message_id: str | None
    received_at: datetime | None
    sender: str
    recipients: str
    subject: str
    body: str
    attachments: tuple[Attachment, ...]


def parse_message(raw: bytes) -> Message:
    """Read an RFC 5322 message, with or without the `From ` line of an mbox before it.

    Args:
        raw: the message as it arrived; any bytes.

    Returns:
        The message. Never raises; takes time linear in the length of `raw`.
    """
    data = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    envelope, start = split_envelope(data)
    headers, body_start = parse_headers(data, start)
    body, attachments = read_content(headers, data[body_start:])
    return Message(
        message_id=decode_first(headers, b"message-id")[:998] or None,  # 998: longest line that mail allows
        received_at=_choose_received_at(envelope, headers)[0],
        sender=next(filter(None, (decode_first(headers, n) for n in (b"from", b"sender", b"return-path"))), ""),
        recipients=", ".join(filter(None, map(decode_header_value, headers.get(b"to", []) + headers.get(b"cc", []))))[
            :MAX_FIELD_CHARACTERS
        ],
        subject=decode_first(headers, b"subject"),
        body=body,
        attachments=attachments,
    )


def find_received_at(raw: bytes) -> datetime | None:
    """Return when the message was delivered, as `parse_message` does, reading only the headers."""
    return find_delivery(raw)[0]


def find_delivery(raw: bytes) -> tuple[datetime | None, bool]:
    """Return when the message was delivered, and whether a mail server says so and not only its sender."""
    data = raw[: 2 * MAX_HEADER_BYTES].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    envelope, start = split_envelope(data)
    return _choose_received_at(envelope, parse_headers(data, start)[0])


def _choose_received_at(envelope: bytes, headers: Headers) -> tuple[datetime | None, bool]:
    """Return the date of the envelope line, else of the topmost Received, else of Date: often forged, hence False."""
    match = _ENVELOPE_DATE.search(envelope)
    stamps = [match[1]] if match else []
    _, semicolon, after = find_first(headers, b"received").rpartition(b";")
    stamps += [after] if semicolon else []
    for stamp, is_vouched in (*((stamp, True) for stamp in stamps), (find_first(headers, b"date"), False)):
        date = parse_mail_date(stamp[:200].decode("latin-1"))
        if date is not None:
            return date, is_vouched
    return None, False
