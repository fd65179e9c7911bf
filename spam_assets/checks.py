"""Asset checks on raw_mail and trained_model: each states one promise by calling one rule of `mail` or `learning`.

Rules that a model depends on block: a day that breaks one produces no validated_mail. The others warn.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from spam_assets.engine.transient_faults import retry_transient_faults
from spam_assets.mail.blocking_rules import BLOCKING_RULES, judge_day
from spam_assets.mail.warning_rules import WARNING_RULES, warn_about_day
from spam_assets.partitions import DAYS
from spam_assets.resources import MailHistory
from spam_assets.views.check_results import build_spec, describe_verdict

SPECS = [
    *(build_spec(rule, "raw_mail", blocking=True) for rule in BLOCKING_RULES),
    *(build_spec(rule, "raw_mail") for rule in WARNING_RULES),
]


@dg.multi_asset_check(specs=SPECS)
@retry_transient_faults
def raw_mail_quality(
    context: dg.AssetCheckExecutionContext,
    raw_mail: Any,  # `Mail`, which is a union, and Dagster takes none here
    mail_history: dg.ResourceParam[MailHistory],
) -> Iterator[dg.AssetCheckResult]:
    """Judge the day by every rule; one pass over its mail serves them all."""
    day = context.partition_key
    for severity, verdicts in (
        (dg.AssetCheckSeverity.ERROR, judge_day(raw_mail, day)),
        (dg.AssetCheckSeverity.WARN, warn_about_day(raw_mail, day, mail_history.days_before(day))),
    ):
        yield from (describe_verdict(verdict, "raw_mail", severity) for verdict in verdicts)


@dg.asset_check(
    asset="trained_model",
    description="The day's labels do not contradict what earlier days taught; a day whose do is learnt by no model.",
    partitions_def=DAYS,
)
def labels_agree_with_earlier_days(context: dg.AssetCheckExecutionContext, trained_model: Any) -> dg.AssetCheckResult:
    """Judge the day's labels by the model that was to learn them."""
    from spam_assets.learning import label_verdicts

    verdict = label_verdicts.labels_agree_with_earlier_days(trained_model, context.partition_key)
    return dg.AssetCheckResult(
        passed=verdict.passed,
        severity=dg.AssetCheckSeverity.ERROR,
        description=verdict.sentence,
        metadata=dict(verdict.figures),
    )
