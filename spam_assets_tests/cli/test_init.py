"""`spam-assets init` as a person uses it: what it writes, what it refuses, what it never writes."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from spam_assets.cli.console import CommandError
from spam_assets.cli.init import commands
from spam_assets.engine.instance import prepare_instance
from spam_assets.engine.shared_instance import CELERY_URL, RESULTS_URL, write_instance, write_worker_settings
from spam_assets.settings import Settings, load_settings

POSTGRES = "postgresql+psycopg2://spam_assets:pg0secret@db.internal:5432/dagster"
CELERY = "redis://:rd0secret@queue.internal:6379/0"


@pytest.fixture
def dagster_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPAM_ASSETS_HOME", str(tmp_path / "home"))
    urls = ("SPAM_ASSETS_POSTGRES_URL", CELERY_URL, RESULTS_URL, "MLFLOW_TRACKING_URI")  # the last one MLflow sets
    for name in (*urls, "DAGSTER_HOME"):
        monkeypatch.setenv(name, "")  # and load_settings may set it: it is taken back after the test
        monkeypatch.delenv(name)
    return tmp_path / "home" / "dagster"


def init(*arguments: str) -> str:
    """Run the command and return what it printed; a refusal is raised."""
    done = CliRunner().invoke(commands, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


def test_both_files_are_written_and_hold_no_part_of_a_url(dagster_home: Path) -> None:
    said = init("--postgres", POSTGRES, "--celery", CELERY, "--runs", "5")
    assert (dagster_home / "dagster.yaml").read_text() == write_instance(5, CELERY_URL)
    assert (dagster_home / "celery.yaml").read_text() == write_worker_settings(CELERY_URL)
    assert "set for every process, on every machine: SPAM_ASSETS_POSTGRES_URL, SPAM_ASSETS_CELERY_URL" in said
    assert "set SPAM_ASSETS_LANDING, SPAM_ASSETS_STORAGE, MLFLOW_TRACKING_URI as well" in said
    files = [path for path in dagster_home.parent.rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"dagster.yaml", "celery.yaml"}
    for text in (said, *(path.read_text() for path in files)):
        assert not any(part in text for part in ("0secret", "db.internal", "queue.internal"))
    assert dagster_home.parent.stat().st_mode & 0o077 == 0
    assert prepare_instance(dagster_home) is None
    assert (dagster_home / "dagster.yaml").read_text() == write_instance(5, CELERY_URL)


def test_without_celery_runs_start_where_the_daemon_is(dagster_home: Path) -> None:
    assert "SPAM_ASSETS_CELERY_URL" not in init("--postgres", POSTGRES)
    assert (dagster_home / "dagster.yaml").read_text() == write_instance(2, None)
    assert not (dagster_home / "celery.yaml").exists()


def test_urls_of_the_environment_and_of_the_env_file_need_no_option(
    dagster_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPAM_ASSETS_POSTGRES_URL", POSTGRES)
    Path(".env").write_text(f"{CELERY_URL}={CELERY}\n{RESULTS_URL}=redis://queue.internal/1\n")
    monkeypatch.setenv("SPAM_ASSETS_STORAGE", "s3://mail/storage")
    said = init()
    assert (dagster_home / "dagster.yaml").read_text() == write_instance(2, RESULTS_URL)
    assert "set SPAM_ASSETS_LANDING, MLFLOW_TRACKING_URI as well" in said


def test_a_second_time_changes_nothing_and_another_number_of_runs_is_said(dagster_home: Path) -> None:
    assert "dagster.yaml: written" in init("--postgres", POSTGRES)
    assert "dagster.yaml: as it was" in init("--postgres", POSTGRES)
    assert "dagster.yaml: replaced" in init("--postgres", POSTGRES, "--runs", "3")


def test_the_file_of_one_machine_is_replaced_and_its_runs_are_spoken_of(dagster_home: Path) -> None:
    dagster_home.mkdir(parents=True)
    prepare_instance(dagster_home)
    (dagster_home / "history").mkdir()
    said = init("--postgres", POSTGRES)
    assert f"note: runs of before stay in {dagster_home / 'history'}" in said
    assert "dagster.yaml: replaced" in said


def test_a_changed_file_is_kept_unless_it_is_to_be_put_aside(dagster_home: Path) -> None:
    init("--postgres", POSTGRES)
    path = dagster_home / "dagster.yaml"
    mine = path.read_text() + "# mine\n"
    path.write_text(mine)
    with pytest.raises(CommandError, match=r"dagster.yaml was changed by hand; --replace puts it aside as"):
        init("--postgres", POSTGRES, "--celery", CELERY)
    assert path.read_text() == mine
    assert not (dagster_home / "celery.yaml").exists()

    init("--postgres", POSTGRES, "--replace")
    assert path.with_name("dagster.yaml.before").read_text() == mine
    path.write_text("# another one\n")
    with pytest.raises(CommandError, match=r"move .*dagster.yaml.before away first"):
        init("--postgres", POSTGRES, "--replace")
    assert path.read_text() == "# another one\n"


def test_plain_postgresql_is_translated_on_the_command_line_and_refused_where_it_would_be_used(
    dagster_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = init("--postgres", "postgresql://spam_assets:pg0secret@db.internal/dagster")
    assert "note: postgresql:// is written postgresql+psycopg2:// here" in said
    monkeypatch.setenv("SPAM_ASSETS_POSTGRES_URL", "postgresql://spam_assets:pg0secret@db.internal/dagster")
    with pytest.raises(ValueError, match=r"must be postgresql\+psycopg2://user:password@host") as refused:
        init()
    assert "pg0secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name the database with --postgres URL"),
        (["--postgres", POSTGRES, "--celery", "amqp://queue.internal"], "keeps no results; name what does with"),
    ],
)
def test_what_is_lacking_is_said(dagster_home: Path, arguments: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        init(*arguments)
    assert not dagster_home.exists()


@pytest.mark.parametrize(
    ("name", "url", "fits"),
    [
        ("postgres_url", "postgresql+psycopg2://user:p%40ss@db:5432/dagster", True),
        ("postgres_url", "postgresql+psycopg2://db", False),
        ("postgres_url", "mysql://db/dagster", False),
        ("postgres_url", "postgresql+psycopg2://db:port/dagster", False),
        ("postgres_url", "postgresql+psycopg2://user:it's@db/dagster", False),
        ("celery_url", "rediss://:password@queue:6380/0", True),
        ("celery_url", "amqp://user:password@queue//", True),
        ("celery_url", "queue:6379", False),
        ("celery_results_url", "redis://queue/1", True),
        ("celery_results_url", "db+postgresql+psycopg2://db/celery", True),
        ("celery_results_url", "db+postgresql://db/celery", False),
        ("celery_results_url", "rpc://queue", False),
        ("celery_results_url", "amqp://queue", False),
    ],
)
def test_a_url_that_cannot_work_is_refused(name: str, url: str, fits: bool) -> None:
    if fits:
        assert getattr(Settings(**{name: url}), name).get_secret_value() == url
    else:
        with pytest.raises(ValueError, match=f"SPAM_ASSETS_{name.upper()} must") as refused:
            Settings(**{name: url})
        assert url not in str(refused.value)


def test_dagster_finds_in_the_environment_what_the_env_file_has(
    dagster_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    Path(".env").write_text(f"SPAM_ASSETS_POSTGRES_URL={POSTGRES}\n")
    load_settings()
    assert os.environ["SPAM_ASSETS_POSTGRES_URL"] == POSTGRES
