"""Bytes of a message -> `Message`. Mail is hostile input: nothing here raises, recurses deeply or backtracks.

Python's `email` package is not used for the structure: it checks every line against every open boundary and
recurses once a level, so that a nested 20 MB message takes minutes or ends in RecursionError. What follows
reads each byte a bounded number of times.
"""

import binascii
import html
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_tz
from encodings.aliases import aliases
from typing import Final
from urllib.parse import unquote_to_bytes

MAX_HEADER_BYTES: Final = 1 << 20
"""Mail servers refuse headers beyond a fraction of this; what follows counts as body."""
MAX_FIELD_CHARACTERS: Final = 64 * 1024
"""Of one header. A recipient list of a thousand addresses fits."""
MAX_PARTS: Final = 200
"""MIME parts a message; real mail has a few dozen at most."""
MAX_DEPTH: Final = 10
"""Levels of MIME nesting; deeper content counts as text. Bounds how often a byte is read."""
MAX_BODY_CHARACTERS: Final = 256 * 1024
"""Of body text a message. A filter decides on the first few thousand; the rest would only cost storage."""
MAX_HTML_CHARACTERS: Final = 2 * 1024 * 1024
"""Of HTML source a message: eight times the text that is kept, for the tags around it."""
FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 2099
"""A date outside these years is forged or broken and counts as absent."""

Headers = dict[bytes, list[bytes]]


@dataclass(frozen=True)
class Attachment:
    """What a message carries beside its text; the content itself is not kept."""

    name: str
    content_type: str
    size_bytes: int


@dataclass(frozen=True)
class Message:
    """The parts of a message that a filter reads. All text can be encoded as UTF-8 and holds no NUL.

    Attributes:
        message_id: the Message-ID header, with its angle brackets; None if there is none.
        received_at: when the message was delivered, aware and in UTC; None if no date can be read.
        sender: the From header (else Sender, else Return-Path), decoded.
        recipients: the To and Cc headers, decoded, joined by `, `.
        subject: the Subject header, decoded.
        body: text of all text parts in order; see `parse_message`.
        attachments: every part that is not shown as text.
    """

    message_id: str | None
    received_at: datetime | None
    sender: str
    recipients: str
    subject: str
    body: str
    attachments: tuple[Attachment, ...]


def parse_message(raw: bytes) -> Message:
    """Read an RFC 5322 message, with or without the `From ` line of an mbox before it.

    The body is the text of all text parts in order, HTML turned into text. Of `multipart/alternative` both
    variants are kept, unless they say the same: spam puts innocent words into the plain one and its offer
    into the HTML, and a filter has to see both, while for a filter that looks at the presence of words a
    repeated text adds nothing.

    Args:
        raw: the message as it arrived; any bytes.

    Returns:
        The message. Never raises; takes time linear in the length of `raw`.
    """
    data = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    envelope, start = _split_envelope(data)
    headers, body_start = _parse_headers(data, start)
    text = _TextCollector()
    _add_entity(text, headers, data[body_start:], depth=0)
    return Message(
        message_id=_decode_first(headers, b"message-id")[:998] or None,  # 998: longest line that mail allows
        received_at=_choose_received_at(envelope, headers),
        sender=next(filter(None, (_decode_first(headers, n) for n in (b"from", b"sender", b"return-path"))), ""),
        recipients=", ".join(filter(None, map(decode_header_value, headers.get(b"to", []) + headers.get(b"cc", []))))[
            :MAX_FIELD_CHARACTERS
        ],
        subject=_decode_first(headers, b"subject"),
        body=make_storable("\n".join(text.texts)[:MAX_BODY_CHARACTERS]),
        attachments=tuple(text.attachments),
    )


def find_received_at(raw: bytes) -> datetime | None:
    """Return when the message was delivered, as `parse_message` does, reading only the headers."""
    data = raw[: 2 * MAX_HEADER_BYTES].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    envelope, start = _split_envelope(data)
    return _choose_received_at(envelope, _parse_headers(data, start)[0])


def make_storable(text: str) -> str:
    """Return the text without NUL, which CSV cannot hold, and without lone surrogates, which UTF-8 cannot."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


# --- headers --------------------------------------------------------------------------------------

_HEADER = re.compile(rb"([!-9;-~]+)[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)(?:\n|\Z)")


def _split_envelope(data: bytes) -> tuple[bytes, int]:
    """Return the mbox `From ` line, if there is one, and where the headers start."""
    start = len(data) - len(data.lstrip(b"\n"))
    envelope = b""
    while data.startswith((b"From ", b">From "), start):
        end = data.find(b"\n", start) + 1 or len(data)
        envelope = envelope or data[start : min(end, start + 1000)]
        start = end
    return envelope, start


def _parse_headers(data: bytes, start: int) -> tuple[Headers, int]:
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


def _first(headers: Headers, name: bytes) -> bytes:
    values = headers.get(name)
    return values[0] if values else b""


def _decode_first(headers: Headers, name: bytes) -> str:
    return decode_header_value(_first(headers, name))


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


# --- dates ----------------------------------------------------------------------------------------

_ENVELOPE_DATE = re.compile(rb"[ \t]((?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),?[ \t].*)", re.IGNORECASE | re.DOTALL)


def _choose_received_at(envelope: bytes, headers: Headers) -> datetime | None:
    """Return the date of the envelope line, else of the topmost Received, else of Date: often forged."""
    match = _ENVELOPE_DATE.search(envelope)
    stamps = [match[1]] if match else []
    _, semicolon, after = _first(headers, b"received").rpartition(b";")
    stamps += [after] if semicolon else []
    stamps.append(_first(headers, b"date"))
    return next(filter(None, (parse_mail_date(stamp[:200].decode("latin-1")) for stamp in stamps)), None)


def parse_mail_date(text: str) -> datetime | None:
    """Read a date as mail writes it, RFC 5322 with its obsolete forms, or as an mbox does.

    A zone that is unknown, absent or beyond a day counts as UTC. Years of two and three digits are read as
    RFC 5322, section 4.3, says.

    Returns:
        An aware datetime in UTC, or None if the text is no date or its year is absurd.
    """
    try:
        fields = parsedate_tz(text.replace("\n", " ")[:200])
        if fields is None:
            return None
        year, month, day, hour, minute, second = fields[:6]
        year += 1900 if 100 <= year < 1000 else 0
        if not FIRST_YEAR <= year <= LAST_YEAR:
            return None
        offset_seconds = fields[9] or 0
        if abs(offset_seconds) >= 24 * 3600:
            offset_seconds = 0
        local = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=timezone.utc)
        return local - timedelta(seconds=offset_seconds)
    except (ValueError, TypeError, IndexError, OverflowError):  # parsedate_tz raises these on odd input
        return None


# --- MIME -----------------------------------------------------------------------------------------


@dataclass
class _TextCollector:
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


def _add_entity(found: _TextCollector, headers: Headers, content: bytes, depth: int) -> None:
    """Add the text and attachments of one MIME entity and of those inside it."""
    found.parts += 1
    if found.parts > MAX_PARTS:
        return
    content_type, parameters = _parse_content_type(_first(headers, b"content-type"))
    if depth < MAX_DEPTH:
        if content_type.startswith("multipart/"):
            count = 0
            for part in _split_parts(content, parameters.get("boundary", b"")):
                part_headers, start = _parse_headers(part, 0)
                _add_entity(found, part_headers, part[start:], depth + 1)
                count += 1
                if found.parts > MAX_PARTS:
                    return
            if count:
                return
            content_type = "text/plain"  # the boundary is a lie: show what is there
        elif content_type == "message/rfc822":
            inner_headers, start = _parse_headers(content, _split_envelope(content)[1])
            found.add_text(_decode_first(inner_headers, b"subject"))
            _add_entity(found, inner_headers, content[start:], depth + 1)
            return
    disposition, disposition_parameters = _parse_parameters(_first(headers, b"content-disposition"))
    encoding = _first(headers, b"content-transfer-encoding").strip().lower()
    is_text = content_type.startswith(("text/", "multipart/")) or content_type == "message/delivery-status"
    if is_text and disposition != b"attachment":
        if found.characters < MAX_BODY_CHARACTERS:
            charset = parameters.get("charset", b"").decode("latin-1")
            text = decode_text(_decode_transfer(content, encoding), charset)
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


_CONTENT_TYPE = re.compile(rb"[\w!#$&^.+-]{1,100}/[\w!#$&^.+-]{1,100}")
_PARAMETER = re.compile(rb";[ \t]*([\w.-]+)(\*?)(\d{0,3}\*?)[ \t]*=[ \t]*(?:\"((?:[^\"\\]|\\.)*)\"?|([^;\s]*))")


def _parse_content_type(value: bytes) -> tuple[str, dict[str, bytes]]:
    content_type, parameters = _parse_parameters(value)
    if not _CONTENT_TYPE.fullmatch(content_type):
        content_type = b"text/plain"  # RFC 2045, section 5.2
    return content_type.decode("latin-1"), parameters


def _parse_parameters(value: bytes) -> tuple[bytes, dict[str, bytes]]:
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


def _sanitise_file_name(name: bytes) -> str:
    """Return the last path component, without control characters, at most 200 characters."""
    decoded = decode_header_value(name).replace("\\", "/").rpartition("/")[2]
    return "".join(c for c in decoded if c.isprintable()).strip(". ")[-200:]


# --- content to text ------------------------------------------------------------------------------


def _decode_transfer(content: bytes, encoding: bytes) -> bytes:
    if encoding == b"base64":
        return decode_base64(content)
    if encoding == b"quoted-printable":
        return binascii.a2b_qp(content)
    return content


def decode_base64(content: bytes) -> bytes:
    """Decode base64 as far as it goes: foreign characters are skipped, missing padding is added."""
    for padding in (b"", b"==", b"A=="):
        with suppress(binascii.Error):
            return binascii.a2b_base64(content + padding)
    return b""


# A list of what is allowed, because the rest of Python's codecs is dangerous in the hands of a sender:
# `zlib` and `bz2` are decompression bombs, `punycode` and `idna` take quadratic time, `unicode_escape` is
# not a charset, and `codecs.lookup` remembers every unknown name for ever.
_TEXT_CODECS: Final = frozenset(
    """
    ascii big5 big5hkscs cp037 cp437 cp720 cp737 cp775 cp850 cp852 cp855 cp857 cp858 cp860 cp861
    cp862 cp863 cp864 cp865 cp866 cp869 cp874 cp932 cp949 cp950 cp1125 cp1250 cp1251 cp1252 cp1253
    cp1254 cp1255 cp1256 cp1257 cp1258 euc_jp euc_jis_2004 euc_jisx0213 euc_kr gb2312 gbk gb18030 hz
    iso2022_jp iso2022_jp_1 iso2022_jp_2 iso2022_jp_2004 iso2022_jp_3 iso2022_jp_ext iso2022_kr
    latin_1 iso8859_2 iso8859_3 iso8859_4 iso8859_5 iso8859_6 iso8859_7 iso8859_8 iso8859_9
    iso8859_10 iso8859_11 iso8859_13 iso8859_14 iso8859_15 iso8859_16 johab koi8_r koi8_t koi8_u
    kz1048 mac_cyrillic mac_greek mac_iceland mac_latin2 mac_roman mac_turkish ptcp154 shift_jis
    shift_jis_2004 shift_jisx0213 tis_620 utf_7 utf_8 utf_8_sig utf_16 utf_16_be utf_16_le utf_32
    utf_32_be utf_32_le
    """.split()
)
# What senders call by the narrower name; browsers read them alike (WHATWG Encoding Standard).
_WIDER_CODECS: Final = {
    "ascii": "utf_8",
    "latin_1": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso8859_9": "cp1254",
    "iso8859_8_i": "iso8859_8",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "ks_c_5601_1987": "cp949",
    "x_sjis": "cp932",
}


def decode_text(content: bytes, charset: str | None) -> str:
    """Decode with the declared charset if it is one and fits, else as UTF-8, Windows-1252 or Latin-1."""
    if content.isascii() and b"\x1b" not in content and (not charset or charset.lower() in ("us-ascii", "utf-8")):
        return content.decode("ascii")
    codecs = []
    if charset:
        name = re.sub(r"[^a-z0-9]+", "_", charset[:60].lower()).strip("_")
        name = aliases.get(name, name)
        if name not in _TEXT_CODECS:
            name = re.sub(r"_?8859_", "8859_", name)
        name = _WIDER_CODECS.get(name, name)
        if name in _TEXT_CODECS:
            codecs.append(name)
    for codec in (*codecs, "utf_8", "cp1252"):
        with suppress(UnicodeError):
            return make_storable(content.decode(codec))
    return make_storable(content.decode("latin_1"))


_TAG_NAME = re.compile(r"/?([a-zA-Z][a-zA-Z0-9]{0,20})")
_END_OF_CODE = re.compile(r"</(?:script|style)", re.IGNORECASE)
_HOST = re.compile(
    r"(?:href|src|action|background)[ \n]{0,9}=[ \n]{0,9}[\"']?[ \n]{0,9}(?:https?:)?//([^/\"'\s>?#]{1,253})",
    re.IGNORECASE,
)
_ALT = re.compile(r"\balt[ \n]{0,9}=[ \n]{0,9}(?:\"([^\"]*)\"|'([^']*)'|([^\s>]+))", re.IGNORECASE)
_ZEROS_IN_REFERENCE = re.compile(r"&#([xX]?)0+(?=[0-9a-fA-F])")
_LONG_REFERENCE = re.compile(r"&#[xX]?[0-9a-fA-F]{9,};?")  # int() of it would take quadratic time, or raise
_BLANKS = re.compile(r"[^\S\n]+")
_BREAKS = re.compile(r" ?\n\s*")
_INLINE_TAGS: Final = frozenset(
    """
    a abbr acronym b bdo big blink cite code em font i img ins kbd nobr q s samp script small span strike
    strong style sub sup tt u var wbr
    """.split()
)


def convert_html_to_text(source: str) -> str:
    """Turn HTML into the text that a reader sees, plus the hosts of links and the alternative texts.

    Hosts are kept because they are what spam cannot do without. Inline tags and comments leave no gap, so
    that `V<!-- x -->ia<b>gra</b>` reads as one word, as it does on the screen. A scanner, not a tree: an
    HTML5 parser (lexbor was measured) needs quadratic time for `<div>` repeated, and no filter needs the
    tree.

    Args:
        source: HTML, also broken HTML.

    Returns:
        Text in time linear in the length of `source`.
    """
    pieces: list[str] = []
    position = 0
    while (start := source.find("<", position)) >= 0:
        pieces.append(source[position:start])
        if source.startswith("<!--", start):
            end = source.find("-->", start + 4)
            if end < 0:
                position = len(source)  # as browsers do: an open comment hides the rest
                break
            position = end + 3
            continue
        name_match = _TAG_NAME.match(source, start + 1)
        if name_match is None and source[start + 1 : start + 2] not in ("!", "?", "/"):
            pieces.append("<")
            position = start + 1
            continue
        end = source.find(">", start)
        if end < 0:
            position = len(source)
            break
        position = end + 1
        name = name_match[1].lower() if name_match else ""
        if name in ("script", "style") and source[start + 1] != "/":
            closing = _END_OF_CODE.search(source, position)
            if closing is None:
                position = len(source)
                break
            position = closing.start()
            continue
        if name and name not in _INLINE_TAGS:
            pieces.append(" " if name in ("td", "th") else "\n")
        if end - start > 8:
            tag = source[start : min(end, start + 2000)]
            if "//" in tag and (host := _HOST.search(tag)):
                pieces.append(f" {host[1]} ")
            if name == "img" and (alt := _ALT.search(tag)):
                pieces.append(f" {alt[1] or alt[2] or alt[3] or ''} ")
    pieces.append(source[position:])
    text = "".join(pieces)
    if "&" in text:
        text = html.unescape(_LONG_REFERENCE.sub("\ufffd", _ZEROS_IN_REFERENCE.sub(r"&#\1", text)))
    return _BREAKS.sub("\n", _BLANKS.sub(" ", text)).strip()
