"""Every kind of bad day between good ones, in one run of a real instance: it fails alone, and no window reads it."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from spam_assets.engine.executor import read_day
from spam_assets.engine.run_days import DayOutcome, _note_event
from spam_assets.partitions import DAYS
from spam_assets.settings import Settings
from spam_assets_tests.conftest import FIRST_DAY, day_text, make_mail, open_instance
from spam_assets_tests.pipeline import materialized, run_days, stores

ALL_ASSETS = ("raw_mail", "validated_mail", "mail_features", "trained_model", "registered_model")


def to_csv(mail: pd.DataFrame) -> bytes:
    return mail.to_csv(index=False).encode()


def miss_labels(mail: pd.DataFrame, count: int) -> pd.DataFrame:
    return mail.assign(label=[None] * count + mail["label"].tolist()[count:])


@dataclass(frozen=True)
class BadDay:
    """What is wrong with a day, and what a person must be told about it."""

    offset: int
    stops_at: str | None
    """The first asset that does not exist for the day."""
    words: tuple[str, ...]

    @property
    def day(self) -> str:
        return day_text(self.offset)

    def files(self) -> dict[str, bytes]:
        mail = make_mail(self.day, messages=100)
        csv, parquet = to_csv(mail), io.BytesIO()
        mail.to_parquet(parquet)
        name = f"training-{self.day}"
        return {
            "6 % missing labels": {f"{name}.csv": to_csv(miss_labels(mail, 6))},
            "unknown label": {f"{name}.csv": csv.replace(b",spam\n", b",phishing\n", 1)},
            "empty file": {f"{name}.csv": b""},
            "truncated Parquet": {f"{name}.parquet": parquet.getvalue()[: len(parquet.getvalue()) // 2]},
            "NUL byte": {f"{name}.csv": csv[:3000] + b"\0" + csv[3000:]},
            "wrong header": {f"{name}.csv": csv.replace(b",body,label\n", b",content,class\n", 1)},
            "duplicate ids": {f"{name}.csv": to_csv(pd.concat([mail, mail[:20]]))},
            "dates outside": {f"{name}.csv": csv.replace(f"{self.day}T00:0".encode(), b"2023-12-31T23:5")},
            "no message": {f"{name}.csv": to_csv(mail[:0])},
            "no gzip": {f"{name}.csv.gz": csv},
            "two files": {f"{name}.csv": csv, f"{name}.parquet": parquet.getvalue()},
        }[self.kind]

    @property
    def kind(self) -> str:
        return next(kind for kind, bad in BAD_DAYS.items() if bad is self)


BAD_DAYS = {
    "6 % missing labels": BadDay(1, "validated_mail", ("column label has 6.0% missing (6 of 100)",)),
    "unknown label": BadDay(2, "validated_mail", ("phishing", "neither ham nor spam", "row 1")),
    "empty file": BadDay(3, "raw_mail", ("training-2024-01-04.csv is empty",)),
    "truncated Parquet": BadDay(5, "raw_mail", ("training-2024-01-06.parquet is not a sound Parquet file",)),
    "NUL byte": BadDay(6, "raw_mail", ("training-2024-01-07.csv has a NUL byte in line",)),
    "wrong header": BadDay(7, "raw_mail", ("training-2024-01-08.csv lacks the column label", "class")),
    "duplicate ids": BadDay(9, "validated_mail", ("message_id occur more than once", "2024-01-10-0@example.com")),
    "dates outside": BadDay(10, "validated_mail", ("10 of 100 messages were not received on the day, first row 1",)),
    "no message": BadDay(11, "validated_mail", ("there are no messages",)),
    "no gzip": BadDay(13, "raw_mail", ("training-2024-01-14.csv.gz is not sound gzip data",)),
    "two files": BadDay(14, "raw_mail", ("2 files for 2024-01-15", "training-2024-01-15.parquet")),
}
EVERY_KIND = pytest.mark.parametrize("kind", BAD_DAYS)
LAST_DAY = 15
GOOD_DAYS = [day_text(offset) for offset in (0, 4, 8, 12, LAST_DAY)]
FIVE_PERCENT_DAY = GOOD_DAYS[2]


@dataclass(frozen=True)
class RangeRun:
    settings: Settings
    instance: dg.DagsterInstance
    run: dg.DagsterRun
    outcomes: dict[str, DayOutcome]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, prepared_mlflow: Path) -> Iterator[RangeRun]:
    """A good day, some bad ones, a good one, ... in one run."""
    folder = tmp_path_factory.mktemp("bad_days")
    home = folder / "home"
    landing = home / "landing"
    landing.mkdir(parents=True)
    (home / "mlflow.db").write_bytes(prepared_mlflow.read_bytes())
    for day in GOOD_DAYS:
        mail = miss_labels(make_mail(day, messages=100), 5) if day == FIVE_PERCENT_DAY else make_mail(day)
        (landing / f"training-{day}.csv").write_bytes(to_csv(mail))
    for bad in BAD_DAYS.values():
        for name, content in bad.files().items():
            (landing / name).write_bytes(content)
    with pytest.MonkeyPatch.context() as patch, open_instance(folder) as instance:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        settings = Settings(home=home, start_date=FIRST_DAY, end_date=date(2024, 3, 31))
        run = run_days(settings, instance, day_text(0), day_text(LAST_DAY))
        yield RangeRun(settings, instance, run, read_outcomes(instance, run))


def read_outcomes(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dict[str, DayOutcome]:
    """What the event log says of each day, as the command line reads it."""
    outcomes: dict[str, DayOutcome] = {}
    outcome: DayOutcome | None = None
    for entry in instance.all_logs(run.run_id):
        if entry.dagster_event is None:
            continue
        day = read_day(entry.dagster_event)
        if day is not None:
            outcome = outcomes[day] = DayOutcome(day, run.run_id)
        elif outcome is not None:
            _note_event(outcome, entry.dagster_event)
    return outcomes


@EVERY_KIND
def test_a_bad_day_is_explained_in_one_clear_sentence(ran: RangeRun, kind: str) -> None:
    bad = BAD_DAYS[kind]
    (sentence,) = ran.outcomes[bad.day].failures
    for words in bad.words:
        assert words in sentence
    assert bad.day in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert len(sentence) < 400
    assert ";" in sentence, "what is wrong; what to do about it"
    assert "Traceback" not in sentence


@EVERY_KIND
def test_a_bad_day_makes_nothing_that_a_model_could_read(ran: RangeRun, kind: str) -> None:
    bad = BAD_DAYS[kind]
    made = [asset for asset in ALL_ASSETS if bad.day in materialized(ran.instance, asset)]
    assert made == list(ALL_ASSETS[: ALL_ASSETS.index(bad.stops_at)])  # type: ignore[arg-type]
    frames, features, models = stores(ran.settings)
    assert bad.day not in frames.stored_days("validated_mail")
    assert bad.day not in features.stored_days("mail_features")
    assert bad.day not in models.stored_days("trained_model")


def test_the_run_fails_and_shows_the_bad_days_and_no_others_as_failed(ran: RangeRun) -> None:
    from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

    assert ran.run.status == dg.DagsterRunStatus.FAILURE
    status = get_and_update_asset_status_cache_value(ran.instance, dg.AssetKey("validated_mail"), DAYS)
    assert status is not None
    failed = status.deserialize_failed_partition_subsets(DAYS).get_partition_keys()
    assert sorted(failed) == [bad.day for bad in BAD_DAYS.values()]
    assert [day for day, outcome in ran.outcomes.items() if outcome.failure] == [bad.day for bad in BAD_DAYS.values()]


def test_every_other_day_is_complete(ran: RangeRun) -> None:
    assert list(ran.outcomes) == [day_text(offset) for offset in range(LAST_DAY + 1)]
    for day in GOOD_DAYS:
        assert ran.outcomes[day].failure is None
        assert {*ALL_ASSETS} <= {*ran.outcomes[day].materialized}, day
    for asset in ("validated_mail", "mail_features", "trained_model", "registered_model"):
        assert materialized(ran.instance, asset) == GOOD_DAYS


def test_exactly_5_percent_missing_labels_pass_and_those_messages_are_left_out(ran: RangeRun) -> None:
    frames, _, _ = stores(ran.settings)
    assert len(frames.load_day("raw_mail", FIVE_PERCENT_DAY)) == 100
    assert len(frames.load_day("validated_mail", FIVE_PERCENT_DAY)) == 95


def test_the_windows_skip_the_bad_days(ran: RangeRun) -> None:
    from mlflow import MlflowClient
    from mlflow.artifacts import load_text

    client = MlflowClient(ran.settings.tracking_uri)
    experiment = client.get_experiment_by_name(ran.settings.experiment)
    assert experiment is not None
    runs = {found.info.run_name: found for found in client.search_runs([experiment.experiment_id])}
    assert sorted(runs) == [f"train-{day}" for day in GOOD_DAYS]
    for number in (1, 3, len(GOOD_DAYS)):
        run = runs[f"train-{GOOD_DAYS[number - 1]}"]
        window = json.loads(load_text(f"{run.info.artifact_uri}/window.json"))
        assert sorted(window) == GOOD_DAYS[:number]
        assert run.info.status == "FINISHED"


def test_models_are_those_that_the_good_days_alone_give(ran: RangeRun) -> None:
    from spam_assets.landing.zone import LandingZone
    from spam_assets.learning.features import featurize_mail
    from spam_assets.learning.held_out import HELD_OUT_SHARE
    from spam_assets.learning.model_files import dump_model
    from spam_assets.learning.training import TrainingSettings, train_model
    from spam_assets.mail.validation import validate_day

    zone = LandingZone(ran.settings.landing_url)
    window = {day: featurize_mail(validate_day(zone.read(day).frame, day)) for day in GOOD_DAYS}
    model = train_model(window, TrainingSettings(target_fpr=ran.settings.target_fpr, held_out_share=HELD_OUT_SHARE))

    _, _, models = stores(ran.settings)
    assert Path(str(models.path_of("trained_model", GOOD_DAYS[-1]))).read_bytes() == dump_model(model)


def test_a_corrected_day_enters_later_windows(ran: RangeRun) -> None:
    """Last of the module: it changes the home folder that the others read."""
    bad = BAD_DAYS["6 % missing labels"]
    landing = Path(ran.settings.landing_url)
    (landing / f"training-{bad.day}.csv").write_bytes(to_csv(make_mail(bad.day)))

    assert run_days(ran.settings, ran.instance, bad.day).is_success
    assert run_days(ran.settings, ran.instance, GOOD_DAYS[-1], selection=["trained_model"]).is_success

    _, _, models = stores(ran.settings)
    assert models.load_day("trained_model", GOOD_DAYS[-1]).days == (GOOD_DAYS[0], bad.day, *GOOD_DAYS[1:])
