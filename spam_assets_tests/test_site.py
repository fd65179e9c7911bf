"""The documents as a site: `make docs` builds it without a warning, with search, and its lists render as lists."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from spam_assets_tests.conftest import PROJECT
from spam_assets_tests.documents import list_documents

needs_mkdocs = pytest.mark.skipif(
    importlib.util.find_spec("mkdocs") is None, reason="mkdocs-material is missing; pip install '.[docs]'"
)
UNRENDERED = re.compile(r"<p>(?:(?!</p>).)*(?:\n(?:- |[0-9]+\. |\|)|```)", re.DOTALL)


def list_pages_without_place(configuration: str, documents: list[str]) -> list[str]:
    """Documents that the site's list of pages does not have."""
    nav = configuration.partition("\nnav:\n")[2]
    placed = set(re.findall(r"(\S+\.md)$", nav, re.MULTILINE))
    return [document for document in documents if document not in placed]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what `make docs` reads, so that nothing is built in the developer's folder."""
    folder = tmp_path_factory.mktemp("site") / "checkout"
    folder.mkdir()
    for path in PROJECT.iterdir():
        if path.is_file() and path.name != ".env":
            shutil.copy(path, folder)
    for name in ("docs", "spam_assets"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def build(checkout: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["make", "docs", f"PYTHON={sys.executable}"],
        cwd=checkout, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def test_every_document_has_its_place_in_the_site() -> None:
    configuration = (PROJECT / "mkdocs.yml").read_text()
    assert list_pages_without_place(configuration, list_documents()) == [], "add them to nav in mkdocs.yml"
    assert list_pages_without_place(configuration, ["docs/no-such-page.md"]) == ["docs/no-such-page.md"]


@needs_mkdocs
@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_can_be_searched(checkout: Path) -> None:
    done = build(checkout)
    assert done.returncode == 0, done.stdout
    assert "WARNING -" not in done.stdout
    site = checkout / "build" / "docs" / "site"
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    assert {"docs/tutorial.html", "docs/landing.html"} <= {entry["location"] for entry in index["docs"]}
    pages = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    assert [path.name for path, text in pages.items() if UNRENDERED.search(text)] == []


@needs_mkdocs
@pytest.mark.slow
@pytest.mark.parametrize("line", ["[gone](gone.md)", "![gone](images/gone.png)", "[gone](landing.md#no-such-part)"])
def test_a_link_that_leads_nowhere_stops_the_build(checkout: Path, line: str) -> None:
    page = checkout / "docs" / "serving.md"
    before = page.read_text()
    page.write_text(f"{before}\n{line}\n")
    try:
        done = build(checkout)
    finally:
        page.write_text(before)
    assert done.returncode != 0
    assert "gone" in done.stdout or "no-such-part" in done.stdout


def test_a_list_that_is_not_rendered_as_one_is_found() -> None:
    assert UNRENDERED.search("<p>These:\n- one</p>")
    assert UNRENDERED.search("<p>```sh\nls</p>")
    assert not UNRENDERED.search("<p>well-\nknown</p>\n<ul>\n<li>- one</li></ul>")
