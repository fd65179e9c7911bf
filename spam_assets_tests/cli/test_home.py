"""The home folder: made once, safe to make again, also by several processes at once."""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from spam_assets.cli.home import prepare_home, prepare_landing, widen_day_range
from spam_assets.engine.instance import is_unchanged
from spam_assets.settings import Settings, load_settings
from spam_assets_tests.conftest import PROJECT


@pytest.fixture
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".db"}


def test_preparing_twice_changes_nothing_and_keeps_what_a_person_changed(
    settings: Settings, working_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(settings.dagster_home))
    prepare_home(settings)
    configuration = settings.dagster_home / "dagster.yaml"
    assert is_unchanged(configuration.read_text())
    configuration.write_text("# mine\n")
    before = files_of(settings.home)
    prepare_home(settings)
    assert files_of(settings.home) == before
    assert configuration.read_text() == "# mine\n"


def test_dagster_home_is_exported_and_noted_for_dagster_dev_only_in_a_checkout(
    settings: Settings, working_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "x")
    monkeypatch.delenv("DAGSTER_HOME")  # the pair restores what there was after the test
    prepare_home(settings)
    assert os.environ["DAGSTER_HOME"] == str(settings.dagster_home)
    assert not Path(".env").exists()

    monkeypatch.delenv("DAGSTER_HOME")
    Path("workspace.yaml").write_text("")
    Path(".env").write_text("SPAM_ASSETS_OWNER=me@example.com")
    for _ in range(2):
        monkeypatch.delenv("DAGSTER_HOME", raising=False)
        prepare_home(settings)
    assert Path(".env").read_text().splitlines() == [
        "SPAM_ASSETS_OWNER=me@example.com",
        f"DAGSTER_HOME={settings.dagster_home}  # set by spam-assets",
    ]


def test_a_line_of_ours_follows_the_home_folder_and_a_persons_stays(
    settings: Settings, working_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("workspace.yaml").write_text("")
    for before, after in (
        (
            "DAGSTER_HOME=/elsewhere  # set by spam-assets",
            f"DAGSTER_HOME={settings.dagster_home}  # set by spam-assets",
        ),
        ("DAGSTER_HOME=/mine", "DAGSTER_HOME=/mine"),
    ):
        Path(".env").write_text(before)
        monkeypatch.setenv("DAGSTER_HOME", "x")
        monkeypatch.delenv("DAGSTER_HOME")
        prepare_home(settings)
        assert Path(".env").read_text().strip() == after


@pytest.mark.parametrize(
    ("environment", "line", "expected"),
    [
        ("{0}/env", "DAGSTER_HOME={0}/file", "{0}/env"),
        (None, "DAGSTER_HOME={0}/file", "{0}/file"),
        (None, "DAGSTER_HOME='{0}/with space'  # mine", "{0}/with space"),
        (None, "DAGSTER_HOME={0}/older  # set by spam-assets", None),
        (None, "DAGSTER_HOME=", None),
        (None, "", None),
    ],
)
def test_one_rule_says_where_runs_are_kept_and_another_place_than_the_home_folder_is_told(
    settings: Settings,
    working_directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: str | None,
    line: str,
    expected: str | None,
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "x")
    monkeypatch.delenv("DAGSTER_HOME")
    if environment is not None:
        monkeypatch.setenv("DAGSTER_HOME", environment.format(working_directory))
    Path(".env").write_text(line.format(working_directory))
    place = Path(expected.format(working_directory)) if expected else settings.dagster_home

    told = prepare_home(settings)

    assert os.environ["DAGSTER_HOME"] == str(place)
    assert (place / "dagster.yaml").is_file()
    assert (told is None) == (expected is None)
    if told is not None:
        assert f"runs are kept in {place}, which" in told


def test_an_instance_of_ones_own_is_used_as_it_is(
    settings: Settings, working_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (working_directory / "shared" / "history").mkdir(parents=True)
    monkeypatch.setenv("DAGSTER_HOME", str(working_directory / "shared"))
    prepare_home(settings)
    assert not (working_directory / "shared" / "dagster.yaml").exists()


def test_an_env_file_that_only_its_owner_reads_stays_so_and_a_link_stays_a_link(
    settings: Settings, working_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("workspace.yaml").write_text("")
    secrets = working_directory / "elsewhere"
    secrets.write_text("MLFLOW_TRACKING_URI=postgresql://me:secret@host/db\n")
    secrets.chmod(0o600)
    Path(".env").symlink_to(secrets)
    monkeypatch.setenv("DAGSTER_HOME", "x")
    monkeypatch.delenv("DAGSTER_HOME")
    prepare_home(settings)
    assert Path(".env").is_symlink()
    assert "DAGSTER_HOME=" in secrets.read_text()
    assert secrets.stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
def test_two_processes_at_once_create_one_store_with_one_experiment(tmp_path: Path) -> None:
    environment = {
        **{name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"},
        "SPAM_ASSETS_HOME": str(tmp_path / "home"),
        "DAGSTER_HOME": str(tmp_path / "home" / "dagster"),
        "PYTHONPATH": str(PROJECT),
    }
    code = "from spam_assets.cli.home import prepare_home; from spam_assets.settings import load_settings; " + (
        "prepare_home(load_settings())"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=environment, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path / 'home' / 'mlflow.db'}")
    found = [experiment.name for experiment in client.search_experiments()]
    assert found.count("spam-classifier") == 1
    experiment = client.get_experiment_by_name("spam-classifier")
    assert experiment is not None
    assert experiment.artifact_location == (tmp_path / "home" / "mlartifacts").as_uri()


def test_a_landing_zone_of_ones_own_is_not_created_so_that_a_typing_error_shows(settings: Settings) -> None:
    prepare_landing(settings.model_copy(update={"landing": str(settings.home / "typo")}))
    assert not (settings.home / "typo").exists()


def read_range(settings: Settings) -> list[str]:
    return settings.range_file.read_text().splitlines()[1:]


def test_landing_an_archive_makes_the_partitions_fit_it(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert widen_day_range(settings, date(2020, 1, 5), date(2020, 2, 1), open_ended=False)
    assert read_range(settings) == ["SPAM_ASSETS_START_DATE=2020-01-05", "SPAM_ASSETS_END_DATE=2020-02-01"]
    assert not widen_day_range(settings, date(2020, 1, 7), date(2020, 1, 9), open_ended=False)
    assert widen_day_range(settings, date(2019, 12, 1), date(2020, 3, 1), open_ended=False)
    assert read_range(settings) == ["SPAM_ASSETS_START_DATE=2019-12-01", "SPAM_ASSETS_END_DATE=2020-03-01"]


def test_mail_that_keeps_landing_takes_the_end_away_for_good(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    widen_day_range(settings, date(2020, 1, 5), date(2020, 2, 1), open_ended=False)
    assert widen_day_range(settings, date(2026, 1, 5), date(2026, 2, 1), open_ended=True)
    assert read_range(settings) == ["SPAM_ASSETS_START_DATE=2020-01-05"]
    widen_day_range(settings, date(2019, 1, 5), date(2019, 2, 1), open_ended=False)
    assert read_range(settings) == ["SPAM_ASSETS_START_DATE=2019-01-05"]


def test_the_noted_range_is_what_the_settings_read(working_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("START_DATE", "END_DATE"):
        monkeypatch.delenv(f"SPAM_ASSETS_{name}")
    monkeypatch.setenv("SPAM_ASSETS_HOME", str(working_directory))
    widen_day_range(load_settings(), date(2020, 1, 5), date(2020, 2, 1), open_ended=False)
    assert (load_settings().start_date, load_settings().end_date) == (date(2020, 1, 5), date(2020, 2, 1))
