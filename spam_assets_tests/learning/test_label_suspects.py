from dataclasses import replace

import numpy as np
import pytest

from spam_assets.learning.calibration import PRIOR_SLOPE
from spam_assets.learning.features import MailFeatures, featurize_mail
from spam_assets.learning.label_suspects import (
    DISBELIEF,
    LEAST_CONTRADICTED,
    MOST_SUSPECTS,
    ContradictingDay,
    SuspectLabel,
    choose_disbelief,
    find_contradicting_day,
    pack_records,
    rank_suspects,
    unpack_suspects,
)
from spam_assets.learning.label_verdicts import labels_agree_with_earlier_days
from spam_assets.learning.model import SpamModel
from spam_assets.learning.training import TrainingSettings, train_model
from spam_assets_tests.learning import make_mail, make_window

SETTINGS = TrainingSettings()


def invert(features: MailFeatures) -> MailFeatures:
    return MailFeatures(features.message_ids, 1 - features.labels, features.views)


def assert_same_bytes(first: SpamModel, second: SpamModel) -> None:
    ours, theirs = first.to_arrays(), second.to_arrays()
    assert ours.keys() == theirs.keys()
    assert all(ours[name].tobytes() == theirs[name].tobytes() for name in ours)


@pytest.fixture(scope="module")
def plotted():
    """A model of a window in which every day from the first on has one message of each class mislabelled."""
    window = make_window(30)
    planted = set()
    for day, features in window.items():
        for at in (3, 22):
            features.labels[at] ^= 1
            planted.add((day, features.message_ids[at]))
    return train_model(window, SETTINGS), planted


def test_the_more_labels_were_wrong_the_less_it_takes_to_doubt_one():
    assert choose_disbelief(0, 0) == pytest.approx(np.log(49) / PRIOR_SLOPE)
    assert choose_disbelief(0, 5000) > 2.5
    assert choose_disbelief(100, 2000) < 1.0
    strength = choose_disbelief(40, 1950)  # 41 of 2,000: a margin this far on the other side makes it even odds
    assert 41 / 1959 * np.exp(PRIOR_SLOPE * strength) == pytest.approx(1.0)


def test_mislabelled_messages_are_listed_and_hardly_any_other(plotted):
    model, planted = plotted
    found = {(suspect.day, suspect.message_id) for suspect in model.suspects}
    assert len(found & planted) >= 0.8 * len(found)
    assert len(found & planted) >= 0.8 * len(planted)


def test_mislabelled_messages_of_the_first_days_are_listed_too(plotted):
    model, planted = plotted
    of_first = {(suspect.day, suspect.message_id) for suspect in model.suspects if suspect.day <= "2030-01-03"}
    assert len(of_first & planted) >= 4


def test_suspects_are_listed_strongest_first_with_the_label_given_and_a_score_against_it(plotted):
    suspects = plotted[0].suspects
    strengths = [suspect.strength for suspect in suspects]
    assert strengths == sorted(strengths, reverse=True)
    assert min(strengths) > DISBELIEF
    assert {suspect.label for suspect in suspects} == {0, 1}
    assert all((suspect.score > 0.5) == (suspect.label == 0) for suspect in suspects)


def test_right_labels_are_hardly_suspect():
    assert len(train_model(make_window(30), SETTINGS).suspects) <= 3


def test_early_mail_that_has_left_the_buffer_is_not_suspected():
    window = make_window(30)
    window["2030-01-01"].labels[3] ^= 1
    kept, forgotten = (
        train_model(window, replace(SETTINGS, replay_messages=messages)).suspects for messages in (5000, 300)
    )
    assert "2030-01-01" in {suspect.day for suspect in kept}
    assert "2030-01-01" not in {suspect.day for suspect in forgotten}


def test_only_the_strongest_suspects_are_kept():
    many = [SuspectLabel(str(number), "2030-01-01", 0, 0.9, float(number)) for number in range(MOST_SUSPECTS + 5)]
    ranked = rank_suspects(many)
    assert len(ranked) == MOST_SUSPECTS
    assert ranked[0].message_id == str(MOST_SUSPECTS + 4)


def test_hostile_message_ids_come_back_as_they_were():
    hostile = (SuspectLabel('\x00"]\u2028\ud800é' + "x" * 5000, "2030-01-01", 1, 0.1, 2.0),)
    assert unpack_suspects(pack_records(hostile)) == hostile


def test_an_inverted_day_is_named_and_not_learnt():
    window = make_window(20)
    inverted = {**window, "2030-01-20": invert(window["2030-01-20"])}
    model = train_model(inverted, SETTINGS)
    (found,) = model.contradicting_days
    assert (found.day, found.messages) == ("2030-01-20", 28)
    assert found.contradicted > 20
    del inverted["2030-01-20"]
    without = train_model(inverted, SETTINGS)
    assert_same_bytes(replace(model, contradicting_days=()), without)
    assert "2030-01-20" not in model.days


def test_an_inverted_day_in_the_middle_leaves_the_other_days_as_if_it_had_not_landed():
    window = make_window(20)
    model = train_model({**window, "2030-01-16": invert(window["2030-01-16"])}, SETTINGS)
    assert [found.day for found in model.contradicting_days] == ["2030-01-16"]
    del window["2030-01-16"]
    assert_same_bytes(replace(model, contradicting_days=()), train_model(window, SETTINGS))


def test_any_order_of_the_window_gives_the_same_model():
    window = make_window(20)
    window["2030-01-15"] = invert(window["2030-01-15"])
    assert_same_bytes(train_model(window, SETTINGS), train_model(dict(reversed(window.items())), SETTINGS))


def test_a_day_that_a_person_vouches_for_is_learnt():
    window = make_window(20)
    window["2030-01-20"] = invert(window["2030-01-20"])
    model = train_model(window, TrainingSettings(vouched_days=frozenset({"2030-01-20"})))
    assert model.contradicting_days == ()
    assert "2030-01-20" in model.days


def test_before_enough_is_known_no_day_is_refused():
    window = make_window(10)
    window["2030-01-10"] = invert(window["2030-01-10"])
    assert train_model(window, SETTINGS).contradicting_days == ()  # 72 spam so far


def test_days_of_right_labels_are_all_learnt():
    model = train_model(make_window(40), SETTINGS)
    assert model.contradicting_days == ()
    assert len(model.days) == 40


@pytest.mark.parametrize(("contradicted", "messages", "is_found"), [(10, 30, True), (10, 31, False), (9, 9, False)])
def test_a_third_of_the_day_and_ten_messages_make_it_contradicting(contradicted, messages, is_found):
    strengths = np.full(messages, -2.0)
    strengths[:contradicted] = 2.0
    assert LEAST_CONTRADICTED == 10
    assert (find_contradicting_day("2030-01-01", strengths) is not None) == is_found


def test_the_verdict_names_day_figures_and_remedy():
    window = make_window(20)
    window["2030-01-20"] = invert(window["2030-01-20"])
    model = train_model(window, SETTINGS)
    verdict = labels_agree_with_earlier_days(model, "2030-01-20")
    assert not verdict.passed
    assert verdict.sentence.startswith("training day 2030-01-20: ")
    assert "land it again" in verdict.sentence
    assert verdict.figures["messages"] == 28
    assert labels_agree_with_earlier_days(model, "2030-01-19").passed


def test_the_list_and_the_named_days_are_stored_with_the_model(plotted):
    model = replace(plotted[0], contradicting_days=(ContradictingDay("2030-01-07", 30, 25),))
    loaded = SpamModel.from_arrays(model.to_arrays())
    assert loaded.suspects == model.suspects
    assert loaded.contradicting_days == model.contradicting_days


def test_a_model_stored_before_there_were_suspects_has_none():
    arrays = train_model(make_window(12), SETTINGS).to_arrays()
    del arrays["suspects"], arrays["contradicting_days"]
    loaded = SpamModel.from_arrays(arrays)
    assert loaded.suspects == ()
    assert loaded.contradicting_days == ()


def test_the_part_that_early_mail_has_in_the_weights_does_not_speak_for_its_label():
    window = make_window(30)
    lies = featurize_mail(make_mail("2029-12-31", ham=0, spam=2).assign(label="ham"))
    model = train_model({"2029-12-31": lies, **window}, SETTINGS)
    strengths = {found.message_id: found.strength for found in model.suspects if found.day == "2029-12-31"}
    other = train_model(window, SETTINGS)
    scores = other.score(lies)
    margins = (np.log(scores / (1 - scores)) - other.calibration.intercept) / other.calibration.slope
    assert all(strengths[name] >= margin for name, margin in zip(lies.message_ids, margins, strict=True))
