"""The flow: fetch_data, validate_data, train_model, promote_model for a date, and the same for many dates.

The tasks call the functions that the assets call, so only the orchestrator differs. `build_features` is a task of its
own because a window of days would otherwise be hashed anew for each date. What tasks hand to each other is too big to
be hashed for every task, so those that take it have no cache, as Prefect advises for such inputs; `fetch_data` has one.

A window holds the days that were run before, since nothing here knows what has landed; run dates in order.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from prefect import flow, get_run_logger, task
from prefect.blocks.system import Secret
from prefect.cache_policies import INPUTS, NO_CACHE, TASK_SOURCE, CacheKeyFnPolicy
from prefect.context import TaskRunContext
from prefect.states import Completed, Failed, State

from benchmarks.plain_mlflow import LoggedModel, PlainMlflow
from benchmarks.plain_storage import PlainStorage
from spam_assets.landing.errors import LandingFileMissing
from spam_assets.mail.validation import QualityError

if TYPE_CHECKING:
    import pandas as pd

    from spam_assets.learning.features import MailFeatures
    from spam_assets.learning.model import SpamModel

SECRET = "mlflow-tracking-uri"  # the name of the block, which people read
RETRY_SECONDS = (1, 2, 4)
Caching = Literal["none", "arguments", "content"]
"""When `fetch_data` takes an earlier result: never, for equal arguments, for equal arguments and an equal file."""


@dataclass(frozen=True)
class Trained:
    """A model, what MLflow knows of it, and the window that it learnt."""

    model: "SpamModel"
    logged: LoggedModel
    window: "dict[str, MailFeatures]"


def hash_landed_file(_context: TaskRunContext, arguments: dict[str, Any]) -> str | None:
    """Return a key that changes with the day's file; no key, and so no cached result, where there is none."""
    paths = sorted(Path(arguments["home"], "landing").glob(f"*-{arguments['day']}.*"))
    contents = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    return "-".join(["fetch_data", arguments["day"], *contents]) if contents else None


CACHE_POLICIES = {
    "none": NO_CACHE,
    "arguments": TASK_SOURCE + INPUTS,  # what Prefect's documents show for results that outlive a run
    "content": CacheKeyFnPolicy(cache_key_fn=hash_landed_file),
}


def is_worth_a_retry(_task: object, _run: object, state: State[Any]) -> bool:
    """Return whether trying again may help: a day that breaks a rule, or has not landed, does so again."""
    return not isinstance(state.result(raise_on_failure=False), (QualityError, LandingFileMissing))


RETRIED = {
    "retries": len(RETRY_SECONDS),
    "retry_delay_seconds": list(RETRY_SECONDS),
    "retry_condition_fn": is_worth_a_retry,
}


@task(**RETRIED)
def fetch_data(day: str, home: str) -> "pd.DataFrame":
    """Read what landed for a day."""
    from spam_assets.landing.zone import LandingZone

    return LandingZone(str(Path(home, "landing"))).read(day).frame


@task(**RETRIED, cache_policy=NO_CACHE)
def validate_data(mail: "pd.DataFrame", day: str, home: str) -> "pd.DataFrame":
    """Fail when the day breaks a rule, as when a column misses more than 5 % of its values; warn of what is unusual."""
    from spam_assets.mail.blocking_rules import judge_day
    from spam_assets.mail.validation import validate_day
    from spam_assets.mail.warning_rules import warn_about_day

    storage = PlainStorage(Path(home, "storage"))
    judge_day(mail, day)
    for verdict in warn_about_day(mail, day, storage.summarize(storage.list_days(before=day))):
        if not verdict.passed:
            get_run_logger().warning(verdict.sentence)
    valid = validate_day(mail, day)
    storage.write_mail(day, valid)
    return valid


@task(cache_policy=NO_CACHE)
def build_features(mail: "pd.DataFrame", day: str, home: str) -> None:
    """Store the features of a day's mail."""
    from spam_assets.io_managers.fingerprints import fingerprint_features
    from spam_assets.learning.features import featurize_mail

    features = featurize_mail(mail)
    PlainStorage(Path(home, "storage")).write_features(day, features, fingerprint_features(features))


@task(**RETRIED, cache_policy=NO_CACHE)
def train_model(mail: "pd.DataFrame", day: str, home: str) -> Trained | None:
    """Train on the window that ends with the day, as the MLflow run `train-{day}`; None where it holds too little."""
    from spam_assets.io_managers.fingerprints import fingerprint_model
    from spam_assets.learning.daily_protocol import NotEnoughMailError
    from spam_assets.learning.explanation import tell_strongest_words
    from spam_assets.learning.held_out import HELD_OUT_SHARE
    from spam_assets.learning.training import TrainingSettings
    from spam_assets.learning.training import train_model as train
    from spam_assets.views.pictures import draw_evaluation

    window, versions = PlainStorage(Path(home, "storage")).read_window(day)
    settings = TrainingSettings(held_out_share=HELD_OUT_SHARE)
    try:
        model = train(window, settings)
    except NotEnoughMailError as too_little:
        get_run_logger().info("no model for %s: %s", day, too_little)
        return None
    tell_strongest_words(model, mail)
    mlflow = PlainMlflow(Secret.load(SECRET).get())
    logged = mlflow.log_training(day, model, fingerprint_model(model), settings, draw_evaluation(model, day), versions)
    return Trained(model, logged, window)


@task(**RETRIED, cache_policy=NO_CACHE)
def promote_model(trained: Trained) -> str:
    """Register the model as a version of `spam-classifier`, which becomes champion if the gate lets it."""
    return PlainMlflow(Secret.load(SECRET).get()).register(trained.logged, trained.model, trained.window)


@flow(name="train-date", flow_run_name="train-{day}")
def train_date(day: str, home: str, caching: Caching = "content") -> str:
    """One date, from its landing file to a registered version; return what became of it."""
    fetch = fetch_data.with_options(cache_policy=CACHE_POLICIES[caching], persist_result=caching != "none")
    mail = validate_data(fetch(day, home), day, home)
    build_features(mail, day, home)
    trained = train_model(mail, day, home)
    return "no model: too little mail to learn from" if trained is None else promote_model(trained)


@flow(name="train-dates")
def train_dates(days: list[str], home: str, caching: Caching = "content") -> State[Any]:
    """Many dates in order, each a flow run of its own below this one; one that fails fails alone."""
    states = {day: train_date(day, home, caching, return_state=True) for day in days}
    failed = [day for day, state in states.items() if not state.is_completed()]
    if failed:
        return Failed(message=f"failed: {', '.join(failed)}")
    return Completed(message=f"{len(days)} days done")


FLOWS = {"date": train_date, "dates": train_dates}
