"""Mail that is to be classified: an .eml, an mbox, a table or plain text -> a frame with the mail columns."""

import io
import re
from typing import Any

import pandas as pd

from spam_assets.mail.columns import BODY, LABEL, MAIL_COLUMNS, RAW, RECEIVED_AT, TEXT
from spam_assets.mail.errors import MailError
from spam_assets.mail.mail_frame import is_missing
from spam_assets.mail.mbox import is_envelope_line, split_mbox
from spam_assets.mail.parsing import parse_message

MAIL_HEADER = re.compile(
    rb"(?im)^(?:return-path|received|from|to|subject|date|message-id|mime-version|delivered-to|x-[\w-]+):"
)
HEADER_LINE = re.compile(rb"[!-9;-~]+:")


HEADER_BYTES = 64 * 1024
TEXT_COLUMNS = tuple(name for name in MAIL_COLUMNS if name not in (RECEIVED_AT, RAW, LABEL))


def read_mail(content: bytes, name: str) -> pd.DataFrame:
    """Return the messages of a file as a frame with the columns that `complete_mail` makes.

    What the file is follows from its content: an mbox begins with a `From ` line, a message with header lines, a
    CSV (whose name must end so) with a header row; everything else is one plain text.

    Args:
        content: the file's bytes.
        name: the file's name, for its ending and for errors.

    Raises:
        MailError: the file is empty, or a CSV that cannot be read, without a usable column or without a row.
    """
    if not content.strip():
        raise MailError(f"{name} is empty; give it at least one message")
    if name.lower().endswith(".csv"):
        return complete_mail(_read_table(content, name))
    if is_envelope_line(content):
        return complete_mail(pd.DataFrame({RAW: [message for _, message in split_mbox(io.BytesIO(content))]}))
    head = content[:HEADER_BYTES].replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    if HEADER_LINE.match(head) and MAIL_HEADER.search(head):
        return complete_mail(pd.DataFrame({RAW: [content]}))
    return complete_mail(pd.DataFrame({TEXT: [content.decode("utf-8", "replace")]}))


def complete_mail(mail: pd.DataFrame) -> pd.DataFrame:
    """Return a frame with every mail column but the label, from whatever of them is there.

    `text` stands for the body. What a row lacks is read from its raw message, where it has one, and is empty
    otherwise. The index is kept.

    Args:
        mail: any of the mail columns or `text`; `raw` as bytes or str.

    Raises:
        MailError: the frame has none of `raw`, `body` and `text`.
    """
    if not {RAW, BODY, TEXT} & set(mail.columns):
        found = ", ".join(map(str, mail.columns)) or "none"
        raise MailError(f"mail needs one of the columns raw, body or text; found {found}")
    nothing = [None] * len(mail)
    columns: dict[str, list[Any]] = {
        name: mail[name].tolist() if name in mail.columns else list(nothing) for name in TEXT_COLUMNS
    }
    if BODY not in mail.columns and TEXT in mail.columns:
        columns[BODY] = mail[TEXT].tolist()
    raw = [_to_bytes(value) for value in (mail[RAW].tolist() if RAW in mail.columns else nothing)]
    for row, message_bytes in enumerate(raw):
        missing = [name for name in TEXT_COLUMNS if is_missing(columns[name][row])]
        message = parse_message(message_bytes) if missing and message_bytes is not None else None
        for name in missing:
            columns[name][row] = getattr(message, name, None) or ""
    complete = {name: pd.Series(values, index=mail.index, dtype=object) for name, values in columns.items()}
    return pd.DataFrame({**complete, RAW: pd.Series(raw, index=mail.index, dtype=object)})


def _read_table(content: bytes, name: str) -> pd.DataFrame:
    try:
        table = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)
    except (ValueError, UnicodeDecodeError) as error:
        raise MailError(f"{name} cannot be read as CSV ({error}); save it as UTF-8 CSV with a header row") from None
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes cells beyond the header for an index
        raise MailError(f"{name} has rows with more cells than its header; quote cells that hold commas")
    if table.empty:
        raise MailError(f"{name} has no row below its header; give it at least one message")
    return table


def _to_bytes(value: object) -> bytes | None:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, str) and value:
        try:
            return value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:  # other surrogates than those of undecodable bytes
            return value.encode("utf-8", "replace")
    return None
