"""Why somebody else's estimator says what it says: by coefficients, or by leaving words out."""

from pathlib import Path

import pandas as pd
import pytest

from spam_assets.learning.explanation import explain_mail
from spam_assets.learning.methods import Method
from spam_assets.learning.training import TrainingSettings
from spam_assets_tests.learning.estimators import DAY_BY_DAY, FIVE_LINES, read_window, write_module

MAIL = pd.DataFrame({"message_id": ["a", "b"], "subject": ["casino please", ""], "body": ["patch \x1b[31m", ""]})


@pytest.mark.parametrize(("name", "text"), [("by_coefficients", FIVE_LINES), ("by_leaving_out", DAY_BY_DAY)])
def test_words_that_tell_the_classes_are_named_and_parts_add_up_to_the_margin(
    name: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_module(tmp_path, monkeypatch, name, text)
    model = Method(f"{name}:build_pipeline").train(read_window(4, ham=20, spam=20), TrainingSettings())
    first, empty = explain_mail(model, MAIL)
    assert first.message_id == "a"
    assert "casino" in [reason.text for reason in first.for_spam]
    assert "patch" in [reason.text for reason in first.for_ham]
    parts = sum(reason.contribution for reason in (*first.for_spam, *first.for_ham))
    assert parts + first.rest == pytest.approx(first.margin)
    assert first.threshold == model.threshold
    assert all(str(reason).isprintable() for reason in (*first.for_spam, *first.for_ham))
    assert (empty.for_spam, empty.for_ham) == ((), ())
