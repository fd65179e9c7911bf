"""`spam-assets labels`: labels that are probably wrong, for a person to review."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from spam_assets.cli.console import CommandError, escape_terminal, out, parse_day
from spam_assets.cli.open_home import open_landing_zone
from spam_assets.settings import Settings, load_settings

if TYPE_CHECKING:
    from spam_assets.landing.zone import LandingZone
    from spam_assets.learning.label_suspects import SuspectLabel
    from spam_assets.resources import Stores

commands = typer.Typer()


@commands.command(epilog="Example: spam-assets labels --date 2002-10-10 --write review")
def labels(
    date_: Annotated[
        str | None, typer.Option("--date", metavar="YYYY-MM-DD", help="Whose model to ask (default: the newest).")
    ] = None,
    most: Annotated[int, typer.Option(min=1, help="How many to list, the most doubtful first.")] = 50,
    write: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write them as corrections-{date}.csv for review.")
    ] = None,
) -> None:
    """Labels that the rest of a model's window contradicts, most doubtful first."""
    from spam_assets.resources import open_stores

    settings = load_settings()
    stores = open_stores(settings)
    trained = stores.models.stored_days("trained_model")
    day = parse_day(date_, "--date") if date_ else max(trained, default="")
    if day not in trained:
        raise CommandError(f"no model was trained for {day or 'any day'}; run spam-assets backfill first")
    model = stores.models.load_day("trained_model", day)
    for found in model.contradicting_days:
        out.print(escape_terminal(found.sentence), soft_wrap=True)
    suspects = model.suspects[:most]
    if not suspects:
        out.print(f"no label in the window of {day} is in doubt")
        return
    table = Table("day", "called", "spam probability", "sender", "subject", "message id")
    for suspect, sender, subject in describe_suspects(stores, suspects):
        table.add_row(
            suspect.day, name_label(suspect.label), f"{suspect.score:.3f}",
            *(escape_terminal(text, 60) for text in (sender, subject, suspect.message_id)),
        )  # fmt: skip
    out.print(table)
    out.print(f"{len(suspects)} of {len(model.suspects)} labels in doubt by the model of {day}")
    if write is not None:
        days = write_for_review(settings, open_landing_zone(settings), suspects, write)
        out.print(
            f"wrote corrections of {len(days)} days into {write}; review them, take out what is right as it is, put "
            f"them into {escape_terminal(settings.shown_landing)} and run those days again",
            soft_wrap=True,
        )


def name_label(label: int) -> str:
    """Return the name of a label, 0 or 1."""
    from spam_assets.mail.columns import HAM, SPAM

    return SPAM if label else HAM


def describe_suspects(
    stores: "Stores", suspects: "Sequence[SuspectLabel]"
) -> "Iterator[tuple[SuspectLabel, str, str]]":
    """Yield each suspect with its sender and subject, which are empty where its day is not stored."""
    from spam_assets.mail.columns import MESSAGE_ID, SENDER, SUBJECT

    known: dict[tuple[str, str], tuple[str, str]] = {}
    for day in {suspect.day for suspect in suspects}:
        if stores.frames.has_day("validated_mail", day):
            mail = stores.frames.load_columns("validated_mail", day, [MESSAGE_ID, SENDER, SUBJECT])
            known |= {(day, row[0]): (row[1], row[2]) for row in mail.itertuples(index=False)}
    for suspect in suspects:
        yield suspect, *known.get((suspect.day, suspect.message_id), ("", ""))


def write_for_review(
    settings: Settings, zone: "LandingZone", suspects: "Sequence[SuspectLabel]", folder: Path
) -> list[str]:
    """Write a corrections file for each day: what the day's own says already, and the other label of each suspect."""
    from spam_assets.files import replace_local_file
    from spam_assets.landing.corrections import write_corrections

    if folder.resolve() == Path(settings.landing_url).resolve():
        raise CommandError(
            f"{folder} is the landing zone, where corrections that nobody reviewed would count; name another folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    days = []
    for day, of_day in groupby(sorted(suspects, key=lambda suspect: suspect.day), key=lambda suspect: suspect.day):
        turned = {suspect.message_id: name_label(1 - suspect.label) for suspect in of_day}
        content = write_corrections({**zone.read_corrections(day), **turned})
        replace_local_file(folder / f"corrections-{day}.csv", content)
        days.append(day)
    return days
