"""The instance: `dagster.yaml` of the home folder, written once and kept up to date until a person changes it."""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from spam_assets.files import replace_local_file
from spam_assets.shared.place import MissingVariableError

SECTIONS = """\
telemetry:
  enabled: false

# Dagster's SQLite files, used with one SQLAlchemy engine for each file instead of one for each query.
storage:
  custom:
    module: spam_assets.engine.sqlite_storage
    class: SharedEngineStorage
    config:
      base_dir:
        env: DAGSTER_HOME

# stdout and stderr of steps are not captured: that starts two processes a day, and the assets print nothing.
# Everything they say is in the event log.
compute_logs:
  module: dagster._core.storage.noop_compute_log_manager
  class: NoOpComputeLogManager

# Runs that train wait for each other (they are in the pool "training"); runs that only read mail do not.
concurrency:
  pools:
    granularity: run
    default_limit: 1
  runs:
    max_concurrent_runs: 4

# A run whose process never came up is failed after three minutes instead of waited for.
run_monitoring:
  enabled: true
  start_timeout_seconds: 180
  poll_interval_seconds: 30

# A run of the sensors whose process died is started again and goes on with the day that was in hand. What failed in a
# step, as a bad day does, is not repeated.
run_retries:
  enabled: true
  max_retries: 0
  retry_on_asset_or_op_failure: false

# The UI shows whether mail still comes in every day.
freshness:
  enabled: true

python_logs:
  python_log_level: INFO
"""
_VARIABLE = re.compile(r"^\s*env: (SPAM_ASSETS_\w+)$", re.MULTILINE)
_SEAL = "# Written by spam-assets, which keeps it up to date until you change it: it is yours then. Seal "
_WRITTEN_BEFORE_SEALS = {
    "f776b15fd41a4942f9261f64c74a4824142c5e7dec9e9251dfa93d665386d89f",
    "3517e3d0e9a304b7e95d8275199891c5e695224786151153ecc49f90360c3e44",
    "6ef85ab561d5f5371adef95c116afdd6f8b136960872eea8c96de1cadf65ae16",
    "56970d0f852a7ec4fcf81fb315e0e3d00b1a5fed02e7fb052d18d50aebf7f10c",
    "156251ccfb676f750abdc5dfb7d0c08291392e22914d30bea2edfac94d606fdc",
}
"""SHA-256 of every file that versions of 2026 wrote, which did not seal them."""


def prepare_instance(dagster_home: Path) -> str | None:
    """Write `dagster.yaml` where there is none, or where an older version wrote it and nobody has changed it.

    Returns:
        One sentence on what a file that somebody changed lacks of today's; None if it lacks nothing. What the file
        speaks of anywhere, in a comment for instance, it does not lack.
    """
    path = dagster_home / "dagster.yaml"
    text = path.read_text(encoding="utf-8") if path.exists() else None
    if text is None or is_unchanged(text):
        if text != seal(SECTIONS):
            replace_local_file(path, seal(SECTIONS).encode())
        return None
    try:
        theirs = yaml.safe_load(text) or {}
    except yaml.YAMLError:
        return None  # Dagster says where it cannot be read
    lacking = [name for name in _find_missing(yaml.safe_load(SECTIONS), theirs) if name.rpartition(".")[2] not in text]
    if not lacking:
        return None
    remedy = "delete it"
    if "postgres" in text:  # the default has its runs in other files
        remedy = "run spam-assets init again"
    return (
        f"{path} was changed, so it is left as it is, and lacks {', '.join(lacking)} of today's; {remedy} to get "
        "today's, or name in a comment there what you do without"
    )


def require_variables(dagster_home: Path) -> None:
    """See that the environment has what `dagster.yaml` takes from there.

    Raises:
        MissingVariableError: it has not.
    """
    path = dagster_home / "dagster.yaml"
    names = find_variables(path.read_text(encoding="utf-8")) if path.exists() else []
    if missing := [name for name in names if not os.environ.get(name)]:
        raise MissingVariableError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set, and {path} takes the URL from "
            "the environment; set it there or in .env"
        )


def find_variables(text: str) -> list[str]:
    """Return the names of our variables that a `dagster.yaml` or `celery.yaml` refers to, in order, each once."""
    return list(dict.fromkeys(_VARIABLE.findall(text)))


def is_sensor_on(instance: dg.DagsterInstance, name: str, *, by_default: bool) -> bool:
    """Return whether a sensor is on: as a person set it in the UI, else as it is by default."""
    states = [state for state in instance.all_instigator_state() if state.instigator_name == name]
    statuses = {state.status.value for state in states} - {"DECLARED_IN_CODE"}
    return "RUNNING" in statuses if statuses else by_default


def seal(text: str) -> str:
    """Return the text after a line that says what it is, by which `is_unchanged` knows it again."""
    return f"{_SEAL}{hashlib.sha256(text.encode()).hexdigest()}\n{text}"


def is_unchanged(text: str) -> bool:
    """Return whether a file is as this version or an older one wrote it."""
    line, _, rest = text.partition("\n")
    return seal(rest).partition("\n")[0] == line or hashlib.sha256(text.encode()).hexdigest() in _WRITTEN_BEFORE_SEALS


def _find_missing(wanted: Mapping[str, Any], found: object, above: str = "") -> Iterator[str]:
    for name, value in wanted.items():
        if not isinstance(found, Mapping) or name not in found:
            yield f"{above}{name}"
        elif isinstance(value, Mapping) and name != "storage":  # any storage will do
            yield from _find_missing(value, found[name], f"{above}{name}.")
