"""Landing zone and storage in a bucket of a real S3 server: what one process writes another sees, in few requests."""

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from spam_assets.feature_files import featurize_day
from spam_assets.files import open_folder, open_path
from spam_assets.io_managers.arrow_features import FeaturesIOManager
from spam_assets.io_managers.daily_files import StorageError, write_day
from spam_assets.io_managers.parquet_frames import FrameIOManager
from spam_assets.landing import table_batches
from spam_assets.landing import zone as landing_zone
from spam_assets.landing.errors import LandingError, LandingZoneError
from spam_assets.landing.zone import LandingZone
from spam_assets.learning.features import featurize_mail
from spam_assets.mail.mail_batches import MailBatches, read_whole
from spam_assets.mail.validation import validate_day
from spam_assets.resources import MailHistory, open_stores
from spam_assets.settings import Settings
from spam_assets.windows import TrainingWindows
from spam_assets_tests.conftest import PROJECT, day_text, make_mail
from spam_assets_tests.pipeline import materialized, run_days

pytestmark = pytest.mark.slow

DAY = day_text(0)
MOST_REQUESTS = 40
"""Of one day, from its file in the landing zone to the report on its champion."""
MOST_UPLOADS = 12
"""Of one training: its record and pictures, and its model with what it carries."""


def write_from_another_process(url: str, content: str) -> None:
    code = "import fsspec, sys\nwith fsspec.open(sys.argv[1], 'w') as file: file.write(sys.argv[2])"
    subprocess.run([sys.executable, "-c", code, url, content], check=True, cwd=PROJECT)


class Requests:
    """What was asked of a bucket since the last look, by operation."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import s3fs

        self._made: list[tuple[str, str]] = []
        call = s3fs.S3FileSystem._call_s3

        async def note(fs: Any, method: str, *args: Any, **kwargs: Any) -> Any:
            self._made.append((method, str(kwargs.get("Key", ""))))
            return await call(fs, method, *args, **kwargs)

        monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", note)

    def take(self, method: str) -> list[str]:
        return [key for made, key in self.take_all() if made == method]

    def take_all(self) -> list[tuple[str, str]]:
        taken, self._made = self._made, []
        return taken


def test_what_is_missing_or_unreachable_is_said_in_one_sentence(bucket: str) -> None:
    with pytest.raises(LandingZoneError, match="does not exist or is empty"):
        LandingZone(f"{bucket}/nothing").days()
    with pytest.raises(LandingError, match=r"cannot be used|does not exist"):
        LandingZone("s3://no-such-bucket-at-all/mail").days()


def test_a_large_file_is_read_without_holding_it(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    zone = LandingZone(f"{bucket}/mail")
    zone.write(DAY, make_mail(DAY), "parquet")
    whole = zone.read(DAY)
    monkeypatch.setattr(landing_zone, "_READ_AT_ONCE_BYTES", 10)
    monkeypatch.setattr(table_batches, "BATCH_ROWS", 7)
    batched = zone.read(DAY)
    assert isinstance(batched.mail, MailBatches)
    assert batched.sha256 == whole.sha256
    pd.testing.assert_frame_equal(batched.frame, whole.frame)


def test_what_another_process_writes_is_seen_at_the_next_look(bucket: str) -> None:
    """fsspec's listings never expire; a code server would not see the days that a worker wrote."""
    zone = LandingZone(f"{bucket}/mail")
    zone.write(DAY, make_mail(DAY))
    frames = FrameIOManager(open_path(f"{bucket}/storage"))
    write_day(frames.path_of("raw_mail", DAY), frames.to_bytes(make_mail(DAY)))
    assert zone.days() == frames.stored_days("raw_mail") == [DAY]
    assert not frames.has_day("raw_mail", day_text(1))
    written = frames.path_of("raw_mail", DAY).stat().st_mtime
    assert written > 0
    for url in (f"{zone.url}/training-{day_text(1)}.csv", str(frames.path_of("raw_mail", day_text(1)))):
        write_from_another_process(url, "body,label\nhello,ham\n")
    assert zone.days() == frames.stored_days("raw_mail") == [DAY, day_text(1)]
    assert frames.has_day("raw_mail", day_text(1))
    assert len(zone.read(day_text(1)).frame) == 1


def test_stored_days_are_written_read_and_reported_when_damaged(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = open_path(f"{bucket}/storage")
    frames, features = FrameIOManager(storage), FeaturesIOManager(storage, days_kept_open=2)
    assert features.stored_days("mail_features") == []
    with pytest.raises(StorageError, match="is not in storage"):
        features.load_day("mail_features", DAY)
    monkeypatch.setattr(table_batches, "BATCH_ROWS", 7)
    zone = LandingZone(f"{bucket}/mail")
    zone.write(DAY, make_mail(DAY))
    valid = validate_day(zone.read(DAY).mail, DAY)
    write_day(frames.path_of("validated_mail", DAY), frames.to_content(valid))
    stored = frames.load_day("validated_mail", DAY)
    pd.testing.assert_frame_equal(read_whole(stored), read_whole(valid))
    path = features.path_of("mail_features", DAY)
    write_day(path, features.to_content(featurize_day(stored)))
    assert features.data_version_of("mail_features", DAY) == features.fingerprint(featurize_day(valid))
    write_day(path, features.to_bytes(featurize_mail(make_mail(DAY, 3))))
    assert len(features.load_day("mail_features", DAY)) == 3  # not the one that it has fetched
    path.write_bytes(b"damaged")
    with pytest.raises(StorageError, match="is damaged"):
        features.load_day("mail_features", DAY)


def test_each_day_of_a_window_is_fetched_once(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    zone = LandingZone(f"{bucket}/mail")
    storage = open_path(f"{bucket}/storage")
    frames, features = FrameIOManager(storage), FeaturesIOManager(storage, days_kept_open=5)
    days = [day_text(offset) for offset in range(4)]
    for day in days:
        zone.write(day, make_mail(day))
        write_day(features.path_of("mail_features", day), features.to_bytes(featurize_mail(make_mail(day))))
    windows = TrainingWindows(zone, frames, features, window_days=5)
    requests = Requests(monkeypatch)
    window = windows.ending(days[-1])
    versions = window.data_versions()
    assert [len(window[day]) for day in days] == [40] * 4
    assert windows.ending(days[-1]).data_versions() == versions
    assert len(windows.load_day(days[0])) == 40
    fetched = [key for key in requests.take("get_object") if key.endswith(".arrow")]
    assert sorted(fetched) == [f"storage/mail_features/{day}.arrow" for day in days]


def test_a_day_takes_as_many_requests_however_many_days_are_stored(
    bucket: str, settings: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_bucket = settings.model_copy(update={"landing": f"{bucket}/mail", "storage": f"{bucket}/storage"})
    days = [day_text(offset) for offset in range(10)]
    for day in days:
        LandingZone(in_bucket.landing_url).write(day, make_mail(day))
    requests = Requests(monkeypatch)
    assert run_days(in_bucket, instance, days[0], days[-1]).is_success
    asked_by: Counter[str] = Counter()
    day = days[0]
    for method, key in requests.take_all():
        asked_by[day] += 1
        if method == "put_object" and "/champion_report/" in key:  # the last that is stored of a day
            day = day_text(days.index(key.split("/")[-1].partition(".")[0]) + 1)
    assert 0 < asked_by[days[9]] <= asked_by[days[5]] < MOST_REQUESTS, asked_by


def note_uploads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that gets the key of each object that boto3, MLflow's client, uploads from now on."""
    from botocore.client import BaseClient

    uploads: list[str] = []
    call = BaseClient._make_api_call

    def note(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        if operation in {"PutObject", "UploadPart", "CreateMultipartUpload"}:
            uploads.append(parameters["Key"])
        return call(client, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", note)
    return uploads


def test_days_run_in_a_bucket_as_on_a_disk(
    bucket: str, settings: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Landing zone, storage and artifacts in a bucket: the same files as on a disk, and few uploads a training."""
    import mlflow
    from mlflow import MlflowClient

    days = [day_text(offset) for offset in range(3)]
    client = MlflowClient(settings.tracking_uri)
    experiment = client.create_experiment(settings.experiment, artifact_location=f"{bucket}/artifacts")
    uploads = note_uploads(monkeypatch)
    in_bucket = settings.model_copy(update={"landing": f"{bucket}/mail", "storage": f"{bucket}/storage"})
    for place in (in_bucket, settings):
        for day in days:
            LandingZone(place.landing_url).write(day, make_mail(day))
    assert run_days(in_bucket, instance, days[0], days[-1]).is_success
    trainings = client.search_runs([experiment])
    assert len(trainings) == len(materialized(instance, "trained_model")) > 0
    assert len(uploads) <= MOST_UPLOADS * len(trainings), uploads
    assert any(key.endswith("/model.npz") for key in uploads)
    mlflow.set_tracking_uri(settings.tracking_uri)
    served = mlflow.pyfunc.load_model(f"runs:/{trainings[0].info.run_id}/model")
    assert len(served.predict({"text": ["winner prize casino"]})) == 1
    history = MailHistory(open_stores(in_bucket).frames)
    assert [summary.day for summary in history.days_before("2024-02-01")] == days
    assert run_days(settings, instance, days[0], days[-1]).is_success
    fs, root = open_folder(in_bucket.storage_url)
    on_disk = {
        str(path.relative_to(settings.storage_url)): path.read_bytes()
        for path in Path(settings.storage_url).rglob("*")
        if path.is_file()
    }
    in_bucket_too = {name.removeprefix(f"{root}/"): fs.cat_file(name) for name in fs.find(root)}
    assert set(on_disk) == set(in_bucket_too)
    for name, content in on_disk.items():
        if not name.startswith("champion_report"):
            assert in_bucket_too[name] == content, name
