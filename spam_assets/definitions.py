"""The Dagster code location: wires assets, checks, jobs, resources and the executor. No logic."""

import warnings

import dagster as dg

# Features that Dagster marks as beta or preview are used on purpose, with its version pinned by dagster-mlflow.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
warnings.filterwarnings("ignore", category=dg.PreviewWarning)

from spam_assets.assets import (  # noqa: E402
    mail_features,
    raw_mail,
    registered_model,
    trained_model,
    validated_mail,
)
from spam_assets.checks import raw_mail_quality  # noqa: E402
from spam_assets.executor import day_by_day_executor  # noqa: E402
from spam_assets.jobs import train_job  # noqa: E402
from spam_assets.partitions import SETTINGS  # noqa: E402
from spam_assets.resources import build_resources  # noqa: E402

defs = dg.Definitions(
    assets=[raw_mail, validated_mail, mail_features, trained_model, registered_model],
    asset_checks=[raw_mail_quality],
    jobs=[train_job],
    resources=build_resources(SETTINGS),
    executor=day_by_day_executor,
)
