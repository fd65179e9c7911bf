"""Several processes on one home folder at once: nothing is locked, lost, doubled or moved back in time."""

import subprocess
import sys

from spam_assets.engine.instance import prepare_instance
from spam_assets_tests.dagster_dev import launch, serve, wait_for_end
from spam_assets_tests.homes import (
    DAYS,
    MAIL_ASSETS,
    SLOW,
    Home,
    Results,
    assert_spans_follow_each_other,
    wait_until_done,
)

pytestmark = SLOW


def assert_nothing_collided(home: Home, undisturbed: Results) -> None:
    home.assert_complete(undisturbed)
    home.assert_no_event_tells_of_a_locked_database()
    home.assert_trainings_of_a_date_follow_each_other()
    home.assert_champion_never_moved_back()


OPEN_STORES = """
import sys
from dagster import DagsterInstance
import spam_assets.engine.sqlite_storage
print("ready", flush=True)
sys.stdin.readline()
with DagsterInstance.get() as instance:
    instance.get_runs()
"""


def test_processes_that_create_the_stores_of_a_fresh_home_at_once_do_not_break_them(home: Home) -> None:
    home.settings.dagster_home.mkdir()
    prepare_instance(home.settings.dagster_home)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN_STORES], env=home.environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(3)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    errors = [process.communicate(timeout=100)[1] for process in processes]

    assert [process.returncode for process in processes] == [0, 0, 0], errors
    assert home.dagster_runs() == []


def test_commands_over_the_same_days_at_once_do_not_collide(home: Home, undisturbed: Results) -> None:
    commands = [
        home.start("backfill", "--all", "--from", DAYS[0], "--to", DAYS[6]),
        home.start("backfill", "--all", "--from", DAYS[3], "--to", DAYS[9]),
        home.start("run", "--date", DAYS[5]),
    ]
    for command in commands:
        done = wait_until_done(command)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "locked" not in done.stdout + done.stderr

    assert_nothing_collided(home, undisturbed)


def test_ui_backfills_and_a_command_over_the_same_days_at_once_do_not_collide(home: Home, undisturbed: Results) -> None:
    with serve(home) as dev:
        training = [launch(dev, DAYS), launch(dev, DAYS)]
        mail_only = launch(dev, DAYS, MAIL_ASSETS)
        home.wait_for_models(1)
        command = home.start("backfill", "--all")
        ends = [wait_for_end(dev, backfill) for backfill in (*training, mail_only)]
        done = wait_until_done(command)
        log = dev.log.read_text()

    assert ends == ["COMPLETED_SUCCESS"] * 3
    assert done.returncode == 0, done.stdout + done.stderr
    assert "database is locked" not in done.stdout + done.stderr + log
    with home.open_instance() as instance:
        stats = [instance.get_run_stats(home.run_of(backfill).run_id) for backfill in training]
    assert_spans_follow_each_other([(run.start_time, run.end_time) for run in stats])  # type: ignore[misc]
    assert_nothing_collided(home, undisturbed)
