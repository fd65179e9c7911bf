"""Modules of a user's own estimators, and days of mail to train them on."""

import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from spam_assets.learning.features import MailFeatures, read_frame
from spam_assets.learning.mail_text import MailText
from spam_assets_tests.learning import make_mail

FIVE_LINES = """
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
def build_pipeline(): return make_pipeline(make_column_transformer((TfidfVectorizer(), "subject"), (TfidfVectorizer(), "body")), LogisticRegression(C=10))
"""  # noqa: E501
DAY_BY_DAY = """
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import make_pipeline
from spam_assets.learning.text_columns import TextColumns
def build_pipeline(): return make_pipeline(TextColumns(), HashingVectorizer(n_features=4096), SGDClassifier(loss="log_loss"))
"""  # noqa: E501


def write_module(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    """A module that can be imported until the test ends; each name is to be used once, for Python keeps modules."""
    (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, name, raising=False)


def read_window(days: int, *, ham: int = 20, spam: int = 12) -> dict[str, MailFeatures]:
    """Consecutive days of mail, features and text."""
    names = [str(day.date()) for day in pd.date_range("2030-01-01", periods=days)]
    return {day: read_frame(make_mail(day, ham=ham, spam=spam)) for day in names}


def without_mail(features: MailFeatures) -> MailFeatures:
    return replace(features, mail=None)


def count_loads(features: MailFeatures, day: str, loads: list[str]) -> MailFeatures:
    """The same features, whose mail notes when it is read."""
    inner = features.mail
    assert inner is not None

    def load() -> pd.DataFrame:
        loads.append(day)
        return inner.load()

    return replace(features, mail=MailText(load, day, lambda: "version"))
