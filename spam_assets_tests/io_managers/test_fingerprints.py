"""Data versions: equal values have equal fingerprints, and any change of a value changes it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from spam_assets.io_managers.fingerprints import fingerprint_features, fingerprint_frame, fingerprint_model
from spam_assets.learning.features import MailFeatures, featurize_mail
from spam_assets.learning.label_suspects import SuspectLabel
from spam_assets.learning.model import SpamModel
from spam_assets.learning.training import TrainingSettings, train_model
from spam_assets.mail.columns import MAIL_COLUMNS
from spam_assets.mail.mail_frame import build_mail_frame
from spam_assets.mail.validation import validate_day
from spam_assets_tests.conftest import day_text, make_mail


def make_frame(day: str = "2024-01-01") -> pd.DataFrame:
    mail = make_mail(day, messages=30)
    mail["raw"] = [f"Subject: {n}\n\n".encode() for n in range(30)]
    frame, _ = build_mail_frame(mail.to_dict("list"), day, "test")
    return validate_day(frame, day)


def make_features() -> MailFeatures:
    return featurize_mail(make_frame())


@pytest.fixture(scope="module")
def model() -> SpamModel:
    window = {day: featurize_mail(make_frame(day)) for day in (day_text(0), day_text(1))}
    return train_model(window, TrainingSettings())


def test_equal_frames_have_equal_fingerprints_however_they_are_stored() -> None:
    frame = make_frame()
    again = frame.copy().set_axis(range(100, 130))
    assert fingerprint_frame(frame) == fingerprint_frame(again) == fingerprint_frame(make_frame())


@pytest.mark.parametrize("column", [*MAIL_COLUMNS, "content_hash"])
@pytest.mark.parametrize("row", [0, 17, 29])
def test_any_cell_changed_changes_a_frames_fingerprint(column: str, row: int) -> None:
    frame = make_frame()
    changed = frame.copy()
    cell = changed[column].iloc[row]
    if column == "received_at":
        new = cell + pd.Timedelta(microseconds=1)
    elif column == "raw":
        new = cell + b" "
    elif column == "content_hash":
        new = cell ^ np.uint64(1)
    else:
        new = cell + "x"
    cells = changed[column].tolist()
    cells[row] = new
    changed[column] = pd.Series(cells, dtype=changed[column].dtype)
    assert fingerprint_frame(changed) != fingerprint_frame(frame)


def test_missing_is_not_empty_and_order_and_names_count() -> None:
    frame = make_frame()
    base = fingerprint_frame(frame)
    empty, missing = frame.copy(), frame.copy()
    empty.loc[3, "subject"] = ""
    missing.loc[3, "subject"] = None
    assert len({base, fingerprint_frame(empty), fingerprint_frame(missing)}) == 3
    assert fingerprint_frame(frame.iloc[::-1]) != base
    assert fingerprint_frame(frame.rename(columns={"subject": "title"})) != base
    assert fingerprint_frame(frame.iloc[:-1]) != base
    assert fingerprint_frame(frame.iloc[:0]) != base


def test_a_bytes_cell_is_not_the_text_that_shows_it() -> None:
    assert fingerprint_frame(pd.DataFrame({"raw": [b"x"]})) != fingerprint_frame(pd.DataFrame({"raw": ["b'x'"]}))


def test_equal_features_have_equal_fingerprints_and_any_change_shows() -> None:
    features = make_features()
    base = fingerprint_features(features)
    assert fingerprint_features(make_features()) == base
    flipped = features.labels.copy()
    flipped[5] ^= 1
    ids = features.message_ids.copy()
    ids[5] += "x"
    versions = {
        base,
        fingerprint_features(replace(features, labels=flipped)),
        fingerprint_features(replace(features, message_ids=ids)),
    }
    for name, rows in features.views.items():
        indices, offsets = rows.indices.copy(), rows.offsets.copy()
        indices[7] ^= 1
        offsets[7] += 1
        for changed in (replace(rows, indices=indices), replace(rows, offsets=offsets)):
            versions.add(fingerprint_features(replace(features, views={**features.views, name: changed})))
    assert len(versions) == 3 + 2 * len(features.views)


def test_equal_models_have_equal_fingerprints_and_any_changed_array_shows(model: SpamModel) -> None:
    base = fingerprint_model(model)
    assert fingerprint_model(SpamModel.from_arrays(model.to_arrays())) == base
    weights = model.weights.copy()
    weights[np.flatnonzero(weights)[0]] *= 2
    for changed in (
        replace(model, weights=weights),
        replace(model, threshold=model.threshold / 2),
        replace(model, days=("2024-01-01",)),
        replace(model, evaluation=replace(model.evaluation, recall=0.123)),
    ):
        assert fingerprint_model(changed) != base


def test_what_a_model_doubts_is_no_part_of_its_fingerprint(model: SpamModel) -> None:
    """A message that is forgotten leaves the suspects of every model, and no model becomes another one by that."""
    suspect = SuspectLabel("<1@x>", "2024-01-01", 1, 0.5, 2.0)
    assert fingerprint_model(replace(model, suspects=(suspect,))) == fingerprint_model(replace(model, suspects=()))
