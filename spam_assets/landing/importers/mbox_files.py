"""Two mbox files, one with ham and one with spam; how such a file is split into messages is in `mail.mbox`."""

from collections.abc import Iterator
from pathlib import Path

from spam_assets.landing.importers.labelled_messages import (
    MAX_LINE_BYTES,
    MAX_MESSAGE_BYTES,
    LabelledMessage,
    MailImportError,
)
from spam_assets.mail.columns import HAM, SPAM
from spam_assets.mail.mbox import split_mbox


def mbox_messages(ham: Path, spam: Path) -> Iterator[LabelledMessage]:
    """Return the messages of two mbox files.

    A message starts with a `From ` line that has a time and a year and follows a blank line; quoted `>From `
    lines stay as they are.

    Raises:
        MailImportError: a file cannot be read or is no mbox; raised before the first message.
    """
    for path in (ham, spam):
        try:
            with path.open("rb") as file:
                is_mbox = file.readline(1000).startswith(b"From ")
        except OSError as error:
            raise MailImportError(f"{path} cannot be read ({error.strerror}); name an mbox file.") from error
        if not is_mbox:
            raise MailImportError(f"{path} is no mbox, because it does not start with `From `; name an mbox file.")
    return (message for path, label in ((ham, HAM), (spam, SPAM)) for message in _read_mbox(path, label))


def _read_mbox(path: Path, label: str) -> Iterator[LabelledMessage]:
    with path.open("rb") as file:
        lines = iter(lambda: file.readline(MAX_LINE_BYTES), b"")
        for first_line, message in split_mbox(lines, MAX_MESSAGE_BYTES):
            yield LabelledMessage(message, label, f"{path}:{first_line}")
