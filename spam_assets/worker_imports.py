"""What a Celery worker imports before it forks the process of a run, which would else spend its first seconds on that.

Nothing that knows the days: those that land later would be none of the worker's. And nothing that starts a thread,
which no forked process has.
"""

import importlib
import warnings
from contextlib import suppress

import dagster as dg

from spam_assets.registry import store as store  # first: it says what MLflow reads when it is imported
from spam_assets.views.pictures import prepare_picture

from mlflow.utils.requirements_utils import warn_dependency_requirement_mismatches  # isort: skip

warnings.filterwarnings("ignore", category=dg.BetaWarning)  # as in `definitions`
for name in (
    "dagster_mlflow",
    "dagster_postgres",
    "mlflow.pyfunc",
    "pandera.backends.pandas.builtin_checks",
    "pandera.pandas",
    "spam_assets.learning.daily_protocol",
    "spam_assets.learning.succession",
    "spam_assets.learning.training",
    "spam_assets.registry.gate_changes",
    "spam_assets.resources",
    "spam_assets.views.card_text",
):
    importlib.import_module(name)
for name in ("s3fs", "gcsfs", "adlfs"):  # of the bucket's storage, which may be any
    with suppress(ModuleNotFoundError):
        importlib.import_module(name)

prepare_picture()
warn_dependency_requirement_mismatches(["mlflow"])  # finds out, once, which installed package a module is of
