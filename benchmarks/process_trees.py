"""CPU and memory of everything below this process: commands, servers and whatever they start."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import psutil  # type: ignore[import-untyped]

SECONDS_BETWEEN_SAMPLES = 0.2
SECONDS_TO_STOP = 20
MEGABYTE = 1e6


def read_cpu_seconds() -> float:
    """Return user and system time of all that was ever started below this process and was waited for by who started it.

    A process that has ended counts with its parent, and that one with its own, as far as up to here.
    """
    here = os.times()
    total = here.children_user + here.children_system
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return float(total)


class TreeMeter(threading.Thread):
    """Measures what runs below this process from `start` to `stop`.

    Attributes:
        wall_seconds: From start to stop.
        cpu_seconds: See `read_cpu_seconds`.
        peak_memory_mb: The most that all processes held at once; what several of them map counts for each.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._is_done = threading.Event()
        self.peak_memory_mb = 0.0
        self.wall_seconds = 0.0
        self.cpu_seconds = 0.0

    def run(self) -> None:
        """Sample the memory until told to stop."""
        while not self._is_done.wait(SECONDS_BETWEEN_SAMPLES):
            resident = 0
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    resident += process.memory_info().rss
            self.peak_memory_mb = max(self.peak_memory_mb, resident / MEGABYTE)

    def __enter__(self) -> "TreeMeter":
        self.cpu_seconds = -read_cpu_seconds()
        self.wall_seconds = -time.perf_counter()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall_seconds += time.perf_counter()
        self.cpu_seconds += read_cpu_seconds()
        self._is_done.set()
        self.join()


def run_command(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> str:
    """Run a command to its end and return its output; whatever interrupts this ends the command and all it started.

    Raises:
        SystemExit: it failed; with what it said.
    """
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            output, _ = process.communicate()
        except BaseException:
            end_trees([process])
            raise
    if process.returncode:
        raise SystemExit(f"{' '.join(command[:4])} ended with {process.returncode}: {output[-3000:]}")
    return output


@contextmanager
def keep_running(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a command that stays up; on leaving, it and all that it started have ended."""
    with log.open("ab") as file:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=file, stderr=file, start_new_session=True
        )
    try:
        yield process
    finally:
        end_trees([process])


def end_trees(roots: "Sequence[subprocess.Popen[bytes] | subprocess.Popen[str]]") -> None:
    """Ask processes to stop, and end them and all that they started that is still there after a while."""
    started: list[psutil.Process] = []
    for root in roots:
        with suppress(psutil.NoSuchProcess):
            started += psutil.Process(root.pid).children(recursive=True)
    for root in roots:
        if root.poll() is None:
            root.send_signal(signal.SIGINT)
    for root in roots:
        with suppress(subprocess.TimeoutExpired):
            root.wait(SECONDS_TO_STOP)
    for root in roots:
        if root.poll() is None:
            with suppress(psutil.NoSuchProcess):
                started += psutil.Process(root.pid).children(recursive=True)
            root.kill()
            root.wait()
    _, alive = psutil.wait_procs(started, timeout=1)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=SECONDS_TO_STOP)


@contextmanager
def told_when_stopped() -> Iterator[None]:
    """Turn SIGTERM into Ctrl-C, and say of either that nothing of ours runs any more.

    Raises:
        SystemExit: with 130, after Ctrl-C or SIGTERM.
    """

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        with contextlib.suppress(psutil.NoSuchProcess):
            left = psutil.Process().children(recursive=True)
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(left, timeout=SECONDS_TO_STOP)
        left = psutil.Process().children(recursive=True)
        what = f"{len(left)} processes are left: {left}" if left else "all processes that were started have ended"
        print(f"stopped: {what}", file=sys.stderr, flush=True)
        raise SystemExit(130) from None
    finally:
        signal.signal(signal.SIGTERM, before)
