"""Parsing: what a filter reads of a mail, and that hostile mail neither breaks nor stops it."""

import base64
import time
from datetime import datetime, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spam_assets.mail import parsing
from spam_assets.mail.parsing import (
    MAX_BODY_CHARACTERS,
    MAX_PARTS,
    Attachment,
    convert_html_to_text,
    decode_header_value,
    decode_text,
    find_received_at,
    parse_mail_date,
    parse_message,
)

AUGUST_1 = datetime(2002, 8, 1, 10, 20, 30, tzinfo=timezone.utc)
MB = 1_000_000


def utc(*fields: int) -> datetime:
    return datetime(*fields, tzinfo=timezone.utc)  # type: ignore[misc,arg-type]


def assert_storable(message: parsing.Message) -> None:
    names = [attachment.name for attachment in message.attachments]
    for text in (
        message.message_id or "",
        message.sender,
        message.recipients,
        message.subject,
        message.body,
        *names,
    ):
        text.encode("utf-8")
        assert "\0" not in text


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


# --- encoded headers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"=?utf-8?q?caf=C3=A9_au_lait?=", "café au lait"),
        (b"=?iso-8859-1?B?Y2Fm6Q==?= =?iso-8859-1?q?_noir?=", "café noir"),
        (b"=?utf-8?b?4oI=?= =?utf-8?b?rA==?=", "€"),  # one character over two words
        (b"=?utf-8*en?q?hi?=", "hi"),
        (b"=?hex?q?4142?=", "4142"),
        (b"=?utf-8?b?%%%?=", ""),
        (b"=?utf-8?x?hi?=", "=?utf-8?x?hi?="),
        (b"Re: =?utf-8?q?=0D=0ABcc:_all?= end", "Re:   Bcc: all end"),  # no way to smuggle in a line
        (b"caf\xe9 and caf\xe9", "café and café"),
        (b"a\0b", "a b"),
    ],
)
def test_encoded_headers_are_decoded(value: bytes, text: str) -> None:
    assert decode_header_value(value) == text


# --- charsets that lie


def test_a_wrong_or_unknown_charset_falls_back_to_utf8_then_windows_1252_then_latin_1() -> None:
    assert decode_text("naïve".encode(), "us-ascii") == "naïve"
    assert decode_text("naïve".encode(), "no-such-charset") == "naïve"
    assert decode_text("“naïve”".encode("cp1252"), "utf-8") == "“naïve”"
    assert decode_text(b"\x81\xe9", None) == "\x81é"
    assert decode_text("кот".encode("koi8-r"), "KOI8-R") == "кот"
    assert decode_text("한국".encode("euc-kr"), "ks_c_5601-1987") == "한국"
    assert decode_text("日本".encode("iso-2022-jp"), "iso-2022-jp") == "日本"


@pytest.mark.parametrize(
    "charset",
    [
        "hex",
        "zlib",
        "bz2",
        "rot13",
        "punycode",
        "idna",
        "unicode_escape",
        "base64",
        "undefined",
        "x" * 999,
        "..",
    ],
)
def test_codecs_that_are_no_charsets_are_never_used(charset: str) -> None:
    assert decode_text(b"4142 \\x41 xn--a caf\xe9", charset) == "4142 \\x41 xn--a café"


def test_lone_surrogates_and_nul_do_not_come_out() -> None:
    message = parse_message(b"Subject: =?utf-7?q?a+2AA-b?=\nContent-Type: text/plain; charset=utf-7\n\n+2AA-\0+3gA-")
    assert_storable(message)


# --- MIME


def multipart(*parts: bytes, kind: bytes = b"mixed", boundary: bytes = b"B") -> bytes:
    inside = b"".join(b"--" + boundary + b"\n" + part + b"\n" for part in parts)
    head = b'MIME-Version: 1.0\nContent-Type: multipart/%s; boundary="%s"\n\nold reader\n' % (kind, boundary)
    return head + inside + b"--" + boundary + b"--\nepilogue\n"


def test_both_variants_of_an_alternative_are_kept_because_spam_says_different_things_in_them() -> None:
    body = parse_message(
        multipart(
            b"Content-Type: text/plain\n\ninnocent",
            b"Content-Type: text/html\n\n<p>pills</p>",
            kind=b"alternative",
        )
    ).body
    assert body == "innocent\npills"


def test_variants_that_say_the_same_are_kept_once() -> None:
    raw = multipart(b"\nhello  you", b"Content-Type: text/html\n\n<p>hello <b>you</b></p>", kind=b"alternative")
    assert parse_message(raw).body == "hello  you"


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        (b"base64", base64.b64encode(b"buy now")),
        (b"base64", b"YnV5I@G5vdw"),  # foreign character, padding missing
        (b"BASE64 ", b"YnV5\nIG5v\ndw=="),
        (b"quoted-printable", b"buy=20no=\nw"),
        (b"7bit", b"buy now"),
        (b"nonsense", b"buy now"),
    ],
)
def test_transfer_encodings_are_undone(encoding: bytes, content: bytes) -> None:
    assert parse_message(b"Content-Transfer-Encoding: " + encoding + b"\n\n" + content).body.strip() == "buy now"


def test_attachments_are_noted_and_not_read() -> None:
    content = base64.encodebytes(b"x" * 1000)
    message = parse_message(
        multipart(
            b"\ntext",
            b'Content-Type: application/x-msdownload; name="..\\..\\c\x07v.exe"\n'
            b"Content-Transfer-Encoding: base64\n\n" + content,
            b"Content-Type: text/html\nContent-Disposition: attachment; filename*=utf-8''%e2%82%ac.html\n\n<b>x</b>",
            b'Content-Type: image/png\nContent-Disposition: inline; filename*0="a/../long"; filename*1=".png"\n\nx',
        )
    )
    assert message.body == "text"
    assert message.attachments == (
        Attachment("c v.exe", "application/x-msdownload", 1000),
        Attachment("€.html", "text/html", 8),
        Attachment("long.png", "image/png", 1),
    )


def test_a_forwarded_message_is_read_with_its_subject() -> None:
    raw = b"Content-Type: message/rfc822\n\nSubject: inner\nContent-Type: text/html\n\n<i>deep</i>"
    assert parse_message(raw).body == "inner\ndeep"


@pytest.mark.parametrize(
    "content_type",
    [
        b"multipart/mixed",
        b"multipart/mixed; boundary=other",
        b'multipart/mixed; boundary=""',
        b"multipart",
        b";;=",
    ],
)
def test_a_boundary_or_type_that_lies_leaves_the_content_as_text(content_type: bytes) -> None:
    assert "pills" in parse_message(b"Content-Type: " + content_type + b"\n\n--B\n\npills\n--B--").body


def test_a_boundary_that_starts_like_another_one_does_not_end_its_part() -> None:
    assert parse_message(multipart(b"\none\n--BB\nstill one", b"\ntwo")).body == "one\n--BB\nstill one\ntwo"


def test_the_last_part_may_lack_its_closing_line() -> None:
    assert parse_message(b"Content-Type: multipart/mixed; boundary=B\n\n--B\n\none\n--B\n\ntwo").body == "one\ntwo"


def test_no_more_parts_are_read_than_the_limit() -> None:
    body = parse_message(multipart(*(b"\npart%d" % number for number in range(10 * MAX_PARTS)))).body
    assert body.count("part") == MAX_PARTS - 1  # the multipart counts itself


def test_the_body_is_capped() -> None:
    assert len(parse_message(b"\n" + b"word " * MB).body) == MAX_BODY_CHARACTERS
    assert len(parse_message(multipart(*(b"\n%d" % n + b"x" * 9999 for n in range(100)))).body) == MAX_BODY_CHARACTERS


# --- dates


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Thu, 1 Aug 2002 10:20:30 +0000", AUGUST_1),
        ("Thu, 1 Aug 2002 12:20:30 +0200 (CEST)", AUGUST_1),
        ("1 Aug 02 06:20:30 EDT", AUGUST_1),
        ("Thu, 1 Aug 2002 10:20:30 UT", AUGUST_1),
        ("Thu, 1 Aug 2002 10:20:30 XYZT", AUGUST_1),  # unknown: as UTC
        ("Thu, 1 Aug 2002 10:20:30 +9999", AUGUST_1),  # no place on earth
        ("Thu, 1 Aug 102 10:20:30 GMT", AUGUST_1),  # the year 2000 bug
        ("Thu Aug  1 10:20:30 2002", AUGUST_1),
        ("1 Jan 70 00:00:00 GMT", utc(1970, 1, 1)),
        ("31 Dec 1998 23:59:60 GMT", utc(1998, 12, 31, 23, 59, 59)),
        ("Thu, 1 Aug 12002 10:20:30 GMT", None),
        ("Thu, 1 Aug 1902 10:20:30 GMT", None),
        ("Thu, 31 Feb 2002 10:20:30 GMT", None),
        ("Thu, 1 Aug 2002 25:20:30 GMT", None),
        ("tomorrow", None),
        ("", None),
        ("1 " * 500, None),
    ],
)
def test_dates_are_read_as_mail_writes_them(text: str, expected: datetime | None) -> None:
    assert parse_mail_date(text) == expected


def test_the_envelope_line_wins_over_received_which_wins_over_date() -> None:
    envelope = b"From a@b Thu Aug  1 10:20:30 2002\n"
    received = b"Received: from x; by y;\n Fri, 2 Aug 2002 10:20:30 +0000\nReceived: z; 3 Aug 2002 10:20:30 +0000\n"
    forged = b"Date: Tue, 19 Jan 2038 03:14:07 +0000\n"
    assert parse_message(envelope + received + forged).received_at == AUGUST_1
    assert parse_message(received + forged).received_at == utc(2002, 8, 2, 10, 20, 30)
    assert parse_message(forged).received_at == utc(2038, 1, 19, 3, 14, 7)
    assert parse_message(b"From a@b garbage\nReceived: none\n" + forged).received_at == utc(2038, 1, 19, 3, 14, 7)


# --- HTML


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<p>one</p><p>two</p>", "one\ntwo"),
        ("V<!-- x -->ia<b>gr</b>a", "Viagra"),
        ("a<style>b{}</style>c<script>if (1<2) d()</script>e", "ace"),
        ("<table><tr><td>a</td><td>b</td></tr></table>", "a b"),
        ("1 < 2 &amp; &#51; &gt; 2 &#x00000034;", "1 < 2 & 3 > 2 4"),
        ("&#xD800;&#99999999999999999999;&#0;", "\ufffd\ufffd\ufffd"),
        ('<a href="http://pills.example/x?y">click</a>', "pills.example click"),
        ("<img src=//cdn.example/a.gif alt='great offer'>", "cdn.example great offer"),
        ("visible<!-- open comment", "visible"),
        ("visible<script>open", "visible"),
        ("visible<a href=", "visible"),
        ("", ""),
    ],
)
def test_html_becomes_what_the_reader_sees_plus_hosts_and_alternative_texts(source: str, text: str) -> None:
    assert convert_html_to_text(source) == text


def test_html_that_is_declared_as_plain_text_is_still_read_as_html() -> None:
    assert parse_message(b"Subject: s\n\n <HTML><body>pi<b>lls</b></body></html>").body == "pills"


# --- hostile


HOSTILE_HTML = {
    "nested div": lambda: "<div>" * MB,
    "nested bold": lambda: "<b>" * MB,
    "open brackets": lambda: "<" * (2 * MB),
    "open comments": lambda: "<!--" * MB,
    "open quotes": lambda: ("<img " + 'alt="' * 380 + ">") * 2000,
    "number": lambda: "&#" + "1" * (5 * MB) + ";",
    "numbers": lambda: "&#0" * MB,
    "ampersands": lambda: "&" * (5 * MB),
    "blanks": lambda: " " * (5 * MB),
    "lines": lambda: " \n" * MB,
    "scripts": lambda: "<script>" * 500_000,
}


@pytest.mark.parametrize("name", HOSTILE_HTML)
def test_hostile_html_takes_linear_time(name: str) -> None:
    source = HOSTILE_HTML[name]()[: 5 * MB]
    start = time.process_time()
    convert_html_to_text(source)
    assert time.process_time() - start < 5  # quadratic time would be minutes


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
