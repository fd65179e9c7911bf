"""`spam-assets labels`: wrong labels are found, shown as plain text, and written for a person to review."""

import sys
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from spam_assets.cli.app import main
from spam_assets.landing.corrections import read_corrections
from spam_assets.settings import Settings
from spam_assets_tests.conftest import day_text, make_mail
from spam_assets_tests.pipeline import run_days

DAYS = [day_text(offset) for offset in range(7)]
WRONG = {DAYS[5]: (3, 40), DAYS[6]: (7,)}
"""Rows whose label is turned round, by day; the spam of a day comes first."""


@pytest.fixture
def trained(
    settings: Settings,
    instance: dg.DagsterInstance,
    land_day: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Settings:
    for day in DAYS:
        mail = make_mail(day, 60)
        for row in WRONG.get(day, ()):
            mail.loc[row, "label"] = "ham" if mail.loc[row, "label"] == "spam" else "spam"
            mail.loc[row, "subject"] = "\x1b[2J" + mail.loc[row, "subject"]
        land_day(day, mail)
    run_days(settings, instance, DAYS[0], DAYS[-1])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPAM_ASSETS_HOME", str(settings.home))
    return settings


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["spam-assets", "labels", *arguments])
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_wrong_labels_are_listed_and_written_for_review(
    trained: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier = f"message_id,label\n<{DAYS[5]}-0@example.com>,ham\n"
    (tmp_path / "home" / "landing" / f"corrections-{DAYS[5]}.csv").write_text(earlier)
    monkeypatch.setenv("COLUMNS", "200")

    assert call(monkeypatch, "--write", "review") == 0

    printed = capsys.readouterr().out
    assert "\x1b[2J" not in printed
    assert "3 of 3 labels in doubt" in printed
    for day, rows in WRONG.items():
        labels = read_corrections((tmp_path / "review" / f"corrections-{day}.csv").read_bytes(), day)
        expected = {f"<{day}-{row}@example.com>": "spam" if row < 24 else "ham" for row in rows}
        if day == DAYS[5]:
            expected[f"<{day}-0@example.com>"] = "ham"  # what a person had corrected stays
        assert labels == expected


@pytest.mark.slow
def test_corrections_that_nobody_reviewed_do_not_go_into_the_landing_zone(
    trained: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "--write", str(tmp_path / "home" / "landing")) == 1
    assert "is the landing zone" in capsys.readouterr().err
    assert not list((tmp_path / "home" / "landing").glob("corrections-*"))


@pytest.mark.slow
def test_a_date_without_a_model_says_what_to_do(
    trained: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "--date", "2030-01-01") == 1
    assert "no model was trained for 2030-01-01; run spam-assets backfill first" in capsys.readouterr().err
