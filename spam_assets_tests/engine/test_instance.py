"""`dagster.yaml` of the home folder: up to date by itself until somebody changes it, then theirs."""

from pathlib import Path

import dagster as dg
import pytest

from spam_assets.engine.instance import SECTIONS, is_unchanged, prepare_instance, seal
from spam_assets.engine.sqlite_storage import SharedEngineRunStorage

OLDER_VERSION = Path(__file__).with_name("dagster_of_an_older_version.yaml").read_text()


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    prepare_instance(tmp_path)
    return tmp_path / "dagster.yaml"


def test_a_new_home_gets_a_file_that_dagster_reads(written: Path) -> None:
    with dg.DagsterInstance.from_config(str(written.parent)) as instance:
        assert isinstance(instance.run_storage, SharedEngineRunStorage)
        assert not instance.telemetry_enabled
        assert instance.run_retries_enabled


@pytest.mark.parametrize("text", [OLDER_VERSION, seal("telemetry:\n  enabled: true\n")], ids=["before seals", "sealed"])
def test_what_an_older_version_wrote_and_nobody_changed_becomes_todays(written: Path, text: str) -> None:
    written.write_text(text)
    assert prepare_instance(written.parent) is None
    assert written.read_text() == seal(SECTIONS)


@pytest.mark.parametrize("text", [OLDER_VERSION, seal(SECTIONS)], ids=["before seals", "sealed"])
def test_what_somebody_changed_is_left_as_it_is(written: Path, text: str) -> None:
    changed = text.replace("max_concurrent_runs: 4", "max_concurrent_runs: 9")
    written.write_text(changed)
    assert not is_unchanged(changed)
    assert prepare_instance(written.parent) is None  # nothing is lacking
    assert written.read_text() == changed


def test_one_sentence_says_what_a_changed_file_lacks(written: Path) -> None:
    written.write_text("telemetry:\n  enabled: false\nstorage:\n  postgres: {}\nconcurrency:\n  runs: {}\n")
    lack = prepare_instance(written.parent)
    assert lack is not None
    assert str(written) in lack
    assert "compute_logs, concurrency.pools, concurrency.runs.max_concurrent_runs, run_monitoring, run_retries" in lack
    assert "telemetry" not in lack
    assert "storage" not in lack

    written.write_text(written.read_text() + "# we do without compute_logs and run_retries\n")
    again = prepare_instance(written.parent) or ""
    assert "run_monitoring" in again
    assert "compute_logs" not in again
    assert "run_retries" not in again


@pytest.mark.parametrize("text", ["- a list\n", "no mapping", "", "a: [", "concurrency: 3\n"])
def test_a_file_that_is_no_configuration_is_left_to_dagster(written: Path, text: str) -> None:
    written.write_text(text)
    prepare_instance(written.parent)
    assert written.read_text() == text


def test_a_changed_file_of_an_older_version_still_opens(written: Path) -> None:
    assert "module: spam_assets.dagster_storage" in OLDER_VERSION
    written.write_text(OLDER_VERSION + "# mine\n")
    prepare_instance(written.parent)
    with dg.DagsterInstance.from_config(str(written.parent)) as instance:
        assert isinstance(instance.run_storage, SharedEngineRunStorage)
