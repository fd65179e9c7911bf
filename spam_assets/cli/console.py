"""How the commands talk: output, errors, progress, and questions that several of them ask of their arguments."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from spam_assets.mail.printing import make_printable

COLUMNS_OF_A_FILE = 200
"""What goes to a file or another program is not cut to the 80 columns that a terminal of unknown width has."""


def _open_console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = COLUMNS_OF_A_FILE
    return console


out = _open_console(stderr=False)
err = _open_console(stderr=True)


class CommandError(Exception):
    """The command cannot do what was asked; the message is one sentence with the remedy."""


STOPPED = 130
"""The exit code of a command that was stopped, as shells have it for Ctrl-C."""


def heed_interrupts() -> None:
    """Let Ctrl-C and SIGTERM both raise KeyboardInterrupt, also where a script started this in the background."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


@contextmanager
def say_how_to_go_on() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end a command that can be repeated with one sentence; more of them change nothing."""
    try:
        yield
    except KeyboardInterrupt:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        err.print("stopped: what was finished is kept, and the same command goes on", soft_wrap=True)
        raise typer.Exit(STOPPED) from None


@contextmanager
def show_progress(title: str) -> Iterator[Callable[[int, int | None, str], None]]:
    """Show a progress bar; on something else than a terminal, a plain line for every tenth of the work."""
    if not err.is_terminal:
        shown = -1

        def print_line(done: int, total: int | None, what: str) -> None:
            nonlocal shown
            tenth = 10 * done // total if total else -1
            if tenth > shown:
                shown = tenth
                err.print(f"{title}: {done} of {total} {what}")

        yield print_line
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[what]}"),
    )
    with Progress(*columns, TimeElapsedColumn(), console=err, transient=True) as bar:
        task = bar.add_task(title, total=None, what="")
        yield lambda done, total, what: bar.update(task, completed=done, total=total, what=what)


def escape_terminal(text: str, characters: int | None = None) -> str:
    """Return a text that `out` and `err` print as it is: no markup of theirs, nothing that moves a cursor.

    Every text that is not written here goes through this function: it may quote mail, files or other programs.

    Args:
        text: what to print; its line breaks stay.
        characters: with them it becomes one line of at most so many.
    """
    if characters is not None:
        return escape(make_printable(" ".join(text[: 4 * characters].split()))[:characters])
    return escape(make_printable(text, keep="\n"))


def parse_day(text: str, option: str) -> str:
    """Return the day that an option names; raises CommandError if it names none."""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise CommandError(f"{option} {text!r} is not a date; write it as YYYY-MM-DD") from None


FIRST_OF_ALL = "0001-01-01"
"""What `parse_range` returns where no first day was named."""
FirstDay = Annotated[
    str | None, typer.Option("--from", metavar="YYYY-MM-DD", help="First day (default: the first landed).")
]
LastDay = Annotated[
    str | None, typer.Option("--to", metavar="YYYY-MM-DD", help="Last day, included (default: the last landed).")
]


def parse_range(first: str | None, last: str | None) -> tuple[str, str]:
    """Return the first and last day that `--from` and `--to` name, those of all time where they name none."""
    days = parse_day(first, "--from") if first else FIRST_OF_ALL, parse_day(last, "--to") if last else "9999-12-31"
    if days[0] > days[1]:
        raise CommandError(f"--from {days[0]} is after --to {days[1]}; swap them")
    return days


def check_partitions(*days: str) -> None:
    """Raise CommandError unless each day is a partition."""
    from spam_assets.partitions import DAYS

    for day in days:
        if not DAYS.has_partition_key(day):
            raise CommandError(
                f"{day} is not one of the partitions, {DAYS.get_first_partition_key()} to "
                f"{DAYS.get_last_partition_key()}; set SPAM_ASSETS_START_DATE and SPAM_ASSETS_END_DATE to include it"
            )
