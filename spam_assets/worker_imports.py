"""What a Celery worker imports before it forks the process of a run, which would else spend its first seconds on that.

Nothing that knows the days: those that land later would be none of the worker's. And nothing that starts a thread,
which no forked process has.
"""

import gc
import importlib
import warnings
from contextlib import suppress

import dagster as dg
import pandas as pd

from spam_assets.registry import store as store  # first: it says what MLflow reads when it is imported
from spam_assets.views.pictures import prepare_picture

from mlflow.utils.requirements_utils import warn_dependency_requirement_mismatches  # isort: skip

warnings.filterwarnings("ignore", category=dg.BetaWarning)  # as in `definitions`
for name in (
    "dagster_mlflow",
    "dagster_postgres",
    "git",  # MLflow asks it for the commit of each training
    "mlflow.pyfunc",
    "pandera.backends.pandas.builtin_checks",
    "pandera.pandas",
    "psycopg2.extras",
    "pyarrow.parquet",
    "spam_assets.learning.daily_protocol",
    "spam_assets.learning.explanation",
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


def learn_a_little() -> None:
    """Learn three days of made-up mail: Numba loads what it has compiled when a function is called first."""
    from spam_assets.learning.features import featurize_mail
    from spam_assets.learning.held_out import HELD_OUT_SHARE
    from spam_assets.learning.training import TrainingSettings, train_model
    from spam_assets.mail.completion import complete_mail

    labels = ["ham", "spam"] * 100
    texts = [f"{label} number {number}, see you at the meeting" for number, label in enumerate(labels)]
    mail = complete_mail(pd.DataFrame({"message_id": texts, "body": texts})).assign(label=labels)
    features = featurize_mail(mail)
    window = dict.fromkeys(("2000-01-01", "2000-01-02", "2000-01-03"), features)
    train_model(window, TrainingSettings(held_out_share=HELD_OUT_SHARE)).score(features)


prepare_picture()
learn_a_little()
warn_dependency_requirement_mismatches(["mlflow"])  # finds out, once, which installed package a module is of
gc.freeze()  # Celery looks for garbage before each fork, and nothing of all this ever is any
