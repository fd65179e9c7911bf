"""`spam-assets run` and `backfill`: days through all assets and checks, in this process."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from spam_assets.cli.console import (
    CommandError,
    FirstDay,
    LastDay,
    check_partitions,
    err,
    escape_terminal,
    out,
    parse_day,
    parse_range,
    say_how_to_go_on,
    show_progress,
)
from spam_assets.cli.open_home import open_instance, open_landing_zone
from spam_assets.landing.day_ranges import DAYS_PER_RUN, group_days
from spam_assets.settings import Settings

if TYPE_CHECKING:
    import dagster as dg

    from spam_assets.engine.run_days import DayOutcome

commands = typer.Typer()


STRAYS_SHOWN = 3


@commands.command(epilog="Example: spam-assets run --date 2002-08-22")
@say_how_to_go_on()
def run(date_: Annotated[str, typer.Option("--date", metavar="YYYY-MM-DD", help="The day to run.")]) -> None:
    """One date through all assets and checks, in this process; the Dagster UI shows the run."""
    day = parse_day(date_, "--date")
    with open_instance() as (settings, instance):
        check_partitions(day)
        check_estimator(settings)
        from spam_assets.engine.run_days import run_days
        from spam_assets.jobs import train_job

        (outcome,) = run_days(instance, train_job.name, day, day)
    print_outcome(outcome)
    if outcome.failure:
        raise CommandError(outcome.failure)


@commands.command(epilog="Example: spam-assets backfill --from 2002-08-01 --to 2002-08-31")
@say_how_to_go_on()
def backfill(
    from_: FirstDay = None,
    to: LastDay = None,
    everything: Annotated[bool, typer.Option("--all", help="Also days that are complete.")] = False,
    days_per_run: Annotated[int, typer.Option(min=1, help="The most days that one run covers.")] = DAYS_PER_RUN,
) -> None:
    """The landed days of a range that are not complete or not up to date, one after the other.

    Where the sensor `retraining` is on, days that it did not train are complete without a model; `--all` trains them.
    """
    first, last = parse_range(from_, to)
    with open_instance() as (settings, instance):
        outcomes = run_landed_days(settings, instance, first, last, everything=everything, days_per_run=days_per_run)
        for outcome in outcomes:
            if outcome.failure or outcome.skipped:
                print_outcome(outcome)
        without_report = make_reports(settings, instance, first, last)
    for outcome in without_report:
        print_outcome(outcome)
    failed = {outcome.day for outcome in [*outcomes, *without_report] if outcome.failure}
    complete = sum("registered_model" in outcome.materialized for outcome in outcomes)
    out.print(f"{len(outcomes)} days run: {complete} with a registered model, {len(failed)} failed")
    if failed:
        which = min(failed) if len(failed) == 1 else f"{len(failed)} days"
        raise CommandError(
            f"{which} failed for the reason above; mend it, or land the mail corrected, and repeat this command"
        )


def run_landed_days(
    settings: Settings,
    instance: "dg.DagsterInstance",
    first: str,
    last: str,
    *,
    everything: bool = False,
    days_per_run: int = DAYS_PER_RUN,
) -> "list[DayOutcome]":
    """Run the landed days of a range that are not complete or not up to date, and return what became of each."""
    from spam_assets.cli.outdated_days import find_days_to_run
    from spam_assets.engine.life import end_dead_runs
    from spam_assets.engine.run_days import run_days
    from spam_assets.jobs import train_job
    from spam_assets.registry.training_runs import end_abandoned_runs

    zone = open_landing_zone(settings)
    all_landed = zone.days()
    landed = [day for day in all_landed if first <= day <= last]
    if not landed:
        raise CommandError(
            f"nothing has landed between {first} and {last} in {settings.shown_landing}; land mail first"
        )
    landed = leave_out_strays(landed, settings)
    check_estimator(settings)
    if end_dead_runs(settings, instance):
        end_abandoned_runs(settings, instance, again=True)
    outcomes: dict[str, DayOutcome] = {}
    todo = landed if everything else find_days_to_run(settings, instance, zone, landed)
    with show_progress("running") as report:
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


def make_reports(settings: Settings, instance: "dg.DagsterInstance", first: str, last: str) -> "list[DayOutcome]":
    """Make the champion reports that are missing or of another champion than the one before their day.

    Which champion there was before each day is settled once all days have run.

    Returns:
        What became of the days whose report failed.
    """
    from spam_assets.cli.outdated_days import find_reports_to_make
    from spam_assets.engine.run_days import run_days
    from spam_assets.engine.tags import list_days_of_run, tag_days
    from spam_assets.jobs import report_job

    landed = open_landing_zone(settings).days()
    reports = find_reports_to_make(settings, instance, [day for day in landed if first <= day <= last])
    every_day = list_days_of_run(tag_days(reports[0], reports[-1])) if reports else []  # no run spans days without mail
    return [
        outcome
        for first_of_run, last_of_run in group_days(reports, every_day, DAYS_PER_RUN)
        for outcome in run_days(instance, report_job.name, first_of_run, last_of_run)
        if outcome.failure
    ]


def check_estimator(settings: Settings) -> None:
    """Build the estimator of the settings, if they name one, so that a mistake is told before any day runs.

    Raises:
        EstimatorError: it cannot be built.
    """
    from spam_assets.learning.methods import parse_method

    method = parse_method(settings.estimator)
    if not method.is_ours:
        method.build()


def leave_out_strays(landed: Sequence[str], settings: Settings) -> list[str]:
    """Return the landed days that are partitions, and tell of the others, which one forged date may have made.

    Raises:
        CommandError: no day is one.
    """
    from spam_assets.partitions import DAYS

    covered = [day for day in landed if DAYS.has_partition_key(day)]
    strays = sorted({*landed} - {*covered})
    if not covered:
        check_partitions(*strays)
    if strays:
        shown = ", ".join(strays[:STRAYS_SHOWN])
        if len(strays) > STRAYS_SHOWN:
            shown += f" and {len(strays) - STRAYS_SHOWN} more"
        note = (
            f"{shown} landed in {settings.shown_landing} outside of the partitions, "
            f"{DAYS.get_first_partition_key()} to {DAYS.get_last_partition_key()}: left out; remove what landed there "
            "by mistake, or set SPAM_ASSETS_START_DATE and SPAM_ASSETS_END_DATE to include it"
        )
        err.print(f"[yellow]note:[/yellow] {escape_terminal(note)}", soft_wrap=True)
    return covered


def print_outcome(outcome: "DayOutcome") -> None:
    """Print a line on a day, and one for each warning."""
    if outcome.failure:
        out.print(f"{outcome.day} [red]failed[/red]: {escape_terminal(outcome.failure)}", soft_wrap=True)
    elif outcome.skipped:
        out.print(f"{outcome.day} [yellow]skipped[/yellow]: {escape_terminal(outcome.skipped)}", soft_wrap=True)
    else:
        out.print(f"{outcome.day} [green]done[/green]: {', '.join(outcome.materialized)}", soft_wrap=True)
    for warning in outcome.warnings:
        out.print(f"{outcome.day} [yellow]warning[/yellow]: {escape_terminal(warning)}", soft_wrap=True)
