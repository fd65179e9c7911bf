"""Machines of their own, each with a home folder, that share Dagster's storage on one PostgreSQL server."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
import yaml

from spam_assets.engine.instance import SECTIONS
from spam_assets.settings import Settings
from spam_assets_tests.conftest import PROJECT

URL_VARIABLE = "SPAM_ASSETS_TESTS_POSTGRES_URL"


def write_configuration(dagster_home: Path) -> None:
    """Write a `dagster.yaml` whose storage is PostgreSQL; the URL stays in the environment."""
    configuration = {**yaml.safe_load(SECTIONS), "storage": {"postgres": {"postgres_url": {"env": URL_VARIABLE}}}}
    dagster_home.mkdir(parents=True)
    (dagster_home / "dagster.yaml").write_text(yaml.safe_dump(configuration))


@dataclass(frozen=True)
class Machine:
    """A home folder, and the environment that processes of it have."""

    home: Path
    environment: dict[str, str]

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home)

    def start(self, code: str) -> "subprocess.Popen[str]":
        """Run Python code there, and wait until it has printed a line."""
        process = subprocess.Popen(
            [sys.executable, "-c", code], env=self.environment, cwd=self.home,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.communicate()[1]
        return process

    @contextmanager
    def open_instance(self) -> Iterator[dg.DagsterInstance]:
        with dg.DagsterInstance.from_config(str(self.settings.dagster_home)) as instance:
            yield instance


def build_machine(home: Path, url: str, **settings: str) -> Machine:
    """Make the home folder of a machine."""
    write_configuration(home / "dagster")
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SPAM_ASSETS_", "MLFLOW_", "DAGSTER_"))
    }
    named = {f"SPAM_ASSETS_{name.upper()}": value for name, value in settings.items()}
    return Machine(
        home, {**clean, "PYTHONPATH": str(PROJECT), "SPAM_ASSETS_HOME": str(home), URL_VARIABLE: url, **named}
    )


def be(machine: Machine, patch: pytest.MonkeyPatch) -> Settings:
    """Let this process be one of a machine, and return the machine's settings."""
    patch.delenv("DAGSTER_HOME", raising=False)
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)
    patch.setenv(URL_VARIABLE, machine.environment[URL_VARIABLE])
    return machine.settings
