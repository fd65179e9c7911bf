"""Processes that are killed, disks that are full or read-only, a landing zone that vanishes: nothing is lost."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from spam_assets.registry.training_runs import RUN_KILLED, RUN_OPEN
from spam_assets_tests.homes import DAYS, SLOW, STORED, Home, Results, wait_for, wait_until_done

pytestmark = SLOW


# --- killed processes -------------------------------------------------------------------------------------------


def test_a_killed_backfill_is_completed_by_the_next_one(home: Home, undisturbed: Results) -> None:
    backfill = home.start("backfill")
    home.wait_for_models(3)
    training = wait_for("open MLflow run", lambda: [run for run in home.mlflow_runs() if run.info.status == RUN_OPEN])
    backfill.kill()
    backfill.communicate()
    assert len(home.stored_days("trained_model")) < len(DAYS)
    (dead,) = home.dagster_runs()
    assert dead.status == dg.DagsterRunStatus.STARTED  # nobody could say otherwise
    for half in ("raw_mail/.2024-01-09.parquet.0.tmp", "trained_model/.2024-01-09.npz.0.tmp"):
        (home.storage / half).write_bytes(b"half a file, as the blow may leave it")

    again = home.run("backfill")

    assert again.returncode == 0, again.stdout + again.stderr
    assert re.search(r"^[4-8] days run: [4-8] with a registered model, 0 failed", again.stdout, re.MULTILINE)
    assert [run.run_id for run in home.dagster_runs(statuses=[dg.DagsterRunStatus.FAILURE])] == [dead.run_id]
    statuses = {run.info.run_id: run.info.status for run in home.mlflow_runs()}
    assert set(statuses.values()) <= {"FINISHED", RUN_KILLED}
    assert statuses[training[0].info.run_id] in ("FINISHED", RUN_KILLED)
    home.assert_complete(undisturbed)
    verification = home.run("verify")
    assert verification.returncode == 0, verification.stdout


# --- disks ------------------------------------------------------------------------------------------------------


class SmallDisk:
    """A file system of a few megabytes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def remount(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", self.folder], check=True, capture_output=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"mounting a file system is not permitted here: {mounted.stderr.strip()}")
    yield SmallDisk(folder)
    subprocess.run(["umount", "--lazy", folder], check=True)


def assert_says_what_to_do(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """The command failed with sentences and without a traceback."""
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "Traceback" not in said
    for word in words:
        assert word in said


def test_a_storage_disk_that_is_full_or_read_only_is_named_and_the_days_are_completed_when_it_can_be_written(
    small_disk: SmallDisk, tmp_path: Path, prepared_mlflow: Path, undisturbed: Results
) -> None:
    home = Home(tmp_path / "home", prepared_mlflow, storage=small_disk.folder)

    full = home.run("backfill")

    assert_says_what_to_do(full, str(small_disk.folder), "cannot be written (No space left on device)", "make room")
    assert list(home.storage.glob("*/.*")) == []  # no half file
    stored = {asset: home.stored_days(asset) for asset in STORED}
    assert 0 < len(stored["trained_model"]) < len(DAYS)

    small_disk.remount("size=50m,ro")
    refused = home.run("run", "--date", DAYS[-1])

    assert_says_what_to_do(refused, str(small_disk.folder), "(Read-only file system)", "give write access")
    assert {asset: home.stored_days(asset) for asset in STORED} == stored

    small_disk.remount("rw")
    again = home.run("backfill")
    assert again.returncode == 0, again.stdout + again.stderr
    home.assert_complete(undisturbed)


def test_a_home_on_a_full_disk_is_named_and_the_days_are_completed_when_there_is_room(
    small_disk: SmallDisk, prepared_mlflow: Path, undisturbed: Results
) -> None:
    small_disk.remount("size=8m")  # full while the first or second day runs, with both databases on it
    home = Home(small_disk.folder / "home", prepared_mlflow)

    full = home.run("backfill")

    assert_says_what_to_do(full, str(home.folder), "disk is full", "make room")
    small_disk.remount("size=200m")
    again = home.run("backfill")
    assert again.returncode == 0, again.stdout + again.stderr
    home.assert_complete(undisturbed)


# --- the landing zone -------------------------------------------------------------------------------------------


def test_a_landing_zone_that_vanished_is_named_and_what_was_made_of_it_stays(
    tmp_path: Path, prepared_mlflow: Path, undisturbed: Results
) -> None:
    home = Home(tmp_path / "home", prepared_mlflow, landing=tmp_path / "zone")
    away = tmp_path / "away"

    home.landing.rename(away)
    assert_says_what_to_do(home.run("backfill"), str(home.landing), "does not exist")
    away.rename(home.landing)

    backfill = home.start("backfill")
    home.wait_for_models(2)
    home.landing.rename(away)
    between_days = wait_until_done(backfill)
    assert_says_what_to_do(between_days, str(home.landing), "does not exist")
    models_before = home.stored_days("trained_model")
    assert 2 <= len(models_before) < len(DAYS)
    assert_says_what_to_do(home.run("run", "--date", DAYS[0]), str(home.landing), "does not exist")
    assert home.stored_days("trained_model") == models_before

    away.rename(home.landing)
    again = home.run("backfill")
    assert again.returncode == 0, again.stdout + again.stderr
    home.assert_complete(undisturbed)
