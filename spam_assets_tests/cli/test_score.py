"""`spam-assets score` as a person uses it: mail without labels in, scores out."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import fsspec
import pandas as pd
import pytest
from typer.testing import CliRunner

from spam_assets.cli.app import app
from spam_assets.cli.console import CommandError
from spam_assets_tests.conftest import LandDays, day_text, make_mail

PASSWORD = "hunter2"
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.slow
def test_files_without_labels_are_scored_once_and_again_when_they_change(
    run_command: Command, land_days: LandDays, landing: Path
) -> None:
    nothing = run_command("score")
    assert nothing.returncode == 1
    assert "no mail without labels has landed in" in nothing.stderr
    land_days(3)
    assert run_command("backfill").returncode == 0
    for offset in (5, 7):
        make_mail(day_text(offset)).drop(columns="label").to_csv(
            landing / f"incoming-{day_text(offset)}.csv", index=False
        )
    first = run_command("score")
    assert first.returncode == 0, first.stderr
    for offset in (5, 7):
        assert f"{day_text(offset)} scored: " in first.stdout
        path = landing.parent / "storage" / "scored_mail" / f"{day_text(offset)}.parquet"
        assert f"{path}\n" in first.stdout
        assert len(pd.read_parquet(path)) == 40
    assert "2 days run, 0 failed; 0 were scored already" in first.stdout
    assert "0 days run, 0 failed; 2 were scored already" in run_command("score").stdout
    (landing / f"incoming-{day_text(7)}.csv").write_text("subject\nhello\n")
    broken = run_command("score")
    assert broken.returncode == 1
    assert f"{day_text(7)} failed: " in broken.stdout
    assert "lacks the column one of body, text, raw" in broken.stdout
    assert "1 days run, 1 failed; 1 were scored already" in broken.stdout


@pytest.fixture
def unbounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment, which wins over the home folder, says nothing of the partitions."""
    for name in ("SPAM_ASSETS_START_DATE", "SPAM_ASSETS_END_DATE"):
        monkeypatch.delenv(name)


@pytest.mark.slow
def test_the_partitions_grow_to_the_days_of_mail_without_labels(
    unbounded: None, run_command: Command, landing: Path
) -> None:
    (landing.parent / "settings.env").write_text(
        f"SPAM_ASSETS_START_DATE={day_text(0)}\nSPAM_ASSETS_END_DATE={day_text(2)}\n"
    )
    make_mail(day_text(4)).drop(columns="label").to_csv(landing / f"incoming-{day_text(4)}.csv", index=False)
    grown = run_command("score")
    assert f"{day_text(4)} skipped: there was no champion before {day_text(4)}" in grown.stdout, grown.stderr
    assert f"SPAM_ASSETS_END_DATE={day_text(4)}" in (landing.parent / "settings.env").read_text()


def test_where_nothing_has_landed_the_zone_is_named_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"memory://me:{PASSWORD}@bucket/empty"
    fsspec.filesystem("memory").makedirs(url, exist_ok=True)
    monkeypatch.setenv("SPAM_ASSETS_HOME", str(tmp_path))
    monkeypatch.setenv("SPAM_ASSETS_LANDING", url)
    done = CliRunner().invoke(app, ["score"])
    assert isinstance(done.exception, CommandError)
    assert "no mail without labels has landed in memory://" in str(done.exception)
    assert PASSWORD not in f"{done.exception}{done.output}"
