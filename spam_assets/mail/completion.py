"""Any of the mail columns -> all that scoring reads, with what is absent taken from the raw messages."""

from typing import Any

import pandas as pd

from spam_assets.mail.columns import BODY, LABEL, MAIL_COLUMNS, RAW, RECEIVED_AT, TEXT
from spam_assets.mail.errors import MailError
from spam_assets.mail.parsing import parse_message

TEXT_COLUMNS = tuple(name for name in MAIL_COLUMNS if name not in (RECEIVED_AT, RAW, LABEL))


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
    is_missing = {name: pd.Series(cells, dtype=object).isna().tolist() for name, cells in columns.items()}
    for row, message_bytes in enumerate(raw):
        missing = [name for name in TEXT_COLUMNS if is_missing[name][row]]
        message = parse_message(message_bytes) if missing and message_bytes is not None else None
        for name in missing:
            columns[name][row] = getattr(message, name, None) or ""
    complete = {name: pd.Series(values, index=mail.index, dtype=object) for name, values in columns.items()}
    return pd.DataFrame({**complete, RAW: pd.Series(raw, index=mail.index, dtype=object)})


def _to_bytes(value: object) -> bytes | None:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, str) and value:
        try:
            return value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:  # other surrogates than those of undecodable bytes
            return value.encode("utf-8", "replace")
    return None
