"""Settings: where they come from, what wins, and that secrets are shown nowhere."""

import copy
import pickle
from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from spam_assets.settings import Settings, load_settings

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory and none of our variables in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "START_DATE", "END_DATE"):
        monkeypatch.delenv(f"SPAM_ASSETS_{name}", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def test_without_any_setting_there_are_defaults(working_directory: Path) -> None:
    settings = load_settings()
    assert settings.home == working_directory / ".spam_assets"
    assert settings.landing_url == str(settings.home / "landing")
    assert settings.storage_url == str(settings.home / "storage")
    assert settings.tracking_uri == f"sqlite:///{settings.home / 'mlflow.db'}"
    assert settings.mlflow_url == "http://127.0.0.1:5000"
    assert settings.start_date == date(2002, 7, 10)
    assert settings.end_date is None


def test_the_environment_wins_over_env_file_over_the_home_folder_over_the_default(
    working_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = working_directory / ".spam_assets"
    home.mkdir()
    assert load_settings().window_days == 90
    (home / "settings.env").write_text("SPAM_ASSETS_WINDOW_DAYS=10\n")
    assert load_settings().window_days == 10
    (working_directory / ".env").write_text("SPAM_ASSETS_WINDOW_DAYS=20\n")
    assert load_settings().window_days == 20
    monkeypatch.setenv("SPAM_ASSETS_WINDOW_DAYS", "30")
    assert load_settings().window_days == 30


def test_env_file_names_the_home_folder_whose_settings_are_then_read(working_directory: Path) -> None:
    (working_directory / "elsewhere").mkdir()
    (working_directory / "elsewhere" / "settings.env").write_text("SPAM_ASSETS_START_DATE=2020-02-29\n")
    (working_directory / ".env").write_text("SPAM_ASSETS_HOME=elsewhere\n")
    settings = load_settings()
    assert settings.home == working_directory / "elsewhere"
    assert settings.start_date == date(2020, 2, 29)


def test_an_empty_value_is_no_value(working_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (working_directory / ".env").write_text("SPAM_ASSETS_LANDING=\nSPAM_ASSETS_END_DATE=\nMLFLOW_TRACKING_URI=\n")
    monkeypatch.setenv("SPAM_ASSETS_STORAGE", "")
    monkeypatch.setenv("SPAM_ASSETS_HOME", "")
    assert load_settings() == Settings(home=working_directory / ".spam_assets")
    assert not load_settings().has_tracking_server


def test_the_example_file_as_it_is_sets_nothing_but_defaults(working_directory: Path) -> None:
    from spam_assets_tests.conftest import PROJECT

    (working_directory / ".env").write_text((PROJECT / ".env.example").read_text())
    assert load_settings() == Settings(home=working_directory / ".spam_assets")


def test_the_example_file_names_every_setting() -> None:
    from spam_assets_tests.conftest import PROJECT

    example = (PROJECT / ".env.example").read_text()
    for name, field in Settings.model_fields.items():
        assert f"{field.validation_alias or 'SPAM_ASSETS_' + name.upper()}=" in example


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SPAM_ASSETS_WINDOW_DAYS", "0", "window_days"),
        ("SPAM_ASSETS_TARGET_FPR", "1.5", "target_fpr"),
        ("SPAM_ASSETS_START_DATE", "2024-02-30", "start_date"),
        ("SPAM_ASSETS_UI_PORT", "70000", "ui_port"),
        ("SPAM_ASSETS_END_DATE", "2002-07-09", "SPAM_ASSETS_END_DATE (2002-07-09) is before SPAM_ASSETS_START_DATE"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_name(
    name: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as raised:
        load_settings()
    assert words in str(raised.value)


def test_an_end_on_the_start_is_one_day(monkeypatch: pytest.MonkeyPatch) -> None:
    from spam_assets.partitions import build_daily_partitions

    monkeypatch.setenv("SPAM_ASSETS_START_DATE", "2024-02-29")
    monkeypatch.setenv("SPAM_ASSETS_END_DATE", "2024-02-29")
    assert build_daily_partitions(load_settings()).get_partition_keys() == ["2024-02-29"]


@pytest.mark.parametrize(
    "uri", [f"https://user:{SECRET}@mlflow.example.com/base", f"postgresql://user:{SECRET}@db.example.com/mlflow"]
)
def test_a_secret_is_in_no_text_of_the_settings(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    settings = load_settings()
    assert settings.tracking_uri == uri
    assert settings.has_tracking_server == uri.startswith("https:")
    for text in (
        repr(settings), str(settings), f"{settings}", str(settings.model_dump()), settings.model_dump_json(),
        repr(copy.copy(settings)), settings.mlflow_url, settings.dagster_url,
    ):  # fmt: skip
        assert SECRET not in text
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_a_secret_is_in_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"https://user:{SECRET}@mlflow.example.com")
    monkeypatch.setenv("SPAM_ASSETS_WINDOW_DAYS", SECRET)
    with pytest.raises(ValidationError) as raised:
        load_settings()
    assert "window_days" in str(raised.value)
    assert SECRET not in str(raised.value)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        load_settings().window_days = 3  # type: ignore[misc]
