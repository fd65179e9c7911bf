"""What README and docs/ name is there: commands, flags, settings, files; each block is run or says why not."""

import re
import shlex
from collections.abc import Iterable
from functools import cache
from typing import Any

import pytest

from spam_assets_tests.conftest import PROJECT
from spam_assets_tests.documents import (
    MarkError,
    find_commands_in_indented_code,
    list_code,
    list_documents,
    list_links,
    read_blocks,
    read_document,
    resolve,
)

DOCUMENTS = list_documents()
FLAGS_OF_OTHERS = {"--app-name"}  # mlflow server's


@cache
def load_command() -> Any:
    import typer

    from spam_assets.cli.app import app

    return typer.main.get_command(app)


def list_commands(command: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], set[str]]:
    """Every command that a person can give, with its flags."""
    found = {path: {flag for parameter in command.params for flag in parameter.opts} | {"--help", "--debug"}}
    for name, inner in getattr(command, "commands", {}).items():
        found |= list_commands(inner, (*path, name))
    return found


def find_unknown(code: str, commands: dict[tuple[str, ...], set[str]]) -> list[str]:
    """What a line of code asks of `spam-assets` that it does not have."""
    unknown = []
    for match in re.finditer(r"(?<![\w./-])spam-assets((?: +[^&|;]+)?)", code):
        try:
            words = shlex.split(match[1], comments=True)
        except ValueError:  # a quote that the pattern cut
            words = match[1].split()
        path: tuple[str, ...] = ()
        while words and (*path, words[0]) in commands:
            path = (*path, words.pop(0))
        is_group = any(other[:-1] == path for other in commands if other)
        if is_group and words and not words[0].startswith("-") and not words[0].startswith("..."):
            unknown.append(f"spam-assets {' '.join((*path, words[0]))}")
        flags = {word.partition("=")[0] for word in words if word.startswith("--")}
        unknown += [f"spam-assets {' '.join((*path, flag))}" for flag in sorted(flags - commands[path])]
    return unknown


def find_unknown_flags(code: str, known: Iterable[str]) -> list[str]:
    """Flags that stand alone in the text, as `--explain` does, and that nothing of ours has."""
    return [] if not code.startswith("--") else sorted(set(re.findall(r"--[a-z][a-z-]+", code)) - set(known))


def find_unknown_benchmarks(code: str) -> list[str]:
    unknown = []
    for name, rest in re.findall(r"benchmarks\.(\w+)([^&|;#]*)", code):
        places = [PROJECT / "benchmarks" / f"{name}.py", *(PROJECT / "benchmarks" / name).glob("*.py")]
        source = "".join(path.read_text() for path in places if path.is_file())
        if not source:
            unknown.append(f"benchmarks.{name}")
        flags = re.findall(r"--[a-z][a-z-]+", rest) if source else []
        unknown += [f"benchmarks.{name} {flag}" for flag in flags if flag not in list_benchmark_flags()]
    return unknown


@cache
def list_benchmark_flags() -> set[str]:
    source = "".join(path.read_text() for path in (PROJECT / "benchmarks").rglob("*.py"))
    return set(re.findall(r'"(--[a-z][a-z-]+)"', source))


def list_known_settings() -> set[str]:
    return set(re.findall(r"^(?:# )?([A-Z_]+)=", (PROJECT / ".env.example").read_text(), re.MULTILINE))


def find_unknown_settings(text: str) -> list[str]:
    named = set(re.findall(r"\bSPAM_ASSETS_[A-Z_]*[A-Z]\b", text))
    ends = set(re.findall(r"`\.\.\.(_[A-Z_]+)", text))
    known = list_known_settings()
    return sorted(named - known) + sorted(end for end in ends if not any(name.endswith(end) for name in known))


def find_unknown_targets(text: str) -> set[str]:
    targets = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    return {name for code in list_code(text) for name in re.findall(r"\bmake ([a-z]+)", code)} - targets


@pytest.mark.parametrize("document", DOCUMENTS)
def test_whatever_a_document_names_is_there(document: str) -> None:
    text = read_document(document)
    commands = list_commands(load_command())
    known = set().union(*commands.values(), list_benchmark_flags(), FLAGS_OF_OTHERS)
    for code in list_code(text):
        assert find_unknown(code, commands) == []
        assert find_unknown_flags(code, known) == []
        assert find_unknown_benchmarks(code) == []
    assert find_unknown_settings(text) == []
    assert find_unknown_targets(text) == set()
    assert [link for link in list_links(text) if not resolve(document, link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_that_a_document_shows_stands_in_a_block_that_is_run_or_says_why_not(document: str) -> None:
    text = read_document(document)
    blocks = read_blocks(text)  # raises where a mark gives no reason
    assert find_commands_in_indented_code(text) == []
    nameless = [block.line for block in blocks if block.language not in ("sh", "python", "text", "ini", "mermaid")]
    assert nameless == [], "say what these blocks are: sh is run, text is not"
    assert [block.line for block in blocks if block.language == "text" and "spam-assets " in block.text] == []


def test_every_command_of_ours_is_run_by_some_document() -> None:
    shown = [
        line
        for document in DOCUMENTS
        for block in read_blocks(read_document(document))
        if block.is_run and block.language == "sh"
        for line in block.run_text.splitlines()
    ]
    commands = list_commands(load_command())
    leaves = {path for path in commands if not any(other[:-1] == path for other in commands if other)}
    patterns = {path: re.compile(rf"spam-assets {' '.join(path)}\b") for path in leaves}
    assert sorted(path for path, pattern in patterns.items() if not any(map(pattern.search, shown))) == []


# --- what these would find


@pytest.mark.parametrize(
    ("code", "unknown"),
    [
        ("spam-assets", []),
        ("pip install . && spam-assets demo", []),
        ("spam-assets run --date 2002-08-22 --debug", []),
        ("spam-assets land mbox --ham a.mbox --spam b.mbox", []),
        ("spam-assets exclude 2002-08-22 --reason 'a broken --export'  # or --other", []),
        ("/work/.spam-assets/x", []),
        ("spam-assets runs", ["spam-assets runs"]),
        ("cd x && spam-assets land mailbox --ham x", ["spam-assets land mailbox", "spam-assets land --ham"]),
        ("spam-assets run --day 2002-08-22", ["spam-assets run --day"]),
    ],
)
def test_a_command_that_is_not_there_is_found(code: str, unknown: list[str]) -> None:
    assert find_unknown(code, list_commands(load_command())) == unknown


def test_a_flag_a_benchmark_a_setting_and_a_target_that_are_not_there_are_found() -> None:
    assert find_unknown_flags("--explain", {"--explain"}) == []
    assert find_unknown_flags("--explian", {"--explain"}) == ["--explian"]
    assert find_unknown_benchmarks("python -m benchmarks.quality --plot x.svg") == []
    assert find_unknown_benchmarks("python -m benchmarks.qualities") == ["benchmarks.qualities"]
    assert find_unknown_benchmarks("python -m benchmarks.quality --plots x.svg") == ["benchmarks.quality --plots"]
    assert find_unknown_settings("SPAM_ASSETS_HOME, `..._NEW_MESSAGES`") == []
    assert find_unknown_settings("SPAM_ASSETS_HOUSE, `..._MEW_MESSAGES`") == ["SPAM_ASSETS_HOUSE", "_MEW_MESSAGES"]
    assert find_unknown_targets("`make test`, make sure") == set()
    assert find_unknown_targets("`make tests`") == {"tests"}


def test_links_are_read_without_anchors_and_code() -> None:
    text = "[a](x.md#part) ![b](images/y.png) [c](https://example.com) [d](#here)\n```sh\n[e](z.md)\n```\n"
    assert list_links(text) == ["x.md", "images/y.png"]


def test_a_block_is_read_with_its_marks() -> None:
    text = (
        "1. one\n\n   ```sh\n   ls\n   ```\n\n<!-- stays up: http://127.0.0.1:1/ -->\n```sh\nserve\n```\n"
        "<!-- run with sleep 60 => sleep 1: a minute is long -->\n```sh\nsleep 60\n```\n"
        "<!-- not run: deletes the reader's files -->\n```sh\nrm -r ~\n```\n```text\nx\n```\n"
    )
    plain, server, shorter, never, output = read_blocks(text)
    assert (plain.line, plain.text, plain.is_run) == (3, "ls\n", True)
    assert server.stays_up == "http://127.0.0.1:1/"
    assert shorter.run_text == "sleep 1\n"
    assert (never.not_run, never.is_run, output.is_run) == ("deletes the reader's files", False, False)


@pytest.mark.parametrize(
    "text",
    [
        "<!-- not run -->\n```sh\nls\n```\n",
        "<!-- not run: too long -->\n```sh\nls\n```\n",
        "<!-- run with a => b: it is shorter -->\n```sh\nls\n```\n",
        "<!-- run with ls: it is much shorter -->\n```sh\nls\n```\n",
        "<!-- not run: it needs an account -->\n\n```sh\nls\n```\n",
    ],
)
def test_a_mark_without_a_reason_or_a_block_is_an_error(text: str) -> None:
    with pytest.raises(MarkError):
        read_blocks(text)


def test_a_command_in_indented_code_is_found() -> None:
    assert find_commands_in_indented_code("text\n\n    spam-assets verify\n    key: value\n") == [
        "    spam-assets verify"
    ]
    assert find_commands_in_indented_code("1. a\n\n    ```sh\n    spam-assets verify\n    ```\n") == []
