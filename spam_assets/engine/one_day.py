"""A step is for one day: what an executor that ships steps is told, which would give it all days of a run at once."""

import dagster as dg


def check_one_day(context: dg.AssetExecutionContext | dg.InputContext) -> None:
    """See that a step, or an input that it loads, is of one day.

    Raises:
        dg.Failure: it is of several.
    """
    if isinstance(context, dg.InputContext):
        days = context.asset_partition_keys if context.has_asset_partitions else []
        executor = context.step_context.job_def.executor_def.name
    else:
        days = context.partition_keys if context.has_partition_key_range else []
        executor = context.job_def.executor_def.name
    if len(days) > 1:
        raise dg.Failure(
            f"this step was given {len(days)} days at once, {days[0]} to {days[-1]}, by the executor `{executor}`; an "
            "executor that ships steps to other processes gives them all days of a run, and only `day_by_day`, the one "
            "of this project, takes them one after the other, in the process of the run: leave `executor` out, or "
            "launch a run for each day",
            allow_retries=False,
        )
