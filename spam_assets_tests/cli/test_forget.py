"""One message is deleted everywhere: no file of the home folder holds what it said, or its id."""

from pathlib import Path

import pytest
from upath import UPath

from spam_assets.cli.forgetting import _delete_from_storage, find_days, name_message
from spam_assets.feature_files import featurize_day
from spam_assets.io_managers.daily_files import write_day
from spam_assets.landing import table_batches
from spam_assets.landing.corrections import write_corrections
from spam_assets.landing.incoming import IncomingZone
from spam_assets.landing.zone import LandingZone
from spam_assets.learning import day_parts
from spam_assets.mail.mail_batches import MailBatches, read_columns
from spam_assets.mail.validation import validate_day
from spam_assets.resources import open_stores
from spam_assets.settings import Settings
from spam_assets_tests.conftest import day_text, make_mail
from spam_assets_tests.homes import Home

SECRET = "zyxwvsecret"
ID = "<private-1@secret.example>"


@pytest.mark.parametrize(
    ("given", "other", "is_meant"),
    [
        ("<a@b>", "<a@b>", True),
        ("a@b", "<a@b>", True),
        ("<a@b>", "<a@b>#2", True),
        ("<a@b>#2", "<a@b>", True),
        ("<a@b>", "<aa@b>", False),
        ("<a@b>", "<a@b>x", False),
        ("content-0f", "content-0f#12", True),
    ],
)
def test_a_message_is_named_by_its_id(given: str, other: str, is_meant: bool) -> None:
    assert name_message(given)(other) is is_meant


def hold(folder: Path, text: str) -> list[str]:
    """The files that hold a text, as it is or compressed by what the project writes."""
    found = [str(path) for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]
    import pandas as pd

    frames = {path: pd.read_parquet(path) for path in folder.rglob("*.parquet")}
    return found + [
        str(path) for path, frame in frames.items() if frame.map(lambda cell: text in str(cell)).any(axis=None)
    ]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_forgotten_message_is_nowhere_in_the_home_folder(home: Home) -> None:
    day = day_text(8)
    mail = make_mail(day)
    mail.loc[0, ["message_id", "subject", "body", "sender"]] = [ID, SECRET, SECRET * 3, f"{SECRET}@example.com"]
    mail.loc[0, "label"] = "ham"  # it reads like spam below: a suspect of later models
    mail.loc[0, "body"] = f"{SECRET} " + " ".join(make_mail(day)["body"][:10])
    mail.to_csv(home.landing / f"training-{day}.csv", index=False)
    mail.drop(columns="label").to_csv(home.landing / f"incoming-{day}.csv", index=False)
    (home.landing / f"corrections-{day}.csv").write_bytes(write_corrections({ID: "ham", "<other@x>": "spam"}))
    done = home.run("backfill")
    assert done.returncode == 0, done.stderr
    assert home.run("score").returncode == 0
    stores = open_stores(home.settings)
    assert any(
        ID in str(stores.models.load_day("trained_model", other).suspects)
        for other in home.stored_days("trained_model")
    )
    assert hold(home.folder / "storage", SECRET)
    assert hold(home.folder / "dagster", SECRET)
    assert hold(home.folder / "dagster", "private-1")
    assert hold(home.folder / "mlartifacts", "private-1") == []  # whoever loads a model reads no ids

    forgotten = home.run("forget", ID.strip("<>"), "--date", day)

    assert forgotten.returncode == 0, forgotten.stdout + forgotten.stderr
    assert forgotten.stdout.count("was made again without it") == 2  # its mail and its scores
    for folder in ("landing", "storage", "dagster", "mlartifacts"):
        assert hold(home.folder / folder, SECRET) == []
        assert hold(home.folder / folder, "private-1") == []
    verified = home.run("verify")
    assert verified.returncode == 0, verified.stdout
    again = home.run("forget", ID)
    assert again.returncode == 1
    assert "no message of any of 10 days has the id" in again.stderr
    later = home.run("backfill")
    assert later.returncode == 0
    assert "2 days run: 2 with a registered model" in later.stdout


def test_a_message_is_taken_out_of_a_stored_day_of_many_batches(
    settings: Settings, zone: LandingZone, place: UPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_batches, "BATCH_ROWS", 7)
    monkeypatch.setattr(day_parts, "PART_MESSAGES", 13)
    day = day_text(0)
    zone.write(day, make_mail(day))
    settings = settings.model_copy(update={"storage": str(place)})
    stores = open_stores(settings)
    mail = validate_day(zone.read(day).mail, day)
    assert isinstance(mail, MailBatches)
    write_day(stores.frames.path_of("validated_mail", day), stores.frames.to_content(mail))
    features = featurize_day(mail)
    write_day(stores.features.path_of("mail_features", day), stores.features.to_content(features))
    gone, *stay = read_columns(mail, ["message_id"])["message_id"]
    told = list(_delete_from_storage(settings, stores, name_message(gone), day))
    assets = ("validated_mail", "mail_features")
    assert told == [f"storage: 1 messages deleted from {asset} of {day}" for asset in assets]
    left = stores.frames.load_day("validated_mail", day)
    assert isinstance(left, MailBatches)
    assert read_columns(left, ["message_id"])["message_id"].tolist() == stay
    assert stores.features.load_day("mail_features", day).message_ids.tolist() == stay
    assert list(_delete_from_storage(settings, stores, name_message(gone), day)) == []


def test_a_day_that_cannot_be_read_is_told_and_the_others_are_searched(settings: Settings, landing: Path) -> None:
    for offset in (0, 2):
        make_mail(day_text(offset)).assign(message_id=ID).to_csv(
            landing / f"training-{day_text(offset)}.csv", index=False
        )
    (landing / f"training-{day_text(1)}.csv").write_bytes(b"")
    days = [day_text(offset) for offset in range(3)]
    told: list[str] = []
    zones = [LandingZone(str(landing)), IncomingZone(str(landing))]
    assert list(find_days(zones, open_stores(settings), name_message(ID), days, told.append)) == [days[0], days[2]]
    assert len(told) == 1
    assert told[0].startswith(f"{days[1]} cannot be searched: ")
    assert "is empty" in told[0]
