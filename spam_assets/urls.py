"""URLs as people may see them."""

import re

_CREDENTIALS = re.compile(r"(?<=://)[^\s/?#]*@")


def hide_credentials(text: str) -> str:
    """Return the text without the user and password of the URLs in it."""
    return _CREDENTIALS.sub("", text)
