"""`spam-assets demo`: from nothing to a champion trained on real mail."""

import time
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import typer
from rich.table import Table

from spam_assets.cli.console import CommandError, escape_terminal, out, say_how_to_go_on
from spam_assets.cli.open_home import open_instance, open_landing_zone
from spam_assets.settings import Settings, load_settings

if TYPE_CHECKING:
    import dagster as dg

    from spam_assets.engine.run_days import DayOutcome
from spam_assets.cli.land import finish_landing, land_whole_corpus
from spam_assets.cli.models import count_held_out
from spam_assets.cli.run import make_reports, run_landed_days

commands = typer.Typer()


@commands.command(epilog="Example: spam-assets demo")
@say_how_to_go_on()
def demo() -> None:
    """From nothing to a champion: land the corpus, run its days, print what came out. Again: only what is missing."""
    from spam_assets.cli.home import widen_day_range
    from spam_assets.landing.missing_mail import find_plausible_days

    settings = load_settings()
    if not open_landing_zone(settings).days():
        finish_landing(settings, land_whole_corpus(settings, open_landing_zone(settings)))
    else:
        out.print(f"mail has landed in {escape_terminal(settings.shown_landing)} already")
        landed = open_landing_zone(settings).days()
        plausible = find_plausible_days(landed, time.time())
        if plausible and not settings.range_file.exists():
            first, last = date.fromisoformat(plausible[0]), date.fromisoformat(plausible[-1])
            widen_day_range(settings, first, last, open_ended=False)
    with open_instance() as (settings, instance):
        outcomes = run_landed_days(settings, instance, "0001-01-01", "9999-12-31")
        outcomes += make_reports(settings, instance, "0001-01-01", "9999-12-31")
        _print_demo(settings, instance, outcomes)
    if any(outcome.failure for outcome in outcomes):
        raise CommandError("some days failed, see above; the others are complete")


def _print_demo(settings: Settings, instance: "dg.DagsterInstance", outcomes: "Sequence[DayOutcome]") -> None:
    from spam_assets.engine.day_records import read_day_records
    from spam_assets.registry.registered_models import CHAMPION, ModelRegistry

    registry = ModelRegistry(settings)
    champion = registry.aliased(CHAMPION)
    landed = open_landing_zone(settings).days()
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
            f"{len(skipped)}; the last, {skipped[-1].day}: {escape_terminal(skipped[-1].skipped or '')}",
        )
    failed = [outcome for outcome in outcomes if outcome.failure]
    table.add_row("days failed", str(len(failed)) if failed else "0")
    for outcome in failed:
        table.add_row(f"  {outcome.day}", escape_terminal(outcome.failure or ""))
    if champion is None:
        table.add_row("champion", "none yet: no model has passed the bar")
    else:
        table.add_row("champion", f"spam-classifier version {champion.version}, trained for {champion.training_date}")
        figures, held_out = registry.figures_of(champion.run_id)
        caught, lost = count_held_out(held_out)
        table.add_row(
            "the champion itself", f"on mail that no model learns: {caught} spam caught, {lost} ham called spam"
        )
        table.add_row(
            "learning day by day",
            f"{figures['messages']:.0f} messages, {figures['spam']:.0f} spam, each day scored before it was learnt: "
            f"(1-ROCA)% {figures['one_minus_roca_percent']:.3f}; "
            f"at the day's threshold {figures['recall']:.1%} of spam caught, {figures['fpr']:.2%} of ham called spam",
        )
        table.add_row("why it serves", escape_terminal(champion.reason or "promoted by hand, or by an older version"))
    out.print(table)
    out.print("Open the UI: [bold]spam-assets ui[/bold] (Dagster and MLflow), or dagster dev in this folder.")
