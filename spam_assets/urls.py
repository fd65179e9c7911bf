"""URLs as people may see them: the one place that knows which parts of a URL are secret."""

import re
from urllib.parse import unquote

_CREDENTIALS = re.compile(
    r"(?<=://)(?:"
    r"[^\s/?#]*@"
    # A password with `/`, `?` or `#` in it, which should have been written as %2F: what follows a colon is no port.
    r"|[^\s/?#@:\[\]]*:(?![0-9]*(?:[/?#\s]|$))[^\s@]*[/?#][^\s@]*@(?:[^\s/?#@]*@)*)"
)
_PARAMETER = re.compile(r"(?<=[?&;#])([^\s?&;=#/]+)=([^\s&;#]*)")
_SECRET_NAME = re.compile(
    r"sig|token|secret|passw|pwd|credential|api.?key|access.?key|^key$|auth|^code$|jwt|session", re.IGNORECASE
)
HIDDEN = "***"


def hide_credentials(text: str) -> str:
    """Return the text without what is secret in the URLs in it.

    User and password go; of parameters that sign or open something (`?sig=`, `?X-Amz-Signature=`, `?access_token=`)
    the value becomes `***`.

    Args:
        text: a URL, or a sentence that holds some.
    """
    if "://" not in text:
        return text
    return _PARAMETER.sub(_hide_value, _CREDENTIALS.sub("", text))


def _hide_value(found: "re.Match[str]") -> str:
    return f"{found[1]}={HIDDEN}" if _SECRET_NAME.search(unquote(found[1])) else found[0]
