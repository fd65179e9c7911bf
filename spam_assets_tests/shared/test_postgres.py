"""Machines with homes of their own that share PostgreSQL: locks, life, days and an agreement."""

import os
import signal
import subprocess
import threading
from datetime import date

import pytest
import sqlalchemy

from spam_assets.cli.home import widen_day_range
from spam_assets.engine import locks
from spam_assets.engine.life import is_alive, show_life
from spam_assets.engine.locks import hold_lock
from spam_assets.shared import postgres
from spam_assets.shared.agreement import DisagreementError, check_agreement, join_others
from spam_assets.shared.day_range import load_shared_settings
from spam_assets.shared.place import find_place
from spam_assets_tests.homes import wait_for
from spam_assets_tests.machines import URL_VARIABLE, Machine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

IN_A_PROCESS = """
import sys
from spam_assets.settings import load_settings
{imports}
settings = load_settings()
{block}
    print("ready", flush=True)
    sys.stdin.read()
"""
HOLDING = IN_A_PROCESS.format(
    imports="from spam_assets.engine.locks import hold_lock", block='with hold_lock(settings, "registry"):'
)
LIVING = IN_A_PROCESS.format(
    imports="from spam_assets.engine.life import show_life", block='with show_life(settings, "run-1"):'
)
WORKING = IN_A_PROCESS.format(
    imports="from spam_assets.shared.agreement import join_others", block="join_others(settings)\nif True:"
)


def end(process: "subprocess.Popen[str]", number: int = signal.SIGKILL) -> None:
    process.send_signal(number)
    process.communicate(timeout=30)


def test_a_lock_holds_between_machines_tells_who_has_it_and_is_free_when_the_holder_is_killed(
    here: Machine, there: Machine, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "SECONDS_OF_SILENCE", 0.1)
    holder = there.start(HOLDING)
    begun = threading.Event()

    def kill() -> None:
        begun.set()
        end(holder)

    killer = threading.Timer(1.0, kill)
    killer.start()
    with hold_lock(here.settings, "registry"):
        assert begun.is_set()
        killer.join()  # which may still wait for the end that PostgreSQL has heard of already
        assert holder.poll() is not None
    assert f"waiting for the lock registry in PostgreSQL, held by process {holder.pid} on {os.uname().nodename}" in (
        caplog.text
    )
    assert not (here.home / "locks").exists()


def test_locks_of_two_names_and_of_two_holders_in_one_process_are_kept_apart(here: Machine) -> None:
    place = find_place(here.settings)
    first, same, other = place.lock("a"), place.lock("a"), place.lock("b")
    assert first.acquire(0)
    assert not same.acquire(0)
    assert not same.acquire(0.2)
    assert other.acquire()
    first.release()
    assert same.acquire(0)
    same.release()
    other.release()


def test_a_process_that_is_killed_is_seen_from_another_machine_and_one_that_ends_is_not_taken_for_dead(
    here: Machine, there: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = there.start(LIVING)
    assert is_alive(here.settings, "run-1") is True
    end(worker)
    assert is_alive(here.settings, "run-1") is True  # it may be without its connection for a moment
    monkeypatch.setattr(postgres.PostgresDatabase, "grace_seconds", 0.0)
    assert is_alive(here.settings, "run-1") is False

    with show_life(here.settings, "run-2"):
        assert is_alive(here.settings, "run-2") is True
    assert is_alive(here.settings, "run-2") is None


def test_a_process_that_loses_its_connection_takes_its_lock_again_and_lives(
    here: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "SECONDS_BETWEEN_BEATS", 0.1)
    engine = sqlalchemy.create_engine(here.environment[URL_VARIABLE], isolation_level="AUTOCOMMIT")
    with show_life(here.settings, "run-1"), engine.connect() as connection:

        def ask(statement: str) -> list[int]:
            return list(connection.exec_driver_sql(statement).scalars())

        holders = "SELECT pid FROM pg_locks WHERE locktype = 'advisory'"
        (before,) = ask(holders)
        assert ask(f"SELECT pg_terminate_backend({before})::int") == [1]  # asked to end, not ended
        wait_for("new lock", lambda: ask(f"{holders} AND pid <> {before}"))
        wait_for("end of the old one", lambda: before not in ask(holders))
        assert is_alive(here.settings, "run-1") is True


def test_the_days_of_the_partitions_are_those_that_landed_on_any_machine(here: Machine, there: Machine) -> None:
    widen_day_range(here.settings, date(2024, 1, 5), date(2024, 2, 1), open_ended=False)
    widen_day_range(there.settings, date(2024, 2, 1), date(2024, 3, 1), open_ended=False)
    for machine in (here, there):
        with pytest.MonkeyPatch.context() as patch:
            for name in ("START", "END"):
                patch.delenv(f"SPAM_ASSETS_{name}_DATE")
            patch.setenv("SPAM_ASSETS_HOME", str(machine.home))
            settings = load_shared_settings()
        assert (settings.start_date, settings.end_date) == (date(2024, 1, 5), date(2024, 3, 1))


def test_a_process_that_differs_from_one_that_lives_says_in_one_sentence_what_differs(
    here: Machine, there: Machine
) -> None:
    mine = here.settings
    there.environment["SPAM_ASSETS_WINDOW_DAYS"] = "60"
    for name in ("landing", "storage"):  # which machines must share
        there.environment[f"SPAM_ASSETS_{name.upper()}"] = str(here.home / name)
    there.environment["MLFLOW_TRACKING_URI"] = mine.tracking_uri
    for name in ("SPAM_ASSETS_START_DATE", "SPAM_ASSETS_END_DATE"):
        there.environment[name] = os.environ[name]
    join_others(mine)
    check_agreement(mine)  # with itself

    worker = there.start(WORKING)
    with pytest.raises(DisagreementError) as caught:
        check_agreement(mine)
    said = str(caught.value)
    assert said.startswith("SPAM_ASSETS_WINDOW_DAYS is 90 here and 60 there: there is process ")
    assert f"process {worker.pid} on " in said
    assert "\n" not in said
    check_agreement(mine.model_copy(update={"window_days": 60, "home": mine.home}))
    end(worker)
    check_agreement(mine)


def test_a_process_that_ends_in_order_leaves_nothing_behind(here: Machine, there: Machine) -> None:
    worker = there.start(WORKING)
    place = find_place(here.settings)
    assert len(place.list_notes("agreement-")) == 1
    _, errors = worker.communicate("", timeout=30)
    assert worker.returncode == 0, errors
    assert place.list_notes("agreement-") == []
