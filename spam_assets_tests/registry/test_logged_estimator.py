"""The logged model of somebody else's method: what travels with it, and that plain MLflow loads it."""

from pathlib import Path

import numpy as np
import pytest

from spam_assets.learning.estimator_model import EstimatorModel
from spam_assets.learning.methods import Method
from spam_assets.learning.served_model import SPAM_PROBABILITY
from spam_assets.learning.serving import score_mail
from spam_assets.learning.trained_model import TrainedModel
from spam_assets.learning.training import TrainingSettings
from spam_assets.registry.logged_model import find_luggage
from spam_assets.registry.registered_models import ModelRegistry
from spam_assets.registry.store import TrackingError
from spam_assets.registry.training_runs import TrainingMlFlow
from spam_assets.settings import Settings
from spam_assets_tests.learning import make_mail
from spam_assets_tests.learning.estimators import FIVE_LINES, read_window, write_module
from spam_assets_tests.registry import log

DAY = "2030-01-04"
OWN_CLASS = """
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from spam_assets.learning.text_columns import TextColumns
class Ridge(RidgeClassifier): pass
def build_pipeline(): return make_pipeline(TextColumns(), TfidfVectorizer(), Ridge())
"""


def train(name: str, *trusted: str) -> TrainedModel:
    window = read_window(4, ham=20, spam=20)
    return Method(f"{name}:build_pipeline", frozenset(trusted)).train(window, TrainingSettings(held_out_share=0.1))


def test_plain_mlflow_loads_a_five_line_method_and_scores_as_the_model_itself(
    mlflow: TrainingMlFlow, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import pyfunc

    write_module(tmp_path, monkeypatch, "logged_models", FIVE_LINES)
    model = train("logged_models")
    registry = ModelRegistry(settings)
    version = registry.register(DAY, log(mlflow, DAY, model))
    mail = make_mail("2030-01-05", ham=5, spam=5).drop(columns="label")
    ours = score_mail(model, mail)
    served = pyfunc.load_model(f"models:/spam-classifier/{version.version}").predict(mail)
    np.testing.assert_allclose(served[SPAM_PROBABILITY], ours[SPAM_PROBABILITY], rtol=0, atol=1e-9)
    assert ours[SPAM_PROBABILITY].max() - ours[SPAM_PROBABILITY].min() > 0.3
    loaded = ModelRegistry(settings).load_model(version)
    assert isinstance(loaded, EstimatorModel)
    assert loaded.method == "logged_models:build_pipeline"
    assert mlflow.tracking_client.get_run(version.run_id).data.params["method"] == loaded.method
    luggage = find_luggage(model)
    assert luggage.foreign_code == ()
    assert luggage.packages == ("numpy", "pandas", "scikit-learn", "skops")


def test_a_module_whose_types_are_stored_travels_and_is_refused_by_a_home_that_does_not_trust_them(
    mlflow: TrainingMlFlow, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_module(tmp_path, monkeypatch, "own_class_models", OWN_CLASS)
    model = train("own_class_models", "own_class_models.Ridge")
    assert find_luggage(model).foreign_code == (tmp_path / "own_class_models.py",)
    assert "spam_assets.learning.text_columns" in find_luggage(model).modules
    version = ModelRegistry(settings).register(DAY, log(mlflow, DAY, model))
    with pytest.raises(TrackingError, match=r"own_class_models.Ridge; .*SPAM_ASSETS_TRUSTED_TYPES"):
        ModelRegistry(settings).load_model(version)
    trusting = settings.model_copy(update={"trusted_types": "own_class_models.Ridge"})
    assert ModelRegistry(trusting).load_model(version).method == "own_class_models:build_pipeline"
