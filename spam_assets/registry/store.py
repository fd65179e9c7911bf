"""The MLflow store: reaching it, making it once, the names by which things are found in it.

Errors that leave this room never show the tracking URI, which may hold a password.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from urllib.parse import urlsplit

# Before MLflow is imported, which reads them once.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # the URL of a run, with user and password
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # of MLflow's own 7, which take minutes to give up
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")

import dagster as dg

from spam_assets.engine.interrupts import delay_interrupts
from spam_assets.engine.locks import hold_lock
from spam_assets.settings import Settings

TRAINING_DATE = "training_date"
ASSET = "dagster_asset"
"""Which asset a run trained for its date; one without is of before there were challengers."""
TRAINED_ASSET = "trained_model"
DATA_VERSION = "data_version"
MODEL_URI = "model_uri"
DAILY_PROTOCOL = "daily_protocol_"
HELD_OUT = "held_out_"
"""Before the names of figures that are not the model's own: each day was scored, at the threshold of that day, by the
learner as it was before it learnt the day."""

SERVER_SCHEMES = ("http", "https")


class TrackingError(dg.Failure):
    """MLflow could not be used; the message says for what, without the tracking URI."""


@contextmanager
def secret_kept(tracking_uri: str, doing: str) -> Iterator[None]:
    """Replace an error that would show the tracking URI's secret by one that does not.

    What is done in a database is done whole: an interrupt waits for its end. A server is left at once.
    """
    parts = urlsplit(tracking_uri)
    try:
        with nullcontext() if parts.scheme in SERVER_SCHEMES else delay_interrupts():
            yield
    except Exception as error:
        if "@" not in parts.netloc and not parts.query:  # libpq takes a password as a parameter as well
            raise
        raise TrackingError(
            f"MLflow failed while {doing} ({type(error).__name__}); "
            "check that MLFLOW_TRACKING_URI is right and its server answers"
        ) from None


def is_missing(error: BaseException) -> bool:
    """Whether an artifact store was reached and said that something is not there; each says so in its own way."""
    response = getattr(error, "response", None)
    codes = {getattr(error, "error_code", None), getattr(response, "status_code", None)}
    if isinstance(response, Mapping):
        codes.add(response.get("Error", {}).get("Code"))
    return isinstance(error, FileNotFoundError) or bool(codes & {"RESOURCE_DOES_NOT_EXIST", "404", "NoSuchKey", 404})


def name_run(day: str, asset: str = TRAINED_ASSET) -> str:
    """Return the name of the MLflow run that trains for a day: `train-{day}`, of a challenger with its name behind."""
    return f"train-{day}" if asset == TRAINED_ASSET else f"train-{day}-{asset.partition('_')[2]}"


_prepared_stores: set[str] = set()


def prepare_tracking_store(settings: Settings) -> None:
    """Create the MLflow database and the experiment once, whoever comes first; a server does that by itself.

    Creating the database takes seconds and must not happen in two processes at once, hence the lock. The experiment
    says where artifacts are: MLflow's own choice for a database is the working directory of whoever comes first.
    """
    if settings.has_tracking_server or settings.tracking_uri in _prepared_stores:
        return
    with hold_lock(settings, "mlflow"), secret_kept(settings.tracking_uri, "opening the store"):
        from mlflow import MlflowClient

        client = MlflowClient(settings.tracking_uri)
        if client.get_experiment_by_name(settings.experiment) is None:
            client.create_experiment(settings.experiment, artifact_location=settings.artifact_folder.as_uri())
    _prepared_stores.add(settings.tracking_uri)
