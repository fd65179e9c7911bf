"""Decoding: a charset that lies does no harm, and what comes out can be stored."""

import pytest

from spam_assets.mail.decoding import decode_text
from spam_assets.mail.parsing import parse_message
from spam_assets_tests.mail import assert_storable


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
