"""Runs the real assets in the real executor on a home folder of a test's own."""

from collections.abc import Sequence

import dagster as dg

from spam_assets import assets
from spam_assets.checks import labels_agree_with_earlier_days, raw_mail_quality
from spam_assets.engine.executor import day_by_day_executor
from spam_assets.io_managers.arrow_features import FeaturesIOManager
from spam_assets.io_managers.npz_models import ModelIOManager
from spam_assets.io_managers.parquet_frames import FrameIOManager
from spam_assets.resources import build_resources
from spam_assets.settings import Settings

ALL_ASSETS = [
    assets.raw_mail,
    assets.validated_mail,
    assets.mail_features,
    assets.training_window,
    assets.trained_model,
    assets.registered_model,
    assets.champion_report,
    assets.scored_mail,
]


def build_job(settings: Settings, selection: Sequence[str] | None = None) -> dg.JobDefinition:
    """The project's assets and checks with the resources of `settings`."""
    everything = dg.AssetSelection.all() - dg.AssetSelection.assets("scored_mail")  # as train_job
    chosen = dg.AssetSelection.assets(*selection) if selection else everything
    return dg.Definitions(
        assets=ALL_ASSETS,
        asset_checks=[raw_mail_quality, labels_agree_with_earlier_days],
        resources=build_resources(settings),
        executor=day_by_day_executor,
        jobs=[dg.define_asset_job("job", selection=chosen)],
    ).resolve_job_def("job")


def run_days(
    settings: Settings,
    instance: dg.DagsterInstance,
    first: str,
    last: str | None = None,
    selection: Sequence[str] | None = None,
) -> dg.DagsterRun:
    """Run a day or a range of days as a backfill would and return the finished run."""
    from dagster._core.definitions.job_base import InMemoryJob
    from dagster._core.execution.api import execute_run_iterator

    job = build_job(settings, selection)
    run = instance.create_run_for_job(
        job,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        tags={
            "dagster/asset_partition_range_start": first,
            "dagster/asset_partition_range_end": last or first,
        },
    )
    for _ in execute_run_iterator(InMemoryJob(job), run, instance):
        pass
    finished = instance.get_run_by_id(run.run_id)
    assert finished is not None
    return finished


def materialized(instance: dg.DagsterInstance, asset: str) -> list[str]:
    return sorted(instance.get_materialized_partitions(dg.AssetKey(asset)))


def reason_for_nothing(instance: dg.DagsterInstance, asset: str, day: str) -> str:
    """Why a day of an asset made nothing."""
    filters = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[day])
    (record,) = instance.fetch_materializations(filters, limit=1).records
    assert record.asset_materialization is not None
    return str(record.asset_materialization.metadata["skipped"].value)


def check_results(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dict[str, dg.AssetCheckEvaluation]:
    """The check evaluations of a run by check name."""
    return {
        entry.dagster_event.asset_check_evaluation_data.check_name: entry.dagster_event.asset_check_evaluation_data
        for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        if entry.dagster_event
    }


def failure_text(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """Everything a person reads of the failed steps of a run."""
    texts = []
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        assert entry.dagster_event is not None
        data = entry.dagster_event.step_failure_data
        texts.append(data.user_failure_data.description if data.user_failure_data else str(data.error))
    return "\n".join(text or "" for text in texts)


def stores(settings: Settings) -> tuple[FrameIOManager, FeaturesIOManager, ModelIOManager]:
    from upath import UPath

    storage = UPath(settings.storage_url)
    return FrameIOManager(storage), FeaturesIOManager(storage), ModelIOManager(storage)
