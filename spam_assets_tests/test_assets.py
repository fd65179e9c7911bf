"""The pipeline on a real Dagster instance, a real MLflow store and real files."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from spam_assets.engine.day_records import read_day_records
from spam_assets.settings import Settings
from spam_assets_tests.conftest import LandDays, day_text, make_mail
from spam_assets_tests.pipeline import (
    check_results,
    failure_text,
    materialized,
    reason_for_nothing,
    run_days,
    stores,
)

LandDay = Callable[..., Path]
EVERY_ASSET = ("raw_mail", "validated_mail", "mail_features", "trained_model", "registered_model")


def test_a_range_of_days_goes_from_landing_to_a_champion(
    settings: Settings, instance: dg.DagsterInstance, land_days: LandDays
) -> None:
    days = land_days(5)

    run = run_days(settings, instance, days[0], days[-1])

    assert run.is_success
    for asset in ("raw_mail", "validated_mail", "mail_features"):
        assert materialized(instance, asset) == days
    trained = materialized(instance, "trained_model")
    assert trained
    assert materialized(instance, "registered_model") == trained
    from spam_assets.registry.registered_models import CHAMPION, ModelRegistry

    champion = ModelRegistry(settings).aliased(CHAMPION)
    assert champion is not None
    assert champion.training_date in trained


def test_running_twice_gives_the_same_bytes_and_no_second_version(
    settings: Settings, instance: dg.DagsterInstance, land_days: LandDays
) -> None:
    days = land_days(4)
    from spam_assets.registry.registered_models import ModelRegistry

    def stored_bytes() -> dict[str, bytes]:
        files = sorted(Path(settings.storage_url).rglob("*.*"))
        return {str(path.relative_to(settings.storage_url)): path.read_bytes() for path in files}

    run_days(settings, instance, days[0], days[-1])
    first, first_versions = stored_bytes(), ModelRegistry(settings).versions()
    run_days(settings, instance, days[0], days[-1])

    assert len(first) > 12
    assert stored_bytes() == first
    assert ModelRegistry(settings).versions() == first_versions


def test_a_bad_day_in_the_middle_fails_alone_and_no_window_reads_it(
    settings: Settings, instance: dg.DagsterInstance, land_day: LandDay, land_days: LandDays
) -> None:
    days = land_days(4)
    bad = make_mail(days[2], messages=100)
    bad.loc[:5, "label"] = None
    land_day(days[2], bad)

    run = run_days(settings, instance, days[0], days[-1])

    good = [day for day in days if day != days[2]]
    assert not run.is_success
    assert materialized(instance, "raw_mail") == days
    for asset in ("validated_mail", "mail_features"):
        assert materialized(instance, asset) == good
    assert days[-1] in materialized(instance, "registered_model")
    evaluation = check_results_of_day(instance, run, "columns_are_present", days[2])
    assert not evaluation.passed
    assert "label" in (evaluation.description or "")
    assert "6.0% missing" in (evaluation.description or "")
    assert window_of(settings, days[-1]) == good
    shown = metadata_of(instance, "trained_model", days[-1])
    assert shown["days_from_landing_zone"] == "none"
    assert shown["days_left_out"].startswith(f"- {days[2]}: ")


def test_a_bad_day_stays_out_of_later_runs_that_select_only_what_follows(
    settings: Settings, instance: dg.DagsterInstance, land_day: LandDay
) -> None:
    day = day_text(0)
    mail = make_mail(day)
    mail.loc[3, "label"] = "spamm"
    land_day(day, mail)

    run_days(settings, instance, day, selection=["raw_mail"])
    run = run_days(settings, instance, day, selection=["validated_mail", "mail_features"])

    assert not run.is_success
    assert "spamm" in failure_text(instance, run)
    assert materialized(instance, "validated_mail") == []


def test_a_good_day_that_lands_again_bad_keeps_its_last_good_version(
    settings: Settings, instance: dg.DagsterInstance, land_day: LandDay
) -> None:
    day = day_text(0)
    land_day(day)
    run_days(settings, instance, day)
    frames, _, _ = stores(settings)
    before = frames.path_of("validated_mail", day).read_bytes()

    bad = make_mail(day)
    bad["message_id"] = "same"
    land_day(day, bad)
    run = run_days(settings, instance, day)

    assert not run.is_success
    assert frames.path_of("validated_mail", day).read_bytes() == before


def test_a_day_on_which_nothing_landed_makes_nothing_and_says_so(
    settings: Settings, instance: dg.DagsterInstance, land_day: LandDay
) -> None:
    land_day(day_text(0))
    run = run_days(settings, instance, day_text(1))

    assert run.is_success
    for asset in EVERY_ASSET:  # a partition that made nothing is done, not failed
        assert read_day_records(instance, asset)[day_text(1)].skipped
        assert day_text(1) in reason_for_nothing(instance, asset, day_text(1))
    checks = check_results(instance, run)  # the UI calls an asset unchecked when one of its days is
    assert len(checks) == 12
    assert {(check.passed, check.partition) for check in checks.values()} == {(True, day_text(1))}
    assert all((check.description or "").startswith("nothing to check: ") for check in checks.values())
    assert not Path(settings.storage_url).exists()


def test_a_day_whose_file_is_gone_keeps_the_mail_of_its_last_run(
    settings: Settings, instance: dg.DagsterInstance, land_day: LandDay
) -> None:
    path = land_day(day_text(0))
    run_days(settings, instance, day_text(0))
    before = {asset: record.data_version for asset in EVERY_ASSET
              for record in read_day_records(instance, asset).values()}  # fmt: skip
    path.unlink()
    run = run_days(settings, instance, day_text(0))

    assert run.is_success
    after = {asset: record.data_version for asset in EVERY_ASSET
             for record in read_day_records(instance, asset).values()}  # fmt: skip
    assert after == before
    materialization = instance.get_latest_materialization_event(dg.AssetKey("raw_mail"))
    assert materialization is not None
    assert materialization.asset_materialization is not None
    notes = str(materialization.asset_materialization.metadata["notes"].value)
    assert "stays in use" in notes


def test_a_window_with_too_little_of_a_class_is_skipped_with_the_reason(
    settings: Settings, instance: dg.DagsterInstance, land_day: LandDay
) -> None:
    day = day_text(0)
    land_day(day, make_mail(day, messages=30, spam_share=0.0))
    run = run_days(settings, instance, day)

    assert run.is_success
    assert materialized(instance, "mail_features") == [day]
    for asset in ("trained_model", "registered_model"):
        assert read_day_records(instance, asset)[day].skipped
        assert "0 spam" in reason_for_nothing(instance, asset, day)
    assert not read_day_records(instance, "mail_features")[day].skipped
    assert training_runs(settings) == []


def test_each_training_date_of_a_run_has_its_own_finished_mlflow_run_with_a_card(
    settings: Settings, instance: dg.DagsterInstance, land_days: LandDays
) -> None:
    days = land_days(4)
    run = run_days(settings, instance, days[0], days[-1])
    from mlflow.artifacts import load_text

    runs = training_runs(settings)
    trained = materialized(instance, "trained_model")
    assert sorted(found.info.run_name for found in runs) == [f"train-{day}" for day in trained]
    for found in runs:
        assert found.info.status == "FINISHED"
        assert found.data.tags["dagster_run_id"] == run.run_id
        assert found.data.params["training_date"] == found.info.run_name.removeprefix("train-")
        assert 0 <= found.data.metrics["held_out_false_positives"] <= found.data.metrics["held_out_messages"]
    assert all(0 <= found.data.metrics["daily_protocol_one_minus_roca_percent"] <= 100 for found in runs[:2])
    for found in runs:
        card = load_text(f"{found.info.artifact_uri}/model_card.md")
        assert f"# Spam classifier trained for {found.data.params['training_date']}" in card
        assert found.data.tags["data_version"] in card
        assert "was not at hand" not in card
        assert load_text(f"{found.info.artifact_uri}/calibration.svg").startswith("<svg")
    shown = metadata_of(instance, "trained_model", days[-1]) | metadata_of(instance, "champion_report", days[-1])
    for name in ("det", "model_card", "recall_of_60_days", "fpr_of_60_days", "champion_age_of_60_days"):
        assert 0 < len(shown[name]) < 1000, "the UI shows longer Markdown behind a link"


def test_a_model_that_is_asked_for_on_a_day_without_features_says_what_to_do(
    settings: Settings, instance: dg.DagsterInstance, land_day: LandDay
) -> None:
    for offset in range(3):
        land_day(day_text(offset))
    run_days(settings, instance, day_text(0), day_text(2))
    run = run_days(settings, instance, day_text(3), selection=["trained_model"])

    assert not run.is_success
    assert f"validated_mail of {day_text(3)} is not in storage" in failure_text(instance, run)


def test_a_backfill_of_old_days_never_moves_the_champion_back(
    settings: Settings, instance: dg.DagsterInstance, land_days: LandDays
) -> None:
    days = land_days(5)
    from spam_assets.registry.registered_models import CHAMPION, ModelRegistry

    run_days(settings, instance, days[0], days[-1])
    champion = ModelRegistry(settings).aliased(CHAMPION)
    run_days(settings, instance, days[1], days[3])

    assert champion is not None
    assert ModelRegistry(settings).aliased(CHAMPION) == champion


MAIL = ["raw_mail", "validated_mail", "mail_features", "champion_report"]


def test_without_a_champion_there_is_no_report_and_the_reason_is_said(
    settings: Settings, instance: dg.DagsterInstance, land_day: LandDay
) -> None:
    land_day(day_text(0))
    assert run_days(settings, instance, day_text(0), selection=MAIL).is_success
    assert read_day_records(instance, "champion_report")[day_text(0)].skipped
    assert reason_for_nothing(instance, "champion_report", day_text(0)) == f"there was no champion before {day_text(0)}"


def test_a_day_is_reported_by_the_champion_before_it_also_after_newer_ones_came(
    settings: Settings, instance: dg.DagsterInstance, land_days: LandDays
) -> None:
    days = land_days(5)
    run_days(settings, instance, days[0], days[-1])
    from spam_assets.registry.registered_models import ModelRegistry
    from spam_assets.resources import open_stores

    champions = [version.training_date for version in ModelRegistry(settings).versions() if version.was_champion]
    assert len(champions) >= 3
    reports = open_stores(settings).reports
    expected = {day: max(known) for day in days if (known := [date for date in champions if date < day])}
    assert reports.stored_days("champion_report") == sorted(expected)

    def scored_by() -> dict[str, str]:
        loaded = {day: reports.load_day("champion_report", day) for day in expected}
        return {day: report.champion_training_date for day, report in loaded.items()}

    before = read_day_records(instance, "champion_report")
    assert scored_by() == expected
    assert run_days(settings, instance, days[0], days[-1], selection=["champion_report"]).is_success
    assert scored_by() == expected
    assert read_day_records(instance, "champion_report") == before


def test_corrections_change_labels_and_what_is_made_of_them(
    settings: Settings, instance: dg.DagsterInstance, landing: Path, land_day: LandDay
) -> None:
    days = [day_text(0), day_text(1)]
    for day in days:
        land_day(day)
    run_days(settings, instance, days[0], days[1], selection=MAIL)
    assets = ("raw_mail", "validated_mail", "mail_features")
    before = {asset: read_day_records(instance, asset) for asset in assets}

    spam = [f"<{days[0]}-{number}@example.com>" for number in range(3)]
    lines = [*(f"{message},ham" for message in spam), f"<{days[0]}-39@example.com>,ham", "<nobody@example.com>,spam"]
    (landing / f"corrections-{days[0]}.csv").write_text("message_id,label\n" + "\n".join(lines) + "\n")
    run_days(settings, instance, days[0], days[1], selection=MAIL)
    for asset in assets:
        after = read_day_records(instance, asset)
        assert after[days[0]].data_version != before[asset][days[0]].data_version
        assert after[days[1]] == before[asset][days[1]]
    assert read_day_records(instance, "raw_mail")[days[0]].source != before["raw_mail"][days[0]].source
    frames, features, _ = stores(settings)
    labels = frames.load_day("validated_mail", days[0]).set_index("message_id")["label"]
    assert (labels[spam] == "ham").all()
    assert (labels == "spam").sum() == features.load_day("mail_features", days[0]).labels.sum() == 13
    shown = metadata_of(instance, "raw_mail", days[0])
    assert (shown["corrected_labels"], shown["corrections_of_unknown_messages"]) == ("3", "1")
    assert "nobody@example" in shown["unknown_messages"]

    (landing / f"corrections-{days[0]}.csv").unlink()
    run_days(settings, instance, days[0], selection=MAIL)
    assert {asset: read_day_records(instance, asset) for asset in assets} == before


def metadata_of(instance: dg.DagsterInstance, asset: str, day: str) -> dict[str, str]:
    """What the UI shows beside the newest materialization of a day."""
    filters = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[day])
    (record,) = instance.fetch_materializations(filters, limit=1).records
    assert record.asset_materialization is not None
    return {name: str(value.value) for name, value in record.asset_materialization.metadata.items()}


def check_results_of_day(
    instance: dg.DagsterInstance, run: dg.DagsterRun, name: str, day: str
) -> dg.AssetCheckEvaluation:
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        assert entry.dagster_event is not None
        evaluation = entry.dagster_event.asset_check_evaluation_data
        if evaluation.check_name == name and evaluation.partition == day:
            return evaluation
    raise AssertionError(f"no evaluation of {name} for {day}; found {sorted(check_results(instance, run))}")


def window_of(settings: Settings, day: str) -> list[str]:
    """The days that the MLflow run of a training date says it read."""
    import json

    from mlflow.artifacts import load_text

    (run,) = [found for found in training_runs(settings) if found.info.run_name == f"train-{day}"]
    return sorted(json.loads(load_text(f"{run.info.artifact_uri}/window.json")))


def training_runs(settings: Settings) -> list:  # type: ignore[type-arg]
    from mlflow import MlflowClient

    client = MlflowClient(settings.tracking_uri)
    experiment = client.get_experiment_by_name(settings.experiment)
    return list(client.search_runs([experiment.experiment_id])) if experiment else []


def test_one_hostile_message_is_put_aside_listed_and_learnt_by_nothing(
    settings: Settings, instance: dg.DagsterInstance, land_day: LandDay
) -> None:
    day = day_text(0)
    mail = make_mail(day)
    forged = mail[:1].assign(message_id="<![x](http://evil.example)>", received_at="2038-01-19T03:14:07")
    other = mail[1:2].assign(message_id=mail["message_id"][2], body="other words")
    land_day(day, pd.concat([mail, forged, other]))

    run = run_days(settings, instance, day, selection=["raw_mail", "validated_mail", "mail_features"])

    assert run.is_success
    _, features, _ = stores(settings)
    ids = features.load_day("mail_features", day).message_ids.tolist()
    assert len(ids) == len(mail) + 1
    assert f"{mail['message_id'][2]}#2" in ids
    assert not [message_id for message_id in ids if "evil" in message_id]
    shown = metadata_of(instance, "raw_mail", day)
    assert shown["quarantined"] == "1"
    assert "| 41 | it was not received on the day |" in shown["quarantined_messages"]
    assert "![x]" not in shown["quarantined_messages"]


def test_without_previews_dagster_keeps_nothing_of_what_mail_says(
    settings: Settings, instance: dg.DagsterInstance, land_day: LandDay, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spam_assets.assets import mail_assets

    monkeypatch.setattr(mail_assets, "SETTINGS", settings.model_copy(update={"previews": False}))
    day = day_text(0)
    mail = make_mail(day).assign(subject="zyxwv", body="zyxwv", message_id=[f"<zyxwv-{n}@x>" for n in range(40)])
    mail.loc[0, "received_at"] = "2038-01-19T03:14:07"
    land_day(day, mail)

    run = run_days(settings, instance, day, selection=["raw_mail", "validated_mail"])

    assert run.is_success
    for asset in ("raw_mail", "validated_mail"):
        assert metadata_of(instance, asset, day)["spam"]
        assert "zyxwv" not in str(metadata_of(instance, asset, day))
