"""Mail without labels through the pipeline: scored by the champion of the time, or told why not."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from spam_assets.engine.day_records import read_day_records
from spam_assets.landing.incoming import IncomingZone
from spam_assets.registry.registered_models import CHAMPION, ModelRegistry
from spam_assets.sensors.incoming_mail import incoming_mail_sensor
from spam_assets.settings import Settings
from spam_assets_tests import pipeline
from spam_assets_tests.conftest import FIRST_DAY, day_text, make_mail, open_instance
from spam_assets_tests.pipeline import check_results, failure_text, materialized, reason_for_nothing, run_days
from spam_assets_tests.registry import find_model_file
from spam_assets_tests.sensors.ticks import make_old, tick, use_settings

SCORED = ["scored_mail"]


@dataclass(frozen=True)
class Home:
    """A home folder where three days have run, the last of which gave the champion."""

    settings: Settings
    instance: dg.DagsterInstance
    zone: IncomingZone

    def score(self, first: int, last: int | None = None) -> dg.DagsterRun:
        return run_days(
            self.settings, self.instance, day_text(first), day_text(last if last is not None else first), SCORED
        )

    def land(self, offset: int, messages: int = 40) -> pd.DataFrame:
        mail = make_mail(day_text(offset), messages).drop(columns="label")
        self.zone.write(day_text(offset), mail)
        return mail

    def load(self, offset: int) -> pd.DataFrame:
        scores: pd.DataFrame = pipeline.stores(self.settings)[0].load_day("scored_mail", day_text(offset))
        return scores

    def metadata(self, offset: int) -> dict[str, object]:
        filters = dg.AssetRecordsFilter(dg.AssetKey("scored_mail"), asset_partitions=[day_text(offset)])
        (record,) = self.instance.fetch_materializations(filters, limit=1).records
        assert record.asset_materialization is not None
        return {name: value.value for name, value in record.asset_materialization.metadata.items()}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, prepared_mlflow: Path) -> Iterator[Home]:
    folder = tmp_path_factory.mktemp("scoring") / "home"
    (folder / "landing").mkdir(parents=True)
    shutil.copy(prepared_mlflow, folder / "mlflow.db")
    for offset in range(3):
        make_mail(day_text(offset)).to_csv(folder / "landing" / f"training-{day_text(offset)}.csv", index=False)
    with pytest.MonkeyPatch.context() as patch, open_instance(folder) as instance:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        settings = Settings(home=folder, start_date=FIRST_DAY, end_date=date(2024, 3, 31))
        assert run_days(settings, instance, day_text(0), day_text(2)).is_success
        yield Home(settings, instance, IncomingZone(settings.landing_url))


def test_a_day_is_scored_by_the_champion_and_says_what_to_expect(home: Home) -> None:
    mail = home.land(5)
    assert home.score(5).is_success
    registry = ModelRegistry(home.settings)
    champion = registry.aliased(CHAMPION)
    assert champion is not None
    scores, model = home.load(5), registry.load_model(champion)
    from spam_assets.learning.serving import score_mail

    expected = score_mail(model, mail)
    assert scores["message_id"].tolist() == mail["message_id"].tolist()
    assert scores["spam_probability"].tolist() == expected["spam_probability"].tolist()
    assert (scores["verdict"] == "spam").tolist() == expected["is_spam"].tolist()
    assert scores["champion_version"].unique().tolist() == [champion.version]
    called = expected.loc[expected["is_spam"], "spam_probability"]
    shown = home.metadata(5)
    assert shown["champion"] == f"version {champion.version}, trained for {champion.training_date}"
    assert (shown["dagster/partition_row_count"], shown["called_spam"]) == (40, len(called))
    assert shown["expected_ham_lost"] == round(len(called) - called.sum(), 2)
    assert shown["expected_spam_caught"] == round(called.sum(), 2)
    assert not list(Path(home.settings.landing_url).glob("scored-*"))


def test_days_without_a_file_make_nothing_fail_nothing_and_say_so(home: Home) -> None:
    home.land(11)
    run = home.score(10, 12)
    assert run.is_success
    records = read_day_records(home.instance, "scored_mail")
    assert [records[day_text(offset)].skipped for offset in (10, 11, 12)] == [True, False, True]
    assert f"land one as incoming-{day_text(10)}.csv" in reason_for_nothing(home.instance, "scored_mail", day_text(10))
    events = home.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    assert len(events) == 3 * 5  # each check once a day
    assert all(event.dagster_event and event.dagster_event.asset_check_evaluation_data.passed for event in events)


def test_a_day_that_breaks_a_rule_fails_and_keeps_its_last_scores(home: Home) -> None:
    mail = home.land(15)
    assert home.score(15).is_success
    before = home.load(15)
    home.zone.write(day_text(15), mail.assign(message_id="<same>"))
    run = home.score(15)
    assert not run.is_success
    results = check_results(home.instance, run)
    (broken,) = [result for result in results.values() if not result.passed]
    assert broken.check_name == "message_ids_are_unique"
    assert f"incoming day {day_text(15)}: 1 message_id occur more than once" in (broken.description or "")
    assert len(results) == 5
    pd.testing.assert_frame_equal(home.load(15), before)


def test_a_file_that_cannot_be_read_fails_its_day_alone(home: Home) -> None:
    for offset in (20, 22):
        home.land(offset)
    (Path(home.settings.landing_url) / f"incoming-{day_text(21)}.csv").write_text("subject\nhello\n")
    run = home.score(20, 22)
    assert not run.is_success
    assert f"incoming-{day_text(21)}.csv lacks the column one of body, text, raw" in failure_text(home.instance, run)
    assert {day_text(20), day_text(22)} <= set(materialized(home.instance, "scored_mail"))


def test_without_a_champion_before_the_day_there_are_no_scores_and_the_reason_is_said(home: Home) -> None:
    home.land(0)
    assert home.score(0).is_success
    assert (
        reason_for_nothing(home.instance, "scored_mail", day_text(0)) == f"there was no champion before {day_text(0)}"
    )


def test_scoring_again_gives_the_same_and_a_changed_file_other_scores(home: Home) -> None:
    home.land(25)
    home.score(25)
    path = pipeline.stores(home.settings)[0].path_of("scored_mail", day_text(25))
    content, first = path.read_bytes(), read_day_records(home.instance, "scored_mail")[day_text(25)]
    home.score(25)
    assert (path.read_bytes(), read_day_records(home.instance, "scored_mail")[day_text(25)]) == (content, first)
    home.land(25, messages=30)
    home.score(25)
    assert len(home.load(25)) == 30
    assert read_day_records(home.instance, "scored_mail")[day_text(25)].source != first.source


def test_scored_days_are_neither_landed_nor_learnt(home: Home) -> None:
    home.land(30)
    home.score(30)
    from spam_assets.landing.zone import LandingZone

    assert LandingZone(home.settings.landing_url).days() == [day_text(offset) for offset in range(3)]
    for asset in ("raw_mail", "validated_mail", "mail_features"):
        assert day_text(30) not in materialized(home.instance, asset)


def test_scores_stand_beside_the_incoming_file_where_that_is_wanted(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spam_assets.assets import report_assets

    monkeypatch.setattr(report_assets, "SETTINGS", report_assets.SETTINGS.model_copy(update={"scores_csv": True}))
    home.land(35)
    assert home.score(35).is_success
    path = Path(home.settings.landing_url) / f"scored-{day_text(35)}.csv"
    written = pd.read_csv(path, float_precision="round_trip")
    assert written["message_id"].tolist() == home.load(35)["message_id"].tolist()
    assert written["spam_probability"].tolist() == home.load(35)["spam_probability"].tolist()
    assert str(home.metadata(35)["scores_file"]) == str(path)


def test_what_was_scored_is_not_asked_for_again_when_the_sensor_forgot(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_settings(monkeypatch, home.settings)
    for offset in (45, 46):
        home.land(offset)
        make_old(Path(home.settings.landing_url) / f"incoming-{day_text(offset)}.csv")
    home.score(45)
    asked = [request.partition_key for request in tick(incoming_mail_sensor, home.instance).run_requests or []]
    assert day_text(46) in asked
    assert day_text(45) not in asked


def test_scores_that_are_not_what_was_recorded_are_found(home: Home) -> None:
    from spam_assets.cli.verification import find_faults

    home.land(50)
    home.score(50)
    path = pipeline.stores(home.settings)[0].path_of("scored_mail", day_text(50))
    content = path.read_bytes()
    assert list(find_faults(home.settings, home.instance, lambda *_: None)) == []
    home.load(50).assign(spam_probability=0.5).to_parquet(path)
    (fault,) = find_faults(home.settings, home.instance, lambda *_: None)
    assert fault.startswith(f"scored_mail of {day_text(50)} is not what Dagster recorded")
    path.write_bytes(content)


def test_a_waiting_challenger_is_scored_beside_the_champion(home: Home) -> None:
    registry = ModelRegistry(home.settings)
    champion = registry.aliased(CHAMPION)
    assert champion is not None
    waiting = next(version for version in registry.versions() if version.version != champion.version)
    from spam_assets.registry.registered_models import VERDICT, WAITS

    client = registry._client
    client.set_model_version_tag("spam-classifier", str(waiting.version), VERDICT, WAITS)
    with registry.changing():
        client.set_registered_model_alias("spam-classifier", CHAMPION, str(waiting.version))  # an older one serves
    client.set_model_version_tag("spam-classifier", str(champion.version), VERDICT, WAITS)
    home.land(40)
    assert home.score(40).is_success
    scores = home.load(40)
    assert scores["champion_version"].unique().tolist() == [waiting.version]
    assert scores["challenger_version"].unique().tolist() == [champion.version]
    assert scores["challenger_probability"].between(0, 1).all()
    shown = home.metadata(40)
    assert shown["challenger"] == f"version {champion.version}, trained for {champion.training_date}"
    assert shown["challenger_disagrees"] == int((scores["challenger_verdict"] != scores["verdict"]).sum())


def test_a_challenger_that_cannot_be_read_is_left_out_of_scores_and_metadata(home: Home) -> None:
    registry = ModelRegistry(home.settings)
    challenger = registry.challenger_before(day_text(41))
    assert challenger is not None
    path = find_model_file(home.settings.tracking_uri, challenger.version)
    content = path.read_bytes()
    path.write_bytes(content[:1000])
    home.land(41)
    assert home.score(41).is_success
    path.write_bytes(content)
    assert home.load(41)["challenger_version"].isna().all()
    assert not [name for name in home.metadata(41) if name.startswith("challenger")]
