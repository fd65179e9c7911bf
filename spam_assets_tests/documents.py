"""What the documents tell a reader to do: fenced blocks with their marks, code in the text, links.

A mark is an HTML comment on a line of its own before a block, which a reader does not see:

    <!-- not run: WHY -->              the block cannot run in a test
    <!-- stays up: URL -->             a server: started, asked for URL until it answers, stopped at the document's end
    <!-- run with OLD => NEW: WHY -->  the block runs with NEW in place of OLD
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spam_assets_tests.conftest import PROJECT

MARK = re.compile(r"<!-- (not run|stays up|run with)\b:? ?(.*?) -->")
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: the line of its fence, its language, its text without indentation, its marks."""

    line: int
    language: str
    text: str
    not_run: str | None = None
    stays_up: str | None = None
    replaced: tuple[tuple[str, str], ...] = ()

    @property
    def is_run(self) -> bool:
        return self.language in ("sh", "python") and self.not_run is None

    @property
    def run_text(self) -> str:
        """The text with what its marks put in place of something."""
        text = self.text
        for old, new in self.replaced:
            text = text.replace(old, new)
        return text


class MarkError(Exception):
    """A mark that cannot be read, or gives no reason; the message says where and what to do."""


def list_documents() -> list[str]:
    """The README, the tutorial, every other page of docs/, by their paths in the project."""
    pages = sorted(str(path.relative_to(PROJECT)) for path in (PROJECT / "docs").rglob("*.md"))
    return ["README.md", "CONTRIBUTING.md", "SECURITY.md", *pages]


def read_document(document: str) -> str:
    return (PROJECT / document).read_text(encoding="utf-8")


def read_blocks(text: str) -> list[Block]:
    """Every fenced block of a document, in order.

    Raises:
        MarkError: a mark gives no reason, replaces what its block does not have, or stands before no block.
    """
    blocks, used = [], 0
    for fence in FENCE.finditer(text):
        indent, language, body = fence.groups()
        line = text.count("\n", 0, fence.start()) + 1
        lines_before = text[: fence.start()].splitlines()
        marks: list[tuple[str, str]] = []
        while lines_before and COMMENT.fullmatch(lines_before[-1].strip()):
            if mark := MARK.fullmatch(lines_before.pop().strip()):
                marks.insert(0, (mark[1], mark[2]))
        used += len(marks)
        dedented = "".join(part.removeprefix(indent) for part in body.splitlines(keepends=True))
        blocks.append(_apply_marks(Block(line, language, dedented), marks))
    if used != len(MARK.findall(FENCE.sub("", text))):
        raise MarkError("a mark stands before no block: put it on a line of its own right before one")
    return blocks


def _apply_marks(block: Block, marks: list[tuple[str, str]]) -> Block:
    not_run = stays_up = None
    replaced = []
    for kind, rest in marks:
        if kind == "stays up":
            stays_up = rest
            continue
        change, _, reason = rest.rpartition(": ") if kind == "run with" else ("", "", rest)
        if len(reason.split()) < 3:
            raise MarkError(f"line {block.line}: the mark {kind!r} gives no reason of three words or more")
        if kind == "not run":
            not_run = reason
            continue
        old, arrow, new = change.partition(" =>")
        if not arrow or old not in block.text:
            raise MarkError(f"line {block.line}: the block has nothing like {old!r} to replace")
        replaced.append((old, new.strip()))
    return Block(block.line, block.language, block.text, not_run, stays_up, tuple(replaced))


def list_code(text: str) -> Iterator[str]:
    """Whatever a document shows as code: lines of fenced blocks, and spans in the text."""
    for block in read_blocks(text):
        yield from block.text.replace("\\\n", " ").splitlines()
    for span in re.finditer(r"(`+)(.+?)\1", COMMENT.sub("", FENCE.sub("", text)), re.DOTALL):
        yield " ".join(span[2].split())


def list_links(text: str) -> list[str]:
    """Where links and pictures lead that stay in the project, without anchors."""
    prose = COMMENT.sub("", FENCE.sub("", text))
    targets = re.findall(r"\]\(([^)\s]+)\)", prose)
    return [target.partition("#")[0] for target in targets if not re.match(r"[a-z]+:|#", target)]


def find_commands_in_indented_code(text: str) -> list[str]:
    """Commands in code that is indented instead of fenced, where nothing would run them."""
    starts = "spam-assets|python|pip|dagster|mlflow|make|curl|git|pytest|apprise|[A-Z_]+=\\S+ spam-assets"
    return re.findall(rf"^ {{4,}}(?:{starts}) .*$", FENCE.sub("", text), re.MULTILINE)


def resolve(document: str, target: str) -> Path:
    return (PROJECT / document).parent / target
