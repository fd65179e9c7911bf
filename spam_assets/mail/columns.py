"""The columns of a day of mail, and the two labels."""

from typing import Final

MESSAGE_ID: Final = "message_id"
RECEIVED_AT: Final = "received_at"
SENDER: Final = "sender"
RECIPIENTS: Final = "recipients"
SUBJECT: Final = "subject"
BODY: Final = "body"
RAW: Final = "raw"
LABEL: Final = "label"

TEXT: Final = "text"
"""Another name for `body` in landing files of SMS or comments; never a column in memory."""

MAIL_COLUMNS: Final = (MESSAGE_ID, RECEIVED_AT, SENDER, RECIPIENTS, SUBJECT, BODY, RAW, LABEL)

CONTENT_HASH: Final = "content_hash"
VALIDATED_MAIL_COLUMNS: Final = (*MAIL_COLUMNS, CONTENT_HASH)
"""Validated mail also knows what it says, so that later days find what repeats without reading it all."""

COLUMN_TYPES: Final[dict[str, str]] = {
    **dict.fromkeys(MAIL_COLUMNS, "string"),
    RECEIVED_AT: "timestamp[us, UTC]",
    RAW: "binary",
    CONTENT_HASH: "uint64",
}

COLUMN_DESCRIPTIONS: Final[dict[str, str]] = {
    MESSAGE_ID: "Identifies the message; unique within a day. Derived from the content where mail has none.",
    RECEIVED_AT: "When the message was delivered, in UTC. Not the Date header, which is often forged.",
    SENDER: "The From header, decoded; empty when there is none.",
    RECIPIENTS: "The To and Cc headers, decoded and joined by a comma; empty when there is none.",
    SUBJECT: "The Subject header, decoded; empty when there is none.",
    BODY: "The text of the message, decoded, HTML turned into text; may be empty.",
    RAW: "The whole RFC 5322 message as it arrived; optional.",
    LABEL: "What the message is: `ham` or `spam`.",
    CONTENT_HASH: "Hash of subject and body whatever their case and white space; equal for repeats.",
}

HAM: Final = "ham"
SPAM: Final = "spam"
LABELS: Final = (HAM, SPAM)
