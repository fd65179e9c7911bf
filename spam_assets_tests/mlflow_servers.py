"""Real MLflow servers on this machine, on SQLite or on another database, open or with users and passwords."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests

from spam_assets_tests.postgres_server import find_free_port

ADMIN = ("admin", "admin-password-1234")
USER = ("carol", "hunter2-hunter2-hunter2")
SECONDS_TO_START = 120


@dataclass(frozen=True)
class MlflowServer:
    """A server that answers.

    Attributes:
        url: Without credentials.
        store: The folder where it keeps artifacts.
    """

    url: str
    store: Path

    @property
    def url_with_password(self) -> str:
        return self.url.replace("://", f"://{USER[0]}:{USER[1]}@")


@contextmanager
def serve_mlflow(folder: Path, backend: str | None = None, *, with_users: bool = False) -> Iterator[MlflowServer]:
    """Run `mlflow server` with a backend store and an artifact store of its own; with users, only USER may come in."""
    folder.mkdir(exist_ok=True)
    port = find_free_port()
    command = [
        sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1",
        "--backend-store-uri", backend or f"sqlite:///{folder / 'server.db'}",
        "--artifacts-destination", str(folder / "store"),
    ]  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_TRACKING_")}
    environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # one process less
    if with_users:
        (folder / "auth.ini").write_text(
            "[mlflow]\ndefault_permission = READ\nauthorization_function = "
            "mlflow.server.auth:authenticate_request_basic_auth\n"
            f"database_uri = sqlite:///{folder / 'auth.db'}\n"
            "auth_cache_ttl_seconds = 60\n"  # else every request costs the hashing of a password
            f"admin_username = {ADMIN[0]}\nadmin_password = {ADMIN[1]}\n"
        )
        command += ["--app-name", "basic-auth"]
        environment |= {
            "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "of these tests",
        }
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, env=environment, start_new_session=True
        )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_up(server, url, folder / "log")
        if with_users:
            user = {"username": USER[0], "password": USER[1]}
            created = requests.post(f"{url}/api/2.0/mlflow/users/create", json=user, auth=ADMIN, timeout=60)
            assert created.ok, created.text
        yield MlflowServer(url, folder / "store")
    finally:
        os.killpg(server.pid, 9)
        server.wait()


@dataclass
class Gateway:
    """What stands before a server and passes requests on, or says that the server is busy.

    Attributes:
        url: Where to ask.
        busy_answers: So many of the next requests are answered 503.
        refused: The paths that were.
    """

    url: str
    busy_answers: int
    refused: list[str]


@contextmanager
def serve_gateway(server_url: str) -> Iterator[Gateway]:
    """Run a gateway before a real server, as a load balancer is one."""

    class Handler(BaseHTTPRequestHandler):
        def pass_on(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length)
            if gateway.busy_answers:
                gateway.busy_answers -= 1
                gateway.refused.append(self.path)
                self.send_error(503)
                return
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            url = f"{server_url}{self.path}"
            answer = requests.request(self.command, url, data=body, headers=headers, timeout=60)
            self.send_response(answer.status_code)
            self.send_header("Content-Type", answer.headers.get("Content-Type", "application/json"))
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    gateway = Gateway(f"http://127.0.0.1:{httpd.server_port}", 0, [])
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    try:
        yield gateway
    finally:
        httpd.shutdown()
        httpd.server_close()


def _wait_until_up(server: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            if requests.get(f"{url}/health", timeout=5).ok:
                return
        except requests.RequestException:
            time.sleep(0.2)
    raise AssertionError(f"mlflow server does not answer: {log.read_text()}")
