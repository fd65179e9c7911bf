"""`spam-assets models`, `promote` and `rollback`: the registered versions, and which of them serves."""

from math import nan
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from spam_assets.cli.console import CommandError, out
from spam_assets.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spam_assets.registry.registered_models import RegisteredVersion

commands = typer.Typer()


@commands.command(epilog="Example: spam-assets models")
def models() -> None:
    """The registered versions of spam-classifier: training dates, figures, what the gate said, aliases."""
    from spam_assets.registry.registered_models import ModelRegistry

    registry = ModelRegistry(load_settings())
    versions = registry.versions()
    if not versions:
        raise CommandError("no model is registered yet; run spam-assets demo, or run and backfill on your own mail")
    table = Table("version", "trained for", "caught", "lost", "(1-ROCA)%", "gate", "aliases")
    for version in versions:
        daily, held_out = registry.figures_of(version.run_id)
        table.add_row(
            str(version.version), version.training_date, *count_held_out(held_out),
            f"{daily.get('one_minus_roca_percent', nan):.3f}", version.verdict or "-", ", ".join(version.aliases),
        )  # fmt: skip
    out.print(table)
    out.print(
        "Caught spam and lost ham: by this very model, of mail that no model learns. (1-ROCA)%: of the daily "
        "protocol, in which each day of the window was scored by what the days before it had taught."
    )
    for version in versions:
        if version.reason and version.aliases:
            out.print(f"version {version.version}: {escape(version.reason)}", soft_wrap=True)


def count_held_out(figures: "Mapping[str, float]") -> tuple[str, str]:
    """Return spam caught and ham lost, each of how many, by `ModelRegistry.figures_of`; dashes where not recorded."""
    if not figures:
        return "-", "-"
    spam, messages = figures["spam"], figures["messages"]
    caught, lost = figures["true_positives"], figures["false_positives"]
    return f"{caught:.0f}/{spam:.0f}", f"{lost:.0f}/{messages - spam:.0f}"


@commands.command(epilog="Example: spam-assets promote 12")
def promote(
    version: Annotated[int, typer.Argument(help="Version of spam-classifier, see spam-assets models.")],
) -> None:
    """Make a version the champion, whatever the rule says; the champion so far becomes `previous`."""
    from spam_assets.registry.registered_models import CHAMPION, ModelRegistry

    registry = ModelRegistry(load_settings())
    known = {candidate.version: candidate for candidate in registry.versions()}
    if version not in known:
        raise CommandError(f"there is no version {version} of spam-classifier; spam-assets models lists them")
    with registry.changing():
        registry.carry_out(known[version], registry.aliased(CHAMPION), promote=True)
    _print_champion(known[version])


@commands.command(epilog="Example: spam-assets rollback")
def rollback() -> None:
    """Put the previous champion back; doing it twice returns to where you were."""
    from spam_assets.registry.registered_models import CHAMPION, PREVIOUS, ModelRegistry

    registry = ModelRegistry(load_settings())
    with registry.changing():
        previous = registry.aliased(PREVIOUS)
        if previous is None:
            raise CommandError("there is no previous champion to go back to; spam-assets promote VERSION names one")
        registry.carry_out(previous, registry.aliased(CHAMPION), promote=True)
    _print_champion(previous)


def _print_champion(version: "RegisteredVersion") -> None:
    out.print(f"champion is now version {version.version}, trained for {version.training_date}")
