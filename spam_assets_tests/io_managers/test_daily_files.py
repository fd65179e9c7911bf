"""Storage: what is written comes back, a reader never sees half a file, and a damaged one says what to do."""

from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from upath import UPath

from spam_assets.io_managers.arrow_features import FeaturesIOManager
from spam_assets.io_managers.daily_files import DailyFileIOManager, StorageError, write_day
from spam_assets.io_managers.npz_models import ModelIOManager
from spam_assets.io_managers.parquet_frames import FrameIOManager
from spam_assets.landing.zone import LandingZone
from spam_assets.learning.features import featurize_mail
from spam_assets.learning.training import TrainingSettings, train_model
from spam_assets.partitions import DAYS
from spam_assets_tests.conftest import day_text, make_mail


def landed_mail(zone: LandingZone, offset: int = 0) -> pd.DataFrame:
    day = day_text(offset)
    zone.write(day, make_mail(day))
    return zone.read(day).frame


def test_a_frame_comes_back_as_it_was(place: UPath, zone: LandingZone) -> None:
    mail = landed_mail(zone)
    manager = FrameIOManager(place)
    path = manager.path_of("raw_mail", day_text(0))
    write_day(path, manager.to_bytes(mail))
    pd.testing.assert_frame_equal(manager.load_day("raw_mail", day_text(0)), mail)


def test_features_come_back_memory_mapped_and_equal(place: UPath, zone: LandingZone) -> None:
    features = featurize_mail(landed_mail(zone))
    manager = FeaturesIOManager(place)
    path = manager.path_of("mail_features", day_text(0))
    write_day(path, manager.to_bytes(features))

    loaded = manager.load_day("mail_features", day_text(0))

    assert loaded.message_ids.tolist() == features.message_ids.tolist()
    np.testing.assert_array_equal(loaded.labels, features.labels)
    for name, rows in features.views.items():
        np.testing.assert_array_equal(loaded.views[name].indices, rows.indices)
        np.testing.assert_array_equal(loaded.views[name].offsets, rows.offsets)
        assert not loaded.views[name].indices.flags.owndata
    assert manager.read_data_version(path)


def test_features_are_mapped_once_until_their_day_is_stored_again(place: UPath, zone: LandingZone) -> None:
    manager = FeaturesIOManager(place)
    first, second = (featurize_mail(landed_mail(zone, offset)) for offset in range(2))
    path = manager.path_of("mail_features", day_text(0))
    write_day(path, manager.to_bytes(first))
    loaded = manager.load_day("mail_features", day_text(0))
    assert manager.load_day("mail_features", day_text(0)) is loaded
    write_day(path, manager.to_bytes(second))
    again = manager.load_day("mail_features", day_text(0))
    assert again.message_ids.tolist() == second.message_ids.tolist()
    assert manager.read_data_version(path) == manager.fingerprint(second)
    assert loaded.message_ids.tolist() == first.message_ids.tolist()  # whoever holds the old file still reads it


def test_a_day_without_messages_can_be_stored_as_features(place: UPath, zone: LandingZone) -> None:
    features = featurize_mail(landed_mail(zone).head(0))
    manager = FeaturesIOManager(place)
    write_day(manager.path_of("mail_features", day_text(0)), manager.to_bytes(features))
    assert len(manager.load_day("mail_features", day_text(0))) == 0


def test_a_model_comes_back_with_the_same_scores_and_bytes(place: UPath, zone: LandingZone) -> None:
    window = {day_text(offset): featurize_mail(landed_mail(zone, offset)) for offset in range(3)}
    model = train_model(window, TrainingSettings())
    manager = ModelIOManager(place)
    path = manager.path_of("trained_model", day_text(2))
    write_day(path, manager.to_bytes(model))

    loaded = manager.load_day("trained_model", day_text(2))

    features = window[day_text(0)]
    np.testing.assert_array_equal(loaded.score(features), model.score(features))
    assert manager.to_bytes(loaded) == path.read_bytes()


@pytest.mark.parametrize("manager_class", [FrameIOManager, FeaturesIOManager, ModelIOManager])
def test_storage_works_at_an_fsspec_url(manager_class: type[DailyFileIOManager], zone: LandingZone) -> None:
    mail = landed_mail(zone)
    window = {day_text(0): featurize_mail(mail)}
    value = {
        FrameIOManager: mail,
        FeaturesIOManager: window[day_text(0)],
        ModelIOManager: train_model(window, TrainingSettings()),
    }[manager_class]
    manager = manager_class(UPath(f"memory://bucket/{manager_class.__name__}"))
    write_day(manager.path_of("asset", day_text(0)), manager.to_bytes(value))
    assert manager.stored_days("asset") == [day_text(0)]
    assert manager.to_bytes(manager.load_day("asset", day_text(0))) == manager.to_bytes(value)


@pytest.mark.parametrize("manager_class", [FrameIOManager, FeaturesIOManager, ModelIOManager])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not really", b"PAR1....PAR1", b"ARROW1\0\0" + b"\xff" * 64])
def test_a_damaged_file_names_asset_day_path_and_remedy(
    place: UPath, manager_class: type[DailyFileIOManager], content: bytes
) -> None:
    manager = manager_class(place)
    path = manager.path_of("some_asset", day_text(0))
    write_day(path, content)
    with pytest.raises(StorageError) as failure:
        manager.load_day("some_asset", day_text(0))
    text = failure.value.description or ""
    assert all(part in text for part in ("some_asset", day_text(0), str(path), "materialize some_asset"))


def test_a_missing_file_names_asset_day_path_and_remedy(place: UPath) -> None:
    manager = FrameIOManager(place)
    with pytest.raises(StorageError, match="is not in storage") as failure:
        manager.load_day("raw_mail", day_text(0))
    assert f"materialize raw_mail for {day_text(0)} first" in (failure.value.description or "")


def test_loading_a_model_file_runs_no_code_from_it(tmp_path: Path) -> None:
    proof = tmp_path / "proof"

    class Exploit:
        def __reduce__(self):
            return (Path.touch, (proof,))

    path = tmp_path / "trained_model" / f"{day_text(0)}.npz"
    path.parent.mkdir()
    np.savez(path, weight_values=np.array([Exploit()], dtype=object))
    with pytest.raises(StorageError, match="is damaged"):
        ModelIOManager(UPath(tmp_path)).load_day("trained_model", day_text(0))
    assert not proof.exists()


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = UPath(tmp_path / "day.parquet")
    write_day(path, b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("spam_assets.files.os.fsync", fail)
    with pytest.raises(StorageError, match=r"day\.parquet cannot be written \(No space left on device\).*make room"):
        write_day(path, b"new")
    assert [file.name for file in tmp_path.iterdir()] == ["day.parquet"]
    assert path.read_bytes() == b"old"


def test_a_storage_url_is_shown_without_its_password() -> None:
    manager = FrameIOManager(UPath("https://user:p@ss@storage.example/mail?sig=abc"))
    path = manager.path_of("raw_mail", day_text(0))
    said = [manager.get_writing_output_log_message(path), manager.get_loading_input_log_message(path)]
    context = dg.build_output_context(
        asset_key=dg.AssetKey("raw_mail"), partition_key=day_text(0), asset_partitions_def=DAYS
    )
    said.append(str(manager.get_metadata(context, None)["path"].value))
    with pytest.raises(StorageError) as caught:
        manager.load_day("raw_mail", day_text(0))
    said.append(str(caught.value.description))
    for text in said:
        assert "storage.example" in text
        assert not {"user", "ss@", "abc"} & {word for word in ("user", "ss@", "abc") if word in text}
