"""The MIME structure of a message: its text parts as one text, and its attachments. Mail is hostile, see `parsing`."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from spam_assets.mail.headers import (
    Headers,
    decode_first,
    decode_header_value,
    find_first,
    parse_content_type,
    parse_headers,
    parse_parameters,
    split_envelope,
)
from spam_assets.mail.text import convert_html_to_text, decode_text, decode_transfer, make_storable

MAX_PARTS: Final = 200
"""MIME parts a message; real mail has a few dozen at most."""
MAX_DEPTH: Final = 10
"""Levels of MIME nesting; deeper content counts as text. Bounds how often a byte is read."""
MAX_BODY_CHARACTERS: Final = 256 * 1024
"""Of body text a message. A filter decides on the first few thousand; the rest would only cost storage."""
MAX_HTML_CHARACTERS: Final = 2 * 1024 * 1024
"""Of HTML source a message: eight times the text that is kept, for the tags around it."""


@dataclass(frozen=True)
class Attachment:
    """What a message carries beside its text; the content itself is not kept."""

    name: str
    content_type: str
    size_bytes: int


def read_content(headers: Headers, content: bytes) -> tuple[str, tuple[Attachment, ...]]:
    """Return the text of all text parts in order, HTML turned into text, and every part that is not shown as text.

    Of `multipart/alternative` both variants are kept, unless they say the same: spam puts innocent words into the
    plain one and its offer into the HTML, and a filter has to see both, while for a filter that looks at the presence
    of words a repeated text adds nothing.

    Args:
        headers: of the message.
        content: what follows them.
    """
    found = _Findings()
    _add_entity(found, headers, content, depth=0)
    return make_storable("\n".join(found.texts)[:MAX_BODY_CHARACTERS]), tuple(found.attachments)


@dataclass
class _Findings:
    """What a walk over the parts has found so far."""

    texts: list[str] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    parts: int = 0
    characters: int = 0
    html_characters: int = 0

    def add_html(self, source: str) -> None:
        source = source[: MAX_HTML_CHARACTERS - self.html_characters]
        self.html_characters += len(source)
        self.add_text(convert_html_to_text(source))

    def add_text(self, text: str) -> None:
        text = text[: MAX_BODY_CHARACTERS - self.characters]
        words = " ".join(text.split())
        if words and words not in self.seen:
            self.seen.add(words)
            self.texts.append(text)
            self.characters += len(text)


def _add_entity(found: _Findings, headers: Headers, content: bytes, depth: int) -> None:
    """Add the text and attachments of one MIME entity and of those inside it."""
    found.parts += 1
    if found.parts > MAX_PARTS:
        return
    content_type, parameters = parse_content_type(find_first(headers, b"content-type"))
    if depth < MAX_DEPTH:
        if content_type.startswith("multipart/"):
            count = 0
            for part in _split_parts(content, parameters.get("boundary", b"")):
                part_headers, start = parse_headers(part, 0)
                _add_entity(found, part_headers, part[start:], depth + 1)
                count += 1
                if found.parts > MAX_PARTS:
                    return
            if count:
                return
            content_type = "text/plain"  # the boundary is a lie: show what is there
        elif content_type == "message/rfc822":
            inner_headers, start = parse_headers(content, split_envelope(content)[1])
            found.add_text(decode_first(inner_headers, b"subject"))
            _add_entity(found, inner_headers, content[start:], depth + 1)
            return
    disposition, disposition_parameters = parse_parameters(find_first(headers, b"content-disposition"))
    encoding = find_first(headers, b"content-transfer-encoding").strip().lower()
    is_text = content_type.startswith(("text/", "multipart/")) or content_type == "message/delivery-status"
    if is_text and disposition != b"attachment":
        if found.characters < MAX_BODY_CHARACTERS:
            charset = parameters.get("charset", b"").decode("latin-1")
            text = decode_text(decode_transfer(content, encoding), charset)
            is_html = content_type == "text/html" or text[:500].lstrip()[:14].lower().startswith(
                ("<html", "<!doctype html")
            )
            (found.add_html if is_html else found.add_text)(text)
        return
    size_bytes = len(content)
    if encoding == b"base64":
        size_bytes = (size_bytes - content.count(b"\n") - content.count(b"=")) * 3 // 4
    name = disposition_parameters.get("filename") or parameters.get("name", b"")
    found.attachments.append(Attachment(_sanitise_file_name(name), content_type, size_bytes))


def _split_parts(content: bytes, boundary: bytes) -> Iterator[bytes]:
    """Yield the parts between the boundary lines; without a closing line the last part goes to the end."""
    if not 0 < len(boundary) <= 200:  # RFC 2046 allows 70
        return
    delimiter = b"--" + boundary
    part_start = -1
    position = 0
    while (found := content.find(delimiter, position)) >= 0:
        position = found + len(delimiter)
        if found > 0 and content[found - 1] != 0x0A:
            continue
        line_end = content.find(b"\n", position)
        line_end = len(content) if line_end < 0 else line_end
        rest_of_line = content[position:line_end].strip()
        if rest_of_line not in (b"", b"--"):
            continue  # another boundary that starts like this one
        if part_start >= 0:
            yield content[part_start : found - 1]
        if rest_of_line:
            return
        part_start = position = line_end + 1
        position -= 1
    if part_start >= 0:
        yield content[part_start:]


def _sanitise_file_name(name: bytes) -> str:
    """Return the last path component, without control characters, at most 200 characters."""
    decoded = decode_header_value(name).replace("\\", "/").rpartition("/")[2]
    return "".join(c for c in decoded if c.isprintable()).strip(". ")[-200:]
