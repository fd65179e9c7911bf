"""The model card as Markdown: whole for MLflow, short for the UI."""

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from spam_assets.learning.features import featurize_mail
from spam_assets.learning.model import SpamModel
from spam_assets.learning.model_card import ModelCard, Part, build_card
from spam_assets.learning.training import TrainingSettings, train_model
from spam_assets.views.card_text import describe_card, summarize_card, write_card, write_card_files
from spam_assets_tests.conftest import day_text, make_mail

DAYS = [day_text(offset) for offset in range(3)]


@pytest.fixture(scope="module")
def model() -> SpamModel:
    return train_model({day: featurize_mail(make_mail(day)) for day in DAYS}, TrainingSettings())


@pytest.fixture(scope="module")
def card(model: SpamModel) -> ModelCard:
    return build_card(DAYS[-1], model, DAYS, {})


def test_the_whole_card_has_every_chapter_with_its_figures(card: ModelCard) -> None:
    weak = Part("lists", 20, 20, 0, 2)
    text = write_card(replace(card, by_sender=(weak,)), {"window": 90}, "abc")
    for words in (
        f"# Spam classifier trained for {DAYS[-1]}", "## What it learnt", "## How it does", "## Weak spots",
        "## Calibration", "## By day", "## How to make it again", f"spam-assets run --date {DAYS[-1]}", "`abc`",
        "- `window`: 90", "- lists: 2 of 20 spam caught", f"{card.ham:,} ham and {card.spam:,} spam",
        f"from a probability of {card.threshold:.4f} on", "was not at hand",
        "| lists | 20 | 0 | 0.00% (0.00% to 16.11%) | 20 | 2 | 10.00% (2.79% to 30.10%) |",
    ):  # fmt: skip
        assert words in text
    for part in card.by_day:
        assert f"| {part.name} | {part.ham} | {part.lost_ham} |" in text
    assert len(re.findall("data:image/svg", text)) == 1


def test_days_that_were_not_learnt_are_named_with_the_reason(card: ModelCard) -> None:
    shown = write_card(replace(card, days_contradicting=("2024-02-01",), days_without_mail=("2024-02-02",)), {}, "x")
    assert "Not learnt, because labels contradict the days before: 2024-02-01." in shown
    assert "Without usable mail (none landed, refused by a rule, or excluded): 2024-02-02." in shown


def test_the_files_for_mlflow_are_the_card_and_a_sound_picture(card: ModelCard) -> None:
    settings = TrainingSettings(target_fpr=0.002, vouched_days=frozenset({"2024-01-09", "2024-01-02"}))
    files = write_card_files(card, settings, 60, "abc")
    assert sorted(files) == ["calibration.svg", "model_card.md"]
    assert ET.fromstring(files["calibration.svg"]).tag.endswith("svg")
    for words in ("`SPAM_ASSETS_WINDOW_DAYS`: 60", "`SPAM_ASSETS_TARGET_FPR`: 0.002", "2024-01-02,2024-01-09"):
        assert words in files["model_card.md"]


def test_what_the_ui_gets_is_shown_without_a_click(card: ModelCard, model: SpamModel) -> None:
    described = {name: str(value.value) for name, value in describe_card(card, model).items()}
    assert sorted(described) == ["det", "model_card"]
    assert all(len(text) < 1000 for text in described.values())
    assert f"| all | {card.overall.lost_ham} of {card.overall.ham} |" in described["model_card"]


def test_the_short_card_is_short_however_much_there_is_to_tell(card: ModelCard) -> None:
    many = tuple(Part("a kind of sender with a long name", 10**9, 10**9, 10**8, 10**8) for _ in range(40))
    days = tuple(day_text(offset) for offset in range(80))
    text = summarize_card(
        replace(card, by_sender=many, days_contradicting=days, days_without_mail=days, ham=10**9, spam=10**9)
    )
    assert len(text) < 1000
    assert "Weak: " in text
    assert "and 77 more" in text
