"""What all assets have in common."""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import dagster as dg

from spam_assets.engine.one_day import check_one_day
from spam_assets.engine.transient_faults import retry_transient_faults
from spam_assets.learning.estimator_errors import EstimatorError
from spam_assets.mail.mail_batches import Mail
from spam_assets.partitions import DAYS, SETTINGS

MAIL = dg.DagsterType(lambda _, value: isinstance(value, Mail), "Mail", description="A day of mail, of any size.")


def daily_asset(*, trains: bool = False, **options: Any) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Return `dg.asset` with what all assets have in common; days that train nothing may spread over several runs."""
    many_runs = SETTINGS.days_per_run is not None and not trains
    define: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.asset(
        partitions_def=DAYS,
        owners=[SETTINGS.owner],
        # One run for all days of a backfill; the executor keeps the days apart.
        backfill_policy=(
            dg.BackfillPolicy.multi_run(SETTINGS.days_per_run or 1) if many_runs else dg.BackfillPolicy.single_run()
        ),
        output_required=False,  # a day may have nothing to make: no mail landed, or too little to learn from
        **options,
    )
    return lambda body: define(retry_transient_faults(_tell_foreign_faults(body)))


def _tell_foreign_faults(function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """Let a step that fails in somebody else's executor or estimator fail with the sentence that says where."""

    @wraps(function)
    def body(context: dg.AssetExecutionContext, *inputs: Any, **named_inputs: Any) -> Iterator[Any]:
        check_one_day(context)
        try:
            yield from function(context, *inputs, **named_inputs)
        except EstimatorError as error:
            raise dg.Failure(str(error), allow_retries=False) from error

    return body
