"""A training run of MLflow on a real SQLite store, and a model to log there."""

from collections.abc import Iterator

import dagster as dg
import pytest

from spam_assets.learning.features import featurize_mail
from spam_assets.learning.model import SpamModel
from spam_assets.learning.training import TrainingSettings, train_model
from spam_assets.mail.mail_frame import build_mail_frame
from spam_assets.registry.training_runs import TrainingMlFlow, build_mlflow_resource
from spam_assets.settings import Settings
from spam_assets_tests.conftest import day_text, make_mail

DAYS = [day_text(offset) for offset in range(3)]


@pytest.fixture(scope="module")
def model() -> SpamModel:
    frames = {day: build_mail_frame(make_mail(day).to_dict("list"), day, "test")[0] for day in DAYS}
    return train_model(
        {day: featurize_mail(frame) for day, frame in frames.items()}, TrainingSettings(held_out_share=0.1)
    )


@pytest.fixture
def mlflow(settings: Settings) -> Iterator[TrainingMlFlow]:
    run = dg.DagsterRun(job_name="train_job", run_id="a-run")
    with dg.build_resources({"mlflow": build_mlflow_resource(settings)}, dagster_run=run) as resources:
        yield resources.mlflow
