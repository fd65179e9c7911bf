"""`spam-assets verify`, `test-alerts` and `ui`: looking after an installation."""

import typer
from rich.markup import escape

from spam_assets.cli.console import CommandError, out, show_progress
from spam_assets.cli.open_home import open_instance, tell_what_home_lacks
from spam_assets.settings import load_settings

commands = typer.Typer()


@commands.command(epilog="Example: spam-assets verify")
def verify() -> None:
    """Read every stored file and compare it with what Dagster and MLflow recorded."""
    with open_instance() as (settings, instance):
        from spam_assets.cli.verification import find_faults

        with show_progress("verifying") as report:
            faults = list(find_faults(settings, instance, report))
    for fault in faults:
        out.print(escape(fault), soft_wrap=True)
    if faults:
        raise CommandError(f"{len(faults)} stored things are not as recorded, see above")
    out.print("everything stored is as recorded")


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
    raise typer.Exit(serve_uis(settings, lambda line: out.print(line, soft_wrap=True)))
