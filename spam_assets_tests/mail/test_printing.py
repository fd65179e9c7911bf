"""What strangers wrote stays text wherever it is printed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spam_assets.mail.printing import make_printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Grüße, 你好", "Grüße, 你好"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\nb", "a\\nb"),
        ("\u202eabc", "\\u202eabc"),
        ("\udcff", "\\udcff"),
    ],
)
def test_what_does_not_print_is_shown_as_its_escape(text: str, shown: str) -> None:
    assert make_printable(text) == shown


@given(st.text())
def test_any_text_prints_and_what_is_kept_stays(text: str) -> None:
    assert make_printable(text).isprintable()
    assert make_printable(text, keep="\n").replace("\n", "").isprintable()
    assert make_printable(text, keep="\n").count("\n") == text.count("\n")
