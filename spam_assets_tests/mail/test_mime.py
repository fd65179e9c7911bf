"""MIME: the text of every part is read, attachments are noted, and structures that lie lose nothing."""

import base64

import pytest

from spam_assets.mail.mime import MAX_BODY_CHARACTERS, MAX_PARTS, Attachment
from spam_assets.mail.parsing import parse_message
from spam_assets_tests.mail import MB, multipart


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


def test_html_that_is_declared_as_plain_text_is_still_read_as_html() -> None:
    assert parse_message(b"Subject: s\n\n <HTML><body>pi<b>lls</b></body></html>").body == "pills"
