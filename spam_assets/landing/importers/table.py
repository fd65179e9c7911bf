"""One big CSV file with mail of many days."""

import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

import pandas as pd

from spam_assets.landing.file_formats import (
    MAX_CELL_CHARACTERS,
    arrange_csv_cells,
    check_format,
    check_header,
    read_csv_rows,
)
from spam_assets.landing.importers.day_spool import DaySpool, SpooledMail
from spam_assets.landing.importers.days import LandingSummary, write_days
from spam_assets.landing.importers.labelled_messages import MailImportError, Report, ignore_progress
from spam_assets.landing.zone import LandingZone
from spam_assets.mail.columns import RECEIVED_AT
from spam_assets.mail.dates import read_dates

_CHUNK_ROWS: Final = 5_000


def land_table(
    path: Path,
    date_column: str,
    zone: LandingZone,
    file_format: str = "csv",
    report: Report = ignore_progress,
    now: datetime | None = None,
) -> LandingSummary:
    """Write one CSV file with mail of many days into the landing zone, one file a day.

    The file (UTF-8, also .gz) needs `label` and at least one of `body`, `text` and `raw`. It is read in
    pieces; memory holds no more than the largest day.

    Args:
        path: the CSV file.
        date_column: the column that says when a message was received; without a zone it is UTC.
        zone: where to write.
        file_format: one of `FILE_FORMATS`.
        report: called now and then.
        now: aware; mail that is dated later is left out. The clock if it is not given.

    Raises:
        MailImportError, LandingError: the file cannot be read, or the zone cannot be written.
    """
    check_format(file_format)
    name = str(path)
    try:
        with closing(DaySpool(now)) as spool, _open_text(path) as file:
            rows = read_csv_rows(_read_lines(file, name), name)
            header = [cell.strip() for cell in next(rows, (1, []))[1]]
            if date_column not in header:
                shown = ", ".join(column[:40] for column in header[:20]) or "none"
                raise MailImportError(
                    f"{name} has no column {date_column!r} (columns found: {shown}); name the column with the date."
                )
            date_index = header.index(date_column)
            if RECEIVED_AT not in header:
                header[date_index] = RECEIVED_AT
            check_header(header, name)
            done = 0
            while chunk := list(islice(rows, _CHUNK_ROWS)):
                stamps = read_dates([row[date_index] for _, row in chunk]).to_pydatetime()
                for (line, row), stamp in zip(chunk, stamps, strict=True):
                    received_at = None if stamp is pd.NaT else stamp
                    spool.add(received_at, f"{name}:{line}", "", json.dumps(row).encode())
                done += len(chunk)
                report(done, None, "rows read")

            def build_columns(mail: list[SpooledMail]) -> dict[str, list[Any]]:
                columns = arrange_csv_cells(header, [json.loads(row.content) for row in mail])
                columns[RECEIVED_AT] = [row.received_at for row in mail]
                return columns

            return write_days(spool, build_columns, zone, file_format, report)
    except UnicodeDecodeError as error:
        raise MailImportError(f"{name} is not UTF-8 ({error.reason}); save it as UTF-8.") from error
    except (OSError, EOFError, zlib.error) as error:
        raise MailImportError(f"{name} cannot be read ({error}); name a CSV file.") from error


def _read_lines(file: IO[str], name: str) -> Iterator[str]:
    """Yield the lines of a file; one that does not end must not fill the memory."""
    while line := file.readline(MAX_CELL_CHARACTERS + 1):
        if len(line) > MAX_CELL_CHARACTERS:
            raise MailImportError(f"{name} has a line of more than {MAX_CELL_CHARACTERS:,} characters; split it.")
        yield line


def _open_text(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")
