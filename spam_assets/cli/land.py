"""`spam-assets land ...`: labelled mail from archives, folders and tables into the landing zone."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spam_assets.cli.console import CommandError, escape_terminal, out, show_progress
from spam_assets.cli.open_home import open_landing_zone
from spam_assets.settings import Settings, load_settings

if TYPE_CHECKING:
    from spam_assets.landing.importers.days import LandingSummary
    from spam_assets.landing.importers.labelled_messages import LabelledMessage
    from spam_assets.landing.zone import LandingZone

ARCHIVE_AGE = timedelta(days=31)
"""Mail whose newest day is older than this is an archive: the partitions then end with it."""

land = typer.Typer(
    no_args_is_help=True,
    help="Write labelled mail into the landing zone, one file a day. Landing a day again replaces it.",
)


FormatOption = Annotated[str, typer.Option("--format", help="csv, csv.gz, parquet or jsonl.", metavar="FORMAT")]


@land.command("corpus", epilog="Example: spam-assets land corpus")
def land_corpus(file_format: FormatOption = "csv") -> None:
    """The SpamAssassin public corpus: 81 days of real mail from 2002 (20 MB download, kept in the home folder)."""
    settings = load_settings()
    finish_landing(settings, land_whole_corpus(settings, open_landing_zone(settings), file_format))


@land.command("maildir", epilog="Example: spam-assets land maildir --ham ~/Mail/archive --spam ~/Mail/junk")
def land_maildir(
    ham: Annotated[Path, typer.Option(help="Maildir, or folder of .eml files, with ham.")],
    spam: Annotated[Path, typer.Option(help="The same with spam.")],
    file_format: FormatOption = "csv",
) -> None:
    """Two Maildirs (or folders of .eml files), by the day each message was delivered."""
    from spam_assets.landing.importers.maildir import maildir_messages

    _land_messages(maildir_messages(ham, spam), file_format)


@land.command("mbox", epilog="Example: spam-assets land mbox --ham inbox.mbox --spam junk.mbox")
def land_mbox(
    ham: Annotated[Path, typer.Option(help="mbox file with ham.")],
    spam: Annotated[Path, typer.Option(help="mbox file with spam.")],
    file_format: FormatOption = "csv",
) -> None:
    """Two mbox files, by the day each message was delivered."""
    from spam_assets.landing.importers.mbox_files import mbox_messages

    _land_messages(mbox_messages(ham, spam), file_format)


@land.command("trec", epilog="Example: spam-assets land trec ~/trec07p")
def land_trec(
    folder: Annotated[Path, typer.Argument(help="Folder with full/index and the data it names.")],
    file_format: FormatOption = "csv",
) -> None:
    """A corpus in the layout of the TREC spam tracks (full/index and the messages it names)."""
    from spam_assets.landing.importers.trec import trec_messages

    _land_messages(trec_messages(folder), file_format)


@land.command("csv", epilog="Example: spam-assets land csv reports.csv --date-column received_at")
def land_csv(
    file: Annotated[Path, typer.Argument(help="CSV with a header; columns as in a landing file.")],
    date_column: Annotated[str, typer.Option(help="Column with each message's date.")] = "received_at",
    file_format: FormatOption = "csv",
) -> None:
    """One big CSV file, split into days by a date column."""
    from spam_assets.landing.importers.table import land_table

    settings = load_settings()
    with show_progress("landing") as report:
        summary = land_table(file, date_column, open_landing_zone(settings), file_format, report)
    finish_landing(settings, summary)


def _land_messages(messages: "Iterable[LabelledMessage]", file_format: str) -> None:
    from spam_assets.landing.importers.days import land_messages

    settings = load_settings()
    with show_progress("landing") as report:
        summary = land_messages(messages, open_landing_zone(settings), file_format, report)
    finish_landing(settings, summary)


def land_whole_corpus(settings: Settings, zone: "LandingZone", file_format: str = "csv") -> "LandingSummary":
    """Land every day of the corpus, which is downloaded once."""
    from spam_assets.landing.importers.days import land_messages
    from spam_assets.landing.importers.spamassassin import corpus_messages, fetch_corpus

    with show_progress("fetching the corpus") as report:
        archives = fetch_corpus(settings.home / "cache", report)
    with show_progress("landing the corpus") as report:
        return land_messages(corpus_messages(archives), zone, file_format, report)


def finish_landing(settings: Settings, summary: "LandingSummary") -> None:
    """Make the partitions cover what landed, and say what that is; raises CommandError if nothing landed."""
    for reason, count in summary.skipped.items():
        out.print(f"left out {count}: {escape_terminal(reason)}")
    if not summary.days:
        raise CommandError("nothing landed: no message had a day; see the reasons above")
    from spam_assets.cli.home import widen_day_range

    first, last = date.fromisoformat(summary.days[0]), date.fromisoformat(summary.days[-1])
    is_archive = last < datetime.now(timezone.utc).date() - ARCHIVE_AGE
    widen_day_range(settings, first, last, open_ended=not is_archive)
    out.print(
        f"landed {summary.messages} messages ({summary.spam} spam) of {len(summary.days)} days, "
        f"{summary.days[0]} to {summary.days[-1]}, in {escape_terminal(settings.shown_landing)}",
        soft_wrap=True,
    )
