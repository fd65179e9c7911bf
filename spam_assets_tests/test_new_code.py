"""New code meets what old code stored: features, models and a champion that really were made by another version."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from spam_assets.cli.outdated_days import find_days_to_run
from spam_assets.cli.verification import find_faults
from spam_assets.io_managers import fingerprints
from spam_assets.io_managers.daily_files import OutdatedFileError
from spam_assets.io_managers.fingerprints import fingerprint_model
from spam_assets.landing.zone import LandingZone
from spam_assets.learning.code_versions import FEATURES_VERSION
from spam_assets.learning.features import featurize_mail
from spam_assets.learning.held_out import HELD_OUT_SHARE
from spam_assets.learning.training import TrainingSettings, train_model
from spam_assets.registry.registered_models import CHAMPION, PREVIOUS, ModelRegistry, RegisteredVersion
from spam_assets.sensors import retraining
from spam_assets.settings import Settings
from spam_assets_tests.conftest import PROJECT, day_text, make_mail, open_instance
from spam_assets_tests.homes import SLOW, Home
from spam_assets_tests.pipeline import reason_for_nothing, run_days, stores
from spam_assets_tests.sensors.ticks import run_mail, say, tick, use_settings
from spam_assets_tests.test_excluded_days import metadata_of

pytestmark = SLOW
OLD_DAYS = [day_text(offset) for offset in range(6)]
NEW_DAY = day_text(6)
OTHER_VERSION = f"the model was trained on features of version 0, this code makes version {FEATURES_VERSION}"


@pytest.fixture(scope="module")
def old_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as it may have been: headers hashed under another name, which was version 0 of the features."""
    folder = tmp_path_factory.mktemp("old_code")
    shutil.copytree(PROJECT / "spam_assets", folder / "spam_assets")
    for module, now, then in (
        ("code_versions", f'FEATURES_VERSION = "{FEATURES_VERSION}"', 'FEATURES_VERSION = "0"'),
        ("features", '(b"From: ", sender)', '(b"Sender: ", sender)'),
    ):
        path = folder / "spam_assets" / "learning" / f"{module}.py"
        text = path.read_text()
        assert text.count(now) == 1
        path.write_text(text.replace(now, then))
    return folder


@pytest.fixture
def upgraded(tmp_path: Path, prepared_mlflow: Path, old_code: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home where the old code ran six days and made a champion, and where the sensors of the present code look."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    home = Home(tmp_path / "home", prepared_mlflow)
    for path in home.landing.iterdir():
        if path.stem.removeprefix("training-") not in OLD_DAYS:
            path.unlink()
    done = subprocess.run(
        [sys.executable, "-m", "spam_assets", "backfill"], cwd=tmp_path, capture_output=True, text=True, timeout=300,
        env={**home.environment, "PYTHONPATH": str(old_code)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    settings = home.settings.model_copy(update={"end_date": date(2024, 3, 31)})
    use_settings(monkeypatch, settings)
    monkeypatch.setenv("DAGSTER_HOME", str(settings.dagster_home))
    return settings


@pytest.fixture
def instance(upgraded: Settings) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(upgraded.dagster_home)) as instance:
        yield instance


def aliased(settings: Settings, alias: str) -> RegisteredVersion:
    found = ModelRegistry(settings).aliased(alias)
    assert found is not None
    return found


def faults(settings: Settings, instance: dg.DagsterInstance) -> list[str]:
    return list(find_faults(settings, instance, lambda *_: None))


def test_new_features_are_a_planned_step(upgraded: Settings, instance: dg.DagsterInstance, tmp_path: Path) -> None:
    frames, features, models = stores(upgraded)
    old = aliased(upgraded, CHAMPION)
    assert old.training_date == OLD_DAYS[-1]
    with pytest.raises(OutdatedFileError, match="its features are of version 0, this code makes"):
        features.load_day("mail_features", OLD_DAYS[0])
    assert faults(upgraded, instance) == [], "what the old code made is as it was recorded"
    zone = LandingZone(upgraded.landing_url)
    assert find_days_to_run(upgraded, instance, zone, OLD_DAYS) == OLD_DAYS

    # New mail comes, which the old champion cannot score here. Nothing fails, and the rule asks for a successor.
    run_mail(upgraded, instance, [6])
    told = f"version {old.version} of {old.training_date} cannot score mail here: {OTHER_VERSION}"
    assert reason_for_nothing(instance, "champion_report", NEW_DAY) == f"the champion of before {NEW_DAY}, {told}"
    ticked = tick(retraining.retraining_sensor, instance, OLD_DAYS[-1])
    assert ticked.run_requests, say(ticked)
    assert ticked.run_requests[0].tags["spam_assets/reason"] == f"the champion, {told}"
    assert_served_by_its_own_code(upgraded, tmp_path)

    run = run_days(upgraded, instance, NEW_DAY, selection=["trained_model", "registered_model"])

    assert run.is_success
    days = [*OLD_DAYS, NEW_DAY]
    window = {day: featurize_mail(frames.load_day("validated_mail", day)) for day in days}
    wanted = train_model(window, TrainingSettings(target_fpr=0.001, held_out_share=HELD_OUT_SHARE))
    assert fingerprint_model(models.load_day("trained_model", NEW_DAY)) == fingerprint_model(wanted)
    decision = metadata_of(instance, "registered_model", NEW_DAY)
    assert decision["verdict"] == "promote"
    assert decision["reason"].endswith(f"judged by the bar of a first model, because the champion, {told}")
    assert decision["champion_before"] == f"version {old.version}, trained for {old.training_date}"
    assert aliased(upgraded, CHAMPION).training_date == NEW_DAY
    assert aliased(upgraded, PREVIOUS) == ModelRegistry(upgraded).versions()[old.version - 1]
    for day in OLD_DAYS:
        assert features.data_version_of("mail_features", day) == features.fingerprint(window[day])
        assert NEW_DAY in metadata_of(instance, "mail_features", day)["made_again"]
    assert faults(upgraded, instance) == []

    run_mail(upgraded, instance, [7])
    assert aliased(upgraded, CHAMPION).training_date == NEW_DAY
    assert "messages" in metadata_of(instance, "champion_report", day_text(7))
    assert find_days_to_run(upgraded, instance, zone, days) == OLD_DAYS
    assert run_days(upgraded, instance, OLD_DAYS[0], OLD_DAYS[-1]).is_success
    assert find_days_to_run(upgraded, instance, zone, days) == []


def assert_served_by_its_own_code(settings: Settings, folder: Path) -> None:
    code = (
        "import mlflow, sys\n"
        f"mlflow.set_tracking_uri({settings.tracking_uri!r})\n"
        "served = mlflow.pyfunc.load_model('models:/spam-classifier@champion')\n"
        "verdicts = served.predict({'text': ['winner prize viagra cash loan', 'meeting agenda minutes review']})\n"
        "from spam_assets.learning.code_versions import FEATURES_VERSION\n"
        "print(FEATURES_VERSION, *(verdicts['spam_probability'] > 0.5))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.split() == ["0", "True", "False"], done.stderr


def test_a_gate_without_a_new_candidate_goes_on_as_well(upgraded: Settings, instance: dg.DagsterInstance) -> None:
    run = run_days(upgraded, instance, OLD_DAYS[-1], selection=["registered_model"])
    assert run.is_success
    assert "by this code" in reason_for_nothing(instance, "registered_model", OLD_DAYS[-1])
    assert aliased(upgraded, CHAMPION).training_date == OLD_DAYS[-1]


@pytest.fixture
def trained(settings: Settings, instance_of_now: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Settings:
    use_settings(monkeypatch, settings)
    for day in OLD_DAYS:
        LandingZone(settings.landing_url).write(day, make_mail(day))
    assert run_days(settings, instance_of_now, OLD_DAYS[0], OLD_DAYS[-1]).is_success
    assert aliased(settings, CHAMPION).training_date == OLD_DAYS[-1]
    return settings


@pytest.fixture
def instance_of_now(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with open_instance(tmp_path) as instance:
        yield instance


def test_new_training_makes_models_out_of_date_and_the_old_champion_is_held_against_them(
    trained: Settings, instance_of_now: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = LandingZone(trained.landing_url)
    assert find_days_to_run(trained, instance_of_now, zone, OLD_DAYS) == []
    monkeypatch.setattr(fingerprints, "MODEL_VERSION", "next")
    assert find_days_to_run(trained, instance_of_now, zone, OLD_DAYS) == OLD_DAYS
    run_mail(trained, instance_of_now, [6])
    assert run_days(trained, instance_of_now, NEW_DAY, selection=["trained_model", "registered_model"]).is_success
    told = metadata_of(instance_of_now, "registered_model", NEW_DAY)["reason"]
    assert f"the champion of {OLD_DAYS[-1]}" in told
    assert "first model" not in told


@pytest.mark.parametrize("how", ["damaged", "missing"])
def test_a_damaged_champion_is_told_and_the_next_candidate_is_judged_by_the_bar(
    trained: Settings, instance_of_now: dg.DagsterInstance, how: str
) -> None:
    champion = aliased(trained, CHAMPION)
    (path,) = find_artifacts(trained, champion)
    if how == "damaged":
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    else:
        path.unlink()
    why = "its artifact is damaged (BadZipFile)" if how == "damaged" else "its artifact is missing"
    told = f"version {champion.version} of {champion.training_date} cannot score mail here: {why}"

    run_mail(trained, instance_of_now, [6])
    assert told in reason_for_nothing(instance_of_now, "champion_report", NEW_DAY)
    ticked = tick(retraining.retraining_sensor, instance_of_now, OLD_DAYS[-1])
    assert ticked.run_requests, say(ticked)
    assert ticked.run_requests[0].tags["spam_assets/reason"] == f"the champion, {told}"
    run = run_days(trained, instance_of_now, NEW_DAY, selection=["trained_model", "registered_model"])
    assert run.is_success
    assert metadata_of(instance_of_now, "registered_model", NEW_DAY)["reason"].endswith(
        f"judged by the bar of a first model, because the champion, {told}"
    )
    assert aliased(trained, CHAMPION).training_date == NEW_DAY


def test_a_damaged_champion_is_registered_again_by_running_its_day(
    trained: Settings, instance_of_now: dg.DagsterInstance
) -> None:
    champion = aliased(trained, CHAMPION)
    (path,) = find_artifacts(trained, champion)
    path.write_bytes(b"")
    assert run_days(trained, instance_of_now, champion.training_date).is_success
    after = aliased(trained, CHAMPION)
    assert (after.training_date, after.data_version) == (champion.training_date, champion.data_version)
    assert after.version > champion.version
    assert fingerprint_model(ModelRegistry(trained).load_model(after)) == champion.data_version


def find_artifacts(settings: Settings, version: RegisteredVersion) -> list[Path]:
    from mlflow import MlflowClient

    uri = MlflowClient(settings.tracking_uri).get_model_version_download_uri("spam-classifier", str(version.version))
    folder = Path(uri.removeprefix("file://"))
    return list(folder.glob("data/model.npz"))
