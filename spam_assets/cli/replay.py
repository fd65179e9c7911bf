"""`spam-assets replay`: the corpus lands day by day, as if a mail server delivered it."""

import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spam_assets.cli.console import CommandError, escape_terminal, out
from spam_assets.cli.open_home import open_landing_zone
from spam_assets.settings import Settings, load_settings

if TYPE_CHECKING:
    from spam_assets.landing.zone import LandingZone
from spam_assets.cli.land import land_whole_corpus

commands = typer.Typer()


@commands.command(epilog="Example: spam-assets replay --days 20 --every 10")
def replay(
    days: Annotated[int, typer.Option(min=1, help="How many days land.")] = 10,
    every: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Seconds from one day to the next.")] = 30,
) -> None:
    """Land the next days of the SpamAssassin corpus one by one, as a mail server would, to see the sensors work."""
    settings = load_settings()
    corpus = _stage_corpus(settings)
    zone = open_landing_zone(settings)
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
            f"no day of the corpus is left: all {len(corpus_days)} have landed in "
            f"{escape_terminal(settings.shown_landing)}",
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
            land_whole_corpus(settings, LandingZone(f"{beside}/days"))
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
