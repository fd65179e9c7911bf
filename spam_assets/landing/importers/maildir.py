"""Maildirs, and folders with one file a message."""

from collections.abc import Iterator
from pathlib import Path

from spam_assets.landing.importers.labelled_messages import LabelledMessage, MailImportError, read_message_file
from spam_assets.mail.columns import HAM, SPAM


def maildir_messages(ham_dir: Path, spam_dir: Path) -> Iterator[LabelledMessage]:
    """Return the messages of two folders: Maildirs (`cur`, `new`), or folders with one file a message.

    Of a plain folder the `.eml` files at any depth are read, or all its files if there are none.

    Raises:
        MailImportError: a folder does not exist or holds no mail; raised before the first message.
    """
    found = [(label, _list_mail_files(folder)) for label, folder in ((HAM, ham_dir), (SPAM, spam_dir))]
    return (read_message_file(path, label) for label, paths in found for path in paths)


def _list_mail_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise MailImportError(f"{folder} is no folder; name a Maildir or a folder with one file a message.")
    boxes = [folder / name for name in ("cur", "new") if (folder / name).is_dir()]
    if boxes:
        candidates = [path for box in boxes for path in box.iterdir()]
    else:
        candidates = list(folder.rglob("*.eml")) or list(folder.iterdir())
    paths = sorted(path for path in candidates if path.is_file() and not path.name.startswith("."))
    if not paths:
        raise MailImportError(f"{folder} holds no mail; name a Maildir or a folder with one file a message.")
    return paths
