"""Mail that is to be classified: an .eml, an mbox, a table or plain text -> a frame with the mail columns."""

import io
import re

import pandas as pd

from spam_assets.mail.columns import RAW, TEXT
from spam_assets.mail.completion import complete_mail
from spam_assets.mail.errors import MailError
from spam_assets.mail.mbox import is_envelope_line, split_mbox

MAIL_HEADER = re.compile(
    rb"(?im)^(?:return-path|received|from|to|subject|date|message-id|mime-version|delivered-to|x-[\w-]+):"
)
HEADER_LINE = re.compile(rb"[!-9;-~]+:")
HEADER_BYTES = 64 * 1024


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
