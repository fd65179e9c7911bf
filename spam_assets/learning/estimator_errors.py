"""What goes wrong in somebody else's code, in one sentence."""

from __future__ import annotations


class EstimatorError(ValueError):
    """Somebody else's estimator cannot be imported, built, fitted, asked, stored or loaded; one sentence says which."""


def tell_error(error: BaseException) -> str:
    """An error of somebody else's code as part of a sentence, on one line and short."""
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in str(error)).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
