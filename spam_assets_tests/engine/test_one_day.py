"""A range of days under an executor that gives a step all of them at once: one sentence says why that cannot be."""

import dagster as dg
import pytest

from spam_assets import assets
from spam_assets.resources import build_resources
from spam_assets.settings import Settings
from spam_assets_tests.conftest import LandDays, day_text
from spam_assets_tests.pipeline import failure_text, run_days

SENTENCE = (
    f"this step was given 3 days at once, {day_text(0)} to {day_text(2)}, by the executor `execute_in_process_executor`"
    "; an executor that ships steps to other processes gives them all days of a run, and only `day_by_day`"
)


@pytest.mark.parametrize("asset", [assets.raw_mail, assets.validated_mail], ids=["a body", "an input that is loaded"])
def test_a_step_that_is_given_several_days_says_which_executor_takes_them_one_by_one(
    asset: dg.AssetsDefinition, settings: Settings, instance: dg.DagsterInstance, land_days: LandDays
) -> None:
    days = land_days(3)
    run_days(settings, instance, days[0], days[-1], selection=["raw_mail"])
    job = dg.Definitions(
        assets=[assets.raw_mail, asset] if asset is not assets.raw_mail else [asset],
        resources=build_resources(settings),
        jobs=[dg.define_asset_job("job", selection=[asset.key.to_user_string()])],
    ).resolve_job_def("job")
    result = job.execute_in_process(
        instance=instance,
        raise_on_error=False,
        tags={"dagster/asset_partition_range_start": days[0], "dagster/asset_partition_range_end": days[-1]},
    )
    assert not result.success
    told = failure_text(instance, result.dagster_run)
    assert SENTENCE in told
    assert told.count("this step was given") == 1
