"""One look of a sensor, and what it looks at: settings, landed files, runs and decisions."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import StepMaterializationData

from spam_assets.landing.zone import LandingZone
from spam_assets.partitions import build_daily_partitions
from spam_assets.sensors import (
    champion_decisions,
    dead_runs,
    failure_alerts,
    incoming_mail,
    landing_problems,
    new_mail,
    news_alerts,
    retraining,
)
from spam_assets.settings import Settings
from spam_assets_tests.conftest import day_text, make_mail
from spam_assets_tests.pipeline import run_days

MAIL_ASSETS = ["raw_mail", "validated_mail", "mail_features", "champion_report"]
START_TAG, END_TAG = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
SUCCEEDED, FAILED = dg.DagsterEventType.RUN_SUCCESS, dg.DagsterEventType.RUN_FAILURE


def use_settings(patch: pytest.MonkeyPatch, settings: Settings) -> None:
    for module in (
        new_mail,
        incoming_mail,
        retraining,
        dead_runs,
        failure_alerts,
        news_alerts,
        champion_decisions,
        landing_problems,
    ):
        patch.setattr(module, "SETTINGS", settings)
    for watching in (new_mail, retraining):
        patch.setattr(watching, "DAYS", build_daily_partitions(settings))


def tick(sensor: dg.SensorDefinition, instance: dg.DagsterInstance, cursor: str | None = None) -> dg.SensorResult:
    """One look of a sensor; a skip is shown as the result that Dagster makes of it, which keeps the cursor."""
    result = sensor(dg.build_sensor_context(instance=instance, cursor=cursor))
    if isinstance(result, dg.SkipReason):
        return dg.SensorResult(skip_reason=result, cursor=cursor)
    assert isinstance(result, dg.SensorResult)
    return result


def say(result: dg.SensorResult) -> str:
    reason = result.skip_reason
    return (reason.skip_message if isinstance(reason, dg.SkipReason) else reason) or ""


def look_for_failures(instance: dg.DagsterInstance, cursor: str | None) -> dg.SensorResult:
    return tick(failure_alerts.alert_failures_sensor, instance, cursor)


def look_for_news(instance: dg.DagsterInstance, cursor: str | None) -> dg.SensorResult:
    return tick(news_alerts.alerts_sensor, instance, cursor)


def write_old(path: Path, text: str, age_seconds: float = 3600) -> Path:
    """Write a file that has been quiet for a while."""
    path.write_text(text)
    return make_old(path, age_seconds)


def make_old(path: Path, age_seconds: float = 3600) -> Path:
    changed = time.time() - age_seconds
    os.utime(path, (changed, changed))
    return path


def land(folder: Path, day: str, text: str = "text,label\nhello,ham\n", age_seconds: float = 3600) -> Path:
    return write_old(folder / f"training-{day}.csv", text, age_seconds)


def land_twice(folder: Path, offset: int, age_seconds: float = 3600) -> None:
    land(folder, day_text(offset), age_seconds=age_seconds)
    write_old(folder / f"training-{day_text(offset)}.jsonl", '{"text": "a", "label": "ham"}\n', age_seconds)


def run_mail(settings: Settings, instance: dg.DagsterInstance, offsets: Sequence[int], flipped: float = 0) -> None:
    """Land days, a share of their labels wrong, and do what the sensor new_mail does with them."""
    for offset in offsets:
        mail = make_mail(day_text(offset))
        wrong = mail.index % 100 < flipped * 100 / 2
        mail.loc[wrong, "label"] = mail.loc[wrong, "label"].map({"ham": "spam", "spam": "ham"})
        LandingZone(settings.landing_url).write(day_text(offset), mail)
    run = run_days(settings, instance, day_text(offsets[0]), day_text(offsets[-1]), selection=MAIL_ASSETS)
    assert run.is_success


def start_run(instance: dg.DagsterInstance, tags: dict[str, str] | None = None, job_name: str = "job") -> dg.DagsterRun:
    @dg.job(name=job_name)
    def job() -> None: ...

    run = instance.create_run_for_job(job, tags=tags)
    return end_run(instance, run, dg.DagsterEventType.RUN_START)


def end_run(
    instance: dg.DagsterInstance, run: dg.DagsterRun, how: dg.DagsterEventType, message: str = "it is over"
) -> dg.DagsterRun:
    event = dg.DagsterEvent(how.value, run.job_name, message=message)
    instance.report_dagster_event(event, run.run_id)
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found


def decide(instance: dg.DagsterInstance, run: dg.DagsterRun, day: str, version: int, promoted: bool = True) -> None:
    """What registered_model says about a candidate."""
    materialization = dg.AssetMaterialization(
        "registered_model",
        partition=day,
        metadata={"model_version": version, "promoted": promoted, "reason": f"reason {version}"},
    )
    event = dg.DagsterEvent(
        dg.DagsterEventType.ASSET_MATERIALIZATION.value,
        run.job_name,
        event_specific_data=StepMaterializationData(materialization),
    )
    instance.report_dagster_event(event, run.run_id)
