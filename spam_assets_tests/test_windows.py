"""The window of a date: what is stored, what landed and was not run yet, and nothing that breaks a rule."""

import dataclasses
from pathlib import Path

import pytest
from upath import UPath

from spam_assets.engine.transient_faults import is_transient
from spam_assets.io_managers import arrow_features
from spam_assets.io_managers.arrow_features import FeaturesIOManager
from spam_assets.io_managers.daily_files import OutdatedFileError, StorageError, write_day
from spam_assets.io_managers.parquet_frames import FrameIOManager
from spam_assets.landing.errors import LandingZoneError
from spam_assets.landing.zone import LandingZone
from spam_assets.learning.features import MailFeatures, SparseRows, featurize_mail
from spam_assets.windows import TrainingWindows, WindowChangedError, WindowOfDays
from spam_assets_tests.conftest import day_text, make_mail

ASSET = "mail_features"


@pytest.fixture
def manager(tmp_path: Path) -> FeaturesIOManager:
    return FeaturesIOManager(UPath(tmp_path), days_kept_open=3)


def land_features(zone: LandingZone, offset: int) -> MailFeatures:
    day = day_text(offset)
    zone.write(day, make_mail(day))
    return featurize_mail(zone.read(day).frame)


def store(manager: FeaturesIOManager, offset: int, features: MailFeatures) -> None:
    write_day(manager.path_of(ASSET, day_text(offset)), manager.to_bytes(features))


def test_a_window_reads_only_the_days_it_is_asked_for(manager: FeaturesIOManager, zone: LandingZone) -> None:
    days = [day_text(0), day_text(1)]
    store(manager, 0, land_features(zone, 0))
    write_day(manager.path_of(ASSET, days[1]), b"damaged")
    window = WindowOfDays(manager, ASSET, dict.fromkeys(days[::-1]))

    assert list(window) == days
    assert len(window[days[0]]) == len(zone.read(days[0]).frame)
    with pytest.raises(StorageError):
        window[days[1]]
    assert day_text(5) not in window
    with pytest.raises(KeyError):
        window[day_text(5)]


def test_a_window_takes_days_that_are_not_stored_as_values(manager: FeaturesIOManager, zone: LandingZone) -> None:
    features = [land_features(zone, offset) for offset in range(2)]
    store(manager, 1, features[1])
    window = WindowOfDays(manager, ASSET, {day_text(1): None}, {day_text(0): features[0]})

    assert list(window) == [day_text(0), day_text(1)]
    assert window[day_text(0)] is features[0]
    assert window.data_versions() == {day_text(n): manager.fingerprint(features[n]) for n in range(2)}


def test_the_window_of_a_date_is_whole_whatever_ran_before_it(
    tmp_path: Path, manager: FeaturesIOManager, zone: LandingZone
) -> None:
    features = [land_features(zone, offset) for offset in range(4)]
    bad = make_mail(day_text(4))
    zone.write(day_text(4), bad.assign(label="sapm"))
    features.append(land_features(zone, 5))
    store(manager, 2, features[2])
    store(manager, 5, features[4])
    windows = TrainingWindows(zone, FrameIOManager(UPath(tmp_path)), manager, window_days=5)

    window = windows.ending(day_text(5))

    assert list(window) == [day_text(offset) for offset in (1, 2, 3, 5)]  # 0 is too old, 4 breaks a rule
    assert window.landed_days == (day_text(1), day_text(3))
    assert list(window.left_out) == [day_text(4)]
    assert "neither ham nor spam" in window.left_out[day_text(4)]
    assert window.data_versions()[day_text(1)] == manager.fingerprint(features[1])


def test_a_date_without_features_of_its_own_says_what_to_do(
    tmp_path: Path, manager: FeaturesIOManager, zone: LandingZone
) -> None:
    land_features(zone, 0)
    windows = TrainingWindows(zone, FrameIOManager(UPath(tmp_path)), manager, window_days=5)
    with pytest.raises(StorageError, match=f"{ASSET} of {day_text(0)} is not in storage; materialize {ASSET}"):
        windows.ending(day_text(0))


def store_old(manager: FeaturesIOManager, offset: int, features: MailFeatures) -> None:
    """Store features as code of version 0 would have, other hashes and all."""
    rows = features.views["words"]
    other = dataclasses.replace(
        features, views={**features.views, "words": SparseRows(rows.indices[::-1].copy(), rows.offsets)}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrow_features, "FEATURES_VERSION", "0")
        store(manager, offset, other)


@pytest.mark.parametrize("asks_for", ["features", "data versions"])
def test_old_features_are_made_again_when_a_window_needs_them_and_that_is_told(
    tmp_path: Path, manager: FeaturesIOManager, zone: LandingZone, asks_for: str
) -> None:
    features = [land_features(zone, offset) for offset in range(3)]
    frames = FrameIOManager(UPath(tmp_path))
    for offset in range(3):
        write_day(
            frames.path_of("validated_mail", day_text(offset)), frames.to_bytes(zone.read(day_text(offset)).frame)
        )
    store_old(manager, 0, features[0])
    store_old(manager, 1, features[1])
    store(manager, 2, features[2])
    windows = TrainingWindows(zone, frames, manager, window_days=2)
    with pytest.raises(OutdatedFileError, match=f"its features are of version 0, .*; materialize {ASSET} for"):
        manager.load_day(ASSET, day_text(1))
    told: list[str] = []

    for again in range(2):
        window = windows.ending(day_text(2), lambda day, made: told.append(f"{day} {manager.fingerprint(made)}"))
        assert told == ([] if again == 0 else [f"{day_text(1)} {manager.fingerprint(features[1])}"])
        if asks_for == "features":
            for _ in range(2):  # as a training does, which goes through its window more than once
                assert [manager.fingerprint(window[day]) for day in window] == [*map(manager.fingerprint, features[1:])]
        else:
            assert window.data_versions() == {day_text(n): manager.fingerprint(features[n]) for n in (1, 2)}
        assert len(told) == 1
    assert manager.data_version_of(ASSET, day_text(1)) == manager.fingerprint(features[1])
    with pytest.raises(OutdatedFileError):  # no window needed it
        manager.load_day(ASSET, day_text(0))


def test_old_features_stay_as_they_are_where_nobody_can_be_told(
    tmp_path: Path, manager: FeaturesIOManager, zone: LandingZone
) -> None:
    features = land_features(zone, 0)
    frames = FrameIOManager(UPath(tmp_path))
    write_day(frames.path_of("validated_mail", day_text(0)), frames.to_bytes(zone.read(day_text(0)).frame))
    store_old(manager, 0, features)
    made = TrainingWindows(zone, frames, manager, window_days=2).load_day(day_text(0))
    assert manager.fingerprint(made) == manager.fingerprint(features)
    with pytest.raises(OutdatedFileError):
        manager.load_day(ASSET, day_text(0))


def test_old_features_whose_mail_is_gone_are_an_error_and_never_learnt(
    tmp_path: Path, manager: FeaturesIOManager, zone: LandingZone
) -> None:
    store_old(manager, 0, land_features(zone, 0))
    windows = TrainingWindows(zone, FrameIOManager(UPath(tmp_path)), manager, window_days=2)
    with pytest.raises(StorageError, match=f"validated_mail of {day_text(0)} is not in storage"):
        windows.ending(day_text(0))[day_text(0)]


def test_files_of_before_versions_were_stored_hold_the_first_one(
    manager: FeaturesIOManager, zone: LandingZone, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(manager, 0, land_features(zone, 0))
    path = manager.path_of(ASSET, day_text(0))
    path.write_bytes(path.read_bytes().replace(b"features_version", b"something_before"))
    assert manager.data_version_of(ASSET, day_text(0))
    monkeypatch.setattr(arrow_features, "FEATURES_VERSION", "2")
    with pytest.raises(OutdatedFileError, match="its features are of version 1, this code makes version 2"):
        manager.load_day(ASSET, day_text(0))


def test_a_landing_file_that_cannot_be_read_is_left_out_and_named_but_a_zone_that_fails_is_a_failure(
    tmp_path: Path, manager: FeaturesIOManager, zone: LandingZone, landing: Path
) -> None:
    store(manager, 1, land_features(zone, 1))
    damaged = landing / f"training-{day_text(0)}.csv"
    damaged.write_text("text,label\nhello,ham,too many\n")
    windows = TrainingWindows(zone, FrameIOManager(UPath(tmp_path)), manager, window_days=5)
    window = windows.ending(day_text(1))
    assert list(window) == [day_text(1)]
    assert damaged.name in window.left_out[day_text(0)]

    damaged.unlink()
    damaged.mkdir()  # listed, but what leads to it fails
    with pytest.raises(LandingZoneError, match="cannot be used"):
        windows.ending(day_text(1))


def test_a_window_records_the_versions_that_were_read_and_notices_a_day_that_changes_meanwhile(
    manager: FeaturesIOManager, zone: LandingZone
) -> None:
    old, new = land_features(zone, 0), featurize_mail(make_mail(day_text(0), seed=1))
    store(manager, 0, old)
    window = WindowOfDays(manager, ASSET, {day_text(0): None})
    assert len(window[day_text(0)]) == len(old)
    store(manager, 0, new)
    assert window.data_versions() == {day_text(0): manager.fingerprint(old)}
    with pytest.raises(WindowChangedError, match="made anew while a model learnt it") as changed:
        window[day_text(0)]
    assert is_transient(changed.value)


def test_behind_the_features_of_each_day_is_its_mail_whether_it_is_stored_or_only_landed(
    tmp_path: Path, manager: FeaturesIOManager, zone: LandingZone
) -> None:
    features = [land_features(zone, offset) for offset in range(2)]  # the first day was not run yet
    store(manager, 1, features[1])
    frames = FrameIOManager(UPath(tmp_path))
    path = frames.path_of("validated_mail", day_text(1))
    write_day(path, frames.to_bytes(zone.read(day_text(1)).frame))
    window = TrainingWindows(zone, frames, manager, window_days=2).ending(day_text(1))
    for day in window:
        text = window[day].mail
        assert text is not None
        assert text.read()["message_id"].tolist() == window[day].message_ids.tolist()
        assert text.read()["body"].tolist() == make_mail(day)["body"].tolist()
    learnt = window[day_text(1)].mail
    assert learnt is not None
    write_day(path, frames.to_bytes(zone.read(day_text(1)).frame.iloc[1:]))
    with pytest.raises(WindowChangedError, match=f"the mail of {day_text(1)} is not that of its features"):
        learnt.read()
