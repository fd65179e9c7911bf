"""`spam-assets forget`: one message deleted everywhere."""

from typing import Annotated

import typer

from spam_assets.cli.console import CommandError, err, escape_terminal, out, parse_day
from spam_assets.cli.open_home import open_instance, open_landing_zone

commands = typer.Typer()


@commands.command(epilog="Example: spam-assets forget '<20240517101502.GA31@example.com>' --date 2024-05-17")
def forget(
    message_id: Annotated[
        str, typer.Argument(metavar="MESSAGE-ID", help="As the landing file or validated_mail has it.")
    ],
    date_: Annotated[
        str | None, typer.Option("--date", metavar="YYYY-MM-DD", help="Its day (default: every day is searched).")
    ] = None,
) -> None:
    """Delete one message from the landing zone, the storage, lists of suspect labels, and Dagster's event log."""
    day = parse_day(date_, "--date") if date_ else None
    if not message_id.strip("<> "):
        raise CommandError("name a message by its id; an empty one is no message's")
    with open_instance() as (settings, instance):
        from spam_assets.cli.forgetting import FRAMES_OF_MAIL, find_days, forget_message, name_message
        from spam_assets.landing.incoming import IncomingZone
        from spam_assets.resources import open_stores

        stores = open_stores(settings)
        zones = [open_landing_zone(settings), IncomingZone(settings.landing_url, settings.max_day_bytes)]
        known = {day for zone in zones for day in zone.days()}
        known |= {day for asset in FRAMES_OF_MAIL for day in stores.frames.stored_days(asset)}
        searched = [day] if day else sorted(known)

        def tell(sentence: str) -> None:
            err.print(f"[yellow]note:[/yellow] {escape_terminal(sentence)}", soft_wrap=True)

        found = list(find_days(zones, stores, name_message(message_id), searched, tell))
        if not found:
            where = day or f"any of {len(searched)} days"
            raise CommandError(f"no message of {where} has the id {message_id}; look it up in the landing file")
        for holding in found:
            for sentence in forget_message(settings, instance, zones, message_id, holding):
                out.print(escape_terminal(sentence), soft_wrap=True)
    out.print(
        "What models learnt of it stays in their weights until they are trained again: run spam-assets backfill. "
        "docs/privacy.md says what else may remain."
    )
