"""Kinds of senders, as far as headers and address tell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spam_assets.mail.sender_kinds import BULK, FREE_MAIL, MAILING_LIST, OTHER, SENDER_KINDS, name_sender_kind


@pytest.mark.parametrize(
    ("sender", "raw", "kind"),
    [
        ("a@example.com", b"Subject: x\nList-Id: <dev.example.com>\n\nhi", MAILING_LIST),
        ("a@example.com", b"Subject: x\r\nprecedence:  List\r\n\r\nhi", MAILING_LIST),
        ("a@hotmail.com", b"X-BeenThere: dev@example.com\nList-Unsubscribe: <x>\n\n", MAILING_LIST),
        ("a@example.com", b"List-Unsubscribe: <https://example.com>\n\nhi", BULK),
        ("a@hotmail.com", b"Precedence: bulk\n\nhi", BULK),
        ("Zoe <a@Hotmail.com>", b"Subject: x\n\nList-Id: in the body", FREE_MAIL),
        ("a@mail.yahoo.co.uk", None, FREE_MAIL),
        ("a@yahoo.com.evil.example", None, OTHER),
        ("a@myhotmail.com", None, OTHER),
        ("gmail.com fan <a@example.com>", b"Subject: x\n\n", OTHER),
        ("", None, OTHER),
    ],
)
def test_a_message_is_of_the_kind_that_its_headers_or_its_address_tell(
    sender: str, raw: bytes | None, kind: str
) -> None:
    assert name_sender_kind(sender, raw) == kind


@given(st.text(max_size=300), st.none() | st.binary(max_size=500))
def test_any_message_has_a_kind(sender: str, raw: bytes | None) -> None:
    assert name_sender_kind(sender, raw) in SENDER_KINDS


def test_endless_headers_and_addresses_are_read_as_far_as_there_is_patience() -> None:
    assert name_sender_kind("@a." * 1_000_000, b"x: y\n" * 1_000_000 + b"List-Id: z\n") == OTHER
