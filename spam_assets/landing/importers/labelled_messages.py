"""What every importer yields, whatever the format: messages and their labels, in any order."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

MAX_MESSAGE_BYTES: Final = 64 * 1024**2
"""Of one message. Mail servers refuse what is half as long; of a longer one no more than this and a byte is read."""
MAX_LINE_BYTES: Final = 1024**2
"""What is read of a line at once: mail allows 998, and a file may have none that ends."""

Report = Callable[[int, int | None, str], None]
"""Called with what is done, how much there is in all (None: unknown) and what it is: `messages read`."""


def ignore_progress(_done: int, _total: int | None, _what: str) -> None:
    """The report that says nothing."""


class MailImportError(Exception):
    """Mail cannot be imported; the message is one sentence with the remedy."""


@dataclass(frozen=True)
class LabelledMessage:
    """A message and what it is.

    Attributes:
        raw: the RFC 5322 message, with or without an mbox `From ` line.
        label: `ham` or `spam`.
        source: where it was found, for people.
        received_at: when it was delivered, aware; None to read it from `raw`.
    """

    raw: bytes
    label: str
    source: str
    received_at: datetime | None = None


def read_message_file(path: Path, label: str) -> LabelledMessage:
    """Return the message that a file holds.

    Raises:
        MailImportError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return LabelledMessage(file.read(MAX_MESSAGE_BYTES + 1), label, str(path))
    except OSError as error:
        raise MailImportError(f"{path} cannot be read ({error.strerror}); check the file and import again.") from error
