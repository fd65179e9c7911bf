"""What the commands print of others' text moves no cursor and forms no markup."""

import ast
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from spam_assets.cli.console import escape_terminal
from spam_assets_tests.conftest import PROJECT


def print_on_terminal(text: str) -> str:
    file = io.StringIO()
    Console(file=file, force_terminal=True, color_system=None, width=10_000).print(
        text, soft_wrap=True, highlight=False
    )
    return file.getvalue()


@pytest.mark.parametrize("text", ["\x1b[2J\x1b[1;31mred", "[red]red[/red]", "a\x08b", "\x9b2J", "back\\[red]"])
def test_hostile_text_is_printed_as_it_is_written(text: str) -> None:
    printed = print_on_terminal(escape_terminal(text))
    assert printed.removesuffix("\n").isprintable()
    if text.isprintable():
        assert printed == f"{text}\n"


@given(st.text(max_size=200))
def test_any_text_is_printed_without_control_characters(text: str) -> None:
    assert print_on_terminal(escape_terminal(text)).replace("\n", "").isprintable()
    assert "\n" not in print_on_terminal(escape_terminal(text, 60)).removesuffix("\n")


def test_an_error_that_quotes_a_file_sends_no_escape_sequence() -> None:
    from spam_assets.landing.errors import LandingError
    from spam_assets.landing.file_formats import check_header

    with pytest.raises(LandingError) as caught:
        check_header(["\x1b[31mred", "b\x07"], "x.csv")
    assert str(caught.value).isprintable()


def test_no_command_escapes_text_in_another_way() -> None:
    """Only the console knows rich's own `escape`."""
    for path in (PROJECT / "spam_assets" / "cli").glob("*.py"):
        names = {alias.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)
                 for alias in node.names}  # fmt: skip
        assert path.name == "console.py" or "escape" not in names, path


def test_no_command_prints_the_landing_url_as_it_is() -> None:
    for path in (PROJECT / "spam_assets" / "cli").glob("*.py"):
        assert not re.search(r"\{settings\.(landing_url|storage_url|tracking_uri)\}", path.read_text()), path
