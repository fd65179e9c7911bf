"""What an explanation is made of, whatever method's model it explains."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from spam_assets.learning.trained_model import TrainedModel


@dataclass(frozen=True)
class Reason:
    """A piece of a message and what it adds to the margin.

    Attributes:
        text: The word or the four bytes, printable.
        header: Name of the header in which it first stands, printable; empty in the body and for four bytes.
        is_word: Whether it is a word rather than four bytes that belong to no single word.
        contribution: What its features add to the margin together; above 0 speaks for spam.
        features: View and hash of each of its features. A word has up to three kinds: itself, itself in that
            header, and the 4-grams inside it.
    """

    text: str
    header: str
    is_word: bool
    contribution: float
    features: tuple[tuple[str, int], ...]

    def __str__(self) -> str:
        """The text with the header it stands in, as in ``subject: loans``; four bytes in quotes."""
        if not self.is_word:
            return f'"{self.text}"'
        return f"{self.header}: {self.text}" if self.header else self.text


@dataclass(frozen=True)
class Explanation:
    """What a message's margin is made of; margin = ``for_spam`` + ``for_ham`` + ``rest``.

    Attributes:
        message_id: As in the frame.
        margin: Above 0 leans to spam.
        probability: The calibrated spam probability, as ``SpamModel.score`` gives it.
        threshold: The message is called spam when its probability is at least this.
        for_spam: The strongest reasons for spam, strongest first.
        for_ham: The strongest reasons against, strongest first.
        rest: What all other features add to the margin together.
    """

    message_id: str
    margin: float
    probability: float
    threshold: float
    for_spam: tuple[Reason, ...]
    for_ham: tuple[Reason, ...]
    rest: float


def sum_up_reasons(
    model: TrainedModel, message_id: str, margin: float, reasons: Iterable[Reason], count: int
) -> Explanation:
    """The explanation of a message by all of its reasons, at most so many of which are named on each side."""
    strongest = sorted(reasons, key=lambda reason: (-abs(reason.contribution), str(reason)))
    for_spam = tuple(reason for reason in strongest if reason.contribution > 0)[:count]
    for_ham = tuple(reason for reason in strongest if reason.contribution < 0)[:count]
    return Explanation(
        message_id=message_id,
        margin=margin,
        probability=float(model.calibration.apply(np.array([margin]))[0]),
        threshold=model.threshold,
        for_spam=for_spam,
        for_ham=for_ham,
        rest=margin - sum(reason.contribution for reason in for_spam + for_ham),
    )


def make_printable(text: bytes) -> str:
    """Text on one line without control characters; what cannot be shown is escaped or replaced."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text.decode("utf-8", "replace")
    )
