"""What an alert says, and that hostile text in it stays text."""

import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import quote

from spam_assets.urls import hide_credentials

TITLE_CHARACTERS = 120
REASON_CHARACTERS = 600  # Discord takes 2,000 in all, Slack 3,000 in a block
LONGEST_INPUT_CHARACTERS = 100_000


@dataclass(frozen=True)
class Alert:
    """One thing to tell a person. Its texts are safe to show anywhere: see `neutralize`.

    Attributes:
        kind: One of `settings.ALERT_KINDS`.
        title: What happened, in a few words.
        day: The partition, if it is about one.
        reason: Why, in a sentence or two.
        link: Where to see more, an http(s) URL.
        key: The event's identity. Two alerts with one key are about the same event.
    """

    kind: str
    title: str
    day: str | None
    reason: str
    link: str | None
    key: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", neutralize(self.title, TITLE_CHARACTERS) or self.kind)
        object.__setattr__(self, "reason", neutralize(self.reason, REASON_CHARACTERS) or "no reason was given")
        object.__setattr__(self, "link", _clean_link(self.link))


_BECOMES_SPACE = {"Cc", "Zl", "Zp"}  # line breaks, NUL and terminal escapes
_IS_DROPPED = {"Cf", "Cs"}  # invisible, reverses the direction of writing, or cannot be encoded
_FULL_WIDTH = str.maketrans({letter: chr(ord(letter) + 0xFEE0) for letter in "<>&`*~|[]\\"})
_ZERO_WIDTH_SPACE = "\N{ZERO WIDTH SPACE}"
_STARTS_A_LINK_OR_MENTION = re.compile(r"@|:(?=//)|www(?=\.)", re.IGNORECASE)


def neutralize(text: str, longest_characters: int) -> str:
    """Return a text as one short line that no chat and no mail program takes for anything but text.

    Reasons quote mail. Slack, Mattermost and Discord each have their own markup, so nothing is escaped, which one
    of them would show: what could form markup becomes its full-width twin, and an invisible space breaks mentions
    (`@channel`) and links that start with a scheme or `www`. Credentials in URLs go. Doing it twice changes nothing.
    """
    text = text[:LONGEST_INPUT_CHARACTERS]
    categories = ((letter, unicodedata.category(letter)) for letter in text)
    text = "".join(" " if kind in _BECOMES_SPACE else letter for letter, kind in categories if kind not in _IS_DROPPED)
    text = hide_credentials(" ".join(text.split()))
    if len(text) > longest_characters:
        text = text[: longest_characters - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
    return _STARTS_A_LINK_OR_MENTION.sub(lambda found: found[0] + _ZERO_WIDTH_SPACE, text.translate(_FULL_WIDTH))


def _clean_link(link: str | None) -> str | None:
    if link is None or not link.startswith(("http://", "https://")):
        return None
    return quote(hide_credentials(link), safe="/:?#=&%[]", errors="replace")
