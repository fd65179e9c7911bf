"""Parsing: what a filter reads of a mail, and that hostile mail neither breaks nor stops it."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spam_assets.mail.parsing import find_received_at, parse_message
from spam_assets_tests.mail import AUGUST_1, MB, assert_storable, multipart, utc

# --- a plain mail


def test_a_plain_message_is_read_field_by_field() -> None:
    message = parse_message(
        b"From anna@example.com  Thu Aug  1 10:20:30 2002\nFrom: Anna <anna@example.com>\n"
        b"To: bob@example.com\n"
        b"Cc: carl@example.com,\n dora@example.com\nSubject: a long\n subject\n"
        b"Message-ID: <1@example.com>\n\nHello\nBob\n"
    )
    assert message.message_id == "<1@example.com>"
    assert message.received_at == AUGUST_1
    assert message.sender == "Anna <anna@example.com>"
    assert message.recipients == "bob@example.com, carl@example.com, dora@example.com"
    assert message.subject == "a long subject"
    assert message.body == "Hello\nBob\n"
    assert message.attachments == ()


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_every_kind_of_line_end_is_understood(newline: bytes) -> None:
    message = parse_message(b"Subject: one@@ two@@From: a@b@@@@first@@second".replace(b"@@", newline))
    assert (message.subject, message.sender, message.body) == ("one two", "a@b", "first\nsecond")


def test_missing_headers_are_empty_and_not_an_error() -> None:
    message = parse_message(b"X-Nothing: here\n\nbody")
    assert (message.message_id, message.received_at) == (None, None)
    assert (message.sender, message.recipients, message.subject, message.body) == ("", "", "", "body")


def test_without_a_from_header_the_sender_is_the_envelope_of_the_headers() -> None:
    assert parse_message(b"Return-Path: <r@x>\nSubject: s\n\n").sender == "<r@x>"
    assert parse_message(b"Return-Path: <r@x>\nSender: s@x\n\n").sender == "s@x"


def test_a_line_that_is_no_header_starts_the_body_so_that_no_text_is_lost() -> None:
    message = parse_message(b"Subject: s\nthis is text\nBuy: now\n")
    assert message.subject == "s"
    assert message.body == "this is text\nBuy: now\n"


def test_bytes_without_any_header_are_all_body() -> None:
    assert parse_message(b"just some text").body == "just some text"
    assert parse_message(b"").body == ""


# --- when it was delivered


def test_the_envelope_line_wins_over_received_which_wins_over_date() -> None:
    envelope = b"From a@b Thu Aug  1 10:20:30 2002\n"
    received = b"Received: from x; by y;\n Fri, 2 Aug 2002 10:20:30 +0000\nReceived: z; 3 Aug 2002 10:20:30 +0000\n"
    forged = b"Date: Tue, 19 Jan 2038 03:14:07 +0000\n"
    assert parse_message(envelope + received + forged).received_at == AUGUST_1
    assert parse_message(received + forged).received_at == utc(2002, 8, 2, 10, 20, 30)
    assert parse_message(forged).received_at == utc(2038, 1, 19, 3, 14, 7)
    assert parse_message(b"From a@b garbage\nReceived: none\n" + forged).received_at == utc(2038, 1, 19, 3, 14, 7)


# --- hostile


_NESTED = b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (n, n) for n in range(5000))
HOSTILE_MAIL = {
    "20 MB of lines under 5,000 levels": lambda: _NESTED + b"x\n" * (10 * MB),
    "empty parts": lambda: b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\n" * (4 * MB),
    "false boundaries": lambda: b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--bb\n" * (2 * MB),
    "dashes": lambda: b"Content-Type: multipart/mixed; boundary=" + b"-" * 70 + b"\n\n" + b"-" * (20 * MB),
    "tiny headers": lambda: b"a:\n" * (6 * MB),
    "a huge header": lambda: b"Subject: " + b"x" * (20 * MB),
    "a 100 kB header": lambda: b"To: " + b"a@b, " * 20_000 + b"\n\nbody",
    "folded header": lambda: b"Subject: x" + b"\n x" * (6 * MB),
    "broken encoded words": lambda: b"Subject: " + b"=?a?b?" * (3 * MB),
    "encoded words": lambda: b"Subject: " + b"=?utf-8?q?=41?= " * MB,
    "parameters": lambda: b'Content-Type: text/plain; a="' + b"\\" * MB + b"\n\nx",
    "envelopes": lambda: b"From x\n" * MB,
    "nul": lambda: b"\0" * (20 * MB),
    "carriage returns": lambda: b"\r" * (20 * MB),
    "utf-7": lambda: b"Content-Type: text/plain; charset=utf-7\n\n" + b"+2AA-" * MB,
    "punycode": lambda: b"Content-Type: text/plain; charset=punycode\n\n" + b"a" * (5 * MB),
    "forwarded": lambda: b"Content-Type: message/rfc822\n\n" * 500_000,
    "html in 200 parts": lambda: multipart(
        *(b"Content-Type: text/html\n\n" + b"<b>" * 33_000 + b"%d" % n for n in range(200))
    ),
}


@pytest.mark.parametrize("name", HOSTILE_MAIL)
def test_hostile_mail_takes_linear_time_and_comes_out_storable(name: str) -> None:
    raw = HOSTILE_MAIL[name]()
    start = time.process_time()
    assert_storable(parse_message(raw))
    assert time.process_time() - start < 6  # quadratic time would be minutes


TOKENS = [
    b"\n",
    b"\r\n",
    b":",
    b";",
    b"=",
    b"--B",
    b"--B--",
    b"From ",
    b"From: ",
    b"Subject: ",
    b"Date: ",
    b"Received: ",
    b"Content-Type: ",
    b"multipart/mixed; boundary=B",
    b"text/html",
    b"message/rfc822",
    b"; charset=",
    b"utf-7",
    b"Content-Transfer-Encoding: ",
    b"base64",
    b"quoted-printable",
    b"=?utf-7?b?",
    b"=?utf-8?q?",
    b"?=",
    b"<",
    b">",
    b"<!--",
    b"&#",
    b"<a href=//",
    b'"',
    b"'",
    b"\0",
    b"\xff",
    b"\xed\xa0\x80",
    b" ",
    b"\t",
    b"1 Jan 99999 00:00",
    b"+2AA-",
    b"A",
]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(TOKENS), st.binary(max_size=6)), max_size=60).map(b"".join))
def test_any_bytes_are_read_without_an_error(raw: bytes) -> None:
    message = parse_message(raw)
    assert_storable(message)
    assert message.received_at is None or message.received_at.utcoffset() is not None
    assert find_received_at(raw) == message.received_at
    assert parse_message(raw) == message
