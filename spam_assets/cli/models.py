"""`spam-assets models`, `promote` and `rollback`: the registered versions, and which of them serves."""

from math import nan
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from spam_assets.cli.console import CommandError, escape_terminal, out
from spam_assets.settings import load_settings

if TYPE_CHECKING:
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
    table = Table("version", "training date", "(1-ROCA)%", "recall", "FPR", "gate", "aliases")
    for version in versions:
        figures = registry.daily_protocol_of(version.run_id)
        table.add_row(
            str(version.version), version.training_date, f"{figures.get('one_minus_roca_percent', nan):.3f}",
            f"{figures.get('recall', nan):.3f}", f"{figures.get('fpr', nan):.4f}",
            version.verdict or "-", ", ".join(version.aliases),
        )  # fmt: skip
    out.print(table)
    out.print("Figures: the daily protocol over the newest days of the window, each day scored before it was learnt.")
    for version in versions:
        if version.reason and version.aliases:
            out.print(f"version {version.version}: {escape_terminal(version.reason)}", soft_wrap=True)


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
