"""HTML: what a reader sees comes out, in linear time however hostile it is."""

import time

import pytest

from spam_assets.mail.html_to_text import convert_html_to_text
from spam_assets_tests.mail import MB


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
