"""`spam-assets models`: the registered versions, which of them serves, and the history of that."""

from math import nan
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from spam_assets.cli.console import CommandError, escape_terminal, out, parse_day
from spam_assets.cli.exclusion import describe_exclusions
from spam_assets.learning.methods import OURS_NAME
from spam_assets.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spam_assets.registry.alias_changes import Standing
    from spam_assets.registry.registered_models import ModelRegistry, RegisteredVersion

commands = typer.Typer()


@commands.command(epilog="Example: spam-assets models --history")
def models(
    history: Annotated[bool, typer.Option("--history", help="Every change: when, from, to, who, why.")] = False,
    on: Annotated[str | None, typer.Option(help="Which version served on this day, by the clock, in UTC.")] = None,
) -> None:
    """The registered versions of spam-classifier: training dates, figures, what the gate said, aliases."""
    from spam_assets.registry.registered_models import ModelRegistry

    settings = load_settings()
    registry = ModelRegistry(settings)
    if on is not None:
        _print_services(registry, parse_day(on, "--on"))
    elif history:
        _print_history(registry.standing())
    else:
        _print_versions(registry)
        for line in describe_exclusions(settings):
            out.print(escape_terminal(line), soft_wrap=True)


def _print_versions(registry: "ModelRegistry") -> None:
    versions = registry.versions()
    if not versions:
        raise CommandError("no model is registered yet; run spam-assets demo, or run and backfill on your own mail")
    standing = registry.standing()
    trained_for = Column("trained for", no_wrap=True, min_width=len("2002-08-22"))
    table = Table("version", trained_for, "method", "caught", "lost", "(1-ROCA)%", "gate", "aliases")
    for version in versions:
        daily, held_out = registry.figures_of(version.run_id)
        table.add_row(
            str(version.version), version.training_date, version.method.rpartition(":")[2] or OURS_NAME,
            *count_held_out(held_out),
            f"{daily.get('one_minus_roca_percent', nan):.3f}",
            "barred" if version.barred else version.verdict or "-", ", ".join(_list_marks(version, standing)),
        )  # fmt: skip
    out.print(table)
    out.print(
        "Caught spam and lost ham: by this very model, of mail that no model learns. (1-ROCA)%: of the daily "
        "protocol, in which each day of the window was scored by what the days before it had taught."
    )
    if standing.pin is not None:
        out.print(
            f"The champion is pinned since {standing.pin.at} ({escape_terminal(standing.pin.why)}); "
            "the gate moves nothing until spam-assets unpin.",
            soft_wrap=True,
        )
    for version in versions:
        if version.barred:
            out.print(f"version {version.version} is barred: {escape_terminal(version.barred)}", soft_wrap=True)
        elif version.reason and version.aliases:
            out.print(f"version {version.version}: {escape_terminal(version.reason)}", soft_wrap=True)


def count_held_out(figures: "Mapping[str, float]") -> tuple[str, str]:
    """Return spam caught and ham lost, each of how many, by `ModelRegistry.figures_of`; dashes where not recorded."""
    if not figures:
        return "-", "-"
    spam, messages = figures["spam"], figures["messages"]
    caught, lost = figures["true_positives"], figures["false_positives"]
    return f"{caught:.0f}/{spam:.0f}", f"{lost:.0f}/{messages - spam:.0f}"


def _list_marks(version: "RegisteredVersion", standing: "Standing") -> list[str]:
    is_pinned = standing.pin is not None and "champion" in version.aliases
    return [*version.aliases, *(["pinned"] if is_pinned else [])]


def _print_history(standing: "Standing") -> None:
    from spam_assets.registry.alias_changes import tell_change

    if not standing.changes:
        raise CommandError("nothing was ever promoted or refused; run spam-assets demo, or run and backfill your mail")
    table = Table("number", "when (UTC)", "what", "who", "why")
    for change in standing.changes:
        when = change.at.partition("+")[0].replace("T", " ")
        table.add_row(
            str(change.number), when, escape_terminal(tell_change(change)), change.who, escape_terminal(change.why)
        )
    out.print(table)


def _print_services(registry: "ModelRegistry", day: str) -> None:
    from spam_assets.registry.alias_changes import find_services_on

    dates = {version.version: version.training_date for version in registry.versions()}
    services = find_services_on(registry.standing().changes, day)
    if not services:
        raise CommandError(f"no version served on {day}, as far as the history goes; see spam-assets models --history")
    for service in services:
        until = f" until {service.until}" if service.until else ""
        trained = f"trained for {dates[service.version]}" if service.version in dates else "deleted since"
        out.print(
            f"version {service.version}, {trained}, served from {service.since}{until} "
            f"({service.change.who}: {escape_terminal(service.change.why)})",
            soft_wrap=True,
        )
