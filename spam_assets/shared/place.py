"""Where processes that work together share locks and notes, as `dagster.yaml` says: the home folder, or PostgreSQL.

Runs, events and queues are in Dagster's storage. Whoever shares that works on the same days, so the locks are there
too: a file of one machine means nothing to another one.
"""

import io
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import yaml
from dotenv import dotenv_values

from spam_assets.settings import ENV_FILE, Settings
from spam_assets.shared.home_files import HomeFiles

OUR_LINE = "# set by spam-assets"
"""At the end of a line of `.env` that we wrote, and no person."""
DAGSTER_HOME_LINE = "DAGSTER_HOME="
BY_DEFAULT = "nobody"


class MissingVariableError(Exception):
    """`dagster.yaml` names a variable that is not in the environment; the message says which."""


class Lock(Protocol):
    """A lock between processes; it is free again when its holder dies."""

    @property
    def where(self) -> str:
        """Where it is, for people."""

    def acquire(self, timeout_seconds: float | None = None) -> bool:
        """Take the lock; without a timeout wait for as long as it takes. Return whether it was taken."""

    def release(self, *, for_good: bool = False) -> None:
        """Let it go; for good, if nobody takes one of this name again."""


class Note(Protocol):
    """A short text that one process wrote and all may read."""

    @property
    def text(self) -> str:
        """What was written."""

    @property
    def age_seconds(self) -> float:
        """How long ago."""


class Place(Protocol):
    """Locks and notes, each by a name."""

    @property
    def is_shared(self) -> bool:
        """Whether processes of other machines are there as well."""

    @property
    def grace_seconds(self) -> float:
        """So long a process may be unable to hold its locks although it lives."""

    def lock(self, name: str) -> Lock:
        """Return the lock of a name, which this process does not hold yet."""

    def keep(self, lock: Any, note: str) -> AbstractContextManager[None]:
        """Keep a lock that is held, and a note beside it, through a failure of the place in the meantime."""

    def write_note(self, name: str, text: str) -> None:
        """Write a note, in the place of an older one."""

    def read_note(self, name: str) -> Note | None:
        """Return a note, or None if there is none."""

    def remove_note(self, name: str) -> None:
        """Remove a note, if there is one."""

    def list_notes(self, beginning: str) -> list[str]:
        """Return the names that begin so, in order."""


def find_place(settings: Settings) -> Place:
    """Return where this process and the others share what they share.

    Raises:
        MissingVariableError: `dagster.yaml` names a variable of the environment that is not set.
    """
    url = find_postgres_url(choose_dagster_home(settings)[0])
    if url is None:
        return HomeFiles(settings.home / "locks")
    from spam_assets.shared.postgres import open_database

    return open_database(url)


def choose_dagster_home(settings: Settings) -> tuple[Path, str]:
    """Return where Dagster keeps its configuration and its runs, and who says so.

    One rule for all commands, the one of `dagster dev`: DAGSTER_HOME of the environment, else of a person's line in
    `.env` of the working directory, else the home folder.
    """
    if named := os.environ.get("DAGSTER_HOME"):
        return Path(named).expanduser().absolute(), "the environment"
    for line in read_lines_of_others():
        if line.startswith(DAGSTER_HOME_LINE) and (named := dotenv_values(stream=io.StringIO(line))["DAGSTER_HOME"]):
            return Path(named).expanduser().absolute(), str(ENV_FILE)
    return settings.dagster_home, BY_DEFAULT


def read_lines_of_others() -> list[str]:
    """Return the lines of `.env` that a person wrote."""
    before = ENV_FILE.read_text(encoding="utf-8").splitlines() if ENV_FILE.exists() else []
    return [line for line in before if not line.endswith(OUR_LINE)]


def find_postgres_url(dagster_home: Path) -> str | None:
    """Return the URL of the PostgreSQL database that is Dagster's storage, password included; None if none is."""
    try:
        text = (dagster_home / "dagster.yaml").read_text(encoding="utf-8")
    except OSError:
        return None
    if "postgres" not in text:  # the usual case, and reading YAML takes milliseconds
        return None
    try:
        configuration = _load_yaml(text)
    except yaml.YAMLError:
        return None  # Dagster says where it cannot be read
    found = _find_postgres(configuration) if isinstance(configuration, Mapping) else None
    return _build_url(found) if found is not None else None


@lru_cache(maxsize=1)
def _load_yaml(text: str) -> Any:
    return yaml.safe_load(text)


def _find_postgres(configuration: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the configuration of dagster-postgres, in whichever way `dagster.yaml` names it."""
    storage = configuration.get("storage") or {}
    if "postgres" in storage:
        return dict(storage["postgres"])
    for named in (storage.get("custom"), configuration.get("run_storage")):
        if named and str(named.get("module", "")).partition(".")[0] == "dagster_postgres":
            return dict(named["config"])
    return None


def _build_url(configuration: Mapping[str, Any]) -> str:
    from dagster_postgres.utils import get_conn_string

    if "postgres_url" in configuration:
        return str(_resolve(configuration["postgres_url"]))
    return str(get_conn_string(**{name: _resolve(value) for name, value in configuration["postgres_db"].items()}))


def _resolve(value: Any) -> Any:
    if not isinstance(value, Mapping) or set(value) != {"env"}:
        return value
    name = value["env"]
    if not os.environ.get(name):
        raise MissingVariableError(
            f"{name} is not set, and dagster.yaml takes it from the environment; set it there or in .env"
        )
    return os.environ[name]
