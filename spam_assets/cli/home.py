"""The home folder: everything that must exist before Dagster and MLflow start, made once and safe to make again.

Not here: what runs in it (`runs`).
"""

import os
from datetime import date
from pathlib import Path

from spam_assets.engine.instance import prepare_instance, require_variables
from spam_assets.engine.private_home import keep_home_private
from spam_assets.files import replace_local_file
from spam_assets.settings import ENV_FILE, Settings
from spam_assets.shared.day_range import changing_day_range
from spam_assets.shared.place import (
    BY_DEFAULT,
    DAGSTER_HOME_LINE,
    OUR_LINE,
    choose_dagster_home,
    read_lines_of_others,
)


def prepare_home(settings: Settings) -> str | None:
    """Create folders, Dagster's configuration and the MLflow store where they are missing.

    Also exports DAGSTER_HOME, and notes it in `.env` of the working directory, so that plain `dagster dev` there
    shows the same runs.

    Returns:
        What a person should know: that runs are kept elsewhere than in the home folder, and what Dagster's
        configuration lacks, see `engine.instance.prepare_instance`.

    Raises:
        MissingVariableError: Dagster's configuration names a variable that is not set.
    """
    from spam_assets.registry.store import prepare_tracking_store  # takes seconds, which landing mail need not wait for

    keep_home_private(settings)
    place, who = choose_dagster_home(settings)
    place.mkdir(parents=True, exist_ok=True)
    prepare_landing(settings)
    # An instance of one's own, which other projects may share, stays as it is.
    is_ours = place == settings.dagster_home or not (place / "history").exists() or (place / "dagster.yaml").exists()
    lack = prepare_instance(place) if is_ours else None
    require_variables(place)
    prepare_tracking_store(settings)
    os.environ["DAGSTER_HOME"] = str(place)
    if place == settings.dagster_home:
        if who == BY_DEFAULT:
            _note_dagster_home(place)
        return lack
    told = (
        f"runs are kept in {place}, which {who} names as DAGSTER_HOME; without it they are in {settings.dagster_home}"
    )
    return told if lack is None else f"{told}; {lack}"


def prepare_landing(settings: Settings) -> None:
    """Create the landing zone of the home folder; one of your own must exist, so that a typing error shows."""
    keep_home_private(settings)
    if settings.landing is None:
        Path(settings.landing_url).mkdir(parents=True, exist_ok=True)


def _note_dagster_home(dagster_home: Path) -> None:
    """Set DAGSTER_HOME in `.env`, where `dagster dev` reads it."""
    if not Path("workspace.yaml").exists():
        return
    before = ENV_FILE.read_text(encoding="utf-8").splitlines() if ENV_FILE.exists() else []
    after = [*read_lines_of_others(), f"{DAGSTER_HOME_LINE}{dagster_home}  {OUR_LINE}"]
    if after != before:
        _replace_text(ENV_FILE, after)


def widen_day_range(settings: Settings, first: date, last: date, *, open_ended: bool) -> bool:
    """Make the partitions cover the days that landed; return whether that changed anything.

    The range is kept in the home folder, or by all who share Dagster's storage, see `shared.day_range`. Days set in the
    environment or in `.env` stay in force.

    Args:
        settings: The settings in force.
        first: Oldest day that landed.
        last: Newest day that landed.
        open_ended: Whether mail keeps landing, so that the partitions must grow with the calendar.
    """
    with changing_day_range(settings):
        return _widen(settings, first, last, open_ended=open_ended)


def _widen(settings: Settings, first: date, last: date, *, open_ended: bool) -> bool:
    known = _read_day_range(settings.range_file)
    first = min(first, known.get("SPAM_ASSETS_START_DATE", first))
    known_last = known.get("SPAM_ASSETS_END_DATE", None if known else last)
    wanted = {"SPAM_ASSETS_START_DATE": first}
    if not open_ended and known_last is not None:
        wanted["SPAM_ASSETS_END_DATE"] = max(last, known_last)
    if wanted == known:
        return False
    _replace_text(
        settings.range_file,
        ["# The days that landed, noted by spam-assets; .env and the environment win over this file.",
         *(f"{name}={day.isoformat()}" for name, day in wanted.items())],
    )  # fmt: skip
    return True


def _read_day_range(path: Path) -> dict[str, date]:
    if not path.exists():
        return {}
    pairs = (line.partition("=") for line in path.read_text(encoding="utf-8").splitlines() if "=" in line)
    return {name: date.fromisoformat(value) for name, _, value in pairs if not name.startswith("#")}


def _replace_text(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_local_file(path, ("\n".join(lines) + "\n").encode())
