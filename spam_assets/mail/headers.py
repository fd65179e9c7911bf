"""The headers of a message or MIME part: finding them, decoding them, and the parameters of structured ones.

Mail is hostile input, see `parsing`.
"""

import binascii
import re
from typing import Final
from urllib.parse import unquote_to_bytes

from spam_assets.mail.text import decode_base64, decode_text, make_storable

MAX_HEADER_BYTES: Final = 1 << 20
"""Mail servers refuse headers beyond a fraction of this; what follows counts as body."""
MAX_FIELD_CHARACTERS: Final = 64 * 1024
"""Of one header. A recipient list of a thousand addresses fits."""

Headers = dict[bytes, list[bytes]]
"""What follows the colon, for every header of a name, by lower-case name."""

_HEADER = re.compile(rb"([!-9;-~]+)[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)(?:\n|\Z)")


def split_envelope(data: bytes) -> tuple[bytes, int]:
    """Return the mbox `From ` line, if there is one, and where the headers start."""
    start = len(data) - len(data.lstrip(b"\n"))
    envelope = b""
    while data.startswith((b"From ", b">From "), start):
        end = data.find(b"\n", start) + 1 or len(data)
        envelope = envelope or data[start : min(end, start + 1000)]
        start = end
    return envelope, start


def parse_headers(data: bytes, start: int) -> tuple[Headers, int]:
    """Return the headers by lower-case name, and where the body starts: after the blank line.

    A line that is no header ends the headers and starts the body, so that no text is lost.
    """
    headers: Headers = {}
    limit = min(len(data), start + MAX_HEADER_BYTES)
    position = start
    while position < limit:
        match = _HEADER.match(data, position, limit)
        if match is None:
            break
        headers.setdefault(match[1].lower(), []).append(match[2])
        position = match.end()
    return headers, position + data.startswith(b"\n", position)


def find_first(headers: Headers, name: bytes) -> bytes:
    """Return the first header of that lower-case name as it stands, empty if there is none."""
    values = headers.get(name)
    return values[0] if values else b""


def decode_first(headers: Headers, name: bytes) -> str:
    """Return the first header of that lower-case name, see `decode_header_value`."""
    return decode_header_value(find_first(headers, name))


_ENCODED_WORD = re.compile(r"=\?([^?\s]{1,60})\?([bqBQ])\?([^?]*)\?=")
_CONTROL_CHARACTERS = dict.fromkeys((*range(32), 127), " ")


def decode_header_value(value: bytes) -> str:
    """Decode a header: unfolded, RFC 2047 encoded words decoded, control characters made blanks, stripped."""
    text = decode_text(value[:MAX_FIELD_CHARACTERS].replace(b"\n", b""), None)
    if "=?" in text:
        text = _decode_encoded_words(text)
    if not text.isprintable():
        text = make_storable(text.translate(_CONTROL_CHARACTERS))
    return text.strip()


def _decode_encoded_words(text: str) -> str:
    pieces: list[str] = []
    pending = b""  # senders split a character over two encoded words, so neighbours are decoded together
    pending_charset = ""
    position = 0
    for match in _ENCODED_WORD.finditer(text):
        charset = match[1].partition("*")[0]  # RFC 2231 appends a language
        between = text[position : match.start()]
        payload = match[3].encode("utf-8", "replace")
        content = decode_base64(payload) if match[2] in "bB" else binascii.a2b_qp(payload, header=True)
        if pending and (between.strip() or charset != pending_charset):
            pieces.append(decode_text(pending, pending_charset))
            pending = b""
        if between.strip() or position == 0:
            pieces.append(between)
        pending += content
        pending_charset = charset
        position = match.end()
    pieces.append(decode_text(pending, pending_charset))
    pieces.append(text[position:])
    return "".join(pieces)


_CONTENT_TYPE = re.compile(rb"[\w!#$&^.+-]{1,100}/[\w!#$&^.+-]{1,100}")
_PARAMETER = re.compile(rb";[ \t]*([\w.-]+)(\*?)(\d{0,3}\*?)[ \t]*=[ \t]*(?:\"((?:[^\"\\]|\\.)*)\"?|([^;\s]*))")


def parse_content_type(value: bytes) -> tuple[str, dict[str, bytes]]:
    """Split a Content-Type header into the type, `text/plain` where it names none, and its parameters."""
    content_type, parameters = parse_parameters(value)
    if not _CONTENT_TYPE.fullmatch(content_type):
        content_type = b"text/plain"  # RFC 2045, section 5.2
    return content_type.decode("latin-1"), parameters


def parse_parameters(value: bytes) -> tuple[bytes, dict[str, bytes]]:
    """Split `text/plain; charset=x; name*0*=...` into its lower-case value and its parameters (RFC 2231)."""
    value = value[:4000].replace(b"\n", b" ")
    parameters: dict[str, bytes] = {}
    for name, star, section, quoted, bare in _PARAMETER.findall(value):
        content = re.sub(rb"\\(.)", rb"\1", quoted) if quoted else bare
        if section.endswith(b"*") or (star and not section):  # percent-encoded
            if section in (b"", b"0*"):
                content = content.rpartition(b"'")[2]  # after charset'language'
            content = unquote_to_bytes(content)
        key = name.lower().decode("latin-1")
        parameters[key] = parameters.get(key, b"") + content if section.rstrip(b"*") else content
    return value.partition(b";")[0].strip().lower(), parameters
