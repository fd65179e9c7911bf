"""What a quality rule says about a day, and how rules read the cells of any frame.

A rule takes a frame and its day and returns a `Verdict`. It never raises on a frame, however odd: "the rule broke" must
not be mistaken for "the data is bad", nor the other way round.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spam_assets.mail.mail_batches import Mail, iterate_cells


@dataclass(frozen=True)
class Verdict:
    """What a rule says about a day.

    Attributes:
        rule: name of the rule.
        passed: whether the day keeps the promise that the rule's name makes.
        sentence: what was found, with the day and, when it failed, the remedy.
        figures: the numbers behind the sentence.
    """

    rule: str
    passed: bool
    sentence: str
    figures: Mapping[str, int | float | str] = field(default_factory=dict)


def pass_day(rule: str, day: str, sentence: str, **figures: int | float | str) -> Verdict:
    """Return the verdict that a day keeps a rule's promise; the sentence is without the day and the full stop."""
    return Verdict(rule=rule, passed=True, sentence=f"training day {day}: {sentence}.", figures=figures)


def fail_day(rule: str, day: str, sentence: str, remedy: str, **figures: int | float | str) -> Verdict:
    """Return the verdict that a day breaks a rule's promise; sentence and remedy are without the full stop."""
    return Verdict(rule=rule, passed=False, sentence=f"training day {day}: {sentence}; {remedy}.", figures=figures)


def quote_cell(value: object) -> str:
    """Return the value as one short printable line; cells are hostile and sentences are shown."""
    text = str(value)
    return ascii(text[:40] + ("..." if len(text) > 40 else ""))


def present_cells(mail: Mail, name: str) -> list[Any]:
    """Return the cells of a narrow column at once, None where one is missing or the day lacks the column."""
    return list(iterate_cells(mail, name))
