"""HTML -> the text that a reader sees. Mail is hostile input, see `parsing`."""

import html
import re
from typing import Final

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
