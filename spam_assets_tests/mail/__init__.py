"""Made-up messages for the tests of this room."""

from datetime import datetime, timezone

from spam_assets.mail.parsing import Message

AUGUST_1 = datetime(2002, 8, 1, 10, 20, 30, tzinfo=timezone.utc)
MB = 1_000_000


def utc(*fields: int) -> datetime:
    return datetime(*fields, tzinfo=timezone.utc)  # type: ignore[misc,arg-type]


def multipart(*parts: bytes, kind: bytes = b"mixed", boundary: bytes = b"B") -> bytes:
    inside = b"".join(b"--" + boundary + b"\n" + part + b"\n" for part in parts)
    head = b'MIME-Version: 1.0\nContent-Type: multipart/%s; boundary="%s"\n\nold reader\n' % (kind, boundary)
    return head + inside + b"--" + boundary + b"--\nepilogue\n"


def assert_storable(message: Message) -> None:
    names = [attachment.name for attachment in message.attachments]
    for text in (
        message.message_id or "",
        message.sender,
        message.recipients,
        message.subject,
        message.body,
        *names,
    ):
        text.encode("utf-8")
        assert "\0" not in text
