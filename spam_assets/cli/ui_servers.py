"""The two UIs: `dagster dev` on the home folder and MLflow's on the same store, started and stopped together."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from spam_assets.settings import Settings

SECONDS_TO_STOP = 15.0
SECONDS_TO_ANSWER = 120.0


class UiError(Exception):
    """A UI could not be served; the message says which and what to do."""


def serve_uis(settings: Settings, announce: Callable[[str], None]) -> int:
    """Serve both UIs until one ends or Ctrl-C; return the exit code.

    Raises:
        UiError: a port is taken, or a UI ends before it answers.
    """
    ports = {"Dagster": settings.ui_port}
    if not settings.has_tracking_server:
        ports["MLflow"] = settings.mlflow_ui_port
    for name, port in ports.items():
        _check_that_port_is_free(name, port)
    # Both read secrets from the environment, never from their command lines, which other users can list.
    environment = {**os.environ, "MLFLOW_BACKEND_STORE_URI": settings.tracking_uri}
    commands = {
        "Dagster": [sys.executable, "-m", "dagster", "dev", "-m", "spam_assets.definitions",
                    "-h", "127.0.0.1", "-p", str(settings.ui_port)],
        "MLflow": [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1",
                   "--port", str(settings.mlflow_ui_port),
                   "--default-artifact-root", settings.artifact_folder.as_uri()],
    }  # fmt: skip
    logs = settings.home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    processes: dict[str, subprocess.Popen[bytes]] = {}
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # being told to stop is Ctrl-C by other means
    try:
        for name in ports:
            with (logs / f"{name.lower()}.log").open("ab") as log:
                processes[name] = subprocess.Popen(
                    commands[name], env=environment, stdout=log, stderr=log, start_new_session=True
                )
        for name, port in ports.items():
            _wait_until_it_answers(name, port, processes[name], logs)
        announce(f"Dagster: {settings.dagster_url}")
        announce(f"MLflow:  {settings.mlflow_url}")
        announce(f"Logs in {logs}. Ctrl-C stops both.")
        while all(process.poll() is None for process in processes.values()):
            time.sleep(0.2)
        return max(process.poll() or 0 for process in processes.values())
    except KeyboardInterrupt:
        return 0
    finally:
        for process in processes.values():
            _stop(process)


def _check_that_port_is_free(name: str, port: int) -> None:
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            setting = "SPAM_ASSETS_UI_PORT" if name == "Dagster" else "SPAM_ASSETS_MLFLOW_UI_PORT"
            raise UiError(f"port {port} for {name} is taken; stop what uses it, or set {setting} to another port")


def _wait_until_it_answers(name: str, port: int, process: subprocess.Popen[bytes], logs: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_ANSWER
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise UiError(f"{name} ended before it answered; see {logs / (name.lower() + '.log')}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise UiError(f"{name} did not answer within {SECONDS_TO_ANSWER:.0f} s; see {logs / (name.lower() + '.log')}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop a process and its children: first asked, then made to."""
    for sign in (signal.SIGINT, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            return
        try:
            process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            continue
        return
