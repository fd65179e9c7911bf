"""The command `spam-assets`: its groups of commands, and what becomes of an error."""

import gc
import sys

import typer

from spam_assets.cli import (
    champion,
    classify,
    compare,
    demo,
    exclusion,
    forget,
    init,
    labels,
    land,
    models,
    operate,
    replay,
    run,
    score,
)
from spam_assets.cli.console import STOPPED, err, escape_terminal, heed_interrupts
from spam_assets.cli.error_messages import say_error

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Train a spam classifier day by day with Dagster, and use it. Start with [bold]spam-assets demo[/bold].",
)
app.add_typer(demo.commands)
app.add_typer(land.land, name="land")
for group in (replay, run, score, models, champion, classify, compare, labels, exclusion, forget, operate, init):
    app.add_typer(group.commands)


def main() -> None:
    """Run the command line; errors are one sentence, `--debug` shows where they came from."""
    # Importing Dagster and MLflow makes a million objects that stay; by default Python looks through them for garbage
    # again and again, which is a sixth of the CPU time of running one day.
    gc.set_threshold(100_000, 50, 50)
    heed_interrupts()
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    try:
        app()
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(STOPPED)
    except Exception as error:
        if debug:
            raise
        err.print(f"[red]error:[/red] {escape_terminal(say_error(error))}", soft_wrap=True)
        sys.exit(1)
