"""The servers that several machines share, on this one: PostgreSQL, Redis, S3 and MLflow; and what they cost.

Each is a context: on leaving it the server has ended, with everything it started, whatever happened meanwhile. Not
here: Dagster and the workers, which are `benchmarks.machines`.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

PROJECT = Path(__file__).parent.parent
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
"""What moto's server takes: it asks for some and looks at none."""
MOTO_REQUIREMENTS = ("moto[server]",)
POSTGRES_PASSWORD = "postgres-password-1234"
SECONDS_TO_START = 180
SECONDS_TO_STOP = 20


# --- environments -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Environments:
    """The Pythons that machines and servers run with.

    Attributes:
        scale: Has this project and what it needs beyond one machine.
        moto: Has moto's server, whose botocore does not go with that of s3fs.
    """

    scale: Path
    moto: Path


def prepare_environments(folder: Path) -> Environments:
    """Make both environments below a folder, which takes minutes and a package index, or find them there.

    Raises:
        SystemExit: pip failed; with what it said.
    """
    pins = ["-c", str(PROJECT / "requirements.lock")] if sys.version_info >= (3, 11) else []
    ours = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    return Environments(
        _prepare_environment(folder / "scale", [*pins, "-e", f"{PROJECT}[scale]", "psutil"], ours),
        _prepare_environment(folder / "moto", MOTO_REQUIREMENTS),
    )


def _prepare_environment(folder: Path, requirements: Sequence[str], asked_by_them: str = "") -> Path:
    """Return the Python of an environment with these requirements; installed again where they were others."""
    python, note = folder.absolute() / "bin" / "python", folder / "installed.txt"
    wanted = "\n".join([*requirements, asked_by_them])
    if note.exists() and note.read_text(encoding="utf-8") == wanted:
        return python
    print(f"installing into {folder}", flush=True)
    make = [sys.executable, "-m", "venv", str(folder)]
    for command in (make, [str(python), "-m", "pip", "install", "-q", *requirements]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{folder} could not be made: {done.stderr[-2000:]}")
    note.write_text(wanted, encoding="utf-8")
    return python


# --- processes --------------------------------------------------------------------------------------------------


def find_free_port() -> int:
    """Return a port of this machine that nobody listens to now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def measure_cpu(root: psutil.Process) -> float:
    """Return the CPU seconds of a process and of all below it, those that have ended and were waited for included."""
    total = 0.0
    with suppress(psutil.NoSuchProcess):
        for process in [root, *root.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                total += sum(process.cpu_times()[:4])  # user and system, its own and of children that have ended
    return total


def kill_tree(root: psutil.Process) -> None:
    """Kill a process and everything below it with -9, as a power cut does."""
    family = [root]
    with suppress(psutil.NoSuchProcess):
        family += root.children(recursive=True)
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(family, timeout=SECONDS_TO_STOP)


@contextmanager
def run_process(
    command: Sequence[str],
    log: Path,
    environment: Mapping[str, str],
    is_up: Callable[[], bool],
    *,
    stop_signal: signal.Signals = signal.SIGTERM,
) -> Iterator[psutil.Process]:
    """Run a server until the context is left; it works in the folder of its log.

    Raises:
        SystemExit: it does not come up; with the end of its log.
    """
    with log.open("ab") as output:
        server = subprocess.Popen(
            command, cwd=log.parent, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    root = psutil.Process(server.pid)
    try:
        deadline = time.monotonic() + SECONDS_TO_START
        while not is_up():
            if server.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{log.stem} does not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.2)
        yield root
    finally:
        family = root.children(recursive=True) if server.poll() is None else []
        server.send_signal(stop_signal)
        with suppress(subprocess.TimeoutExpired):
            server.wait(SECONDS_TO_STOP)
        for process in [root, *family]:  # psutil leaves alone an id that another process has got since
            with suppress(psutil.NoSuchProcess):
                process.kill()
        server.wait()


def answers(url: str) -> bool:
    """Whether an HTTP server answers, whatever it says."""
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# --- servers ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PostgresServer:
    """A PostgreSQL server that answers."""

    port: int
    programs: Path
    process: psutil.Process

    def uri(self, database: str = "postgres") -> str:
        """Return the URI of a database, password included; SQLAlchemy 2.1 wants the driver named."""
        return f"postgresql+psycopg2://postgres:{POSTGRES_PASSWORD}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """Create a database and return its URI."""
        command = [str(self.programs / "createdb"), "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", name]
        subprocess.run(command, env={**os.environ, "PGPASSWORD": POSTGRES_PASSWORD}, check=True, timeout=60)
        return self.uri(name)


def find_postgres_programs() -> Path | None:
    """Return the folder with `initdb` and `pg_ctl`, which Debian keeps off the PATH; None where there is none."""
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    return next((path.parent for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)), None)


@contextmanager
def serve_postgres() -> Iterator[PostgresServer]:
    """Run a PostgreSQL server in a folder of its own, which goes with it.

    Raises:
        SystemExit: PostgreSQL is not installed or does not start.
    """
    programs = find_postgres_programs()
    if programs is None:
        raise SystemExit("PostgreSQL is not installed here; Debian's package is `postgresql`")
    folder = Path(tempfile.mkdtemp(prefix="spam_assets_postgres_"))  # the user postgres may enter it there
    secret, data = folder / "password", folder / "data"
    secret.write_text(POSTGRES_PASSWORD)
    as_user: list[str] = []
    if os.geteuid() == 0:  # it refuses to run as root
        for path in (folder, secret):
            shutil.chown(path, "postgres")
        as_user = ["runuser", "-u", "postgres", "--"]

    def run(program: str, *arguments: str) -> None:
        command = [*as_user, str(programs / program), "-D", str(data), *arguments]
        done = subprocess.run(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=120
        )
        if done.returncode:
            raise SystemExit(f"{program} failed: {done.stdout[-2000:]}")

    port = find_free_port()
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    try:
        run("initdb", "--auth=scram-sha-256", f"--pwfile={secret}", "--username=postgres", "--no-sync")
        run("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
        number = int((data / "postmaster.pid").read_text().split()[0])
        yield PostgresServer(port, programs, psutil.Process(number))
    finally:
        if (data / "postmaster.pid").exists():
            run("pg_ctl", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def serve_redis(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Run a Redis server that keeps everything in memory; yield its URL, without a database's number.

    Raises:
        SystemExit: Redis is not installed or does not start.
    """
    program = shutil.which("redis-server")
    if program is None:
        raise SystemExit("Redis is not installed here; Debian's package is `redis-server`")
    port = find_free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with run_process(command, folder / "redis.log", os.environ, lambda: _listens(port)) as process:
        yield f"redis://127.0.0.1:{port}", process


@contextmanager
def serve_s3(python: Path, folder: Path, landing: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Run an S3 server; yield its URL. The bucket `mail` holds the landing files below `landing/`, `mlflow` nothing."""
    port = find_free_port()
    url = f"http://127.0.0.1:{port}"
    command = [str(python), "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with run_process(command, folder / "s3.log", {**os.environ, **CREDENTIALS}, lambda: answers(url)) as process:
        for bucket in ("mail", "mlflow"):
            make_bucket(url, bucket)
        for path in sorted(landing.iterdir()):
            _put(f"{url}/mail/landing/{path.name}", path.read_bytes())
        yield url, process


def make_bucket(url: str, name: str) -> None:
    """Make a bucket on an S3 server."""
    _put(f"{url}/{name}", b"")


def _put(url: str, content: bytes) -> None:
    headers = {"Content-Type": "application/octet-stream"}  # urllib's own says that it is a form, and moto reads one
    urllib.request.urlopen(urllib.request.Request(url, content, headers, method="PUT"), timeout=60).close()


@contextmanager
def serve_mlflow(python: Path, folder: Path, database: str, s3_url: str) -> Iterator[tuple[str, psutil.Process]]:
    """Run `mlflow server` on a database, with its artifacts in the bucket; clients reach those through it."""
    port = find_free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        str(python), "-m", "mlflow", "server", "--port", str(port), "--workers", "1",
        "--backend-store-uri", database, "--artifacts-destination", "s3://mlflow/artifacts",
    ]  # fmt: skip
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")},
        **CREDENTIALS,
        "MLFLOW_S3_ENDPOINT_URL": s3_url,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # one process less
    }
    with run_process(command, folder / "mlflow.log", environment, lambda: answers(f"{url}/health")) as process:
        yield url, process
