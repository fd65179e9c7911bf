"""Reads deploy/: compose.yaml into a model of exactly what it uses, and each command by the tool that it is for."""

import re
import shlex
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from spam_assets_tests.conftest import PROJECT

DEPLOY = PROJECT / "deploy"
Duration = Annotated[str, Field(pattern=r"^[0-9]+[smh]$")]
Scalar = Annotated[str, Field(strict=True)]  # a number would reach a container in YAML's spelling of it


class Strict(BaseModel):
    """Nothing that is not named here."""

    model_config = ConfigDict(extra="forbid")


class Healthcheck(Strict):
    test: list[Scalar]
    interval: Duration
    timeout: Duration
    start_period: Duration = "0s"
    start_interval: Duration = "5s"
    retries: int


class Mount(Strict):
    type: Literal["volume", "bind"]
    target: str
    source: str | None = None
    read_only: bool = False


class Dependency(Strict):
    condition: Literal["service_healthy", "service_completed_successfully"]


class Build(Strict):
    context: str
    dockerfile: str


class EnvFile(Strict):
    path: str
    required: bool


class Limits(Strict):
    memory: str


class Resources(Strict):
    limits: Limits


class Scale(Strict):
    replicas: int
    resources: Resources


class Config(Strict):
    source: str
    target: str


class Service(Strict):
    image: str
    build: Build | None = None
    command: list[Scalar] = []
    environment: dict[str, Scalar] = {}
    env_file: list[EnvFile] = []
    volumes: list[Mount] = []
    configs: list[Config] = []
    depends_on: dict[str, Dependency] = {}
    healthcheck: Healthcheck | None = None
    ports: list[Annotated[str, Field(pattern=r"^127\.0\.0\.1:[0-9]+:[0-9]+$")]] = []
    restart: Literal["no", "unless-stopped"]
    init: bool = False
    read_only: bool = False
    cap_drop: list[str] = []
    security_opt: list[str] = []
    shm_size: str | None = None
    stop_grace_period: Duration = "10s"
    deploy: Scale | None = None


class Content(Strict):
    content: str


class Compose(Strict):
    name: str
    services: dict[str, Service]
    configs: dict[str, Content]
    volumes: dict[str, None]

    @property
    def ours(self) -> dict[str, Service]:
        """The services that run in our image."""
        return {name: service for name, service in self.services.items() if service.build is not None}


def read_compose(text: str | None = None) -> Compose:
    """Read compose.yaml, or a text in its place, without filling in variables."""
    found = yaml.safe_load((DEPLOY / "compose.yaml").read_text() if text is None else text)
    return Compose.model_validate({name: value for name, value in found.items() if not name.startswith("x-")})


def read_values() -> dict[str, Any]:
    """The values for Dagster's Helm chart."""
    return dict(yaml.safe_load((DEPLOY / "values.yaml").read_text()))


def read_dockerfile() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile, each with its arguments in one line."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines]


def list_commands(compose: Compose) -> list[list[str]]:
    """Every command of the image that a service or its health check gives, a list of words each."""
    commands = []
    for service in compose.ours.values():
        given = [service.command, *([service.healthcheck.test[1:]] if service.healthcheck else [])]
        for words in given:
            if len(words) == 1 or words[:1] == ["sh"]:
                commands += split_script(words[-1])
            else:
                commands.append(words)
    return commands


def split_script(script: str) -> list[list[str]]:
    """The commands of a shell script that are not the shell's own."""
    commands: list[list[str]] = []
    for line in script.replace("$$", "$").replace("\\\n", " ").splitlines():
        words = shlex.shlex(line, posix=True, punctuation_chars=True)
        words.whitespace_split = True
        commands.append([])
        for word in words:
            if set(word) <= set(";&|"):
                commands.append([])
            elif word != "exec":
                commands[-1].append(word)
    return [command for command in commands if command and command[0] not in ("rm", "trap", "wait")]


def find_tool(command: list[str]) -> tuple[Any, list[str]] | None:
    """The click command that a command line is for, with its arguments; None for Python itself."""
    if command[0] == "python":
        return None
    if command[0] == "dagster":
        from dagster._cli import create_dagster_cli

        return create_dagster_cli(), command[1:]
    if command[0] == "dagster-webserver":
        from dagster_webserver.cli import create_dagster_webserver_cli

        return create_dagster_webserver_cli(), command[1:]
    if command[0] == "dagster-daemon":
        from dagster._daemon.cli import create_dagster_daemon_cli

        return create_dagster_daemon_cli(), command[1:]
    if command[0] == "dagster-celery":
        from dagster_celery.cli import main

        return main, command[1:]
    if command[0] == "celery":
        from celery.bin.celery import celery

        return celery, command[1:]
    if command[0] == "mlflow":
        from mlflow.cli import cli

        return cli, command[1:]
    raise AssertionError(f"no tool of the image: {command}")


def parse(tool: Any, arguments: list[str]) -> None:
    """Let click read arguments, down to the innermost command, and run nothing.

    Raises:
        click.UsageError: the tool has no such command or option, or one that it needs is missing.
    """
    import click

    context: Any = None
    while True:
        context = tool.make_context(tool.name, list(arguments), parent=context)
        if not isinstance(tool, click.Group):
            return
        name, tool, arguments = tool.resolve_command(context, [*context._protected_args, *context.args])
        assert tool is not None, name


def here(word: str) -> str:
    """A path of the image as it is in the project."""
    return word.replace("/etc/spam-assets", str(DEPLOY)).replace("/var/lib/spam-assets/dagster", str(DEPLOY))


def list_files() -> list[Path]:
    """What of deploy/ is committed."""
    return [path for path in sorted(DEPLOY.iterdir()) if path.name not in (".env", "settings.env")]
