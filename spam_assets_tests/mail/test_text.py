"""Text: a charset that lies does no harm, HTML becomes what its reader sees, and what comes out can be stored."""

import time

import pytest

from spam_assets.mail.parsing import parse_message
from spam_assets.mail.text import convert_html_to_text, decode_text
from spam_assets_tests.mail import MB, assert_storable

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
