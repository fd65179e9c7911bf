"""The rules that a day of mail must pass before a model may learn from it."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Final

import pandas as pd

from spam_assets.mail.columns import BODY, LABEL, LABELS, MAIL_COLUMNS, RAW, RECEIVED_AT
from spam_assets.mail.dates import is_day
from spam_assets.mail.mail_batches import Mail, free_between, get_column, iterate_cells, iterate_frames
from spam_assets.mail.quarantine import count_allowed, find_outside, find_repeated, find_repeated_ids
from spam_assets.mail.verdicts import Verdict, fail_day, pass_day, present_cells, quote_cell

MAX_MISSING_PERCENT: Final = 5
"""Of a column; exactly this much passes."""
NEEDED_COLUMNS: Final = tuple(name for name in MAIL_COLUMNS if name != RAW)

MAX_EMPTY_BODIES_PERCENT: Final = 50
"""Of a day's messages; on the corpus's days it is 0.5 at most. A subject alone, or a lone attachment, is rare."""
LEAST_EMPTY_BODIES: Final = 10
"""Fewer may be all the mail of a quiet day."""

Rule = Callable[[Mail, str], Verdict]
"""Given a day's mail and the day."""


def frame_has_mail_schema(mail: Mail, day: str) -> Verdict:
    """The frame has every mail column in order, with its type."""
    faults = list(dict.fromkeys(chain.from_iterable(map(_find_schema_faults, free_between(iterate_frames(mail))))))
    if not faults:
        return pass_day(
            "frame_has_mail_schema", day, "the columns and their types are right", columns=len(mail.columns)
        )
    shown = "; ".join(faults[:3]) + (f"; and {len(faults) - 3} more" if len(faults) > 3 else "")
    return fail_day(
        "frame_has_mail_schema",
        day,
        f"the columns or their types are wrong: {shown}",
        "read the day with LandingZone.read, which brings it to the schema",
        faults=len(faults),
    )


def _find_schema_faults(frame: pd.DataFrame) -> Iterator[str]:
    from pandera.errors import SchemaErrors

    from spam_assets.mail.schema import RAW_MAIL_SCHEMA

    try:
        RAW_MAIL_SCHEMA.validate(frame, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases[["column", "check", "failure_case"]]
        for column, check, case in cases.itertuples(index=False):
            where = f"column {quote_cell(column)}: " if column in MAIL_COLUMNS else ""
            yield f"{where}{check} ({quote_cell(case)})"
    except Exception as error:  # noqa: BLE001 - pandera trips over some frames, such as one with a column twice
        yield f"{type(error).__name__}: {quote_cell(error)}"


def day_has_messages(mail: Mail, day: str) -> Verdict:
    """The day holds at least one message."""
    count = len(mail)
    if count:
        return pass_day("day_has_messages", day, f"{count:,} messages", messages=count)
    return fail_day("day_has_messages", day, "there are no messages", "land the day again with its mail", messages=0)


def columns_are_present(mail: Mail, day: str, names: Sequence[str] = NEEDED_COLUMNS) -> Verdict:
    """No column but `raw`, which is optional, lacks more than 5 % of its values."""
    count = len(mail)
    figures: dict[str, int | float | str] = {"messages": count}
    faults = []
    lacking: Counter[str] = Counter()
    for frame in iterate_frames(mail, names):
        for name in names:
            column = get_column(frame, name)
            if column is not None:
                lacking[name] += int(column.isna().sum())
    for name in names:
        if name not in lacking:
            faults.append(f"column {name} is not there")
            continue
        missing = lacking[name]
        figures[f"missing_{name}"] = missing
        if missing * 100 > count * MAX_MISSING_PERCENT:
            percent = 100 * missing / count
            digits = 1 if percent > MAX_MISSING_PERCENT + 0.05 else 3  # 5.04% must not read as 5.0%
            faults.append(
                f"column {name} has {percent:.{digits}f}% missing ({missing:,} of {count:,}), more than the "
                f"{MAX_MISSING_PERCENT}% allowed"
            )
    if not faults:
        return pass_day(
            "columns_are_present", day, f"no column has more than {MAX_MISSING_PERCENT}% missing", **figures
        )
    names = [fault.split()[1] for fault in faults]
    what = "labels" if names == [LABEL] else "column " + names[0] if len(names) == 1 else "columns " + ", ".join(names)
    return fail_day(
        "columns_are_present",
        day,
        "; ".join(faults),
        f"fill in the {what} in the landing file and land the day again",
        **figures,
    )


def bodies_have_text(mail: Mail, day: str) -> Verdict:
    """Most messages have a body: a day without them would teach a model to judge mail by its headers alone."""
    count = len(mail)
    empty = sum(isinstance(cell, str) and not cell.strip() for cell in iterate_cells(mail, BODY))
    figures = {"messages": count, "empty_bodies": empty}
    sentence = f"{empty:,} of {count:,} messages have an empty body"
    if empty < LEAST_EMPTY_BODIES or empty * 100 <= count * MAX_EMPTY_BODIES_PERCENT:
        return pass_day("bodies_have_text", day, sentence, **figures)
    return fail_day(
        "bodies_have_text",
        day,
        f"{sentence}, more than the {MAX_EMPTY_BODIES_PERCENT}% allowed",
        "export the text of the messages too and land the day again",
        **figures,
    )


def labels_are_known(mail: Mail, day: str) -> Verdict:
    """Every label that is there is `ham` or `spam`; missing ones are counted by `columns_are_present`."""
    unknown: dict[str, int] = {}
    first_row = 0
    for number, cell in enumerate(present_cells(mail, LABEL), start=1):
        if cell is not None and not (isinstance(cell, str) and cell in LABELS):
            first_row = first_row or number
            unknown[quote_cell(cell)] = unknown.get(quote_cell(cell), 0) + 1
    count = sum(unknown.values())
    if not count:
        return pass_day("labels_are_known", day, "every label is ham or spam", unknown_labels=0)
    shown = ", ".join(f"{label} ({n:,} times)" for label, n in list(unknown.items())[:5])
    more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
    return fail_day(
        "labels_are_known",
        day,
        f"{count:,} labels are neither ham nor spam, first in row {first_row}: {shown}{more}",
        "correct them in the landing file and land the day again",
        unknown_labels=count,
        first_row=first_row,
    )


def message_ids_are_unique(mail: Mail, day: str) -> Verdict:
    """Few rows repeat another row; those are put aside, and other messages with one id get ids of their own.

    Where half of the messages or more need ids of their own, the column is broken. Missing ids are counted by
    `columns_are_present`.
    """
    repeated = find_repeated_ids(mail)
    put_aside = find_repeated(mail)
    surplus = sum(map(len, repeated.values())) - len(repeated)
    figures = {"repeated_ids": len(repeated), "surplus_rows": surplus, "quarantined": len(put_aside)}
    if not repeated:
        return pass_day("message_ids_are_unique", day, "every message has its own message_id", **figures)
    first, rows = next(iter(repeated.items()))
    found = (
        f"{len(repeated):,} message_id occur more than once, for example {quote_cell(first)} {len(rows):,} times; "
        f"{len(put_aside):,} rows repeat the content as well"
    )
    if len(put_aside) <= count_allowed(len(mail)) and 2 * surplus < len(mail):
        return pass_day(
            "message_ids_are_unique", day, f"{found} and are put aside, the other ids are made unique", **figures
        )
    return fail_day(
        "message_ids_are_unique",
        day,
        found,
        "remove the repeated rows, or the column to have ids derived from the content, and land the day again",
        **figures,
    )


def dates_are_inside_partition(mail: Mail, day: str) -> Verdict:
    """Few messages have a `received_at` outside of the UTC day of the partition; those are put aside."""
    if not is_day(day):
        return fail_day("dates_are_inside_partition", day, "this is no day", "name the partition YYYY-MM-DD")
    outside = find_outside(mail, day)
    if not outside:
        return pass_day("dates_are_inside_partition", day, "every message was received on the day", outside=0)
    row = outside[0]
    found = (
        f"{len(outside):,} of {len(mail):,} messages were not received on the day, first row {row + 1} "
        f"with {quote_cell(str(present_cells(mail, RECEIVED_AT)[row]))}"
    )
    figures = {"outside": len(outside), "first_row": row + 1}
    if len(outside) <= count_allowed(len(mail)):
        return pass_day("dates_are_inside_partition", day, f"{found}; they are put aside", **figures)
    return fail_day(
        "dates_are_inside_partition",
        day,
        found,
        "move them to the file of their own day, in UTC, and land both days again",
        **figures,
    )


BLOCKING_RULES: Final[tuple[Rule, ...]] = (
    frame_has_mail_schema,
    day_has_messages,
    columns_are_present,
    bodies_have_text,
    labels_are_known,
    message_ids_are_unique,
    dates_are_inside_partition,
)


def judge_day(mail: Mail, day: str) -> list[Verdict]:
    """Return the verdict of every blocking rule; the day is good if all passed."""
    return [rule(mail, day) for rule in BLOCKING_RULES]
