"""Somebody else's work in a process of its own, which may take too long or die without harm to this one."""

import importlib
import multiprocessing
import multiprocessing.process
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")

IDLE_SECONDS = 60
"""So long a child waits for more work: what it imports takes seconds, and a backfill has a day's work for it soon."""
SECONDS_BETWEEN_LOOKS = 1.0


class ChildTookTooLongError(Exception):
    """The work was not done in time; its process was ended."""


class ChildDiedError(Exception):
    """The process ended before the work was done: it crashed, or the system ended it for want of memory."""


def run_in_child(limit_seconds: float, function: Callable[P, T], *inputs: P.args, **named_inputs: P.kwargs) -> T:
    """Call a function of a module in a child process, and return what it returns or raise what it raises.

    Function, inputs and result have to be what `pickle` takes. The time counts from when the child has come up. An
    interrupt of this process ends the child.

    Raises:
        ChildTookTooLongError: see there.
        ChildDiedError: see there.
    """
    from loky import get_reusable_executor
    from loky.process_executor import BrokenProcessPool

    # What a child of ours reads stays in its memory; that it is replaced now and then is news for nobody.
    warnings.filterwarnings("ignore", message="A worker (was restarted|stopped) while some jobs")
    with _being_allowed_children():
        executor = get_reusable_executor(1, timeout=IDLE_SECONDS, initializer=_get_ready, initargs=(os.getpid(),))
        is_over = False
        try:
            executor.submit(importlib.import_module, function.__module__).result()
            work = executor.submit(function, *inputs, **named_inputs)
            is_over = bool(wait([work], limit_seconds).done)
            result: T | None = work.result() if is_over else None
        except BrokenProcessPool as error:
            raise ChildDiedError from error
        finally:
            if not is_over:
                executor.shutdown(wait=True, kill_workers=True)
    if not is_over:
        raise ChildTookTooLongError
    return cast("T", result)


@contextmanager
def _being_allowed_children() -> Iterator[None]:
    """Let this process start others though it is a daemon, as a worker of Celery's pool is.

    multiprocessing forbids it because a daemon that is killed leaves its children behind; `_get_ready` ends them. Where
    the daemon ends in order, it ends its children if they are daemons as well, and else waits for them.
    """
    is_daemon = multiprocessing.current_process().daemon
    _be_daemon(multiprocessing.current_process(), is_daemon=False)
    try:
        yield
    finally:
        for process in (multiprocessing.current_process(), *multiprocessing.active_children()):
            _be_daemon(process, is_daemon=is_daemon)


def _be_daemon(process: multiprocessing.process.BaseProcess, *, is_daemon: bool) -> None:
    process._config["daemon"] = is_daemon  # type: ignore[attr-defined]  # noqa: SLF001 - fixed by its start otherwise


def _get_ready(parent_id: int) -> None:
    """Leave Ctrl-C, which reaches a whole group of processes, to the parent; and end when it was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> Any:
        while os.getppid() == parent_id:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
