"""What two models are compared on: one reading of the mail, learnt by both or by neither."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pytest

from spam_assets.learning import evidence
from spam_assets.learning.dated_model import DatedModel
from spam_assets.learning.evidence import Pair, examine, find_learnt, take_newest_mail
from spam_assets.learning.features import MailFeatures, featurize_mail
from spam_assets.learning.held_out import find_held_out
from spam_assets.learning.training import TrainingSettings, train_model
from spam_assets_tests.learning import make_mail, make_window

SHARE = 0.2
WINDOW = make_window(12)
DAYS = sorted(WINDOW)


def train_until(number: int, share: float = SHARE) -> DatedModel:
    day = DAYS[number - 1]
    window = {earlier: WINDOW[earlier] for earlier in DAYS if earlier <= day}
    return DatedModel(day, train_model(window, TrainingSettings(held_out_share=share)))


@pytest.fixture(scope="module")
def candidate() -> DatedModel:
    return train_until(11)


@pytest.fixture(scope="module")
def champion() -> DatedModel:
    return train_until(9)


def test_held_out_mail_and_later_days_are_unlearnt(candidate: DatedModel) -> None:
    held_out = find_held_out(WINDOW[DAYS[4]], SHARE)
    assert held_out.any()
    assert np.array_equal(find_learnt(candidate, DAYS[4], WINDOW[DAYS[4]]), ~held_out)
    assert not find_learnt(candidate, DAYS[11], WINDOW[DAYS[11]]).any()


def test_a_model_of_before_there_was_held_out_mail_has_learnt_all_of_its_days() -> None:
    assert find_learnt(train_until(11, share=0.0), DAYS[4], WINDOW[DAYS[4]]).all()


def test_messages_that_one_of_two_models_has_learnt_are_no_evidence(
    candidate: DatedModel, champion: DatedModel
) -> None:
    pair = Pair(examine(candidate, WINDOW), examine(champion, WINDOW))
    held_out = {day: int(find_held_out(WINDOW[day], SHARE).sum()) for day in DAYS}
    assert len(pair.unlearnt.ours.labels) == sum(held_out[day] for day in DAYS[:11]) + 28
    assert len(pair.learnt.ours.labels) == 9 * 28 - sum(held_out[day] for day in DAYS[:9])
    only_candidate = 2 * 28 - held_out[DAYS[9]] - held_out[DAYS[10]]
    assert len(pair.ours.labels) - len(pair.on_equal_terms.ours.labels) == only_candidate


def test_a_model_is_examined_as_it_serves(candidate: DatedModel) -> None:
    strict = DatedModel(candidate.training_date, replace(candidate.model, threshold=1.1))
    features = WINDOW[DAYS[11]]
    judged = examine(candidate, {DAYS[11]: features})
    assert np.array_equal(judged.scores, candidate.model.score(features))
    assert np.array_equal(judged.called, judged.scores >= candidate.model.threshold)
    assert judged.caught_spam > 0
    assert examine(strict, {DAYS[11]: features}).caught_spam == 0


def test_margins_do_not_depend_on_calibration_or_threshold(candidate: DatedModel) -> None:
    judged = examine(candidate, WINDOW)
    calibration = replace(candidate.model.calibration, slope=2.0, intercept=0.7)
    other = DatedModel(candidate.training_date, replace(candidate.model, calibration=calibration, threshold=0.9))
    assert examine(other, WINDOW).margins == pytest.approx(judged.margins, abs=1e-6)
    assert candidate.model.calibration.apply(judged.margins) == pytest.approx(judged.scores, abs=1e-9)


def test_a_day_that_was_written_anew_gives_pairs_of_today(candidate: DatedModel, champion: DatedModel) -> None:
    anew = featurize_mail(make_mail(DAYS[8], ham=3, spam=50))
    mail = {**WINDOW, DAYS[8]: anew}
    judged = examine(candidate, {DAYS[8]: anew})
    assert np.array_equal(judged.labels, anew.labels)
    assert np.array_equal(judged.scores, candidate.model.score(anew))
    assert len(examine(champion, mail).labels) == 11 * 28 + 53


def test_without_mail_there_is_an_empty_examination(candidate: DatedModel) -> None:
    judged = examine(candidate, {})
    assert (judged.ham, judged.spam, judged.lost_ham, judged.caught_spam) == (0, 0, 0, 0)


class _Watched(Mapping[str, MailFeatures]):
    """Days that know which of them were looked up."""

    def __init__(self) -> None:
        self.looked_up: list[str] = []

    def __getitem__(self, day: str) -> MailFeatures:
        self.looked_up.append(day)
        return WINDOW[day]

    def __iter__(self) -> Iterator[str]:
        return iter(WINDOW)

    def __len__(self) -> int:
        return len(WINDOW)


def test_only_as_many_newest_days_are_looked_at_as_are_enough(
    candidate: DatedModel, champion: DatedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = _Watched()
    assert sorted(take_newest_mail(candidate, champion, everything)) == DAYS
    assert everything.looked_up == DAYS[::-1]
    monkeypatch.setattr(evidence, "ENOUGH_MESSAGES", 30)
    enough = _Watched()
    taken = take_newest_mail(candidate, champion, enough)
    assert enough.looked_up == DAYS[::-1][: len(taken)]
    pair = Pair(examine(candidate, taken), examine(champion, taken))
    assert min(len(pair.unlearnt.ours.labels), len(pair.learnt.ours.labels)) >= 30
    assert len(taken) < len(DAYS)
