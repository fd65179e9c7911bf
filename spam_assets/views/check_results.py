"""Rules and their verdicts as Dagster's asset checks: what the UI shows beside an asset."""

from types import FunctionType
from typing import Any, cast

import dagster as dg

from spam_assets.mail.verdicts import Verdict
from spam_assets.partitions import DAYS


def build_spec(rule: Any, asset: str, *, blocking: bool = False) -> dg.AssetCheckSpec:
    """Return the check that a rule is: its name, and its promise, the first paragraph of its docstring."""
    function = cast("FunctionType", rule)
    return dg.AssetCheckSpec(
        function.__name__,
        asset=asset,
        description=" ".join((function.__doc__ or "").split("\n\n")[0].split()),
        blocking=blocking,
        partitions_def=DAYS,
    )


def describe_verdict(
    verdict: Verdict, asset: str, severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR
) -> dg.AssetCheckResult:
    """Return what a rule says of a day as the result of its check."""
    return dg.AssetCheckResult(
        asset_key=asset,  # unsaid, Dagster looks the day's materialization up once more for each check
        check_name=verdict.rule,
        passed=verdict.passed,
        severity=severity,
        description=verdict.sentence,
        metadata=dict(verdict.figures),
    )


def pass_unchecked(check: dg.AssetCheckKey, reason: str) -> dg.AssetCheckResult:
    """Return the result of a check on a day with nothing to check: the UI calls an asset unchecked if one day is."""
    return dg.AssetCheckResult(
        asset_key=check.asset_key,
        check_name=check.name,
        passed=True,
        metadata={"skipped": reason},
        description=f"nothing to check: {reason}",
    )
