"""What a person reads of an error: one sentence with the remedy."""

import errno
import os
import sqlite3

from pydantic import ValidationError

from spam_assets.cli.console import CommandError
from spam_assets.settings import load_settings

REFUSED_WRITES = ("disk is full", "readonly database", "disk I/O error", "unable to open database file")
"""What SQLite says where the home folder cannot be written."""


def say_error(error: Exception) -> str:
    """Return what went wrong in one sentence; ours are written for people, of others the type is told as well."""
    expected = isinstance(error, CommandError) or type(error).__module__.startswith("spam_assets")
    if not expected and (reason := find_refused_write(error)) is not None:
        return (
            f"the disk of {load_settings().home} takes no more ({reason}); make room or give write access, then repeat "
            "this command: what was finished is kept"
        )
    if isinstance(error, ValidationError):
        return "; ".join(
            ".".join(map(str, problem["loc"])) + ": " + problem["msg"] if problem["loc"] else problem["msg"]
            for problem in error.errors(include_url=False, include_input=False)
        )
    text = getattr(error, "description", None) or str(error) or type(error).__name__
    return text if expected else f"{type(error).__name__}: {text} (spam-assets --debug ... shows where)"


def find_refused_write(error: BaseException | None) -> str | None:
    """Return why the disk of the home folder took no more, if that is what an error comes from."""
    while error is not None:
        if isinstance(error, sqlite3.OperationalError) and any(words in str(error) for words in REFUSED_WRITES):
            return str(error)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            return os.strerror(error.errno)
        error = error.__cause__ or error.__context__
    return None
