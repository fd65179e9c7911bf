"""Somebody who does what the documents say: a checkout, mail of his own, a home folder after some weeks."""

import mailbox
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from spam_assets_tests.conftest import PROJECT, make_mail
from spam_assets_tests.corpus import land_first_days
from spam_assets_tests.documents import Block

TUTORIAL = "docs/tutorial.md"
"""The document for a reader who is new here and has no home folder."""
FIRST_DAY, LAST_DAY = "2002-08-06", "2002-08-24"
"""Days of the corpus that landed in the reader's home, and were run."""
SECONDS_TO_ANSWER = 120
SECONDS_TO_STOP = 40
PLACE = "/home/me/mail"
"""Where the documents say that the checkout is."""
PORTS = (3000, 5000, 5001)
"""Ports that the documents name; the test has others."""


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class BlockError(Exception):
    """A block of a document did not do what it says; the message has its text and what it printed."""


@dataclass
class Reader:
    """Runs blocks of documents in `folder`, which looks like a checkout; raises BlockError."""

    folder: Path
    prepared: Path
    cache: Path
    ports: Mapping[int, int] = field(default_factory=lambda: {port: find_free_port() for port in PORTS})

    @property
    def environment(self) -> dict[str, str]:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SPAM_ASSETS_", "PYTEST_", "MLFLOW_")) and name != "DAGSTER_HOME"
        }
        return {
            **inherited,
            "HOME": str(self.folder.parent / "person"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(PROJECT),
            "MPLCONFIGDIR": str(self.folder.parent / "matplotlib"),
            "SPAM_ASSETS_UI_PORT": str(self.ports[3000]),
            "SPAM_ASSETS_MLFLOW_UI_PORT": str(self.ports[5000]),
        }

    def start_anew(self, is_new_here: bool) -> None:
        """Give the reader a fresh checkout, with the home of some weeks or, if he is new here, an empty one."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        for path in PROJECT.iterdir():
            if not path.name.startswith(".") or path.name == ".env.example":
                (self.folder / path.name).symlink_to(path)
        write_own_mail(self.folder, self.folder.parent / "person")
        home = self.folder / ".spam_assets"
        if not is_new_here:
            shutil.copytree(self.prepared, home, symlinks=True)
        shutil.copytree(self.cache, home / "cache", dirs_exist_ok=True)

    def follow(self, blocks: Iterable[Block], environment: Mapping[str, str]) -> None:
        """Run a document's blocks in order; servers stay up until the last one is done."""
        with ExitStack() as servers:
            for block in blocks:
                if block.is_run and block.stays_up:
                    servers.enter_context(self.serve(block, environment))
                elif block.is_run:
                    self.run(block, environment)

    def run(self, block: Block, environment: Mapping[str, str]) -> str:
        """Run a block to its end and return what it printed."""
        done = subprocess.run(
            self._build_command(block), cwd=self.folder, env={**self.environment, **environment},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300,
        )  # fmt: skip
        output = done.stdout.decode(errors="replace")
        if done.returncode != 0:
            raise BlockError(f"line {block.line} ends with {done.returncode}:\n{block.run_text}\n{output[-6000:]}")
        return output

    @contextmanager
    def serve(self, block: Block, environment: Mapping[str, str]) -> Iterator[None]:
        """Keep what a block starts up until the context is left; it has answered by then, and ends when it is told."""
        log = self.folder.parent / "server.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                self._build_command(block), cwd=self.folder, env={**self.environment, **environment},
                stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
            )  # fmt: skip
        try:
            self._wait_for_answer(block, process, log)
            yield
            if process.poll() is not None:
                raise BlockError(f"line {block.line} did not stay up:\n{block.run_text}\n{log.read_text()[-6000:]}")
        finally:
            stop(process)

    def _wait_for_answer(self, block: Block, process: "subprocess.Popen[bytes]", log: Path) -> None:
        url = self._adapt(str(block.stays_up))
        deadline = time.monotonic() + SECONDS_TO_ANSWER
        while error := ask(url):
            if process.poll() is not None or time.monotonic() > deadline:
                said = log.read_text(errors="replace")[-6000:]
                raise BlockError(f"line {block.line}: {url}: {error}:\n{block.run_text}\n{said}")
            time.sleep(0.3)

    def _adapt(self, text: str) -> str:
        """Put this machine's ports and folder in place of those that the documents name."""
        for port, free in self.ports.items():
            text = re.sub(rf"(127\.0\.0\.1:|localhost:|--port |-p ){port}\b", rf"\g<1>{free}", text)
        return text.replace(PLACE, str(self.folder))

    def _build_command(self, block: Block) -> list[str]:
        text = self._adapt(block.run_text)
        return [sys.executable, "-c", text] if block.language == "python" else ["bash", "-euxo", "pipefail", "-c", text]


def ask(url: str) -> OSError | None:
    """Return why a URL does not answer well, or None."""
    try:
        urllib.request.urlopen(url, timeout=10).close()
    except OSError as error:
        return error
    return None


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Stop a server and what it started as Ctrl-C would; kill it where that is not enough."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(SECONDS_TO_STOP)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def write_own_mail(folder: Path, person: Path) -> None:
    """Write the mail that README and docs/ name, in each of its formats."""
    shutil.rmtree(person, ignore_errors=True)
    for name in ("archive", "junk"):
        (person / "Mail" / name).mkdir(parents=True)
    ham, spam = build_messages("2002-09-02", "ham"), build_messages("2002-09-02", "spam")
    for name, messages in (("archive", ham), ("junk", spam)):
        for number, message in enumerate(messages):
            (person / "Mail" / name / f"{number}.eml").write_bytes(message)
    for name, label in (("inbox.mbox", "ham"), ("junk.mbox", "spam")):
        box = mailbox.mbox(folder / name)
        for message in build_messages("2002-09-03", label):
            box.add(message)
        box.close()
    make_mail("2002-09-04").to_csv(folder / "reports.csv", index=False)
    trec = person / "trec07p"
    (trec / "full").mkdir(parents=True)
    (trec / "data").mkdir()
    index = []
    for label in ("ham", "spam"):
        for number, message in enumerate(build_messages("2002-09-05", label)):
            (trec / "data" / f"{label}.{number}").write_bytes(message)
            index.append(f"{label} ../data/{label}.{number}\n")
    (trec / "full" / "index").write_text("".join(index))
    (folder / "message.eml").write_bytes(spam[0])
    make_mail("2024-05-18").drop(columns="label").to_csv(folder / "incoming-2024-05-18.csv", index=False)


def build_messages(day: str, label: str) -> list[bytes]:
    """Whole messages that were received on a day."""
    mail = make_mail(day)
    return [
        "\n".join(
            (
                "Received: from mail.example.com by mx.example.com; "
                f"{pd.Timestamp(row.received_at):%a, %d %b %Y %H:%M:%S} +0000",
                f"From: {row.sender}",
                f"To: {row.recipients}",
                f"Subject: {row.subject}",
                f"Message-ID: {row.message_id}",
                "",
                f"{row.body}\n",
            )
        ).encode()
        for row in mail[mail.label == label].itertuples()
    ]


def prepare_reader(folder: Path, cache: Path) -> Reader:
    """Land and run some weeks of the corpus once, for every document that is not about the beginning."""
    reader = Reader(folder / "checkout", folder / "prepared", cache)
    reader.prepared.mkdir(parents=True)
    landing = folder / "landing"
    land_first_days(landing, cache, LAST_DAY, FIRST_DAY)
    add_own_message(landing / "training-2002-08-22.csv")
    reader.start_anew(is_new_here=True)
    shutil.copytree(landing, reader.folder / ".spam_assets" / "landing")
    reader.run(Block(0, "sh", "spam-assets demo\nspam-assets models"), {})
    shutil.rmtree(reader.prepared)
    (reader.folder / ".spam_assets").rename(reader.prepared)
    return reader


def add_own_message(path: Path) -> None:
    """Add the message to a landed day that docs/privacy.md deletes."""
    day = pd.read_csv(path, dtype=str, keep_default_na=False)
    row = {
        "message_id": "<20020822101502.GA31@example.com>",
        "received_at": "2002-08-22T10:15:02+00:00",
        "sender": "me@example.com",
        "subject": "not for others",
        "body": "the minutes of the meeting about the new kernel patch",
        "label": "ham",
    }
    pd.concat([day, pd.DataFrame([row])]).fillna("").to_csv(path, index=False)
