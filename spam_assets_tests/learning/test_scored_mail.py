"""Scores of mail without labels, and what they let one expect."""

import numpy as np
import pytest

from spam_assets.learning.dated_model import DatedModel
from spam_assets.learning.features import featurize_mail
from spam_assets.learning.scored_mail import SCORE_COLUMNS, expect_outcome, score_incoming
from spam_assets.learning.serving import score_mail
from spam_assets.learning.training import TrainingSettings, train_model
from spam_assets_tests.conftest import day_text, make_mail


@pytest.fixture(scope="module")
def models() -> tuple[DatedModel, DatedModel]:
    window = {day_text(offset): featurize_mail(make_mail(day_text(offset))) for offset in range(3)}
    champion = train_model({day: window[day] for day in sorted(window)[:2]}, TrainingSettings())
    return DatedModel(day_text(1), champion, 4), DatedModel(day_text(2), train_model(window, TrainingSettings()), 7)


def test_champion_and_challenger_stand_beside_each_other_in_the_order_of_the_mail(
    models: tuple[DatedModel, DatedModel],
) -> None:
    champion, challenger = models
    mail = make_mail(day_text(3)).drop(columns="label").sample(frac=1, random_state=1)
    scores, expectation = score_incoming(mail, champion, challenger)
    assert tuple(scores.columns) == SCORE_COLUMNS
    assert scores["message_id"].tolist() == mail["message_id"].tolist()
    for model, probability, verdict, version in (
        (champion, "spam_probability", "verdict", "champion_version"),
        (challenger, "challenger_probability", "challenger_verdict", "challenger_version"),
    ):
        alone = score_mail(model.model, mail)
        np.testing.assert_array_equal(scores[probability], alone["spam_probability"])
        assert scores[verdict].tolist() == ["spam" if is_spam else "ham" for is_spam in alone["is_spam"]]
        assert scores[version].unique().tolist() == [model.version]
    assert set(scores["verdict"]) == {"ham", "spam"}
    assert expectation == expect_outcome(
        scores["spam_probability"].to_numpy(), (scores["verdict"] == "spam").to_numpy()
    )


def test_without_a_challenger_its_columns_are_missing_and_have_their_types(
    models: tuple[DatedModel, DatedModel],
) -> None:
    champion, challenger = models
    mail = make_mail(day_text(3)).drop(columns="label")
    alone, beside = score_incoming(mail, champion)[0], score_incoming(mail, champion, challenger)[0]
    assert alone[["challenger_probability", "challenger_verdict", "challenger_version"]].isna().all(axis=None)
    assert alone.dtypes.tolist() == beside.dtypes.tolist()
    assert alone["spam_probability"].tolist() == beside["spam_probability"].tolist()


def test_no_mail_has_no_scores(models: tuple[DatedModel, DatedModel]) -> None:
    scores, expectation = score_incoming(make_mail(day_text(3))[:0], *models)
    assert len(scores) == 0
    assert (expectation.messages, expectation.called_spam, expectation.spam) == (0, 0, 0.0)


def test_what_is_expected_are_sums_of_probabilities() -> None:
    found = expect_outcome(np.array([0.99, 0.9, 0.5, 0.01]), np.array([True, True, False, False]))
    assert (found.messages, found.called_spam) == (4, 2)
    assert (found.spam, found.caught_spam, found.lost_ham) == pytest.approx((2.4, 1.89, 0.11))


def test_of_calibrated_mail_as_much_is_lost_and_caught_as_is_expected() -> None:
    random = np.random.default_rng(0)
    probabilities = random.beta(0.3, 0.3, 200_000)
    is_spam = random.random(200_000) < probabilities
    called = probabilities >= 0.9
    found = expect_outcome(probabilities, called)
    assert found.caught_spam == pytest.approx(np.sum(called & is_spam), rel=0.01)
    assert found.lost_ham == pytest.approx(np.sum(called & ~is_spam), rel=0.05)
