"""Days and dates as text."""

import re
from datetime import date


def is_day(text: str) -> bool:
    """Return whether the text is a real date written YYYY-MM-DD."""
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
