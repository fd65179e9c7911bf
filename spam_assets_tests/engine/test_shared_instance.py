"""`dagster.yaml` of an instance on PostgreSQL: what it says, that Dagster takes it, that it holds no secret."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dagster._core.errors import DagsterInvalidConfigError

from spam_assets.engine.instance import (
    SECTIONS,
    find_variables,
    is_unchanged,
    prepare_instance,
    require_variables,
)
from spam_assets.engine.shared_instance import (
    CELERY_URL,
    IMPORTED_BY_WORKERS,
    POSTGRES_URL,
    RESULTS_URL,
    check_instance,
    is_written_by_init,
    write_instance,
    write_worker_settings,
)
from spam_assets.shared.place import MissingVariableError
from spam_assets_tests.conftest import PROJECT

PACKAGES = {"dagster-postgres": "dagster_postgres", "dagster-celery": "dagster_celery"}
MISSING = [name for name, module in PACKAGES.items() if importlib.util.find_spec(module) is None]


@pytest.mark.parametrize("results", [None, CELERY_URL, RESULTS_URL])
def test_dagster_takes_what_is_written_as_far_as_what_is_installed_can_tell(results: str | None) -> None:
    text = write_instance(3, results)
    needed = ["dagster-postgres", "dagster-celery"] if results else ["dagster-postgres"]
    assert check_instance(text) == [name for name in needed if name in MISSING]
    assert find_variables(text) == [POSTGRES_URL, *dict.fromkeys([CELERY_URL, results] if results else [])]
    assert yaml.safe_load(text)["concurrency"]["runs"] == {"max_concurrent_runs": 3}


@pytest.mark.parametrize(
    ("right", "wrong", "needs"),
    [
        ("postgres_url:", "postgres_uri:", None),
        ("poll_interval_seconds", "poll_seconds", None),
        ("max_retries: 2", "max_retries: two", None),
        ("default_queue", "queue", "dagster-celery"),
    ],
)
def test_what_dagster_does_not_take_is_an_error(right: str, wrong: str, needs: str | None) -> None:
    if needs in MISSING:
        pytest.skip(f"{needs} is not installed")
    text = write_instance(2, CELERY_URL)
    assert right in text
    with pytest.raises(DagsterInvalidConfigError):
        check_instance(text.replace(right, wrong))


def test_runs_of_people_are_retried_and_dead_ones_let_go_of_their_pool() -> None:
    written = yaml.safe_load(write_instance(2, CELERY_URL))
    assert written["run_retries"] == {"enabled": True, "max_retries": 2, "retry_on_asset_or_op_failure": False}
    assert written["run_monitoring"]["enabled"]
    assert written["run_monitoring"]["start_timeout_seconds"] > 0
    assert written["run_monitoring"]["max_resume_run_attempts"] == 0  # a resumed run starts at its first day
    assert written["run_monitoring"]["free_slots_after_run_end_seconds"] > 0
    assert written["concurrency"]["pools"] == {"granularity": "run", "default_limit": 1}


def test_it_has_all_that_the_file_of_one_machine_has(tmp_path: Path) -> None:
    path = tmp_path / "dagster.yaml"
    path.write_text(write_instance(2, None))
    assert prepare_instance(tmp_path) is None
    assert path.read_text() == write_instance(2, None), "it is not taken for the default, and stays"

    path.write_text(path.read_text().replace("python_logs", "python_log"))
    assert "run spam-assets init again" in (prepare_instance(tmp_path) or "")


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason="a worker has them")
def test_what_workers_import_before_they_fork_knows_no_days_and_starts_no_thread() -> None:
    code = (
        "import gc, importlib, sys, threading\n"
        "for name in sys.argv[1:]:\n    importlib.import_module(name)\n"
        "known = [f'spam_assets.{name}' in sys.modules for name in ('windows', 'partitions')]\n"
        "print(*known, threading.active_count())\n"
        "from numba.core import caching\n"
        "loaded, load = [], caching.Cache.load_overload\n"
        "caching.Cache.load_overload = lambda self, *args: (loaded.append(self), load(self, *args))[1]\n"
        "from spam_assets.learning.features import featurize_mail\n"
        "from spam_assets.learning.held_out import HELD_OUT_SHARE\n"
        "from spam_assets.learning.training import TrainingSettings, train_model\n"
        "from spam_assets_tests.conftest import day_text, make_mail\n"
        "window = {day: featurize_mail(make_mail(day, 200)) for day in map(day_text, range(3))}\n"
        "model = train_model(window, TrainingSettings(held_out_share=HELD_OUT_SHARE))\n"
        "print(len(model.score(window[day_text(0)])), len(loaded))\n"
        "print(gc.get_freeze_count() > 100_000)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *IMPORTED_BY_WORKERS], capture_output=True, text=True, check=True, cwd=PROJECT
    )
    days, functions, garbage = done.stdout.splitlines()
    assert days == "True False 1"
    assert functions == "200 0", "Numba has loaded all that a training calls"
    assert garbage == "True", "Celery's own look for garbage before each fork would take as long as a fork"


def test_its_seal_tells_it_from_a_changed_one_and_from_the_default() -> None:
    for text in (write_instance(2, CELERY_URL), write_worker_settings(CELERY_URL)):
        assert is_written_by_init(text)
        assert not is_unchanged(text)
        assert not is_written_by_init(text + "# mine\n")
    assert not is_written_by_init(SECTIONS)


def test_a_variable_that_is_not_set_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_variables(tmp_path)  # no file, nothing to set
    (tmp_path / "dagster.yaml").write_text(write_instance(2, CELERY_URL))
    monkeypatch.setenv(POSTGRES_URL, "postgresql+psycopg2://db/dagster")
    monkeypatch.setenv(CELERY_URL, "")
    with pytest.raises(MissingVariableError, match=f"^{CELERY_URL} is not set, and .*dagster.yaml takes the URL"):
        require_variables(tmp_path)
    monkeypatch.setenv(CELERY_URL, "redis://queue")
    require_variables(tmp_path)
