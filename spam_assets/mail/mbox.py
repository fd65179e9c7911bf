"""The mbox format: many messages in one file, each after a `From ` line."""

import re
from collections.abc import Iterable, Iterator

_ENVELOPE_LINE = re.compile(rb"From .*\b[0-9]{1,2}:[0-9]{2}\b.*\b[0-9]{4}\b")
_MAX_ENVELOPE_BYTES = 300


def is_envelope_line(line: bytes) -> bool:
    """Return whether a line is the `From ` line of an mbox, with a time and a year, and not a sentence."""
    return line.startswith(b"From ") and _ENVELOPE_LINE.match(line[:_MAX_ENVELOPE_BYTES]) is not None


def split_mbox(lines: Iterable[bytes], max_message_bytes: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Yield the messages of an mbox, each with its `From ` line and the number of that line, from 1.

    A message starts with a `From ` line that has a time and a year and follows a blank line; quoted `>From ` lines
    stay as they are. Memory holds no more than the largest message.

    Args:
        lines: with their ends, as a file opened in binary mode yields them.
        max_message_bytes: of a longer message only so many bytes and one more are kept, by which it is known.
    """
    message: list[bytes] = []
    room = limit = float("inf") if max_message_bytes is None else max_message_bytes + 1
    first_line = 1
    was_blank = False
    for number, line in enumerate(lines, start=1):
        if was_blank and is_envelope_line(line):
            yield first_line, b"".join(message)
            message, room, first_line = [], limit, number
        if room > 0:
            message.append(line if len(line) <= room else line[: int(room)])
            room -= len(line)
        was_blank = line in (b"\n", b"\r\n")
    yield first_line, b"".join(message)
