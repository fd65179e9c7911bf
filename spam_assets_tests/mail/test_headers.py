"""Headers: encoded words are decoded, and none smuggles in a line."""

import pytest

from spam_assets.mail.headers import decode_header_value


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
