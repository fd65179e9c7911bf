"""Made-up messages for the tests of this room."""

from pathlib import Path


def make_mail(day: int = 1, body: str = "hello", message_id: str = "", hour: int = 12) -> bytes:
    head = f"Message-ID: {message_id}\n" if message_id else ""
    return f"Received: by x; {day} Aug 2002 {hour}:00:00 +0000\nFrom: a@x\nSubject: s\n{head}\n{body}\n".encode()


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_mail(body=name))
    return folder
