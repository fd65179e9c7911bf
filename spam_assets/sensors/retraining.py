"""Retraining: train a model for the newest day when `learning.retraining_rule` says so, or at a fixed hour.

The sensor looks once at each newer day of mail; its cursor is the newest day that it judged. A day that is run again
triggers nothing, but the next look at a newer day sees its new report.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import dagster as dg

from spam_assets.engine.code_location import is_ours, name_of_location
from spam_assets.engine.tags import PARTITION_NAME_TAG
from spam_assets.jobs import REASON_TAG, gate_job, retrain_job
from spam_assets.partitions import DAYS, SETTINGS
from spam_assets.sensors.described import described
from spam_assets.settings import Settings

if TYPE_CHECKING:
    from spam_assets.learning.retraining_rule import ChampionRecord, RetrainingSettings

REPORTS_READ = 60
IN_PROGRESS = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@described(
    dg.sensor,
    name="retraining",
    jobs=[retrain_job, gate_job],
    minimum_interval_seconds=SETTINGS.sensor_seconds,
    default_status=dg.DefaultSensorStatus.RUNNING if SETTINGS.automate else dg.DefaultSensorStatus.STOPPED,
)
def retraining_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Train a model for the newest day when the rule says so, else judge again what waits; the cursor is that day."""
    from spam_assets.landing.errors import LandingError
    from spam_assets.learning.retraining_rule import decide_retraining
    from spam_assets.registry.registered_models import ModelRegistry
    from spam_assets.resources import open_excluded_days, open_stores

    stores = open_stores(SETTINGS)
    try:
        excluded = open_excluded_days(SETTINGS).read()
    except LandingError as error:
        return dg.SkipReason(str(error))
    featurized = [day for day in stores.features.stored_days("mail_features") if day not in excluded]
    judged = context.cursor or None
    if not featurized:
        return dg.SkipReason("no mail has been featurized yet; materialize days, or turn the sensor new_mail on")
    newer = [day for day in featurized if judged is None or day > judged]
    if find_newest_day(newer) is None:
        return dg.SkipReason(f"{judged} has been judged, and no newer day has come")
    # A day that a model was trained for needs no report to be judged by.
    reported = context.instance.get_materialized_partitions(dg.AssetKey("champion_report"))
    reported |= set(stores.models.stored_days("trained_model"))
    newest_day = find_newest_day([day for day in newer if day in reported])
    if newest_day is None:
        return dg.SkipReason(f"{newer[-1]} waits for its champion_report: materialize it, or run spam-assets backfill")
    own_location = name_of_location(context)
    in_progress = context.instance.get_runs(dg.RunsFilter(statuses=IN_PROGRESS))
    busy = [run.job_name for run in in_progress if is_ours(run, own_location)]
    if busy:
        return dg.SkipReason(f"{len(busy)} runs are in progress ({', '.join(sorted(set(busy)))}); {newest_day} waits")
    settings = build_retraining_settings(SETTINGS)
    report_days = [
        day
        for day in stores.reports.stored_days("champion_report")
        if day <= newest_day and day not in excluded  # its report may be of before it was excluded
    ]
    champion, unreadable = _recall_champion()
    decision = decide_retraining(
        [stores.reports.load_day("champion_report", day) for day in report_days[-REPORTS_READ:]],
        champion,
        newest_day,
        settings,
        last_training=max(stores.models.stored_days("trained_model"), default=None),
        last_judged_day=judged,
        unreadable=unreadable,
    )
    reasons = "; ".join(reason.sentence for reason in decision.reasons)
    if not decision.retrain:
        waiting = ", ".join(f"version {version.version}" for version in ModelRegistry(SETTINGS).waiting())
        if waiting:
            request = dg.RunRequest(
                run_key=f"judge-{newest_day}",
                job_name=gate_job.name,
                partition_key=newest_day,
                tags={REASON_TAG: f"{waiting} waits for the gate, which has the mail of {newest_day} to judge it by"},
            )
            return dg.SensorResult(run_requests=[request], cursor=newest_day)
        why = decision.waiting or reasons or "the champion does as well as ever"
        return dg.SensorResult(skip_reason=f"{newest_day}: {why}", cursor=newest_day)
    request = dg.RunRequest(
        run_key=f"train-{newest_day}",
        job_name=retrain_job.name,
        partition_key=newest_day,
        tags={REASON_TAG: reasons, **{f"{REASON_TAG}.{reason.kind}": "true" for reason in decision.reasons}},
    )
    return dg.SensorResult(run_requests=[request], cursor=newest_day)


def find_newest_day(days: Sequence[str]) -> str | None:
    """Return the last of sorted days that is a partition; the settings may have left out stored days since."""
    return next((day for day in reversed(days) if DAYS.has_partition_key(day)), None)


def build_retraining_settings(settings: Settings) -> "RetrainingSettings":
    """Return the rule's settings, with what a person chose."""
    from spam_assets.learning.retraining_rule import RetrainingSettings

    return replace(
        RetrainingSettings(),
        max_age_days=settings.retrain_max_age_days,
        new_messages=settings.retrain_new_messages,
        cool_down_days=settings.retrain_cool_down_days,
    )


def _recall_champion() -> "tuple[ChampionRecord | None, str | None]":
    """Return what the rule needs to know of the champion, or why it cannot be known; neither where none serves."""
    from spam_assets.learning.dated_model import UnreadableModel
    from spam_assets.learning.retraining_rule import ChampionRecord
    from spam_assets.registry.registered_models import CHAMPION, ModelRegistry

    registry = ModelRegistry(SETTINGS)
    champion = registry.aliased(CHAMPION)
    if champion is None:
        return None, None
    dated = registry.load_or_explain(champion)
    return (None, dated.told) if isinstance(dated, UnreadableModel) else (ChampionRecord.from_model(dated), None)


@described(
    dg.schedule,
    name="train_daily",
    job=retrain_job,
    cron_schedule="0 3 * * *",
    default_status=dg.DefaultScheduleStatus.STOPPED,
)
def train_daily_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Train for the newest day of mail at a fixed hour, whatever the rule says, unless that has been done."""
    from spam_assets.resources import open_stores

    stores = open_stores(SETTINGS)
    newest_day = find_newest_day(stores.features.stored_days("mail_features"))
    if newest_day is None:
        return dg.SkipReason("no mail has been featurized yet")
    if stores.models.has_day("trained_model", newest_day):
        return dg.SkipReason(f"a model was trained for {newest_day}, and no newer day has come")
    # A run key would not tell: Dagster compares those of one sensor or of one tick of a schedule only.
    filters = dg.RunsFilter(job_name=retrain_job.name, statuses=IN_PROGRESS, tags={PARTITION_NAME_TAG: newest_day})
    if context.instance.get_runs(filters, limit=1):
        return dg.SkipReason(f"a model of {newest_day} is being trained")
    return dg.RunRequest(partition_key=newest_day, tags={REASON_TAG: "the schedule train_daily"})
