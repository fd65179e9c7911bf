"""The rules that a day of mail without labels must keep to be scored: the blocking ones, but for those about labels."""

from dataclasses import replace
from typing import Final

from spam_assets.mail.blocking_rules import (
    NEEDED_COLUMNS,
    Rule,
    columns_are_present,
    dates_are_inside_partition,
    day_has_messages,
    frame_has_mail_schema,
    message_ids_are_unique,
)
from spam_assets.mail.columns import LABEL
from spam_assets.mail.mail_batches import Mail
from spam_assets.mail.verdicts import Verdict

INCOMING_RULES: Final[tuple[Rule, ...]] = (
    frame_has_mail_schema,
    day_has_messages,
    columns_are_present,
    message_ids_are_unique,
    dates_are_inside_partition,
)
_COLUMNS: Final = tuple(name for name in NEEDED_COLUMNS if name != LABEL)


def judge_incoming_day(mail: Mail, day: str) -> list[Verdict]:
    """Return the verdict of every rule on a day of mail without labels; the day can be scored if all passed."""
    verdicts = [
        columns_are_present(mail, day, _COLUMNS) if rule is columns_are_present else rule(mail, day)
        for rule in INCOMING_RULES
    ]
    # The rules speak of training days.
    return [replace(verdict, sentence="incoming" + verdict.sentence.removeprefix("training")) for verdict in verdicts]
