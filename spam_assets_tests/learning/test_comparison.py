"""Candidate and champion are compared on the same mail, which neither had learnt."""

import numpy as np
import pytest

from spam_assets.landing.zone import LandingZone
from spam_assets.learning.comparison import DatedModel, compare_on_unseen_days
from spam_assets.learning.features import MailFeatures, featurize_mail
from spam_assets.learning.training import TrainingSettings, train_model
from spam_assets_tests.conftest import day_text, make_mail


@pytest.fixture
def window(zone: LandingZone) -> dict[str, MailFeatures]:
    days = [day_text(offset) for offset in range(6)]
    for day in days:
        zone.write(day, make_mail(day))
    return {day: featurize_mail(zone.read(day).frame) for day in days}


def train_until(window: dict[str, MailFeatures], last: str) -> DatedModel:
    return DatedModel(last, train_model({day: window[day] for day in window if day <= last}, TrainingSettings()))


def test_without_a_champion_the_candidate_stands_on_all_its_unseen_days(window: dict[str, MailFeatures]) -> None:
    candidate = train_until(window, day_text(5))
    ours, none = compare_on_unseen_days(candidate, None, window)
    assert none is None
    assert len(ours.labels) == candidate.model.evaluation.messages


def test_both_stand_on_the_days_after_the_champions_date_in_the_same_order(window: dict[str, MailFeatures]) -> None:
    candidate, champion = train_until(window, day_text(5)), train_until(window, day_text(3))
    ours, theirs = compare_on_unseen_days(candidate, champion, window)
    assert theirs is not None
    expected = np.concatenate([window[day_text(4)].labels, window[day_text(5)].labels])
    np.testing.assert_array_equal(ours.labels, expected)
    np.testing.assert_array_equal(theirs.labels, expected)
    later = [champion.model.score(window[day]) for day in (day_text(4), day_text(5))]
    np.testing.assert_array_equal(theirs.scores, np.concatenate(later))


def test_a_champion_of_the_same_date_is_compared_by_scores_given_before_learning(
    window: dict[str, MailFeatures],
) -> None:
    candidate = train_until(window, day_text(5))
    ours, theirs = compare_on_unseen_days(candidate, candidate, window)
    assert theirs is not None
    np.testing.assert_array_equal(ours.scores, theirs.scores)
    assert len(ours.labels) == candidate.model.evaluation.messages


def test_a_day_that_is_no_longer_stored_is_left_out(window: dict[str, MailFeatures]) -> None:
    candidate, champion = train_until(window, day_text(5)), train_until(window, day_text(3))
    del window[day_text(4)]
    ours, theirs = compare_on_unseen_days(candidate, champion, window)
    assert theirs is not None
    np.testing.assert_array_equal(ours.labels, window[day_text(5)].labels)
    assert len(theirs.scores) == len(ours.scores)
