"""The gate on a real instance and a real MLflow store: bad models are planted where the assets find them."""

import dataclasses
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest

from spam_assets.io_managers.daily_files import write_day
from spam_assets.learning.calibration import Calibration
from spam_assets.learning.gate import Decision
from spam_assets.learning.model import SpamModel
from spam_assets.registry.registered_models import CHALLENGER, CHAMPION, ModelRegistry, RegisteredVersion
from spam_assets.registry.training_runs import build_mlflow_resource
from spam_assets.settings import Settings
from spam_assets_tests.conftest import day_text, make_mail
from spam_assets_tests.pipeline import check_results, run_days, stores
from spam_assets_tests.registry import log

MESSAGES = 60
DAYS = [day_text(offset) for offset in range(8)]
GATE = ["registered_model"]


@pytest.fixture
def landed(land_day: Callable[..., Path]) -> list[str]:
    for day in DAYS:
        land_day(day, make_mail(day, MESSAGES))
    return DAYS


def plant(settings: Settings, day: str, model: SpamModel) -> None:
    """Put a model where the day's training would have put its own: into storage, and into a run of MLflow."""
    _, _, models = stores(settings)
    write_day(models.path_of("trained_model", day), models.to_bytes(model))
    run = dg.DagsterRun(job_name="train_job", run_id="planted")
    with dg.build_resources({"mlflow": build_mlflow_resource(settings)}, dagster_run=run) as resources:
        log(resources.mlflow, day, model)


def aliased(settings: Settings, alias: str) -> RegisteredVersion | None:
    return ModelRegistry(settings).aliased(alias)


def decision(instance: dg.DagsterInstance, day: str) -> dict[str, object]:
    filters = dg.AssetRecordsFilter(dg.AssetKey("registered_model"), asset_partitions=[day])
    (record,) = instance.fetch_materializations(filters, limit=1).records
    assert record.asset_materialization is not None
    return {name: value.value for name, value in record.asset_materialization.metadata.items()}


def break_model(model: SpamModel, how: str) -> SpamModel:
    if how == "calls nothing spam":
        return dataclasses.replace(model, threshold=1.1)
    if how == "calls everything spam":
        return dataclasses.replace(model, threshold=0.0)
    if how == "weights zeroed":
        return dataclasses.replace(model, weights=np.zeros_like(model.weights), log_odds=np.zeros_like(model.log_odds))
    return dataclasses.replace(model, calibration=Calibration(-model.calibration.slope, -model.calibration.intercept))


BROKEN = ["calls nothing spam", "calls everything spam", "weights zeroed", "calibration turned round"]


def sometimes(ways: Iterable[str], *always: str) -> list[Any]:
    """All ways as parameters; those that are not named are tried by the slow tests only."""
    return [pytest.param(way, marks=() if way in always else pytest.mark.slow) for way in ways]


@pytest.mark.parametrize("how", sometimes(BROKEN, "weights zeroed"))
def test_a_broken_model_never_serves_whatever_its_training_said(
    settings: Settings, instance: dg.DagsterInstance, landed: list[str], how: str
) -> None:
    run_days(settings, instance, landed[0], landed[5])
    before = aliased(settings, CHAMPION)
    assert before is not None
    run_days(settings, instance, landed[6], selection=["raw_mail", "validated_mail", "mail_features"])
    _, _, models = stores(settings)
    plant(settings, landed[6], break_model(models.load_day("trained_model", landed[5]), how))

    run_days(settings, instance, landed[6], selection=GATE)

    after, challenger = aliased(settings, CHAMPION), aliased(settings, CHALLENGER)
    assert after == before
    told = decision(instance, landed[6])
    assert told["verdict"] == "refuse"
    assert any(letter.isdigit() for letter in str(told["reason"])), "a reason is a number and what it was held against"
    assert challenger is not None
    assert (challenger.training_date, challenger.verdict, challenger.reason) == (landed[6], "refuse", told["reason"])


@pytest.mark.parametrize("how", sometimes(BROKEN, "calls everything spam"))
def test_nor_is_a_broken_model_the_first_champion(
    settings: Settings, instance: dg.DagsterInstance, landed: list[str], how: str
) -> None:
    mail = ["raw_mail", "validated_mail", "mail_features"]
    run_days(settings, instance, landed[0], landed[5], selection=[*mail, "trained_model"])
    _, _, models = stores(settings)
    plant(settings, landed[5], break_model(models.load_day("trained_model", landed[5]), how))
    run_days(settings, instance, landed[5], selection=GATE)
    assert aliased(settings, CHAMPION) is None
    assert decision(instance, landed[5])["promoted"] is False


def test_a_day_with_its_labels_turned_round_is_named_and_learnt_by_no_model(
    settings: Settings, instance: dg.DagsterInstance, landed: list[str], land_day: Callable[..., Path]
) -> None:
    mail = make_mail(landed[6], MESSAGES)
    land_day(landed[6], mail.assign(label=mail["label"].map({"ham": "spam", "spam": "ham"})))
    run_days(settings, instance, landed[0], landed[5])

    run = run_days(settings, instance, landed[6], landed[7])

    check = check_results(instance, run)["labels_agree_with_earlier_days"]
    assert check.passed, "the last day's own labels are well"
    evaluations = [
        entry.dagster_event.asset_check_evaluation_data
        for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        if entry.dagster_event
    ]
    failed = [found for found in evaluations if not found.passed and found.check_name == check.check_name]
    assert [found.partition for found in failed] == [landed[6]]
    assert failed[0].severity == dg.AssetCheckSeverity.ERROR
    assert re.match(rf"training day {landed[6]}: (\d+) of \1 labels contradict", failed[0].description or "")
    _, _, models = stores(settings)
    for day in landed[6:]:
        model = models.load_day("trained_model", day)
        assert landed[6] not in model.days
        assert [found.day for found in model.contradicting_days] == [landed[6]]


@pytest.mark.slow
def test_a_day_that_somebody_vouches_for_is_learnt(
    settings: Settings,
    instance: dg.DagsterInstance,
    landed: list[str],
    land_day: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from spam_assets.assets import model_assets

    mail = make_mail(landed[6], MESSAGES)
    land_day(landed[6], mail.assign(label=mail["label"].map({"ham": "spam", "spam": "ham"})))
    vouching = model_assets.SETTINGS.model_copy(update={"vouched_days": landed[6]})
    monkeypatch.setattr(model_assets, "SETTINGS", vouching)
    run = run_days(settings, instance, landed[0], landed[6])
    assert check_results(instance, run)["labels_agree_with_earlier_days"].passed
    _, _, models = stores(settings)
    assert landed[6] in models.load_day("trained_model", landed[6]).days


def test_a_candidate_without_evidence_waits_and_is_judged_again_with_newer_mail(
    settings: Settings, instance: dg.DagsterInstance, landed: list[str]
) -> None:
    run_days(settings, instance, landed[0], landed[2])
    first = decision(instance, landed[0])
    assert first["verdict"] in ("wait", "promote")
    registry = ModelRegistry(settings)
    for version in registry.waiting():
        registry.note_verdict(version.version, Decision("refuse", "refused by the test"))
    champion = registry.aliased(CHAMPION)
    assert champion is not None
    candidate = next(version for version in registry.versions() if version.version != champion.version)
    assert candidate.training_date < champion.training_date
    assert registry.waiting() == []

    run_days(settings, instance, landed[3], selection=["raw_mail", "validated_mail", "mail_features"])
    run_days(settings, instance, landed[3], selection=GATE)
    filters = dg.AssetRecordsFilter(dg.AssetKey("registered_model"), asset_partitions=[landed[3]])
    (record,) = instance.fetch_materializations(filters, limit=1).records
    assert record.asset_materialization is not None
    assert "none waits" in str(record.asset_materialization.metadata["skipped"].value)


@pytest.mark.slow
def test_a_waiting_candidate_is_judged_by_the_gate_of_a_newer_day(
    settings: Settings, instance: dg.DagsterInstance, landed: list[str]
) -> None:
    run_days(settings, instance, landed[0], landed[5])
    registry = ModelRegistry(settings)
    champion = registry.aliased(CHAMPION)
    assert champion is not None
    run_days(settings, instance, landed[6])
    newest = max(registry.versions(), key=lambda version: version.version)
    assert newest.training_date == landed[6]
    registry.point(CHAMPION, champion.version)  # as if the gate had said that it is too early
    registry.note_verdict(newest.version, Decision("wait", "too little evidence: 0 ham and 0 spam"))
    assert [version.version for version in registry.waiting()] == [newest.version]

    run_days(settings, instance, landed[7], selection=["raw_mail", "validated_mail", "mail_features"])
    report = run_days(settings, instance, landed[7], selection=["champion_report"])
    assert report.status == dg.DagsterRunStatus.SUCCESS
    filters = dg.AssetRecordsFilter(dg.AssetKey("champion_report"), asset_partitions=[landed[7]])
    (record,) = instance.fetch_materializations(filters, limit=1).records
    assert record.asset_materialization is not None
    assert str(newest.version) in str(record.asset_materialization.metadata["challenger"].value)

    run_days(settings, instance, landed[7], selection=GATE)

    told = decision(instance, landed[7])
    assert (told["model_version"], told["training_date"]) == (newest.version, landed[6])
    after = aliased(settings, CHAMPION)
    assert after is not None
    assert after.version == (newest.version if told["promoted"] else champion.version)
    assert told["verdict"] == registry.versions()[newest.version - 1].verdict
