"""The Dagster code location: wires assets, checks, jobs, sensors, resources and the executor. No logic."""

import warnings

import dagster as dg

# Features that Dagster marks as beta or preview are used on purpose, with its version pinned by dagster-mlflow.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
warnings.filterwarnings("ignore", category=dg.PreviewWarning)
# With SPAM_ASSETS_DAYS_PER_RUN mail is made in many runs and models in one, and train_job has both, in small runs.
warnings.filterwarnings("ignore", message="Asset job .* materializes assets with varying BackfillPolicies")

from spam_assets.assets import (
    CHALLENGERS,
    challengers,
    champion_report,
    mail_features,
    raw_mail,
    registered_model,
    scored_mail,
    trained_model,
    training_window,
    validated_mail,
)
from spam_assets.checks import labels_agree_with_earlier_days, raw_mail_quality
from spam_assets.engine.executor import day_by_day_executor
from spam_assets.engine.many_machines import join
from spam_assets.jobs import gate_job, mail_job, report_job, retrain_job, score_job, train_job
from spam_assets.partitions import SETTINGS
from spam_assets.resources import build_resources
from spam_assets.sensors import SCHEDULES, SENSORS

join(SETTINGS)
defs = dg.Definitions(
    assets=[
        raw_mail,
        validated_mail,
        mail_features,
        training_window,
        trained_model,
        *CHALLENGERS.values(),
        *([challengers] if CHALLENGERS else []),
        registered_model,
        champion_report,
        scored_mail,
    ],
    asset_checks=[raw_mail_quality, labels_agree_with_earlier_days],
    jobs=[train_job, mail_job, report_job, retrain_job, gate_job, score_job],
    schedules=SCHEDULES,
    sensors=SENSORS,
    resources=build_resources(SETTINGS),
    executor=day_by_day_executor,
)
