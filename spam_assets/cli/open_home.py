"""What commands work on: the home folder, prepared, with its Dagster instance and landing zone."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from spam_assets.cli.console import err, escape_terminal
from spam_assets.settings import Settings

if TYPE_CHECKING:
    import dagster as dg

    from spam_assets.landing.zone import LandingZone


@contextmanager
def open_instance() -> Iterator[tuple[Settings, "dg.DagsterInstance"]]:
    """Prepare the home folder and open its Dagster instance."""
    from spam_assets.cli.home import prepare_home
    from spam_assets.shared.day_range import load_shared_settings

    settings = load_shared_settings()
    for library in ("dagster", "mlflow", "alembic"):  # what matters is printed here or stands in the event log
        logging.getLogger(library).setLevel(logging.CRITICAL)
    from spam_assets.engine.locks import LOGGER

    LOGGER.setLevel(logging.WARNING)
    if not LOGGER.handlers:
        LOGGER.addHandler(logging.StreamHandler())
    tell_what_home_lacks(prepare_home(settings))
    from dagster import DagsterInstance

    with DagsterInstance.get() as instance:
        yield settings, instance


def tell_what_home_lacks(lack: str | None) -> None:
    """Print what `prepare_home` returned."""
    if lack is not None:
        err.print(f"[yellow]note:[/yellow] {escape_terminal(lack)}", soft_wrap=True)


def open_landing_zone(settings: Settings) -> "LandingZone":
    """Return the landing zone, which is made first where it belongs to the home folder."""
    from spam_assets.cli.home import prepare_landing
    from spam_assets.landing.zone import LandingZone

    prepare_landing(settings)
    return LandingZone(settings.landing_url, settings.max_day_bytes)
