"""Messages in any order -> a landing zone with one file a day; what the importers of all formats end in."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from spam_assets.landing.decoded_size import DecodedSize
from spam_assets.landing.file_formats import build_landed_frame, check_format
from spam_assets.landing.importers.day_spool import DaySpool, SpooledMail
from spam_assets.landing.importers.labelled_messages import (
    MAX_MESSAGE_BYTES,
    LabelledMessage,
    Report,
    ignore_progress,
)
from spam_assets.landing.zone import LandingZone
from spam_assets.mail.columns import LABEL, RAW, RECEIVED_AT, SPAM
from spam_assets.mail.parsing import find_delivery

_REPORT_EVERY: Final = 100


@dataclass(frozen=True)
class LandingSummary:
    """What an import did.

    Attributes:
        days: the days that were written, in order.
        messages: messages that were written.
        spam: how many of them are labelled spam.
        skipped: why messages were not written (where the first of those are) -> how many; empty if all were.
    """

    days: tuple[str, ...]
    messages: int
    spam: int
    skipped: Mapping[str, int]


def land_messages(
    messages: Iterable[LabelledMessage],
    zone: LandingZone,
    file_format: str = "csv",
    report: Report = ignore_progress,
    now: datetime | None = None,
) -> LandingSummary:
    """Write messages into the landing zone, one file a day; a day that is there already is replaced.

    Messages wait in a temporary SQLite database, so that memory holds no more than the largest day. Within a
    day they are in the order of `received_at`, then source.

    Args:
        messages: in any order.
        zone: where to write.
        file_format: one of `FILE_FORMATS`.
        report: called now and then.
        now: aware; mail that is dated later is left out. The clock if it is not given.

    Raises:
        MailImportError, LandingError: mail cannot be read or written.
    """
    check_format(file_format)
    with closing(DaySpool(now)) as spool:
        for done, message in enumerate(messages, start=1):
            if len(message.raw) > MAX_MESSAGE_BYTES:
                spool.leave_out(f"the message is longer than {MAX_MESSAGE_BYTES:,} bytes", [message.source])
            elif message.received_at is not None:
                spool.add(message.received_at, message.source, message.label, message.raw)
            else:
                received_at, is_vouched = find_delivery(message.raw)
                spool.add(received_at, message.source, message.label, message.raw, is_vouched=is_vouched)
            if done % _REPORT_EVERY == 0:
                report(done, None, "messages read")
        return write_days(spool, _build_columns, zone, file_format, report)


def _build_columns(mail: list[SpooledMail]) -> dict[str, list[Any]]:
    return {
        RECEIVED_AT: [row.received_at for row in mail],
        RAW: [row.content for row in mail],
        LABEL: [row.label for row in mail],
    }


def write_days(
    spool: DaySpool,
    build_columns: Callable[[list[SpooledMail]], dict[str, list[Any]]],
    zone: LandingZone,
    file_format: str,
    report: Report,
) -> LandingSummary:
    """Write the spooled mail into the landing zone, one file a day.

    Args:
        spool: all of the mail.
        build_columns: makes columns as a landing file has them from a day's rows.
        zone: where to write.
        file_format: one of `FILE_FORMATS`.
        report: called after each day.

    Raises:
        LandingError: a day's cells cannot be read, or the zone cannot be written.
    """
    days = spool.list_days()
    messages = spam = 0
    for done, day in enumerate(days, start=1):
        DecodedSize(f"the mail of {day}", zone.max_day_bytes).add(spool.count_bytes(day))
        frame, _ = build_landed_frame(build_columns(spool.read_day(day)), day, f"the mail of {day}")
        zone.write(day, frame, file_format)
        messages += len(frame)
        spam += int((frame[LABEL] == SPAM).sum())
        report(done, len(days), "days written")
    return LandingSummary(
        days=tuple(days),
        messages=messages,
        spam=spam,
        skipped=spool.tell_left_out(),
    )
