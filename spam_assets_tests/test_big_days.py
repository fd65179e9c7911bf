"""A day in many batches comes to what the same day comes to at once, and is never in memory whole."""

import base64
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from upath import UPath

from spam_assets import mail_files
from spam_assets.feature_files import featurize_day
from spam_assets.io_managers.arrow_features import FeaturesIOManager
from spam_assets.io_managers.daily_files import StorageError, write_day
from spam_assets.io_managers.fingerprints import fingerprint_features, fingerprint_frame
from spam_assets.io_managers.parquet_frames import FrameIOManager
from spam_assets.landing import table_batches
from spam_assets.landing.errors import LandingError
from spam_assets.landing.zone import LandedDay, LandingZone
from spam_assets.learning import day_parts
from spam_assets.learning.card_mail import describe_card_day
from spam_assets.learning.explanation import tell_strongest_words
from spam_assets.learning.features import VIEWS, featurize_mail
from spam_assets.learning.model_files import dump_model
from spam_assets.learning.training import TrainingSettings, train_model
from spam_assets.mail.blocking_rules import judge_day
from spam_assets.mail.day_summary import hash_contents
from spam_assets.mail.incoming_rules import judge_incoming_day
from spam_assets.mail.mail_batches import MailBatches, read_whole
from spam_assets.mail.quarantine import find_quarantined
from spam_assets.mail.validation import complete_incoming_mail, validate_day
from spam_assets.mail.warning_rules import warn_about_day
from spam_assets.settings import Settings
from spam_assets.views.metadata import preview_mail
from spam_assets_tests.conftest import day_text, make_mail
from spam_assets_tests.mail import make_history
from spam_assets_tests.pipeline import check_results, run_days, stores

DAY = day_text(0)
Small = Callable[[], None]


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> Small:
    """Make every batch, from then on, one of a few messages."""

    def shrink() -> None:
        monkeypatch.setattr(table_batches, "BATCH_ROWS", 7)
        monkeypatch.setattr(mail_files, "BATCH_ROWS", 11)
        monkeypatch.setattr(day_parts, "PART_MESSAGES", 13)

    return shrink


def make_odd_day(messages: int = 150) -> pd.DataFrame:
    """A day out of order, with repeats, contradictions, ids and dates that are missing or of another day."""
    mail = make_mail(DAY, messages).sample(frac=1, random_state=1).reset_index(drop=True)
    mail.loc[[3, 90], "message_id"] = ""
    mail.loc[[20, 88], "received_at"] = ["", "2023-12-24T00:00:00+00:00"]
    mail.loc[[5, 99, 140], "label"] = ""
    mail.loc[120] = mail.loc[2]  # the same message once more
    mail.loc[121, "message_id"] = mail.loc[30, "message_id"]  # another message of that id
    mail.loc[122] = mail.loc[40]
    mail.loc[122, "label"] = "ham" if mail.loc[40, "label"] == "spam" else "spam"
    return mail


def write_csv(mail: pd.DataFrame) -> bytes:
    return mail.to_csv(index=False).encode()


def write_jsonl(mail: pd.DataFrame) -> bytes:
    """Lines without what is missing, so that later lines name columns that the first ones do not."""
    records = [{name: cell for name, cell in row.items() if cell != ""} for row in mail.to_dict("records")]
    records[0].pop("recipients")
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def write_parquet(mail: pd.DataFrame) -> bytes:
    output = io.BytesIO()
    mail.replace("", None).to_parquet(output)
    return output.getvalue()


def write_raw(mail: pd.DataFrame) -> bytes:
    """Whole messages and nothing else, some with an id of another one."""
    raws = [
        f"From: {row.sender}\r\nSubject: {row.subject}\r\nMessage-ID: <{number % 140}@x>\r\n\r\n{row.body}\r\n"
        for number, row in enumerate(mail.itertuples())
    ]
    coded = ["base64:" + base64.b64encode(raw.encode()).decode() for raw in raws]
    return pd.DataFrame({"raw": coded, "label": mail["label"], "note": "x"}).to_csv(index=False).encode()


FORMATS: dict[str, tuple[str, Callable[[pd.DataFrame], bytes]]] = {
    "csv": ("csv", write_csv),
    "csv.gz": ("csv.gz", lambda mail: gzip.compress(write_csv(mail)[:5000]) + gzip.compress(write_csv(mail)[5000:])),
    "jsonl": ("jsonl", write_jsonl),
    "parquet": ("parquet", write_parquet),
    "raw": ("csv", write_raw),
    "text": ("csv", lambda mail: write_csv(mail[["body", "label"]].rename(columns={"body": "text"}))),
}


def land_odd_day(zone: LandingZone, file_format: str, *, corrected: bool = True) -> None:
    suffix, write = FORMATS[file_format]
    (Path(zone.url) / f"training-{DAY}.{suffix}").write_bytes(write(make_odd_day()))
    if corrected:
        corrections = f"message_id,label\n<{DAY}-7@example.com>,spam\n<{DAY}-8@example.com>,ham\n<unknown>,spam\n"
        (Path(zone.url) / f"corrections-{DAY}.csv").write_text(corrections)


def assert_same_landing(batched: LandedDay, whole: LandedDay) -> None:
    assert isinstance(batched.mail, MailBatches)
    assert isinstance(whole.mail, pd.DataFrame)
    pd.testing.assert_frame_equal(batched.frame, whole.frame)
    for name in ("size_bytes", "sha256", "notes", "corrections", "corrections_sha256"):
        assert getattr(batched, name) == getattr(whole, name)


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_landing_file_of_any_format_is_the_same_mail_in_batches(
    zone: LandingZone, small_batches: Small, file_format: str
) -> None:
    land_odd_day(zone, file_format)
    whole = zone.read(DAY)
    small_batches()
    batched = zone.read(DAY)
    assert_same_landing(batched, whole)
    assert fingerprint_frame(batched.mail) == fingerprint_frame(whole.mail)
    assert len(batched.mail) == 150


@pytest.mark.slow
def test_rules_previews_and_features_of_a_day_in_batches_are_those_of_the_day(
    zone: LandingZone, small_batches: Small, tmp_path: Path
) -> None:
    land_odd_day(zone, "parquet")
    features_manager = FeaturesIOManager(UPath(tmp_path / "storage"))

    def describe() -> dict[str, Any]:
        mail = zone.read(DAY).mail
        valid = validate_day(mail, DAY)
        features = featurize_day(valid)
        path = features_manager.path_of("mail_features", DAY)
        write_day(path, features_manager.to_content(features))
        window = {DAY: features_manager.load_day("mail_features", DAY)}
        settings = TrainingSettings(held_out_share=0.2, replay_messages=25)
        model = train_model({**window, day_text(1): featurize_mail(make_mail(day_text(1)))}, settings)
        card = describe_card_day(valid, window[DAY], 0.2)
        assert card is not None
        return {
            "blocking": judge_day(mail, DAY),
            "warnings": warn_about_day(mail, DAY, make_history()),
            "incoming": judge_incoming_day(mail, DAY),
            "quarantined": find_quarantined(mail, DAY),
            "contents": hash_contents(mail).tolist(),
            "previews": [preview_mail(mail), preview_mail(valid)],
            "valid": read_whole(valid).to_dict("list"),
            "completed": fingerprint_frame(complete_incoming_mail(mail)),
            "versions": [fingerprint_frame(mail), fingerprint_frame(valid), fingerprint_features(features)],
            "stored features": path.read_bytes(),
            "model": dump_model(model),
            "words": tell_strongest_words(model, valid),
            "card": [card.sender_kinds.tolist(), card.body_characters.tolist(), card.has_headers.tolist()],
            "held out": [fingerprint_features(card.held_out), fingerprint_features(card.held_out_bare)],
        }

    whole = describe()
    small_batches()
    batched = describe()
    for name, value in whole.items():
        assert batched[name] == value, name
    assert {verdict.passed for verdict in whole["blocking"]} == {True}
    assert len(whole["quarantined"]) == 4


def test_a_day_in_batches_is_stored_in_row_groups_and_read_again_as_it_was(
    zone: LandingZone, small_batches: Small, tmp_path: Path
) -> None:
    frames = FrameIOManager(UPath(tmp_path / "storage"))
    land_odd_day(zone, "csv")
    whole = validate_day(zone.read(DAY).mail, DAY)
    small_batches()
    path = frames.path_of("validated_mail", DAY)
    write_day(path, frames.to_content(validate_day(zone.read(DAY).mail, DAY)))
    stored = frames.load_day("validated_mail", DAY)
    assert isinstance(stored, MailBatches)
    assert max(len(frame) for frame in stored.read_frames(stored.columns)) == 11
    path.unlink()  # it stays readable for whoever has it open
    pd.testing.assert_frame_equal(read_whole(stored), whole)
    assert frames.fingerprint(stored) == fingerprint_frame(whole)
    with pytest.raises(StorageError, match="is not in storage"):
        frames.load_day("validated_mail", DAY)


def test_features_keep_no_text_of_their_batch_alive() -> None:
    """Ids that were a view of the batch's columns would keep every text of a long day in memory."""
    file = io.BytesIO()
    make_mail(DAY, 20).to_parquet(file, index=False)
    (frame,) = mail_files.MailFile(file).read_frames(make_mail(DAY, 1).columns)
    ids = featurize_mail(frame).message_ids
    assert ids.base is None
    assert ids.tolist() == make_mail(DAY, 20)["message_id"].tolist()


def test_a_day_with_one_huge_message_is_cut_by_its_bytes(zone: LandingZone, monkeypatch: pytest.MonkeyPatch) -> None:
    mail = make_mail(DAY, 20)
    mail.loc[4, "body"] = "x" * 5000
    (Path(zone.url) / f"training-{DAY}.csv").write_bytes(write_csv(mail))
    monkeypatch.setattr(table_batches, "BATCH_BYTES", 5000)
    batched = zone.read(DAY).mail
    assert isinstance(batched, MailBatches)
    lengths = [len(frame) for frame in batched.read_frames(["label"])]
    assert lengths[0] == 5
    assert sum(lengths) == 20
    assert "x" * 50 in preview_mail(batched)  # of rows of more than one batch


@pytest.mark.parametrize("file_format", ["csv", "csv.gz", "jsonl", "parquet"])
def test_a_flaw_in_a_later_batch_refuses_the_day(zone: LandingZone, small_batches: Small, file_format: str) -> None:
    small_batches()
    mail = make_mail(DAY, 60)
    flawed = {
        "csv": write_csv(mail) + b"a,b\n",
        "csv.gz": gzip.compress(write_csv(mail))[:-20],
        "jsonl": write_jsonl(mail) + b"{\n",
        "parquet": write_parquet(mail)[:-9],
    }
    (Path(zone.url) / f"training-{DAY}.{file_format}").write_bytes(flawed[file_format])
    with pytest.raises(LandingError, match=rf"training-{DAY}.*land the file again"):
        zone.read(DAY)


def test_bytes_that_are_no_utf8_are_named_by_their_line_across_blocks(
    zone: LandingZone, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = "body,label\r\n" + "grüße,ham\r\n" * 50
    monkeypatch.setattr(table_batches, "_BLOCK_BYTES", 5)
    path = Path(zone.url) / f"training-{DAY}.csv"
    path.write_bytes(content.encode())
    assert zone.read(DAY).frame["body"].tolist() == ["grüße"] * 50
    path.write_bytes(content.encode() + b"gr\xfc\xdfe,ham\r\n")
    with pytest.raises(LandingError, match=r"not UTF-8 in line 52 \(byte 0xfc\)"):
        zone.read(DAY)


def test_pages_of_a_long_day_are_given_back_and_read_again(small_batches: Small, tmp_path: Path) -> None:
    """What is mapped of a long day does not add up: its resident pages are fewer after a walk than the file has."""
    manager = FeaturesIOManager(UPath(tmp_path))
    features = featurize_mail(make_mail(DAY, 400))
    write_day(manager.path_of("mail_features", DAY), manager.to_content(features))
    stored = manager.load_day("mail_features", DAY)
    small_batches()

    def count_resident_kilobytes() -> int:
        lines = Path("/proc/self/smaps").read_text().splitlines()
        at = next(i for i, line in enumerate(lines) if line.endswith(f"{DAY}.arrow"))
        return int(next(line for line in lines[at:] if line.startswith("Rss:")).split()[1])

    assert int(sum(stored.views[view].indices.sum() for view in VIEWS)) > 0
    touched = count_resident_kilobytes()
    margins = day_parts.map_parts(lambda part: part.labels, stored)
    assert count_resident_kilobytes() < touched
    np.testing.assert_array_equal(margins, features.labels)
    assert fingerprint_features(stored) == fingerprint_features(features)


@pytest.mark.slow
def test_days_in_batches_run_to_the_same_models_checks_and_versions(
    settings: Settings, instance: dg.DagsterInstance, zone: LandingZone, small_batches: Small
) -> None:
    """The whole pipeline, twice over the same landing zone: at once, and again in batches of a few messages."""
    land_odd_day(zone, "csv")
    for offset in (1, 2):
        (Path(zone.url) / f"training-{day_text(offset)}.csv").write_bytes(write_csv(make_mail(day_text(offset), 90)))

    def run() -> dict[str, Any]:
        run = run_days(settings, instance, DAY, day_text(2))
        assert run.is_success
        storage = Path(settings.storage_url)
        return {
            "files": {
                str(path.relative_to(storage)): path.read_bytes()
                for folder in ("mail_features", "trained_model", "champion_report")
                for path in sorted((storage / folder).iterdir())
            },
            "mail": [
                fingerprint_frame(stores(settings)[0].load_day(asset, day_text(offset)))
                for asset in ("raw_mail", "validated_mail")
                for offset in range(3)
            ],
            "checks": {
                name: (found.passed, found.description, found.metadata)
                for name, found in check_results(instance, run).items()
            },
        }

    whole = run()
    small_batches()
    assert run() == whole
    assert isinstance(stores(settings)[0].load_day("raw_mail", DAY), MailBatches)
