"""`champion_report` and `scored_mail`: what the champion of the time says of a day."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import dagster as dg

from spam_assets.assets.daily import daily_asset
from spam_assets.assets.feature_assets import record_features
from spam_assets.assets.model_assets import METHODS
from spam_assets.engine.day_records import SOURCE_TAG, record_nothing
from spam_assets.io_managers.fingerprints import (
    fingerprint_features,
    fingerprint_frame,
    fingerprint_report,
    fingerprint_reported,
)
from spam_assets.landing.day_content import fingerprint_source
from spam_assets.landing.errors import LandingError, LandingFileMissing
from spam_assets.landing.incoming import IncomingZone
from spam_assets.mail.incoming_rules import INCOMING_RULES, judge_incoming_day
from spam_assets.mail.validation import complete_incoming_mail
from spam_assets.partitions import SETTINGS
from spam_assets.registry.registered_models import ModelRegistry
from spam_assets.resources import ReportHistory
from spam_assets.views.check_results import build_spec, describe_verdict, pass_unchecked
from spam_assets.views.metadata import (
    describe_challenger,
    describe_left_out,
    describe_report,
    describe_scores,
)
from spam_assets.views.method_lines import describe_methods
from spam_assets.views.sparklines import DAYS_SHOWN
from spam_assets.windows import TrainingWindows


@daily_asset(
    group_name="learning",
    kinds={"mlflow"},
    io_manager_key="reports",
    deps=["mail_features"],
)
def champion_report(
    context: dg.AssetExecutionContext,
    registry: dg.ResourceParam[ModelRegistry],
    training_windows: dg.ResourceParam[TrainingWindows],
    report_history: dg.ResourceParam[ReportHistory],
) -> Iterator[dg.MaterializeResult[Any]]:
    """How the champion of the time did on the day, which it had not learnt."""
    from spam_assets.learning.dated_model import DatedModel, UnreadableModel
    from spam_assets.learning.reporting import report_day, report_methods

    day = context.partition_key
    why_excluded = training_windows.find_reasons().get(day)
    if why_excluded is not None:
        record_nothing(context, f"{day} is excluded, so it says nothing of a champion: {why_excluded}")
        return
    champion = registry.champion_before(day)
    features = training_windows.load_day(day, partial(record_features, context))
    source = fingerprint_reported(fingerprint_features(features), champion.data_version if champion else None)
    if champion is None:
        record_nothing(context, f"there was no champion before {day}", source)
        return
    dated = registry.load_or_explain(champion)
    if isinstance(dated, UnreadableModel):
        record_nothing(context, f"the champion of before {day}, {dated.told}", source)
        return
    versions = registry.newest_of_methods_before(day, {method.reference for method in METHODS} - {dated.model.method})
    others = [one for version in versions if isinstance(one := registry.load_or_explain(version), DatedModel)]
    report, left_out = report_methods(report_day(day, dated, features), dated, others, features)
    earlier = report_history.days_before(day, DAYS_SHOWN - 1)
    metadata = {
        **describe_report(report, champion, earlier),
        **describe_methods({**earlier, day: report}, day),
        **describe_left_out(left_out),
    }
    challenger = registry.challenger_before(day)
    beside = registry.load_or_explain(challenger) if challenger is not None else None
    if challenger is not None and isinstance(beside, DatedModel):
        metadata |= describe_challenger(report_day(day, beside, features), challenger)
    yield dg.MaterializeResult(
        value=report,
        metadata=metadata,
        tags={SOURCE_TAG: source},
        data_version=dg.DataVersion(fingerprint_report(report)),
    )


@daily_asset(
    group_name="mail",
    kinds={"pandas", "parquet"},
    io_manager_key="frames",
    check_specs=[build_spec(rule, "scored_mail", blocking=True) for rule in INCOMING_RULES],
)
def scored_mail(
    context: dg.AssetExecutionContext,
    incoming_zone: dg.ResourceParam[IncomingZone],
    registry: dg.ResourceParam[ModelRegistry],
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Mail without labels, `incoming-{date}` of the landing zone, as the champion of the time judges it."""
    from spam_assets.learning.dated_model import DatedModel, UnreadableModel
    from spam_assets.learning.scored_mail import score_incoming

    day = context.partition_key
    try:
        landed = incoming_zone.read(day)
    except LandingFileMissing as file_missing:
        yield from (pass_unchecked(check, str(file_missing)) for check in context.selected_asset_check_keys)
        record_nothing(context, str(file_missing))
        return
    except LandingError as error:
        raise dg.Failure(str(error)) from None
    verdicts = judge_incoming_day(landed.mail, day)
    yield from (describe_verdict(verdict, "scored_mail") for verdict in verdicts)
    if not all(verdict.passed for verdict in verdicts):
        return  # a failed blocking check fails the step
    champion, challenger = registry.champion_before(day), registry.challenger_before(day)
    if champion is None:
        record_nothing(context, f"there was no champion before {day}")
        return
    dated = registry.load_or_explain(champion)
    if isinstance(dated, UnreadableModel):
        record_nothing(context, f"the champion of before {day}, {dated.told}")
        return
    beside = registry.load_or_explain(challenger) if challenger is not None else None
    if not isinstance(beside, DatedModel):
        beside = challenger = None  # one that cannot be read says nothing
    scores, expectation = score_incoming(complete_incoming_mail(landed.mail), dated, beside)
    copy = incoming_zone.write_scores(day, scores) if SETTINGS.scores_csv else None
    yield dg.MaterializeResult(
        value=scores,
        metadata=describe_scores(landed, scores, expectation, champion, challenger, copy),
        tags={SOURCE_TAG: fingerprint_source(landed)},
        data_version=dg.DataVersion(fingerprint_frame(scores)),
    )
