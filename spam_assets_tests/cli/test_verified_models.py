"""`verify` and `reproduce` on registered models: each thing that was changed is named, and everything else passes."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from mlflow import MlflowClient

from spam_assets.cli.console import CommandError
from spam_assets.cli.reproduction import Reproduction, reproduce_model
from spam_assets.cli.verification import Findings, verify
from spam_assets.registry import training_records
from spam_assets.registry.registered_models import CHAMPION, MODEL_NAME, ModelRegistry, RegisteredVersion
from spam_assets.registry.training_runs import build_mlflow_resource
from spam_assets.settings import Settings
from spam_assets_tests.conftest import FIRST_DAY, day_text, make_mail, open_instance
from spam_assets_tests.pipeline import run_days, stores
from spam_assets_tests.registry import change, log

DAYS = [day_text(offset) for offset in range(3)]
CODE = "code/modules.zip"
AGAIN = f"spam-assets run --date {DAYS[-1]} trains and registers it again"

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Trained:
    """A home where three days ran, the last of which gave the champion."""

    settings: Settings
    instance: dg.DagsterInstance
    champion: RegisteredVersion

    def look(self, version: int | None = None) -> Findings:
        return verify(self.settings, self.instance, lambda *_: None, version)

    def reproduce(self, version: int | None = None) -> Reproduction:
        return reproduce_model(self.settings, self.instance, version or self.champion.version, lambda *_: None)

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.settings.tracking_uri)

    @property
    def model_folder(self) -> Path:
        uri = self.client.get_model_version_download_uri(MODEL_NAME, str(self.champion.version))
        return Path(uri.removeprefix("file://"))

    @property
    def run_folder(self) -> Path:
        return Path(self.client.get_run(self.champion.run_id).info.artifact_uri.removeprefix("file://"))

    def stored(self, asset: str, day: str) -> Path:
        (path,) = Path(self.settings.storage_url, asset).glob(f"{day}.*")
        return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, prepared_mlflow: Path) -> Iterator[Trained]:
    folder = tmp_path_factory.mktemp("verified")
    home = folder / "home"
    (home / "landing").mkdir(parents=True)
    shutil.copy(prepared_mlflow, home / "mlflow.db")
    for day in DAYS:
        make_mail(day).to_csv(home / "landing" / f"training-{day}.csv", index=False)
    with pytest.MonkeyPatch.context() as patch, open_instance(folder) as instance:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        settings = Settings(home=home, start_date=FIRST_DAY, end_date=date(2024, 3, 31))
        assert run_days(settings, instance, DAYS[0], DAYS[-1]).is_success
        champion = ModelRegistry(settings).aliased(CHAMPION)
        assert champion is not None
        assert champion.training_date == DAYS[-1]
        yield Trained(settings, instance, champion)


@contextmanager
def changed(path: Path, edit: Callable[[bytes], bytes] | None) -> Iterator[None]:
    """Let a file hold something else for a while, or be away."""
    before = path.read_bytes()
    if edit is None:
        path.unlink()
    else:
        after = edit(before)
        assert after != before
        path.write_bytes(after)
    try:
        yield
    finally:
        path.write_bytes(before)


def flip_byte(content: bytes) -> bytes:
    changed = bytearray(content)
    changed[len(content) // 2] ^= 1
    return bytes(changed)


def edit_record(**others: Any) -> Callable[[bytes], bytes]:
    return lambda content: json.dumps({**json.loads(content), **others}).encode()


def install_other_numpy(content: bytes) -> bytes:
    record = json.loads(content)
    record["environment"]["packages"]["numpy"] = "1.0"
    return json.dumps(record).encode()


def test_what_nobody_touched_passes_whole_and_by_version(trained: Trained) -> None:
    whole = trained.look()
    assert (whole.faults, whole.notes) == ([], [])
    assert whole.data[f"mail_features/{DAYS[0]}"]
    versions = ModelRegistry(trained.settings).versions()
    assert whole.models == {version.version: version.data_version for version in versions}
    one = trained.look(versions[0].version)
    assert (one.faults, list(one.models)) == ([], [versions[0].version])
    assert {name.partition("/")[2] for name in one.data} <= {DAYS[0], DAYS[1]}
    for version in versions:
        found = trained.reproduce(version.version)
        assert (found.is_identical, found.changes, found.notes) == (True, (), ())
    with pytest.raises(ValueError, match="there is no version 99"):
        trained.look(99)
    with pytest.raises(CommandError, match="there is no version 99"):
        trained.reproduce(99)


@pytest.mark.parametrize("asset", ["raw_mail", "validated_mail", "mail_features"])
def test_one_byte_of_data_is_named(trained: Trained, asset: str) -> None:
    with changed(trained.stored(asset, DAYS[1]), flip_byte):
        for found in (trained.look(), trained.look(trained.champion.version)):
            (fault,) = found.faults
            assert fault.startswith(f"{asset} of {DAYS[1]} ")
        made = trained.reproduce()
        assert made.is_identical, "features can be made from mail, and mail is not needed where they are"
        assert [f"{asset} of {DAYS[1]} " in change for change in made.changes] == [True]


def test_a_byte_that_no_value_depends_on_is_named_as_well(trained: Trained) -> None:
    with changed(trained.stored("raw_mail", DAYS[1]), lambda content: content.replace(b"parquet-cpp", b"parquet-cxx")):
        (fault,) = trained.look().faults
    assert (
        fault
        == f"raw_mail of {DAYS[1]} reads as recorded, but its bytes changed; materialize raw_mail for {DAYS[1]} again"
    )


def test_a_landing_file_that_changed_since_its_day_ran_is_named_and_one_that_is_gone_is_noted(trained: Trained) -> None:
    path = Path(trained.settings.landing_url, f"training-{DAYS[1]}.csv")
    with changed(path, lambda content: content.replace(b"spam", b"spem", 1)):
        (fault,) = trained.look().faults
        assert f"the landing file of {DAYS[1]} is not what raw_mail of {DAYS[1]} was made from" in fault
        assert trained.reproduce().changes == (fault,)
    with changed(path, None):
        found = trained.look()
    assert (found.faults, found.notes) == (
        [], [f"the landing file of {DAYS[1]} is gone; what was made of it stays in use"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("file", "edit", "why"),
    [
        ("data/model.npz", flip_byte, "its artifact is damaged (BadZipFile)"),
        ("data/model.npz", None, "its artifact is missing"),
        (CODE, lambda content: content + b"\n", f"its file {CODE} changed"),
        (CODE, None, f"its file {CODE} is missing"),
    ],
)  # fmt: skip
def test_a_registered_model_that_changed_is_named(
    trained: Trained, file: str, edit: Callable[[bytes], bytes] | None, why: str
) -> None:
    number = trained.champion.version
    with changed(trained.model_folder / file, edit):
        told = f"the champion, version {number}, is not what was registered: {why}; promote another version"
        assert trained.look().faults == [told]
        assert trained.look(number).faults == [told]
        changes = trained.reproduce().changes
    assert changes == ((f"the registered model of version {number}: {why}",) if file.startswith("data") else ())


def test_another_package_is_named_of_the_champion_and_of_the_version_that_is_asked_for(trained: Trained) -> None:
    from importlib.metadata import version as installed

    told = f"package numpy is {installed('numpy')} here, it was 1.0; pip install numpy==1.0"
    number = trained.champion.version
    with changed(trained.run_folder / "record.json", install_other_numpy):
        assert trained.look().faults == [f"version {number} was trained otherwise: {told}"]
        assert trained.look(number).faults == [f"version {number} was trained otherwise: {told}"]
        assert trained.look(number - 1).faults == []
        made = trained.reproduce()
        assert (made.is_identical, made.changes) == (True, (told,))


def test_a_record_that_is_damaged_missing_or_not_its_own_is_named(trained: Trained) -> None:
    number, path = trained.champion.version, trained.run_folder / "record.json"
    with changed(path, lambda content: content[:100]):
        (fault,) = trained.look().faults
        assert f"the record of version {number} is damaged" in fault
        with pytest.raises(CommandError, match=f"the record of version {number} is damaged"):
            trained.reproduce()
    with changed(path, edit_record(training_date=DAYS[0])):
        assert trained.look().faults == [
            f"the record of version {number} is not its own: the training date differs; {AGAIN}"
        ]
    with changed(trained.run_folder / "window.json", lambda _: b"{}"):
        assert trained.look().faults == [f"the record of version {number} is not its own: the window differs; {AGAIN}"]
    with changed(path, None):
        found = trained.look()
        assert found.faults == []
        assert f"version {number} was trained before trainings were recorded" in found.notes[0]
        with pytest.raises(CommandError, match="trained before trainings were recorded; spam-assets run --date"):
            trained.reproduce()


def test_what_belongs_to_nobody_is_named(trained: Trained) -> None:
    client, champion = trained.client, trained.champion
    stray = trained.stored("mail_features", DAYS[0]).with_stem(day_text(9))
    shutil.copy(trained.stored("mail_features", DAYS[0]), stray)
    folders = [trained.settings.artifact_folder / "unknown", trained.settings.artifact_folder / "models" / "m-unknown"]
    for folder in folders:
        folder.mkdir()
    run = dg.DagsterRun(job_name="train_job", run_id="planted")
    model = stores(trained.settings)[2].load_day("trained_model", DAYS[0])
    with dg.build_resources({"mlflow": build_mlflow_resource(trained.settings)}, dagster_run=run) as resources:
        log(resources.mlflow, DAYS[0], change(model, 0.77))
        experiment = resources.mlflow.experiment_id
    unregistered = client.search_runs([experiment], max_results=1)[0].info.run_id
    left_open = client.create_run(experiment, run_name="train-open", tags={"dagster_run_id": "gone"}).info.run_id
    client.delete_run(champion.run_id)

    faults = trained.look().faults

    assert faults == [
        f"version {champion.version} has no training run any more; restore it in MLflow, or delete the version",
        f"train-{DAYS[0]} (MLflow run {unregistered}) trained a model that no version holds; materialize "
        f"registered_model for {DAYS[0]}, or delete the run",
        f"train-open (MLflow run {left_open}) is still open, and nobody works on it; spam-assets backfill ends it",
        *(f"{folder} belongs to no run and to no model of MLflow; remove it" for folder in folders),
        f"mail_features of {day_text(9)} is in storage, but Dagster has no record of it; materialize mail_features for "
        f"{day_text(9)}, or remove {stray}",
    ]
    client.restore_run(champion.run_id)
    for run_id in (unregistered, left_open):
        client.delete_run(run_id)
    for folder in folders:
        folder.rmdir()
    stray.unlink()
    assert trained.look().faults == []


def test_other_weights_are_told_with_every_input_that_changed(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_records, "digest_code", lambda: "another")
    harmless = trained.reproduce()
    assert (harmless.is_identical, harmless.changes) == (True, ())
    assert [note.partition(" (")[0] for note in harmless.notes] == ["the code of mail and learning is not what it was"]

    path = trained.run_folder / "record.json"
    settings = {**json.loads(path.read_text())["settings"], "cost": 0.1}
    with changed(path, edit_record(settings=settings)):
        made = trained.reproduce()
        assert not made.is_identical
        assert made.changes == harmless.notes
        monkeypatch.undo()
        assert "the machine may round otherwise" in trained.reproduce().changes[0]
    with changed(path, edit_record(settings={**settings, "cost": 1.4, "magic": 1})):
        assert trained.reproduce().changes == ("setting magic of the training is unknown to this code",)


def test_a_day_that_is_gone_leaves_nothing_to_train_from(trained: Trained) -> None:
    with changed(trained.stored("validated_mail", DAYS[0]), None):
        assert trained.reproduce().is_identical, "its features are there"
        with changed(trained.stored("mail_features", DAYS[0]), None):
            made = trained.reproduce()
    assert made.data_version is None
    assert [change.partition(" is not in storage")[0] for change in made.changes] == [
        f"mail_features of {DAYS[0]}", f"validated_mail of {DAYS[0]}",
    ]  # fmt: skip
