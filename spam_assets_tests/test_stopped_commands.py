"""Ctrl-C and SIGTERM stop a command that runs days; the same command goes on where it was."""

import signal
import subprocess
from collections.abc import Sequence

import dagster as dg

from spam_assets.registry.training_runs import RUN_OPEN
from spam_assets_tests.homes import SLOW, Home, Results, wait_until_done

pytestmark = SLOW
ONE, ANOTHER, TWICE = [signal.SIGINT], [signal.SIGTERM], [signal.SIGINT, signal.SIGINT]


def stop(home: Home, models: int, signals: Sequence[signal.Signals], *command: str) -> subprocess.CompletedProcess[str]:
    """Start a command, send it signals once so many days have a model, and wait until it is gone."""
    process = home.start(*command)
    home.wait_for_models(models)
    for number in signals:
        process.send_signal(number)
    return wait_until_done(process)


def assert_stopped(home: Home, done: subprocess.CompletedProcess[str]) -> None:
    """The command ended as one that was stopped, said so, and left nothing open."""
    assert done.returncode == 130, done.stdout + done.stderr
    assert "stopped: what was finished is kept, and the same command goes on" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert home.dagster_runs()[0].status == dg.DagsterRunStatus.CANCELED
    assert {run.status for run in home.dagster_runs()} <= {dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.SUCCESS}
    assert [run.info.run_name for run in home.mlflow_runs() if run.info.status == RUN_OPEN] == []
    assert len(home.missing_days()) > 0


def test_a_backfill_that_is_stopped_again_and_again_loses_nothing_and_is_completed_by_the_same_command(
    home: Home, undisturbed: Results
) -> None:
    command = ("backfill", "--days-per-run", "3")
    for models, signals in ((2, ONE), (4, ANOTHER), (6, TWICE)):
        assert_stopped(home, stop(home, models, signals, *command))
    again = home.run(*command)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "0 failed" in again.stdout
    home.assert_complete(undisturbed)


def test_a_demo_on_landed_mail_stops_at_ctrl_c(home: Home) -> None:
    assert_stopped(home, stop(home, 2, ONE, "demo"))
