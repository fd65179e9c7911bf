"""Locks between processes: who waits for long says what for, and who holds it."""

import os
import subprocess
import sys
import threading

import dagster as dg
import pytest

from spam_assets.engine import locks
from spam_assets.engine.locks import hold_lock
from spam_assets.settings import Settings
from spam_assets_tests.conftest import PROJECT

WAIT = """
import sys
from pathlib import Path
from spam_assets.engine import locks
from spam_assets.settings import Settings
locks.SECONDS_OF_SILENCE = 0.2
with locks.hold_lock(Settings(home=Path(sys.argv[1])), "registry"):
    print("held", flush=True)
    sys.stdin.read()
"""


def start_holding(settings: Settings) -> "subprocess.Popen[str]":
    """Start a process that holds the lock until its input ends, and wait until it does."""
    process = start(settings)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def start(settings: Settings) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", WAIT, str(settings.home)], env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.timeout(60)
def test_a_process_that_waits_says_for_which_lock_and_who_holds_it(settings: Settings) -> None:
    with hold_lock(settings, "registry"):
        waiting = start(settings)
        assert waiting.stderr is not None
        told = waiting.stderr.readline()  # before anything is released
        assert waiting.poll() is None
    output, _ = waiting.communicate(timeout=60)
    assert f"waiting for the lock {settings.home / 'locks' / 'registry.lock'}, held by process {os.getpid()} (" in told
    assert "UTC" in told
    assert output == "held\n"


def test_a_lock_that_is_free_says_nothing_and_leaves_no_name_behind(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with hold_lock(settings, "registry"):
        pass
    assert caplog.records == []
    assert list((settings.home / "locks").glob("*.holder")) == []


def test_the_events_of_a_run_tell_of_the_wait(
    settings: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "SECONDS_OF_SILENCE", 0.1)
    holding = start_holding(settings)

    @dg.op
    def take_the_lock() -> None:
        assert holding.stdin is not None
        threading.Timer(0.5, holding.stdin.close).start()
        with hold_lock(settings, "registry"):
            pass

    @dg.job
    def job() -> None:
        take_the_lock()

    result = job.execute_in_process(instance=instance)
    told = [entry.user_message for entry in instance.all_logs(result.run_id)]
    assert [text for text in told if f"held by process {holding.pid} (" in text]
    holding.wait(60)
