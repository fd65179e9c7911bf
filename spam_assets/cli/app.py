"""`spam-assets`: the person's front door. Parses, calls, prints; Dagster and MLflow are imported only where used."""

import errno
import gc
import logging
import os
import signal
import sqlite3
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from spam_assets.settings import Settings, load_settings

if TYPE_CHECKING:
    import dagster as dg

    from spam_assets.engine.run_days import DayOutcome
    from spam_assets.landing.importers.days import LabelledMessage, LandingSummary
    from spam_assets.landing.zone import LandingZone
    from spam_assets.registry.training_runs import RegisteredVersion

ARCHIVE_AGE = timedelta(days=31)
"""Mail whose newest day is older than this is an archive: the partitions then end with it."""

DAYS_PER_RUN = 100
REFUSED_WRITES = ("disk is full", "readonly database", "disk I/O error", "unable to open database file")
"""What SQLite says where the home folder cannot be written."""

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Train a spam classifier day by day with Dagster, and use it. Start with [bold]spam-assets demo[/bold].",
)
land = typer.Typer(
    no_args_is_help=True,
    help="Write labelled mail into the landing zone, one file a day. Landing a day again replaces it.",
)
app.add_typer(land, name="land")
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


class CommandError(Exception):
    """The command cannot do what was asked; the message is one sentence with the remedy."""


def main() -> None:
    """Run the command line; errors are one sentence, `--debug` shows where they came from."""
    # Importing Dagster and MLflow makes a million objects that stay; by default Python looks through them for garbage
    # again and again, which is a sixth of the CPU time of running one day.
    gc.set_threshold(100_000, 50, 50)
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    try:
        app()
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(130)
    except Exception as error:
        if debug:
            raise
        err.print(f"[red]error:[/red] {escape(_say(error))}", soft_wrap=True)
        sys.exit(1)


def _find_refused_write(error: BaseException | None) -> str | None:
    """Return why the disk of the home folder took no more, if that is what an error comes from."""
    while error is not None:
        if isinstance(error, sqlite3.OperationalError) and any(words in str(error) for words in REFUSED_WRITES):
            return str(error)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            return os.strerror(error.errno)
        error = error.__cause__ or error.__context__
    return None


def _say(error: Exception) -> str:
    expected = isinstance(error, CommandError) or type(error).__module__.startswith("spam_assets")
    if not expected and (reason := _find_refused_write(error)) is not None:
        return (
            f"the disk of {load_settings().home} takes no more ({reason}); make room or give write access, then repeat "
            "this command: what was finished is kept"
        )
    if isinstance(error, ValidationError):
        return "; ".join(
            ".".join(map(str, problem["loc"])) + ": " + problem["msg"] if problem["loc"] else problem["msg"]
            for problem in error.errors(include_url=False, include_input=False)
        )
    text = getattr(error, "description", None) or str(error) or type(error).__name__
    return text if expected else f"{type(error).__name__}: {text} (spam-assets --debug ... shows where)"


@contextmanager
def _progress(title: str) -> Iterator[Callable[[int, int | None, str], None]]:
    """Show a progress bar; on something else than a terminal, a plain line for every tenth of the work."""
    if not err.is_terminal:
        shown = -1

        def print_line(done: int, total: int | None, what: str) -> None:
            nonlocal shown
            tenth = 10 * done // total if total else -1
            if tenth > shown:
                shown = tenth
                err.print(f"{title}: {done} of {total} {what}")

        yield print_line
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[what]}"),
    )
    with Progress(*columns, TimeElapsedColumn(), console=err, transient=True) as bar:
        task = bar.add_task(title, total=None, what="")
        yield lambda done, total, what: bar.update(task, completed=done, total=total, what=what)


# --- landing mail -----------------------------------------------------------------------------------------------

FormatOption = Annotated[str, typer.Option("--format", help="csv, csv.gz, parquet or jsonl.", metavar="FORMAT")]


@land.command("corpus", epilog="Example: spam-assets land corpus")
def land_corpus(file_format: FormatOption = "csv") -> None:
    """The SpamAssassin public corpus: 81 days of real mail from 2002 (20 MB download, kept in the home folder)."""
    settings = load_settings()
    _finish_landing(settings, _land_corpus(settings, _landing_zone(settings), file_format))


@land.command("maildir", epilog="Example: spam-assets land maildir --ham ~/Mail/archive --spam ~/Mail/junk")
def land_maildir(
    ham: Annotated[Path, typer.Option(help="Maildir, or folder of .eml files, with ham.")],
    spam: Annotated[Path, typer.Option(help="The same with spam.")],
    file_format: FormatOption = "csv",
) -> None:
    """Two Maildirs (or folders of .eml files), by the day each message was delivered."""
    from spam_assets.landing.importers.days import maildir_messages

    _land_messages(maildir_messages(ham, spam), file_format)


@land.command("mbox", epilog="Example: spam-assets land mbox --ham inbox.mbox --spam junk.mbox")
def land_mbox(
    ham: Annotated[Path, typer.Option(help="mbox file with ham.")],
    spam: Annotated[Path, typer.Option(help="mbox file with spam.")],
    file_format: FormatOption = "csv",
) -> None:
    """Two mbox files, by the day each message was delivered."""
    from spam_assets.landing.importers.days import mbox_messages

    _land_messages(mbox_messages(ham, spam), file_format)


@land.command("trec", epilog="Example: spam-assets land trec ~/trec07p")
def land_trec(
    folder: Annotated[Path, typer.Argument(help="Folder with full/index and the data it names.")],
    file_format: FormatOption = "csv",
) -> None:
    """A corpus in the layout of the TREC spam tracks (full/index and the messages it names)."""
    from spam_assets.landing.importers.days import trec_messages

    _land_messages(trec_messages(folder), file_format)


@land.command("csv", epilog="Example: spam-assets land csv reports.csv --date-column received_at")
def land_csv(
    file: Annotated[Path, typer.Argument(help="CSV with a header; columns as in a landing file.")],
    date_column: Annotated[str, typer.Option(help="Column with each message's date.")] = "received_at",
    file_format: FormatOption = "csv",
) -> None:
    """One big CSV file, split into days by a date column."""
    from spam_assets.landing.importers.days import land_table

    settings = load_settings()
    with _progress("landing") as report:
        summary = land_table(file, date_column, _landing_zone(settings), file_format, report)
    _finish_landing(settings, summary)


def _landing_zone(settings: Settings) -> "LandingZone":
    from spam_assets.cli.home import prepare_landing
    from spam_assets.landing.zone import LandingZone

    prepare_landing(settings)
    return LandingZone(settings.landing_url)


def _land_messages(messages: "Iterable[LabelledMessage]", file_format: str) -> None:
    from spam_assets.landing.importers.days import land_messages

    settings = load_settings()
    with _progress("landing") as report:
        summary = land_messages(messages, _landing_zone(settings), file_format, report)
    _finish_landing(settings, summary)


def _land_corpus(settings: Settings, zone: "LandingZone", file_format: str = "csv") -> "LandingSummary":
    from spam_assets.landing.importers.days import corpus_messages, fetch_corpus, land_messages

    with _progress("fetching the corpus") as report:
        archives = fetch_corpus(settings.home / "cache", report)
    with _progress("landing the corpus") as report:
        return land_messages(corpus_messages(archives), zone, file_format, report)


def _finish_landing(settings: Settings, summary: "LandingSummary") -> None:
    for reason, count in summary.skipped.items():
        out.print(f"left out {count}: {escape(reason)}")
    if not summary.days:
        raise CommandError("nothing landed: no message had a day; see the reasons above")
    from spam_assets.cli.home import widen_day_range

    first, last = date.fromisoformat(summary.days[0]), date.fromisoformat(summary.days[-1])
    is_archive = last < datetime.now(timezone.utc).date() - ARCHIVE_AGE
    widen_day_range(settings, first, last, open_ended=not is_archive)
    out.print(
        f"landed {summary.messages} messages ({summary.spam} spam) of {len(summary.days)} days, "
        f"{summary.days[0]} to {summary.days[-1]}, in {settings.landing_url}",
        soft_wrap=True,
    )


@app.command(epilog="Example: spam-assets replay --days 20 --every 10")
def replay(
    days: Annotated[int, typer.Option(min=1, help="How many days land.")] = 10,
    every: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Seconds from one day to the next.")] = 30,
) -> None:
    """Land the next days of the SpamAssassin corpus one by one, as a mail server would, to see the sensors work."""
    settings = load_settings()
    corpus = _stage_corpus(settings)
    zone = _landing_zone(settings)
    corpus_days = corpus.days()
    left = sorted(set(corpus_days) - set(zone.days()))
    if left:
        _cover_days(settings, corpus_days[0], corpus_days[-1])
    count = 0
    with _note_interrupt() as interrupted:
        for day in left[:days]:
            if count and interrupted.wait(every):
                out.print(f"stopped after {count} days; the same command goes on", soft_wrap=True)
                raise typer.Exit(130)
            mail = corpus.read(day).frame
            zone.write(day, mail)
            count += 1
            out.print(f"{day} landed: {len(mail)} messages, {(mail['label'] == 'spam').sum()} spam", soft_wrap=True)
    if count == len(left):
        out.print(
            f"no day of the corpus is left: all {len(corpus_days)} have landed in {settings.landing_url}",
            soft_wrap=True,
        )
    else:
        still_left = f"{len(left) - count} days of the corpus are left; the same command goes on with {left[count]}"
        out.print(still_left, soft_wrap=True)


@contextmanager
def _note_interrupt() -> Iterator[threading.Event]:
    """Let Ctrl-C set an event, so that a day lands and is told of as a whole or not at all."""
    interrupted = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: interrupted.set())
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def _stage_corpus(settings: Settings) -> "LandingZone":
    """Return the corpus as a landing zone of its own, which is made once."""
    from spam_assets.landing.zone import LandingZone

    folder = settings.home / "cache" / "corpus-days"
    if not folder.exists():
        with tempfile.TemporaryDirectory(prefix=".corpus-days-", dir=_make_folder(folder.parent)) as beside:
            _land_corpus(settings, LandingZone(f"{beside}/days"))
            Path(beside, "days").rename(folder)
    return LandingZone(str(folder))


def _make_folder(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _cover_days(settings: Settings, first: str, last: str) -> None:
    """Make the partitions cover days that are about to land, and say so."""
    from spam_assets.cli.home import widen_day_range

    first_day, last_day = date.fromisoformat(first), date.fromisoformat(last)
    is_wider = widen_day_range(settings, first_day, last_day, open_ended=False)
    now = load_settings()
    if now.start_date > first_day or (now.end_date is not None and now.end_date < last_day):
        raise CommandError(
            f"SPAM_ASSETS_START_DATE or SPAM_ASSETS_END_DATE leaves out days of {first} to {last}, so sensors do "
            "not see; take both out of the environment and .env"
        )
    if is_wider:
        out.print(
            f"the partitions now cover {first} to {last}; if dagster dev or spam-assets ui is running, reload the code "
            "location in its UI (Deployment) or start it again",
            soft_wrap=True,
        )


# --- running ----------------------------------------------------------------------------------------------------


@contextmanager
def _open_instance() -> Iterator[tuple[Settings, "dg.DagsterInstance"]]:
    """Prepare the home folder and open its Dagster instance."""
    from spam_assets.cli.home import prepare_home

    settings = load_settings()
    for library in ("dagster", "mlflow", "alembic"):  # what matters is printed here or stands in the event log
        logging.getLogger(library).setLevel(logging.CRITICAL)
    prepare_home(settings)
    from dagster import DagsterInstance

    with DagsterInstance.get() as instance:
        yield settings, instance


def _parse_day(text: str, option: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise CommandError(f"{option} {text!r} is not a date; write it as YYYY-MM-DD") from None


def _check_partitions(*days: str) -> None:
    from spam_assets.partitions import DAYS

    for day in days:
        if not DAYS.has_partition_key(day):
            raise CommandError(
                f"{day} is not one of the partitions, {DAYS.get_first_partition_key()} to "
                f"{DAYS.get_last_partition_key()}; set SPAM_ASSETS_START_DATE and SPAM_ASSETS_END_DATE to include it"
            )


@app.command(epilog="Example: spam-assets run --date 2002-08-22")
def run(date_: Annotated[str, typer.Option("--date", metavar="YYYY-MM-DD", help="The day to run.")]) -> None:
    """One date through all assets and checks, in this process; the Dagster UI shows the run."""
    day = _parse_day(date_, "--date")
    with _open_instance() as (_, instance):
        _check_partitions(day)
        from spam_assets.engine.run_days import run_days
        from spam_assets.jobs import train_job

        (outcome,) = run_days(instance, train_job.name, day, day)
    _print_outcome(outcome)
    if outcome.failure or not outcome.materialized:
        raise CommandError(outcome.failure or outcome.skipped or f"nothing was made for {day}")


@app.command(epilog="Example: spam-assets backfill --from 2002-08-01 --to 2002-08-31")
def backfill(
    first: Annotated[
        str | None, typer.Option("--from", metavar="YYYY-MM-DD", help="First day (default: the first landed).")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="YYYY-MM-DD", help="Last day, included (default: the last landed).")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also days that are complete.")] = False,
    days_per_run: Annotated[int, typer.Option(min=1, help="The most days that one run covers.")] = DAYS_PER_RUN,
) -> None:
    """The landed days of a range that are not complete or not up to date, one after the other."""
    first = _parse_day(first, "--from") if first else "0001-01-01"
    last = _parse_day(last, "--to") if last else "9999-12-31"
    if first > last:
        raise CommandError(f"--from {first} is after --to {last}; swap them")
    with _open_instance() as (settings, instance):
        outcomes = _run_landed_days(settings, instance, first, last, everything=everything, days_per_run=days_per_run)
    failed = [outcome for outcome in outcomes if outcome.failure]
    for outcome in outcomes:
        if outcome.failure or outcome.skipped:
            _print_outcome(outcome)
    complete = sum("registered_model" in outcome.materialized for outcome in outcomes)
    out.print(f"{len(outcomes)} days run: {complete} with a registered model, {len(failed)} failed")
    if failed:
        which = failed[0].day if len(failed) == 1 else f"{len(failed)} days"
        raise CommandError(
            f"{which} failed for the reason above; mend it, or land the mail corrected, and repeat this command"
        )


def _run_landed_days(
    settings: Settings,
    instance: "dg.DagsterInstance",
    first: str,
    last: str,
    *,
    everything: bool = False,
    days_per_run: int = DAYS_PER_RUN,
) -> "list[DayOutcome]":
    from spam_assets.cli.outdated_days import find_days_to_run
    from spam_assets.engine.life import fail_dead_runs
    from spam_assets.engine.run_days import run_days
    from spam_assets.jobs import train_job
    from spam_assets.landing.watching import group_days
    from spam_assets.registry.training_runs import end_abandoned_runs

    zone = _landing_zone(settings)
    all_landed = zone.days()
    landed = [day for day in all_landed if first <= day <= last]
    if not landed:
        raise CommandError(f"nothing has landed between {first} and {last} in {settings.landing_url}; land mail first")
    _check_partitions(landed[0], landed[-1])
    if fail_dead_runs(settings, instance):
        end_abandoned_runs(settings, instance, again=True)
    outcomes: dict[str, DayOutcome] = {}
    todo = landed if everything else find_days_to_run(settings, instance, zone, landed)
    with _progress("running") as report:
        while todo:
            count = len(outcomes)
            for first_of_run, last_of_run in group_days(todo, all_landed, days_per_run):
                for outcome in run_days(instance, train_job.name, first_of_run, last_of_run):
                    if outcome.day in todo:  # a run may span days on which nothing landed
                        outcomes[outcome.day] = outcome
                        report(len(outcomes) - count, len(todo), f"days, {outcome.day}")
            # A day that was run may have changed what later days learn from.
            todo = [day for day in find_days_to_run(settings, instance, zone, landed) if day not in outcomes]
    return [outcomes[day] for day in sorted(outcomes)]


def _print_outcome(outcome: "DayOutcome") -> None:
    if outcome.failure:
        out.print(f"{outcome.day} [red]failed[/red]: {escape(outcome.failure)}", soft_wrap=True)
    elif outcome.skipped:
        out.print(f"{outcome.day} [yellow]skipped[/yellow]: {escape(outcome.skipped)}", soft_wrap=True)
    else:
        out.print(f"{outcome.day} [green]done[/green]: {', '.join(outcome.materialized)}", soft_wrap=True)
    for warning in outcome.warnings:
        out.print(f"{outcome.day} [yellow]warning[/yellow]: {escape(warning)}", soft_wrap=True)


@app.command(epilog="Example: spam-assets demo")
def demo() -> None:
    """From nothing to a champion: land the corpus, run its days, print what came out. Again: only what is missing."""
    from spam_assets.cli.home import widen_day_range

    settings = load_settings()
    if not _landing_zone(settings).days():
        _finish_landing(settings, _land_corpus(settings, _landing_zone(settings)))
    else:
        out.print(f"mail has landed in {settings.landing_url} already")
        landed = _landing_zone(settings).days()
        if not settings.range_file.exists():
            widen_day_range(settings, date.fromisoformat(landed[0]), date.fromisoformat(landed[-1]), open_ended=False)
    with _open_instance() as (settings, instance):
        outcomes = _run_landed_days(settings, instance, "0001-01-01", "9999-12-31")
        _print_demo(settings, instance, outcomes)
    if any(outcome.failure for outcome in outcomes):
        raise CommandError("some days failed, see above; the others are complete")


def _print_demo(settings: Settings, instance: "dg.DagsterInstance", outcomes: "Sequence[DayOutcome]") -> None:
    from spam_assets.engine.day_records import read_day_records
    from spam_assets.registry.training_runs import CHAMPION, ModelRegistry

    registry = ModelRegistry(settings)
    champion = registry.aliased(CHAMPION)
    landed = _landing_zone(settings).days()
    table = Table(show_header=False)
    table.add_row("days landed", f"{len(landed)}, {landed[0]} to {landed[-1]}")
    table.add_row("days run now", str(len(outcomes)))
    for asset in ("raw_mail", "validated_mail", "mail_features", "trained_model", "registered_model"):
        records = read_day_records(instance, asset).values()
        table.add_row(f"days with {asset}", str(sum(not record.skipped for record in records)))
    skipped = [outcome for outcome in outcomes if outcome.skipped and not outcome.failure]
    if skipped:
        table.add_row(
            "days skipped",
            f"{len(skipped)}; the last, {skipped[-1].day}: {escape(skipped[-1].skipped or '')}",
        )
    failed = [outcome for outcome in outcomes if outcome.failure]
    table.add_row("days failed", str(len(failed)) if failed else "0")
    for outcome in failed:
        table.add_row(f"  {outcome.day}", escape(outcome.failure or ""))
    if champion is None:
        table.add_row("champion", "none yet: no model has passed the bar")
    else:
        table.add_row("champion", f"spam-classifier version {champion.version}, trained for {champion.training_date}")
        metrics = registry.metrics_of(champion.run_id)
        table.add_row(
            "on mail it had not learnt",
            f"{metrics['messages']:.0f} messages, {metrics['spam']:.0f} spam: "
            f"(1-ROCA)% {metrics['one_minus_roca_percent']:.3f}; "
            f"at its threshold {metrics['recall']:.1%} of spam caught, {metrics['fpr']:.2%} of ham called spam",
        )
    out.print(table)
    out.print("Open the UI: [bold]spam-assets ui[/bold] (Dagster and MLflow), or dagster dev in this folder.")


# --- models -----------------------------------------------------------------------------------------------------


@app.command(epilog="Example: spam-assets models")
def models() -> None:
    """The registered versions of spam-classifier: training dates, figures on unseen mail, aliases."""
    from spam_assets.registry.training_runs import ModelRegistry

    registry = ModelRegistry(load_settings())
    versions = registry.versions()
    if not versions:
        raise CommandError("no model is registered yet; run spam-assets demo, or run and backfill on your own mail")
    table = Table("version", "training date", "(1-ROCA)%", "recall", "FPR", "aliases")
    for version in versions:
        metrics = registry.metrics_of(version.run_id)
        table.add_row(
            str(version.version), version.training_date, f"{metrics.get('one_minus_roca_percent', float('nan')):.3f}",
            f"{metrics.get('recall', float('nan')):.3f}", f"{metrics.get('fpr', float('nan')):.4f}",
            ", ".join(version.aliases),
        )  # fmt: skip
    out.print(table)


@app.command(epilog="Example: spam-assets classify message.eml   or: cat message.eml | spam-assets classify -")
def classify(
    file: Annotated[str, typer.Argument(help="An .eml, an mbox, a CSV, plain text; - reads standard input.")],
    explain: Annotated[bool, typer.Option("--explain", help="Also what speaks for and against it.")] = False,
) -> None:
    """Say whether mail is spam, by the champion."""
    from spam_assets.learning.explanation import describe_explanation, explain_mail
    from spam_assets.learning.serving import score_mail
    from spam_assets.mail.reading import read_mail
    from spam_assets.registry.training_runs import CHAMPION, ModelRegistry

    if file == "-":
        content, name = sys.stdin.buffer.read(), "standard input"
    else:
        path = Path(file)
        if not path.is_file():
            raise CommandError(
                f"{file} is not a file; name an .eml, an mbox, a CSV or a text file, or - for standard input"
            )
        content, name = path.read_bytes(), path.name
    mail = read_mail(content, name)
    registry = ModelRegistry(load_settings())
    champion = registry.aliased(CHAMPION)
    if champion is None:
        raise CommandError("there is no champion yet; run spam-assets demo, or run and backfill on your own mail")
    model = registry.load_model(champion)
    verdicts = score_mail(model, mail)
    explanations = explain_mail(model, mail) if explain else iter(())
    for (_, message), (_, verdict) in zip(mail.iterrows(), verdicts.iterrows(), strict=True):
        word = "[red]spam[/red]" if verdict["is_spam"] else "[green]ham[/green] "
        subject = "".join(letter if letter.isprintable() else " " for letter in str(message["subject"] or ""))
        out.print(f"{word} {verdict['spam_probability']:.4f}  {escape(subject[:90])}", soft_wrap=True)
        if explain:
            for line in describe_explanation(next(explanations))[1:]:  # the first line says the verdict again
                out.print(f"  {escape(line)}", soft_wrap=True)


@app.command(epilog="Example: spam-assets promote 12")
def promote(
    version: Annotated[int, typer.Argument(help="Version of spam-classifier, see spam-assets models.")],
) -> None:
    """Make a version the champion, whatever the rule says; the champion so far becomes `previous`."""
    from spam_assets.registry.training_runs import CHAMPION, ModelRegistry

    registry = ModelRegistry(load_settings())
    known = {candidate.version: candidate for candidate in registry.versions()}
    if version not in known:
        raise CommandError(f"there is no version {version} of spam-classifier; spam-assets models lists them")
    with registry.changing():
        registry.carry_out(known[version], registry.aliased(CHAMPION), promote=True)
    _print_champion(known[version])


@app.command(epilog="Example: spam-assets rollback")
def rollback() -> None:
    """Put the previous champion back; doing it twice returns to where you were."""
    from spam_assets.registry.training_runs import CHAMPION, PREVIOUS, ModelRegistry

    registry = ModelRegistry(load_settings())
    with registry.changing():
        previous = registry.aliased(PREVIOUS)
        if previous is None:
            raise CommandError("there is no previous champion to go back to; spam-assets promote VERSION names one")
        registry.carry_out(previous, registry.aliased(CHAMPION), promote=True)
    _print_champion(previous)


def _print_champion(version: "RegisteredVersion") -> None:
    out.print(f"champion is now version {version.version}, trained for {version.training_date}")


@app.command(epilog="Example: spam-assets verify")
def verify() -> None:
    """Read every stored file and compare it with what Dagster and MLflow recorded."""
    with _open_instance() as (settings, instance):
        from spam_assets.cli.verification import find_faults

        with _progress("verifying") as report:
            faults = list(find_faults(settings, instance, report))
    for fault in faults:
        out.print(escape(fault), soft_wrap=True)
    if faults:
        raise CommandError(f"{len(faults)} stored things are not as recorded, see above")
    out.print("everything stored is as recorded")


@app.command("test-alerts", epilog="Example: spam-assets test-alerts")
def send_test_alerts() -> None:
    """Send a test message through every channel that is configured, whatever SPAM_ASSETS_ALERT_ON says."""
    from spam_assets.alerts.channels import send_test_alert

    for name in send_test_alert(load_settings()):
        out.print(f"sent to {name}")


@app.command(epilog="Example: spam-assets ui")
def ui() -> None:
    """Serve the Dagster UI (with its daemon) and MLflow's on the same store; Ctrl-C stops both."""
    from spam_assets.cli.home import prepare_home
    from spam_assets.cli.ui_servers import serve_uis

    settings = load_settings()
    prepare_home(settings)
    os.environ["DAGSTER_HOME"] = str(settings.dagster_home)
    raise typer.Exit(serve_uis(settings, lambda line: out.print(line, soft_wrap=True)))
