"""A real PostgreSQL server on this machine, for as long as a test needs one."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def find_postgres_programs() -> Path | None:
    """Return the folder with `initdb` and `pg_ctl`, which Debian keeps off the PATH; None where there is none."""
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    return next((path.parent for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)), None)


@contextmanager
def serve_postgres() -> Iterator[str]:
    """Run a PostgreSQL server in a folder of its own and yield the URI of its empty database, password included."""
    programs = find_postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed here; Debian's package is `postgresql`")
    password = "postgres-password-1234"
    folder = Path(tempfile.mkdtemp(prefix="spam_assets_postgres_"))
    secret = folder / "password"
    secret.write_text(password)
    as_user: list[str] = []
    if os.geteuid() == 0:  # it refuses to run as root
        for path in (folder, secret):
            shutil.chown(path, "postgres")
        as_user = ["runuser", "-u", "postgres", "--"]
    port, data = find_free_port(), folder / "data"

    def run(program: str, *arguments: str) -> None:
        command = [*as_user, str(programs / program), "-D", str(data), *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr

    try:
        run("initdb", "--auth=scram-sha-256", f"--pwfile={secret}", "--username=postgres", "--no-sync")
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        run("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql+psycopg2://postgres:{password}@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
