import io

import numpy as np
import pytest

from spam_assets.learning.features import PATTERNS, VIEWS, WORDS, MailFeatures, SparseRows, featurize_mail
from spam_assets.learning.model import SpamModel, score_patterns, score_words
from spam_assets.learning.training import TrainingSettings, train_model
from spam_assets_tests.learning import make_mail, make_window


@pytest.fixture(scope="module")
def model() -> SpamModel:
    return train_model(make_window(12), TrainingSettings())


def stored_and_loaded(model: SpamModel) -> tuple[SpamModel, int]:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **model.to_arrays())
    size = buffer.tell()
    buffer.seek(0)
    with np.load(buffer, allow_pickle=False) as arrays:
        return SpamModel.from_arrays(arrays), size


def test_a_stored_model_scores_as_the_fresh_one_to_the_bit(model):
    mail = featurize_mail(make_mail("2031-01-01", ham=30, spam=30))
    loaded, _ = stored_and_loaded(model)
    assert loaded.score(mail).tobytes() == model.score(mail).tobytes()
    assert loaded.threshold == model.threshold
    assert loaded.evaluation == model.evaluation
    assert loaded.days == model.days
    assert (loaded.ham, loaded.spam) == (model.ham, model.spam)
    for field in ("day_indices", "labels", "scores", "thresholds"):
        assert np.array_equal(getattr(loaded.progressive, field), getattr(model.progressive, field))


def test_a_stored_model_without_evaluation_comes_back():
    single = train_model(make_window(1, ham=30, spam=30), TrainingSettings())
    assert stored_and_loaded(single)[0].progressive.days == ()


def test_a_stored_model_is_small(model):
    assert stored_and_loaded(model)[1] < 1_000_000
    crowded = SpamModel(**{**vars(model), "weights": np.full_like(model.weights, 0.123)})
    assert sum(array.nbytes for array in crowded.to_arrays().values()) < 8_000_000


def test_a_model_of_other_features_is_refused(model):
    arrays = model.to_arrays() | {"features_version": np.array("0")}
    with pytest.raises(ValueError, match="features of version 0, this code makes version"):
        SpamModel.from_arrays(arrays)


def test_scores_are_probabilities_one_a_message(model):
    mail = featurize_mail(make_mail("2031-01-01", ham=5, spam=5))
    scores = model.score(mail)
    assert scores.shape == (10,)
    assert ((scores > 0) & (scores < 1)).all()
    assert scores[5:].min() > scores[:5].max()


def test_a_day_without_mail_has_no_scores(model):
    assert model.score(featurize_mail(make_mail("2031-01-01", ham=0, spam=0))).shape == (0,)


def test_unknown_features_move_no_score(model):
    nothing = SparseRows(np.empty(0, np.uint32), np.array([0, 0], np.int64))
    mail = MailFeatures(np.array(["1"], object), np.zeros(1, np.int8), dict.fromkeys(VIEWS, nothing))
    assert model.score(mail) == pytest.approx(model.calibration.apply(np.zeros(1)))


def test_the_margin_is_the_sum_of_weights_of_a_row_of_length_one():
    weights = np.arange(100, dtype=np.float32)
    indices = np.array([1, 2, 3, 4, 5, 6, 7, 8, 90], np.uint32)
    margins = score_patterns(indices, np.array([0, 9, 9], np.int64), weights)
    assert margins.tolist() == [126 / 3, 0]


def test_telling_words_outweigh_shared_ones_however_many():
    log_odds = np.full(200, 0.1, np.float32)
    log_odds[0] = 4.0
    one_telling = score_words(np.arange(200, dtype=np.uint32), np.array([0, 200], np.int64), log_odds)
    none_telling = score_words(np.arange(1, 200, dtype=np.uint32), np.array([0, 199], np.int64), log_odds)
    assert one_telling[0] > 1
    assert none_telling[0] < 0.01


def test_models_keep_one_table_a_view(model):
    assert len(model.weights) > len(model.log_odds) / 4
    assert {PATTERNS, WORDS} == set(VIEWS)
