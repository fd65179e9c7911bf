"""What kind of sender a message is from, as far as its headers and address tell: for figures by kind, not for rules."""

import re
from typing import Final

MAILING_LIST: Final = "mailing list"
BULK: Final = "bulk mail"
FREE_MAIL: Final = "free-mail address"
OTHER: Final = "other sender"
SENDER_KINDS: Final = (MAILING_LIST, BULK, FREE_MAIL, OTHER)

_HEADER_BYTES: Final = 16_384
_END_OF_HEADERS: Final = re.compile(rb"\r?\n\r?\n")
_LIST: Final = re.compile(rb"(?im)^(?:list-id|list-post|mailing-list|x-mailing-list|x-beenthere|precedence: *list)\b")
_BULK: Final = re.compile(rb"(?im)^(?:list-unsubscribe|precedence: *(?:bulk|junk))\b")
_FREE_DOMAIN: Final = re.compile(
    r"(?i)@(?:[a-z0-9-]+\.)?(?:aol|excite|gmail|gmx|googlemail|hotmail|icloud|lycos|mail|msn|netscape|outlook|qq|yahoo"
    r"|yandex|163|126|live)\.[a-z.]{2,6}(?![a-z0-9.-])"
)


def name_sender_kind(sender: str, raw: bytes | None) -> str:
    """Return the kind of a message's sender, one of `SENDER_KINDS`; without a raw message the address alone tells.

    Headers are the sender's to write: a spammer who forges a list header is counted with the lists.
    """
    if isinstance(raw, bytes):
        top = raw[:_HEADER_BYTES]
        end = _END_OF_HEADERS.search(top)
        headers = top[: end.start()] if end else top
        if _LIST.search(headers):
            return MAILING_LIST
        if _BULK.search(headers):
            return BULK
    return FREE_MAIL if _FREE_DOMAIN.search(sender[:1000]) else OTHER
