"""The rules that a day of mail must pass before a model may learn from it."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import numpy as np
import pandas as pd

from spam_assets.mail.columns import LABEL, LABELS, MAIL_COLUMNS, MESSAGE_ID, RAW, RECEIVED_AT
from spam_assets.mail.dates import is_day, read_dates
from spam_assets.mail.verdicts import Verdict, fail_day, get_column, pass_day, present_cells, quote_cell

MAX_MISSING_PERCENT: Final = 5
"""Of a column; exactly this much passes."""
NEEDED_COLUMNS: Final = tuple(name for name in MAIL_COLUMNS if name != RAW)

Rule = Callable[[pd.DataFrame, str], Verdict]
"""Given a frame and its day."""


def frame_has_mail_schema(frame: pd.DataFrame, day: str) -> Verdict:
    """The frame has every mail column in order, with its type."""
    from pandera.errors import SchemaErrors

    from spam_assets.mail.schema import RAW_MAIL_SCHEMA

    faults: list[str] = []
    try:
        RAW_MAIL_SCHEMA.validate(frame, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases[["column", "check", "failure_case"]]
        for column, check, case in cases.itertuples(index=False):
            where = f"column {quote_cell(column)}: " if column in MAIL_COLUMNS else ""
            fault = f"{where}{check} ({quote_cell(case)})"
            if fault not in faults:
                faults.append(fault)
    except Exception as error:  # noqa: BLE001 - pandera trips over some frames, such as one with a column twice
        faults.append(f"{type(error).__name__}: {quote_cell(error)}")
    if not faults:
        return pass_day(
            "frame_has_mail_schema", day, "the columns and their types are right", columns=len(frame.columns)
        )
    shown = "; ".join(faults[:3]) + (f"; and {len(faults) - 3} more" if len(faults) > 3 else "")
    return fail_day(
        "frame_has_mail_schema",
        day,
        f"the columns or their types are wrong: {shown}",
        "read the day with LandingZone.read, which brings it to the schema",
        faults=len(faults),
    )


def day_has_messages(frame: pd.DataFrame, day: str) -> Verdict:
    """The day holds at least one message."""
    count = len(frame)
    if count:
        return pass_day("day_has_messages", day, f"{count:,} messages", messages=count)
    return fail_day("day_has_messages", day, "there are no messages", "land the day again with its mail", messages=0)


def columns_are_present(frame: pd.DataFrame, day: str, names: Sequence[str] = NEEDED_COLUMNS) -> Verdict:
    """No column but `raw`, which is optional, lacks more than 5 % of its values."""
    count = len(frame)
    figures: dict[str, int | float | str] = {"messages": count}
    faults = []
    for name in names:
        column = get_column(frame, name)
        if column is None:
            faults.append(f"column {name} is not there")
            continue
        missing = int(column.isna().sum())
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


def labels_are_known(frame: pd.DataFrame, day: str) -> Verdict:
    """Every label that is there is `ham` or `spam`; missing ones are counted by `columns_are_present`."""
    unknown: dict[str, int] = {}
    first_row = 0
    for number, cell in enumerate(present_cells(frame, LABEL), start=1):
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


def message_ids_are_unique(frame: pd.DataFrame, day: str) -> Verdict:
    """No two messages of the day have the same id; missing ones are counted by `columns_are_present`."""
    counts: dict[str, int] = {}
    for cell in present_cells(frame, MESSAGE_ID):
        if cell is not None:
            counts[str(cell)] = counts.get(str(cell), 0) + 1
    repeated = {message_id: n for message_id, n in counts.items() if n > 1}
    if not repeated:
        return pass_day("message_ids_are_unique", day, "every message has its own message_id", repeated_ids=0)
    first, times = next(iter(repeated.items()))
    return fail_day(
        "message_ids_are_unique",
        day,
        f"{len(repeated):,} message_id occur more than once, for example {quote_cell(first)} {times:,} times",
        "remove the repeated rows, or the column to have ids derived from the content, and land the day again",
        repeated_ids=len(repeated),
        surplus_rows=sum(repeated.values()) - len(repeated),
    )


def dates_are_inside_partition(frame: pd.DataFrame, day: str) -> Verdict:
    """Every `received_at` that is there lies in the UTC day of the partition."""
    cells = present_cells(frame, RECEIVED_AT)
    is_there = np.array([cell is not None for cell in cells], dtype=bool)
    dates = read_dates([cell if isinstance(cell, (datetime, np.datetime64)) else None for cell in cells])
    if not is_day(day):
        return fail_day("dates_are_inside_partition", day, "this is no day", "name the partition YYYY-MM-DD")
    start = read_dates([day])[0]
    is_inside = np.asarray((dates >= start) & (dates < start + pd.Timedelta(days=1)), dtype=bool)
    outside = np.flatnonzero(is_there & ~is_inside)
    if not len(outside):
        return pass_day("dates_are_inside_partition", day, "every message was received on the day", outside=0)
    row = int(outside[0])
    return fail_day(
        "dates_are_inside_partition",
        day,
        f"{len(outside):,} of {len(frame):,} messages were not received on the day, first row {row + 1} "
        f"with {quote_cell(str(cells[row]))}",
        "move them to the file of their own day, in UTC, and land both days again",
        outside=len(outside),
        first_row=row + 1,
    )


BLOCKING_RULES: Final[tuple[Rule, ...]] = (
    frame_has_mail_schema,
    day_has_messages,
    columns_are_present,
    labels_are_known,
    message_ids_are_unique,
    dates_are_inside_partition,
)


def judge_day(frame: pd.DataFrame, day: str) -> list[Verdict]:
    """Return the verdict of every blocking rule; the day is good if all passed."""
    return [rule(frame, day) for rule in BLOCKING_RULES]
