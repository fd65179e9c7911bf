"""Every command of README and docs/ is run as it stands there, in order, in a fresh home for each document.

The tutorial's are in test_tutorial.py, which another worker runs meanwhile.
"""

import re
from pathlib import Path

import pytest

from spam_assets_tests.documents import Block, list_documents, read_blocks, read_document
from spam_assets_tests.reader import TUTORIAL, BlockError, Reader, prepare_reader
from spam_assets_tests.servers import run_webhook

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

DOCUMENTS = [
    name
    for name in list_documents()
    if name != TUTORIAL and any(block.is_run for block in read_blocks(read_document(name)))
]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    folder = tmp_path_factory.mktemp("reader")
    return prepare_reader(folder, folder / "cache")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_of_a_document_works(document: str, reader: Reader) -> None:
    blocks = read_blocks(read_document(document))
    reader.start_anew(is_new_here=False)
    environment = {}
    if any(block.language == "python" for block in blocks):
        environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{reader.folder}/.spam_assets/mlflow.db"
    with run_webhook() as webhook:
        if document == "docs/alerts.md":
            environment["SPAM_ASSETS_ALERT_WEBHOOK"] = webhook.url
        reader.follow(blocks, environment)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("spam-assets no-such-command", "No such command"),
        ("false\ntrue", "ends with 1"),
        ("false | cat", "ends with 1"),
        ("echo $NO_SUCH_VARIABLE", "unbound variable"),
    ],
)
def test_a_command_that_fails_is_found(text: str, said: str, reader: Reader) -> None:
    reader.start_anew(is_new_here=True)
    with pytest.raises(BlockError, match=re.escape(said)):
        reader.run(Block(1, "sh", text), {})


def test_a_server_that_ends_or_answers_with_an_error_is_found(reader: Reader, tmp_path: Path) -> None:
    reader.start_anew(is_new_here=True)
    (tmp_path / "file").write_text("here")
    serve = f"cd {tmp_path} && exec python -m http.server --bind 127.0.0.1 {reader.ports[5001]}"
    url = "http://127.0.0.1:5001"
    with reader.serve(Block(1, "sh", serve, stays_up=f"{url}/file"), {}):
        pass
    with pytest.raises(BlockError), reader.serve(Block(1, "sh", "echo ended", stays_up=f"{url}/file"), {}):
        pass
