"""What mail says, as text: transfer encodings, charsets and HTML undone, whatever the sender claims.

Mail is hostile input, see `parsing`.
"""

import binascii
import html
import re
from contextlib import suppress
from encodings.aliases import aliases
from typing import Final


def decode_transfer(content: bytes, encoding: bytes) -> bytes:
    """Undo a Content-Transfer-Encoding, given in lower case; one that is unknown leaves the content as it is."""
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


# --- HTML ------------------------------------------------------------------------------------------

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
