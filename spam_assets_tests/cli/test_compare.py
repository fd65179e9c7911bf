"""`spam-assets compare` over landed mail, without any run before it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from benchmarks.quality import Run, run_filter, summarize
from spam_assets.cli.app import app
from spam_assets.cli.console import CommandError
from spam_assets.learning.estimator_errors import EstimatorError
from spam_assets_tests.conftest import LandDays, day_text, make_mail

MODULE = """
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import make_pipeline
from spam_assets.learning.text_columns import TextColumns

def build():
    return make_pipeline(TextColumns(), HashingVectorizer(n_features=256), SGDClassifier(loss="log_loss"))
"""
Compare = Callable[..., Result]


@pytest.fixture
def compare(tmp_path: Path, landing: Path, monkeypatch: pytest.MonkeyPatch) -> Compare:
    """Run the command in a folder with a module of somebody else's."""
    monkeypatch.setenv("SPAM_ASSETS_HOME", str(landing.parent))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "models_to_compare.py").write_text(MODULE)
    return lambda *arguments: CliRunner().invoke(app, ["compare", *arguments])


@pytest.mark.slow
def test_figures_of_ours_are_those_of_the_benchmark_on_the_same_mail(
    compare: Compare, land_day: Callable[..., Path], landing: Path, tmp_path: Path
) -> None:
    days = [day_text(offset) for offset in range(14)]
    for day in days:
        mail = make_mail(day)
        mail.loc[5:35:15, "label"] = ["ham", "spam", "spam"]  # wrong labels, so that no figure is perfect
        land_day(day, mail)
    done = compare("--estimator", "models_to_compare:build", "--json", str(tmp_path / "figures.json"))
    assert done.exit_code == 0, done.output
    ours, other = json.loads((tmp_path / "figures.json").read_text())["rows"]
    assert [ours["method"], other["method"]] == ["ours", "models_to_compare:build"]
    *_, run = run_filter("spam_assets", str(landing), days, 11, columns_only=False)
    assert isinstance(run, Run)
    expected = summarize("spam_assets", run)
    shared = set(ours) & set(expected)
    assert len(shared) == 5
    for name in shared:
        assert ours[name] == pytest.approx(expected[name]), name
    assert ours["one_minus_roca_percent"] > 0.1
    assert "models_to_compare:build" in done.output
    assert "ranks best, with (1-ROCA)%" in done.output
    assert (landing.parent / "comparison.svg").read_text().count("<svg") == 1


@pytest.mark.slow
def test_a_day_that_cannot_be_read_is_named_and_left_out(compare: Compare, land_days: LandDays, landing: Path) -> None:
    land_days(13)
    (landing / f"training-{day_text(4)}.csv").write_text("subject\nhello\n")
    done = compare("--estimator", "ours")
    assert done.exit_code == 0, done.output
    assert f"left out: {day_text(4)}: " in done.stderr
    assert "there is nobody to compare it with" in done.output


def test_too_few_days_and_a_module_that_is_not_there_are_told_in_one_sentence(
    compare: Compare, land_day: Callable[..., Path]
) -> None:
    land_day(day_text(0), make_mail(day_text(0)))
    few = compare("--estimator", "ours")
    assert isinstance(few.exception, CommandError)
    assert "too few days have landed in" in str(few.exception)
    absent = compare("--estimator", "no_such_module:build")
    assert isinstance(absent.exception, EstimatorError)
    assert "module no_such_module cannot be imported" in str(absent.exception)
