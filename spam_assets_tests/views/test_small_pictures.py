"""Pictures that the UI shows at once: under 1,000 characters of Markdown, sound, and different for different models."""

import base64
import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from spam_assets.learning.evaluation import evaluate_scores
from spam_assets.learning.features import featurize_mail
from spam_assets.learning.model import SpamModel
from spam_assets.learning.model_card import CalibrationBin
from spam_assets.learning.trained_model import ProgressiveScores
from spam_assets.learning.training import TrainingSettings, train_model
from spam_assets.views.small_pictures import draw_calibration, draw_small_det
from spam_assets_tests.conftest import day_text, make_mail


@pytest.fixture(scope="module")
def model() -> SpamModel:
    return train_model({day: featurize_mail(make_mail(day)) for day in map(day_text, range(3))}, TrainingSettings())


def score_at_random(model: SpamModel, count: int, spread: float, seed: int) -> SpamModel:
    """A model that gave so many messages scores whose classes differ by so much."""
    random = np.random.default_rng(seed)
    labels = (random.random(count) < 0.4).astype(np.int8)
    scores = 1 / (1 + np.exp(-random.normal((2.0 * labels - 1) * spread, 2.0)))
    found = ProgressiveScores(("2024-01-01",), np.zeros(count, np.int32), labels, scores, np.full(count, 0.9))
    return replace(model, progressive=found, evaluation=evaluate_scores(labels, scores, 0.9, found.days))


def read_svg(shown: str) -> ET.Element:
    found = re.match(r"!\[[^]]*\]\(data:image/svg\+xml;base64,([\w+/=]+)\)", shown)
    assert found is not None
    return ET.fromstring(base64.b64decode(found[1]))


@pytest.mark.parametrize("count", [0, 1, 50, 2000, 20_000])
@pytest.mark.parametrize("spread", [0.0, 1.0, 4.0, 50.0])
def test_a_det_curve_is_small_and_sound_whatever_the_scores(model: SpamModel, count: int, spread: float) -> None:
    shown = draw_small_det(score_at_random(model, count, spread, seed=count))
    assert len(shown) < 1000
    assert read_svg(shown).tag.endswith("svg")


def test_a_det_curve_goes_through_the_shares_and_marks_the_threshold(model: SpamModel) -> None:
    labels = np.array([0] * 100 + [1] * 100, np.int8)
    scores = np.array([0.1] * 90 + [0.8] * 10 + [0.5] * 1 + [0.9] * 99)
    found = ProgressiveScores(("2024-01-01",), np.zeros(200, np.int32), labels, scores, np.full(200, 0.7))
    evaluation = evaluate_scores(labels, scores, 0.7, found.days)
    svg = read_svg(draw_small_det(replace(model, progressive=found, evaluation=evaluation)))
    curve, dot = svg[1].get("d"), svg[2]
    # 10 % of ham lies at 90 of 120 across, 1 % of spam missed at 60 from below.
    assert curve == "M120 120H90V60H0V0"
    assert (dot.get("cx"), dot.get("cy")) == ("90", "60")


def test_a_better_model_has_another_curve(model: SpamModel) -> None:
    assert draw_small_det(score_at_random(model, 500, 1.0, 0)) != draw_small_det(score_at_random(model, 500, 4.0, 0))


def test_a_calibration_has_a_mark_for_each_bin_where_it_belongs() -> None:
    svg = ET.fromstring(draw_calibration([CalibrationBin(100, 50, 0.5), CalibrationBin(10, 10, 1.0)]))
    circles = svg.findall("{http://www.w3.org/2000/svg}circle")
    assert [(circle.get("cx"), circle.get("cy")) for circle in circles] == [("170.0", "140.0"), ("290.0", "20.0")]
    assert "50 of 100 are spam" in "".join(circles[0].itertext())
    assert ET.fromstring(draw_calibration([])).tag.endswith("svg")
