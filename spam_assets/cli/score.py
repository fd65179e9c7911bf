"""`spam-assets score`: mail without labels, as the champion judges it."""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from spam_assets.cli.console import (
    CommandError,
    FirstDay,
    LastDay,
    check_partitions,
    escape_terminal,
    out,
    parse_range,
    show_progress,
)
from spam_assets.cli.open_home import open_instance
from spam_assets.settings import Settings, load_settings

if TYPE_CHECKING:
    import dagster as dg

    from spam_assets.engine.run_days import DayOutcome
    from spam_assets.landing.incoming import IncomingZone

commands = typer.Typer()


@commands.command(epilog="Example: spam-assets score --from 2002-10-01")
def score(
    from_: FirstDay = None,
    to: LastDay = None,
    everything: Annotated[bool, typer.Option("--all", help="Also days that are scored already.")] = False,
) -> None:
    """Score mail without labels: the days whose incoming-{date} file in the landing zone is new or changed."""
    first, last = parse_range(from_, to)
    settings = load_settings()
    zone = open_incoming_zone(settings)
    days = [day for day in zone.days() if first <= day <= last]
    if not days:
        raise CommandError(
            f"no mail without labels has landed in {settings.shown_landing}; land incoming-{{date}}.csv first"
        )
    cover_day(settings, days[-1])
    with open_instance() as (settings, instance):
        check_partitions(days[0], days[-1])
        outcomes = score_days(instance, zone, days, everything=everything)
        for outcome in outcomes:
            print_scored_day(settings, outcome)
    failed = [outcome for outcome in outcomes if outcome.failure]
    out.print(f"{len(outcomes)} days run, {len(failed)} failed; {len(days) - len(outcomes)} were scored already")
    if failed:
        raise CommandError("some days failed for the reason above; land them again and repeat this command")


def score_days(
    instance: "dg.DagsterInstance", zone: "IncomingZone", days: Sequence[str], *, everything: bool
) -> "list[DayOutcome]":
    """Score the days that are not scored, or not with what their file holds now, and return what became of each."""
    from spam_assets.engine.day_records import read_day_records
    from spam_assets.engine.run_days import run_days
    from spam_assets.jobs import score_job
    from spam_assets.landing.day_content import read_day_state
    from spam_assets.landing.day_ranges import DAYS_PER_RUN, group_days

    records, files = read_day_records(instance, "scored_mail"), zone.list_files()
    todo = [
        day
        for day in days
        if everything or day not in records or records[day].source != read_day_state(zone, files[day]).digest
    ]
    outcomes = []
    with show_progress("scoring") as report:
        for first, last in group_days(todo, files, DAYS_PER_RUN):
            for outcome in run_days(instance, score_job.name, first, last):
                if outcome.day in todo:  # a run may span days without a file
                    outcomes.append(outcome)
                    report(len(outcomes), len(todo), f"days, {outcome.day}")
    return outcomes


def print_scored_day(settings: Settings, outcome: "DayOutcome") -> None:
    """Print what was said of a day's mail, or why nothing was."""
    from spam_assets.resources import open_stores

    reason = outcome.failure or outcome.reasons_for_nothing.get("scored_mail")
    if reason is not None:
        word = "[red]failed[/red]" if outcome.failure else "[yellow]skipped[/yellow]"
        out.print(f"{outcome.day} {word}: {escape_terminal(reason)}", soft_wrap=True)
        return
    frames = open_stores(settings).frames
    scores = frames.load_day("scored_mail", outcome.day)
    called = scores.loc[scores["verdict"] == "spam", "spam_probability"]
    out.print(
        f"{outcome.day} [green]scored[/green]: {len(called)} of {len(scores)} called spam, of which "
        f"{len(called) - called.sum():.2f} are expected to be ham; {frames.path_of('scored_mail', outcome.day)}",
        soft_wrap=True,
    )


def open_incoming_zone(settings: Settings) -> "IncomingZone":
    """Return the landing zone as scoring sees it; that of the home folder is made first."""
    from spam_assets.cli.home import prepare_landing
    from spam_assets.landing.incoming import IncomingZone

    prepare_landing(settings)
    return IncomingZone(settings.landing_url, settings.max_day_bytes)


def cover_day(settings: Settings, day: str) -> None:
    """Make the partitions reach to a day, as landing labelled mail does."""
    from spam_assets.cli.home import widen_day_range

    last = date.fromisoformat(day)
    if settings.end_date is not None and settings.end_date < last:
        widen_day_range(settings, settings.start_date, last, open_ended=False)
