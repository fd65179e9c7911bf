"""`spam-assets verify`, `reproduce`, `test-alerts` and `ui`: looking after an installation."""

import json
import time
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spam_assets.cli.console import CommandError, escape_terminal, out, show_progress
from spam_assets.cli.open_home import open_instance, tell_what_home_lacks
from spam_assets.settings import Settings, load_settings
from spam_assets.urls import hide_credentials

if TYPE_CHECKING:
    from spam_assets.cli.verification import Findings

VersionArgument = typer.Argument(help="Version of spam-classifier, see spam-assets models.")
commands = typer.Typer()


@commands.command(epilog="Example: spam-assets verify")
def verify(
    version: Annotated[int | None, VersionArgument] = None,
) -> None:
    """Read every stored file and model, or those of one version, and compare them with what was recorded."""
    started, cpu_started = time.monotonic(), time.process_time()
    with open_instance() as (settings, instance):
        from spam_assets.cli.verification import verify as look

        with show_progress("verifying") as report:
            try:
                found = look(settings, instance, report, version)
            except ValueError as error:
                raise CommandError(str(error)) from None
    for note in found.notes:
        out.print(escape_terminal(f"note: {note}"), soft_wrap=True)
    for fault in found.faults:
        out.print(escape_terminal(fault), soft_wrap=True)
    result = f"{len(found.faults)} stored things are not as recorded" if found.faults else "as recorded"
    path = write_verification(
        settings, version, found, result, time.monotonic() - started, time.process_time() - cpu_started
    )
    if found.faults:
        raise CommandError(f"{result}, see above; {path} has the record of this look")
    which = "everything stored is" if version is None else f"version {version} and all that it was made from are"
    out.print(f"{which} {result}; {path} has the record of this look", soft_wrap=True)


def write_verification(
    settings: Settings, version: int | None, found: "Findings", result: str, seconds: float, cpu_seconds: float
) -> Path:
    """Write what was looked at, where, by what and with what result, and return the file."""
    from spam_assets.files import replace_local_file
    from spam_assets.registry.training_records import Environment
    from spam_assets.urls import hide_credentials

    path = settings.home / ("verification.json" if version is None else f"verification-{version}.json")
    content = {
        "looked_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "version": version,
        "result": result,
        "environment": asdict(Environment.read()),
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu_seconds, 2),
        "storage": hide_credentials(settings.storage_url),
        "landing": hide_credentials(settings.landing_url),
        **asdict(found),
    }
    replace_local_file(path, json.dumps(content, indent=1, ensure_ascii=False).encode())
    return path


@commands.command(epilog="Example: spam-assets reproduce 12")
def reproduce(version: Annotated[int, VersionArgument]) -> None:
    """Train a registered version again from what was recorded: identical weights, or the input that changed."""
    with open_instance() as (settings, instance):
        from spam_assets.cli.reproduction import reproduce_model

        with show_progress("reproducing") as report:
            found = reproduce_model(settings, instance, version, report)
    for change in found.changes:
        out.print(escape_terminal(f"changed: {change}"), soft_wrap=True)
    for note in found.notes:
        out.print(escape_terminal(f"note: {note}"), soft_wrap=True)
    made = f"version {version} of {found.version.training_date} (data version {found.version.data_version})"
    if not found.is_identical:
        other = f"other weights ({found.data_version})" if found.data_version else "nothing to train from"
        raise CommandError(f"{made} cannot be made again: {other}; what changed is named above")
    if found.changes:
        raise CommandError(f"{made} has identical weights, but not all is as it was; what changed is named above")
    out.print(f"identical weights: {made}, trained again", soft_wrap=True)


@commands.command("test-alerts", epilog="Example: spam-assets test-alerts")
def send_test_alerts() -> None:
    """Send a test message through every channel that is configured, whatever SPAM_ASSETS_ALERT_ON says."""
    from spam_assets.alerts.channels import send_test_alert

    for name in send_test_alert(load_settings()):
        out.print(f"sent to {name}")


@commands.command(epilog="Example: spam-assets ui")
def ui() -> None:
    """Serve the Dagster UI (with its daemon) and MLflow's on the same store; Ctrl-C stops both."""
    from spam_assets.cli.home import prepare_home
    from spam_assets.cli.ui_servers import serve_uis

    settings = load_settings()
    tell_what_home_lacks(prepare_home(settings))
    raise typer.Exit(
        serve_uis(settings, lambda line: out.print(escape_terminal(hide_credentials(line)), soft_wrap=True))
    )
