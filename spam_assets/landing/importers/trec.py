"""Corpora of the TREC spam tracks: `full/index` names the messages and their labels."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from spam_assets.landing.importers.labelled_messages import LabelledMessage, MailImportError, read_message_file
from spam_assets.mail.columns import HAM, SPAM


def trec_messages(folder: Path) -> Iterator[LabelledMessage]:
    """Return the messages of a TREC spam track corpus, in the order of its `full/index`.

    Raises:
        MailImportError: the index is missing or broken, or names a file outside of the folder.
    """
    index = folder / "full" / "index"
    try:
        lines = index.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MailImportError(
            f"{index} cannot be read; name the folder that holds full/ and data/ of a TREC spam corpus."
        ) from error
    return _read_trec(folder.resolve(), index, lines)


def _read_trec(root: Path, index: Path, lines: Iterable[str]) -> Iterator[LabelledMessage]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        label, _, name = line.strip().partition(" ")
        label = label.lower()
        if label not in (HAM, SPAM) or not name or "\0" in name:
            raise MailImportError(f"{index} line {number} is not `spam PATH` or `ham PATH`; correct it.")
        path = (root / "full" / name.strip()).resolve()
        if not path.is_relative_to(root):
            raise MailImportError(f"{index} line {number} names a file outside of {root}; correct it.")
        yield read_message_file(path, label)
