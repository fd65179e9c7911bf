"""The rules that a day of mail must pass before a model may learn from it, and the ones that only warn.

Every rule takes a frame and its day and returns a `Verdict`. A rule never raises on a frame, however odd:
"the rule broke" must not be mistaken for "the data is bad", nor the other way round.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from spam_assets.mail.columns import (
    BODY,
    CONTENT_HASH,
    LABEL,
    LABELS,
    MAIL_COLUMNS,
    MESSAGE_ID,
    RAW,
    RECEIVED_AT,
    RECIPIENTS,
    SENDER,
    SPAM,
    SUBJECT,
)
from spam_assets.mail.dates import is_day, read_dates
from spam_assets.mail.mail_frame import derive_message_ids, make_ids_unique

MAX_MISSING_PERCENT: Final = 5
"""Of a column; exactly this much passes."""
TRAILING_DAYS: Final = 28
"""Four weeks, so that every weekday counts four times."""
MIN_TRAILING_DAYS: Final = 7
MAX_ROBUST_Z: Final = 3.5
"""Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993, section 3.3."""
MAX_REPEATED_PERCENT: Final = 50
"""Of a day's messages. Newsletters and campaigns repeat; half a day that repeats is a file landed twice."""

_MAD_TO_SIGMA: Final = 1.4826  # of a normal distribution


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


@dataclass(frozen=True, eq=False)
class DaySummary:
    """What later days need to know about a day.

    Attributes:
        day: YYYY-MM-DD.
        messages: number of rows.
        spam: number of rows labelled spam.
        content_hashes: uint64[messages], see `hash_contents`.
    """

    day: str
    messages: int
    spam: int
    content_hashes: npt.NDArray[np.uint64]


class QualityError(Exception):
    """A day breaks a blocking rule; the message holds the sentence of each rule that it breaks."""


Rule = Callable[[pd.DataFrame, str], Verdict]
TrailingRule = Callable[[pd.DataFrame, str, Sequence[DaySummary]], Verdict]


# --- blocking rules -------------------------------------------------------------------------------


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
            where = f"column {_quote(column)}: " if column in MAIL_COLUMNS else ""
            fault = f"{where}{check} ({_quote(case)})"
            if fault not in faults:
                faults.append(fault)
    except Exception as error:  # noqa: BLE001 - pandera trips over some frames, such as one with a column twice
        faults.append(f"{type(error).__name__}: {_quote(error)}")
    if not faults:
        return _pass("frame_has_mail_schema", day, "the columns and their types are right", columns=len(frame.columns))
    shown = "; ".join(faults[:3]) + (f"; and {len(faults) - 3} more" if len(faults) > 3 else "")
    return _fail(
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
        return _pass("day_has_messages", day, f"{count:,} messages", messages=count)
    return _fail("day_has_messages", day, "there are no messages", "land the day again with its mail", messages=0)


def columns_are_present(frame: pd.DataFrame, day: str) -> Verdict:
    """No column but `raw`, which is optional, lacks more than 5 % of its values."""
    count = len(frame)
    figures: dict[str, int | float | str] = {"messages": count}
    faults = []
    for name in MAIL_COLUMNS:
        if name == RAW:
            continue
        column = _get_column(frame, name)
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
        return _pass("columns_are_present", day, f"no column has more than {MAX_MISSING_PERCENT}% missing", **figures)
    names = [fault.split()[1] for fault in faults]
    what = "labels" if names == [LABEL] else "column " + names[0] if len(names) == 1 else "columns " + ", ".join(names)
    return _fail(
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
    for number, cell in enumerate(_present_cells(frame, LABEL), start=1):
        if cell is not None and not (isinstance(cell, str) and cell in LABELS):
            first_row = first_row or number
            unknown[_quote(cell)] = unknown.get(_quote(cell), 0) + 1
    count = sum(unknown.values())
    if not count:
        return _pass("labels_are_known", day, "every label is ham or spam", unknown_labels=0)
    shown = ", ".join(f"{label} ({n:,} times)" for label, n in list(unknown.items())[:5])
    more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
    return _fail(
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
    for cell in _present_cells(frame, MESSAGE_ID):
        if cell is not None:
            counts[str(cell)] = counts.get(str(cell), 0) + 1
    repeated = {message_id: n for message_id, n in counts.items() if n > 1}
    if not repeated:
        return _pass("message_ids_are_unique", day, "every message has its own message_id", repeated_ids=0)
    first, times = next(iter(repeated.items()))
    return _fail(
        "message_ids_are_unique",
        day,
        f"{len(repeated):,} message_id occur more than once, for example {_quote(first)} {times:,} times",
        "remove the repeated rows, or the column to have ids derived from the content, and land the day again",
        repeated_ids=len(repeated),
        surplus_rows=sum(repeated.values()) - len(repeated),
    )


def dates_are_inside_partition(frame: pd.DataFrame, day: str) -> Verdict:
    """Every `received_at` that is there lies in the UTC day of the partition."""
    cells = _present_cells(frame, RECEIVED_AT)
    is_there = np.array([cell is not None for cell in cells], dtype=bool)
    dates = read_dates([cell if isinstance(cell, (datetime, np.datetime64)) else None for cell in cells])
    if not is_day(day):
        return _fail("dates_are_inside_partition", day, "this is no day", "name the partition YYYY-MM-DD")
    start = read_dates([day])[0]
    is_inside = np.asarray((dates >= start) & (dates < start + pd.Timedelta(days=1)), dtype=bool)
    outside = np.flatnonzero(is_there & ~is_inside)
    if not len(outside):
        return _pass("dates_are_inside_partition", day, "every message was received on the day", outside=0)
    row = int(outside[0])
    return _fail(
        "dates_are_inside_partition",
        day,
        f"{len(outside):,} of {len(frame):,} messages were not received on the day, first row {row + 1} "
        f"with {_quote(str(cells[row]))}",
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


# --- warning rules --------------------------------------------------------------------------------


def both_classes_are_present(
    frame: pd.DataFrame,
    day: str,
    trailing: Sequence[DaySummary] = (),  # noqa: ARG001 - called like the other warning rules
) -> Verdict:
    """The day holds both ham and spam; real days may not, so this only warns."""
    labels = _present_cells(frame, LABEL)
    counts = {label: sum(isinstance(cell, str) and cell == label for cell in labels) for label in LABELS}
    shown = " and ".join(f"{n:,} {label}" for label, n in counts.items())
    if all(counts.values()):
        return _pass("both_classes_are_present", day, shown, **counts)
    return _fail(
        "both_classes_are_present",
        day,
        shown,
        "check that both classes were exported, small days may lack one",
        **counts,
    )


def volume_is_in_line(frame: pd.DataFrame, day: str, trailing: Sequence[DaySummary]) -> Verdict:
    """The number of messages is like that of the trailing days.

    Robust z-score of log(1 + messages) against the median of up to `TRAILING_DAYS` days. Its scale is the
    median absolute deviation times 1.4826 (Iglewicz and Hoaglin 1993), joined by the variance 1 / median
    that a Poisson count has on the log scale, so that small or very even days do not warn about chance.
    """
    days = _select_trailing(day, trailing)
    if len(days) < MIN_TRAILING_DAYS:
        return _pass_for_lack_of_days("volume_is_in_line", day, len(days), messages=len(frame))
    counts = np.array([summary.messages for summary in days], dtype=np.float64)
    usual = float(np.median(counts))
    z = _score_robustly(math.log1p(len(frame)), np.log1p(counts), 1 / max(usual, 1.0))
    figures: dict[str, int | float | str] = {
        "messages": len(frame),
        "usual_messages": usual,
        "robust_z": round(z, 2),
        "trailing_days": len(days),
    }
    sentence = f"{len(frame):,} messages, where {usual:,.0f} are usual in the last {len(days)} days (robust z {z:+.1f})"
    if abs(z) <= MAX_ROBUST_Z:
        return _pass("volume_is_in_line", day, sentence, **figures)
    return _fail("volume_is_in_line", day, sentence, "check that the export is whole and holds one day only", **figures)


def spam_share_is_in_line(frame: pd.DataFrame, day: str, trailing: Sequence[DaySummary]) -> Verdict:
    """The share of spam is like that of the trailing days.

    Robust z-score of Anscombe's asin(sqrt((k + 3/8) / (n + 3/4))) (Biometrika 35, 1948), which gives a
    binomial share the variance 1 / (4n + 2) whatever the share is. The median absolute deviation of the
    trailing days is added to that variance: shares of real days vary more than binomial ones.
    """
    rule = "spam_share_is_in_line"
    days = [summary for summary in _select_trailing(day, trailing) if summary.messages]
    count = len(frame)
    spam = sum(isinstance(cell, str) and cell == SPAM for cell in _present_cells(frame, LABEL))
    if len(days) < MIN_TRAILING_DAYS or not count:
        return _pass_for_lack_of_days(rule, day, len(days), messages=count, spam=spam)
    counts = np.array([(summary.spam, summary.messages) for summary in days], dtype=np.float64)
    usual = float(np.median(counts[:, 0] / counts[:, 1]))
    z = _score_robustly(
        float(_stabilise_share(np.array([spam]), np.array([count]))[0]),
        _stabilise_share(counts[:, 0], counts[:, 1]),
        1 / (4 * count + 2),
    )
    figures: dict[str, int | float | str] = {
        "spam_share_percent": round(100 * spam / count, 2),
        "usual_spam_share_percent": round(100 * usual, 2),
        "robust_z": round(z, 2),
        "trailing_days": len(days),
    }
    sentence = (
        f"{100 * spam / count:.1f}% spam ({spam:,} of {count:,}), where {100 * usual:.1f}% are usual in the "
        f"last {len(days)} days (robust z {z:+.1f})"
    )
    if abs(z) <= MAX_ROBUST_Z:
        return _pass(rule, day, sentence, **figures)
    return _fail(rule, day, sentence, "check that the labels are not swapped and both classes were exported", **figures)


def messages_are_new(frame: pd.DataFrame, day: str, trailing: Sequence[DaySummary]) -> Verdict:
    """Most messages are not those of the trailing days again, nor each other's copies."""
    rule = "messages_are_new"
    days = _select_trailing(day, trailing)
    count = len(frame)
    hashes = hash_contents(frame)
    unique = np.unique(hashes)
    overlaps = {s.day: int(np.isin(hashes, np.asarray(s.content_hashes, dtype=np.uint64)).sum()) for s in days}
    seen = np.unique(np.concatenate([np.asarray(s.content_hashes, dtype=np.uint64) for s in days] or [unique[:0]]))
    repeated = count - int((~np.isin(unique, seen)).sum())
    figures: dict[str, int | float | str] = {
        "messages": count,
        "repeated": repeated,
        "trailing_days": len(days),
    }
    share = 100 * repeated / count if count else 0.0
    sentence = (
        f"{share:.1f}% of the messages ({repeated:,} of {count:,}) repeat others of the day or of the last "
        f"{len(days)} days"
    )
    if repeated * 100 <= count * MAX_REPEATED_PERCENT:
        return _pass(rule, day, sentence, **figures)
    closest = max(overlaps, key=lambda other: overlaps[other], default=day)
    if overlaps.get(closest):
        sentence += f", most of them {closest} ({overlaps[closest]:,})"
        figures["closest_day"] = closest
    return _fail(rule, day, sentence, "check that the file is not another day's landed again", **figures)


WARNING_RULES: Final[tuple[TrailingRule, ...]] = (
    both_classes_are_present,
    volume_is_in_line,
    spam_share_is_in_line,
    messages_are_new,
)


def warn_about_day(frame: pd.DataFrame, day: str, trailing: Sequence[DaySummary]) -> list[Verdict]:
    """Return the verdict of every warning rule."""
    return [rule(frame, day, trailing) for rule in WARNING_RULES]


SUMMARY_COLUMNS: Final = (LABEL, CONTENT_HASH)
"""The columns of validated mail that `summarize_day` reads."""


def summarize_day(validated: pd.DataFrame, day: str) -> DaySummary:
    """Return what the warning rules of later days need to know about a day of validated mail."""
    return DaySummary(
        day,
        len(validated),
        int((validated[LABEL] == SPAM).sum()),
        validated[CONTENT_HASH].to_numpy(np.uint64),
    )


def hash_contents(frame: pd.DataFrame) -> npt.NDArray[np.uint64]:
    """Return uint64[n]: a hash of subject and body of each message, whatever their case and white space."""
    columns = [_present_cells(frame, name) for name in (SUBJECT, BODY)]
    contents = np.empty(len(frame), dtype=object)
    for row, cells in enumerate(zip(*columns, strict=True)):
        words = "\0".join(" ".join(str(cell).lower().split()) if cell is not None else "" for cell in cells)
        contents[row] = words.encode("utf-8", "replace").decode("utf-8")
    return pd.util.hash_array(contents, categorize=False)


# --- from raw to validated ------------------------------------------------------------------------


def validate_day(frame: pd.DataFrame, day: str) -> pd.DataFrame:
    """Return the mail of a day that models may learn from, see `select_valid_mail`.

    Raises:
        QualityError: the day breaks a blocking rule.
    """
    broken = [verdict.sentence for verdict in judge_day(frame, day) if not verdict.passed]
    if broken:
        raise QualityError(" ".join(broken))
    from spam_assets.mail.schema import VALIDATED_MAIL_SCHEMA

    validated: pd.DataFrame = VALIDATED_MAIL_SCHEMA.validate(select_valid_mail(frame))
    return validated


def select_valid_mail(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the mail that models may learn from, of a day that passed `judge_day`.

    Rows without a label or body are left out: at most `MAX_MISSING_PERCENT` of a good day each. Missing ids
    are derived from the content, missing dates become the midnight of the day that the other rows are from,
    missing senders, recipients and subjects the empty text.

    Returns:
        A new frame with the columns of `VALIDATED_MAIL_COLUMNS`, sorted by `received_at` and `message_id`,
        index 0 to n - 1.
    """
    kept = frame.loc[frame[LABEL].notna() & frame[BODY].notna(), list(MAIL_COLUMNS)].copy()
    for name in (SENDER, RECIPIENTS, SUBJECT):
        kept[name] = _replace_missing(kept[name], [""] * len(kept))
    content_ids = derive_message_ids(*(kept[name].tolist() for name in (SENDER, RECIPIENTS, SUBJECT, BODY, RAW)))
    ids = _replace_missing(kept[MESSAGE_ID], content_ids)
    kept[MESSAGE_ID] = pd.Series(list(make_ids_unique(ids)), index=kept.index, dtype=object)
    first = kept[RECEIVED_AT].min()
    if not pd.isna(first):
        kept[RECEIVED_AT] = kept[RECEIVED_AT].fillna(first.normalize())
    kept[CONTENT_HASH] = hash_contents(kept)
    return kept.sort_values([RECEIVED_AT, MESSAGE_ID], kind="stable", ignore_index=True)


# --- shared by the rules --------------------------------------------------------------------------


def _pass(rule: str, day: str, sentence: str, **figures: int | float | str) -> Verdict:
    return Verdict(rule=rule, passed=True, sentence=f"training day {day}: {sentence}.", figures=figures)


def _fail(rule: str, day: str, sentence: str, remedy: str, **figures: int | float | str) -> Verdict:
    return Verdict(rule=rule, passed=False, sentence=f"training day {day}: {sentence}; {remedy}.", figures=figures)


def _pass_for_lack_of_days(rule: str, day: str, trailing_days: int, **figures: int | float | str) -> Verdict:
    return _pass(
        rule,
        day,
        f"not judged, because it takes {MIN_TRAILING_DAYS} earlier days to compare with and there are {trailing_days}",
        trailing_days=trailing_days,
        **figures,
    )


def _quote(value: object) -> str:
    """Return the value as one short printable line; cells are hostile and sentences are shown."""
    text = str(value)
    return ascii(text[:40] + ("..." if len(text) > 40 else ""))


def _get_column(frame: pd.DataFrame, name: str) -> "pd.Series[Any] | None":
    positions = [i for i, column in enumerate(frame.columns) if isinstance(column, str) and column == name]
    return frame.iloc[:, positions[0]] if positions else None


def _present_cells(frame: pd.DataFrame, name: str) -> list[Any]:
    """Return the cells of a column, None where one is missing or the frame lacks the column."""
    column = _get_column(frame, name)
    if column is None:
        return [None] * len(frame)
    return [None if missing else cell for cell, missing in zip(column.astype(object), column.isna(), strict=True)]


def _replace_missing(column: "pd.Series[Any]", replacements: Sequence[str]) -> "pd.Series[Any]":
    cells = [new if missing else cell for cell, new, missing in zip(column, replacements, column.isna(), strict=True)]
    return pd.Series(cells, index=column.index, dtype=object)


def _select_trailing(day: str, trailing: Sequence[DaySummary]) -> list[DaySummary]:
    """Return the last days before this one, oldest first: a day is not compared with itself or later ones."""
    return sorted((s for s in trailing if s.day < day), key=lambda s: s.day)[-TRAILING_DAYS:]


def _score_robustly(value: float, trailing: npt.NDArray[np.float64], chance_variance: float) -> float:
    """Return how many robust standard deviations the value lies from the median of the trailing ones."""
    median = float(np.median(trailing))
    spread = _MAD_TO_SIGMA * float(np.median(np.abs(trailing - median)))
    return (value - median) / math.sqrt(spread**2 + chance_variance)


def _stabilise_share(hits: npt.NDArray[Any], counts: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return np.arcsin(np.sqrt((hits + 0.375) / (counts + 0.75)))
