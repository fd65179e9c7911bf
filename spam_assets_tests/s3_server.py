"""An S3 server on this machine: moto's, in an environment of its own, as it wants another botocore than s3fs does."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import requests

from spam_assets_tests.postgres_server import find_free_port

MOTO_PYTHON = "MOTO_PYTHON"
"""Names a Python that has `moto[server]`; else an environment is made, which takes a minute and a package index."""
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
SECONDS_TO_START = 180


def find_moto(folder: Path) -> str:
    """A Python with moto's server, installed below a folder unless there is one."""
    if MOTO_PYTHON in os.environ:
        return os.environ[MOTO_PYTHON]
    subprocess.run([sys.executable, "-m", "venv", folder / "moto"], check=True)
    python = folder / "moto" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "moto[server]"], check=True, timeout=600)
    return str(python)


@contextmanager
def serve_s3(folder: Path) -> Iterator[str]:
    """Run the server and yield its URL; what is in it goes with it."""
    port = find_free_port()
    url = f"http://127.0.0.1:{port}"
    python = find_moto(folder)
    with (folder / "moto.log").open("wb") as log:
        server = subprocess.Popen(
            [python, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log
        )
        try:
            _wait_until_up(server, url, folder / "moto.log")
            yield url
        finally:
            server.terminate()
            server.wait(20)


def _wait_until_up(server: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline and server.poll() is None:
        with suppress(requests.RequestException):
            requests.get(url, timeout=5)
            return
        time.sleep(0.2)
    raise AssertionError(f"the S3 server did not start: {log.read_text()[-2000:]}")
