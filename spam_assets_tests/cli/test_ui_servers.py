"""`spam-assets ui`: both UIs on their ports, and nothing left when it stops."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from spam_assets_tests.conftest import PROJECT


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def environment(tmp_path: Path, prepared_mlflow: Path) -> dict[str, str]:
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(prepared_mlflow, home / "mlflow.db")
    hidden = {"MLFLOW_TRACKING_URI", "DAGSTER_HOME"}
    return {
        **{name: value for name, value in os.environ.items() if name not in hidden},
        "SPAM_ASSETS_HOME": str(home),
        "SPAM_ASSETS_UI_PORT": str(find_free_port()),
        "SPAM_ASSETS_MLFLOW_UI_PORT": str(find_free_port()),
        "PYTHONPATH": str(PROJECT),
        "PYTHONUNBUFFERED": "1",
    }


def read_url(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return str(answer.read(4000), "utf-8", "replace")


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_both_uis_are_served_and_ctrl_c_leaves_no_process_and_no_port_taken(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    dagster, mlflow = (
        f"http://127.0.0.1:{environment[name]}" for name in ("SPAM_ASSETS_UI_PORT", "SPAM_ASSETS_MLFLOW_UI_PORT")
    )
    with (tmp_path / "err.txt").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "spam_assets", "ui"], cwd=tmp_path, env=environment,
            stdout=subprocess.PIPE, stderr=err, text=True, start_new_session=True,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        printed = [process.stdout.readline().strip() for _ in range(3)]
        assert printed[:2] == [f"Dagster: {dagster}", f"MLflow:  {mlflow}"], (tmp_path / "err.txt").read_text()
        assert "Ctrl-C stops both" in printed[2]
        assert "dagster_webserver_version" in read_url(f"{dagster}/server_info")
        assert "MLflow" in read_url(mlflow)
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 3
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(60) == 0
        _, alive = psutil.wait_procs(family, timeout=10)
        assert [" ".join(left.cmdline()) for left in alive] == []
        for port in (dagster, mlflow):
            with socket.socket() as probe:
                assert probe.connect_ex(("127.0.0.1", int(port.rpartition(":")[2]))) != 0
        assert "Traceback" not in (tmp_path / "err.txt").read_text()
    finally:
        if process.poll() is None:
            for left in psutil.Process(process.pid).children(recursive=True):
                left.kill()
            process.kill()


@pytest.mark.parametrize(
    ("setting", "name"), [("SPAM_ASSETS_UI_PORT", "Dagster"), ("SPAM_ASSETS_MLFLOW_UI_PORT", "MLflow")]
)
def test_a_taken_port_is_one_clear_sentence(
    tmp_path: Path, environment: dict[str, str], setting: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # MLflow exports the one that was used last
    from spam_assets.cli.ui_servers import UiError, serve_uis
    from spam_assets.settings import Settings

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = {"ui_port": int(environment["SPAM_ASSETS_UI_PORT"]), "mlflow_ui_port": find_free_port()}
        ports["ui_port" if name == "Dagster" else "mlflow_ui_port"] = port
        with pytest.raises(UiError) as raised:
            serve_uis(Settings(home=tmp_path / "home", **ports), announce=pytest.fail)
    assert f"port {port} for {name} is taken; stop what uses it, or set {setting}" in str(raised.value)
