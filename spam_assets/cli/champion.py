"""`spam-assets promote`, `rollback`, `unpin`, `bar` and `unbar`: what a person decides about who serves."""

from typing import TYPE_CHECKING, Annotated

import typer

from spam_assets.cli.console import escape_terminal, out
from spam_assets.settings import load_settings

if TYPE_CHECKING:
    from spam_assets.registry.registered_models import ModelRegistry, RegisteredVersion

commands = typer.Typer()
Version = Annotated[int, typer.Argument(help="Version of spam-classifier, see spam-assets models.")]
Reason = Annotated[str, typer.Option(help="One sentence for the history; who reads it later will ask for it.")]


@commands.command(epilog='Example: spam-assets promote 12 --reason "labels of May were mended"')
def promote(version: Version, reason: Reason = "") -> None:
    """Make a version the champion and pin it, whatever the gate says; the champion so far becomes `previous`."""
    from spam_assets.registry.manual_changes import promote_version

    _print_champion(promote_version(_open_registry(), version, reason))


@commands.command(epilog='Example: spam-assets rollback --reason "loses newsletters since this morning"')
def rollback(
    to: Annotated[int | None, typer.Option(help="An earlier champion; without it, the previous one.")] = None,
    reason: Reason = "",
) -> None:
    """Put the previous champion back and pin it; doing it twice returns to where you were."""
    from spam_assets.registry.manual_changes import roll_back

    _print_champion(roll_back(_open_registry(), to, reason))


@commands.command(epilog="Example: spam-assets unpin")
def unpin(reason: Reason = "") -> None:
    """Let the gate move the champion again, which a promote or rollback had pinned."""
    from spam_assets.registry.manual_changes import unpin_champion

    pin = unpin_champion(_open_registry(), reason)
    out.print(f"the champion is no longer pinned (it was since {pin.at}: {escape_terminal(pin.why)})", soft_wrap=True)
    out.print("the gate decides again when it next runs, also about the newest candidate that it held back meanwhile")


@commands.command(epilog='Example: spam-assets bar 12 --reason "learnt the mail of a broken export"')
def bar(version: Version, reason: Reason = "") -> None:
    """Keep a version from ever serving: the gate refuses it, and nobody can promote it or roll back to it."""
    from spam_assets.registry.manual_changes import bar_version

    barred = bar_version(_open_registry(), version, reason)
    out.print(f"version {barred.version}, trained for {barred.training_date}, may not serve any more")


@commands.command(epilog="Example: spam-assets unbar 12")
def unbar(version: Version, reason: Reason = "") -> None:
    """Let a version serve again, if the gate or a person wants it."""
    from spam_assets.registry.manual_changes import unbar_version

    free = unbar_version(_open_registry(), version, reason)
    out.print(f"version {free.version}, trained for {free.training_date}, may serve again")


def _open_registry() -> "ModelRegistry":
    from spam_assets.registry.registered_models import ModelRegistry

    return ModelRegistry(load_settings())


def _print_champion(version: "RegisteredVersion") -> None:
    out.print(f"champion is now version {version.version}, trained for {version.training_date}")
    out.print("it is pinned: the gate goes on judging and moves nothing until spam-assets unpin")
