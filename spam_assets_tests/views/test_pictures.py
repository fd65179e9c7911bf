"""The picture of a model."""

from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from spam_assets.learning.features import featurize_mail
from spam_assets.learning.model import SpamModel
from spam_assets.learning.training import TrainingSettings, train_model
from spam_assets.mail.mail_frame import build_mail_frame
from spam_assets.views.pictures import draw_evaluation
from spam_assets_tests.conftest import day_text, make_mail


def train(days: int, spam_share: float = 0.4) -> SpamModel:
    window = {}
    for day in map(day_text, range(days)):
        frame, _ = build_mail_frame(make_mail(day, spam_share=spam_share).to_dict("list"), day, "test")
        window[day] = featurize_mail(frame)
    return train_model(window, TrainingSettings())


@pytest.fixture(scope="module")
def model() -> SpamModel:
    return train(3)


def test_the_same_model_gives_the_same_bytes(model: SpamModel) -> None:
    again = SpamModel.from_arrays(model.to_arrays())
    assert draw_evaluation(model, "2024-01-03") == draw_evaluation(again, "2024-01-03")


def test_the_picture_is_small_sound_svg_that_names_the_day_and_what_it_shows(model: SpamModel) -> None:
    svg = draw_evaluation(model, "2024-01-03")
    assert ET.fromstring(svg).tag.endswith("svg")
    assert len(svg) < 100_000
    for words in ("train-2024-01-03: 80 messages of 2 days", "DET curve", "share of spam missed", "spam probability"):
        assert words in svg


def test_a_worse_model_gives_another_picture(model: SpamModel) -> None:
    shuffled = np.random.default_rng(0).permutation(model.progressive.scores)
    worse = replace(model, progressive=replace(model.progressive, scores=shuffled))
    before = draw_evaluation(model, "2024-01-03")
    assert draw_evaluation(worse, "2024-01-03") != before
    assert draw_evaluation(model, "2024-01-03") == before, "one figure is used again, and keeps nothing"


def test_a_model_that_was_never_evaluated_still_has_a_picture() -> None:
    model = train(1)
    assert model.evaluation.messages == 0
    assert "0 messages of 0 days" in draw_evaluation(model, "2024-01-01")
