"""The model card: what training knew, counted by parts of the mail."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from spam_assets.learning.card_mail import CardDay, describe_card_day
from spam_assets.learning.features import featurize_mail
from spam_assets.learning.held_out import find_held_out
from spam_assets.learning.model import SpamModel
from spam_assets.learning.model_card import ModelCard, Part, build_card
from spam_assets.learning.trained_model import ProgressiveScores
from spam_assets.learning.training import TrainingSettings, train_model
from spam_assets.mail.sender_kinds import FREE_MAIL, MAILING_LIST, OTHER
from spam_assets_tests.conftest import day_text, make_mail

SHARE = 0.2
DAYS = [day_text(offset) for offset in (0, 1, 2, 4)]
LIST_HEADERS = b"List-Id: <x>\nSubject: y\n\nz"


def make_day(day: str) -> pd.DataFrame:
    """Every fourth message is of a list, and only those have headers; the first has a long body."""
    mail = make_mail(day)
    mail["raw"] = [LIST_HEADERS if number % 4 == 0 else None for number in range(len(mail))]
    mail.loc[0, "body"] = "word " * 1000
    return mail


@pytest.fixture(scope="module")
def mail() -> dict[str, pd.DataFrame]:
    return {day: make_day(day) for day in DAYS}


@pytest.fixture(scope="module")
def model(mail: dict[str, pd.DataFrame]) -> SpamModel:
    window = {day: featurize_mail(frame) for day, frame in mail.items()}
    return train_model(window, TrainingSettings(held_out_share=SHARE))


@pytest.fixture(scope="module")
def days(mail: dict[str, pd.DataFrame]) -> dict[str, CardDay]:
    described = {day: describe_card_day(frame, featurize_mail(frame), SHARE) for day, frame in mail.items()}
    return {day: found for day, found in described.items() if found is not None}


@pytest.fixture(scope="module")
def card(model: SpamModel, days: dict[str, CardDay]) -> ModelCard:
    return build_card(DAYS[-1], model, DAYS, days)


def sum_up(parts: tuple[Part, ...]) -> tuple[int, ...]:
    return tuple(sum(getattr(part, name) for part in parts) for name in ("ham", "spam", "lost_ham", "caught_spam"))


def test_every_way_to_part_the_mail_adds_up_to_the_whole(card: ModelCard, model: SpamModel) -> None:
    evaluation = model.evaluation
    whole = sum_up((card.overall,))
    assert whole[:2] == (evaluation.messages - evaluation.spam, evaluation.spam)
    assert whole[2:] == (evaluation.false_positives, evaluation.true_positives)
    for parts in (card.by_day, card.by_sender, card.by_length, card.by_headers):
        assert sum_up(parts) == whole
    assert [part.name for part in card.by_day] == list(evaluation.days)
    assert card.unknown_messages == 0


def test_messages_are_in_the_part_that_their_mail_says(
    card: ModelCard, mail: dict[str, pd.DataFrame], model: SpamModel
) -> None:
    scored = [mail[day].assign(day=day) for day in model.evaluation.days]
    kept = pd.concat([frame.loc[~find_held_out(featurize_mail(frame), SHARE)] for frame in scored])
    sizes = {part.name: part.ham + part.spam for part in (*card.by_sender, *card.by_length, *card.by_headers)}
    assert sizes[MAILING_LIST] == sizes["with headers"] == kept["raw"].notna().sum()
    assert sizes[OTHER] == sizes["without headers"] == kept["raw"].isna().sum()
    assert sizes["body over 4,000"] == (kept["body"].str.len() > 4000).sum() > 0
    assert sizes[FREE_MAIL] == 0


def test_the_model_is_tried_on_what_it_has_not_learnt_with_and_without_headers(
    card: ModelCard, mail: dict[str, pd.DataFrame], model: SpamModel
) -> None:
    held_out = pd.concat(
        [mail[day].loc[find_held_out(featurize_mail(mail[day]), SHARE)] for day in model.evaluation.days]
    )
    assert len(held_out) > 5
    is_spam = (held_out["label"] == "spam").to_numpy()
    whole, bare = card.unlearnt
    for part, frame in ((whole, held_out), (bare, held_out[["message_id", "body"]])):
        called = model.score(featurize_mail(frame)) >= model.threshold
        assert sum_up((part,)) == (
            (~is_spam).sum(), is_spam.sum(), (called & ~is_spam).sum(), (called & is_spam).sum(),
        )  # fmt: skip


def test_the_body_alone_is_without_sender_subject_and_headers(
    days: dict[str, CardDay], mail: dict[str, pd.DataFrame]
) -> None:
    day = DAYS[0]
    held_out = mail[day].loc[find_held_out(featurize_mail(mail[day]), SHARE)]
    bodies = featurize_mail(held_out[["message_id", "body"]])
    for name, rows in days[day].held_out_bare.views.items():
        assert np.array_equal(rows.indices, bodies.views[name].indices)
        assert len(rows.indices) < len(days[day].held_out.views[name].indices)
    assert days[day].held_out_bare.labels.tolist() == (held_out["label"] == "spam").astype(int).tolist()


def test_what_was_learnt_and_what_was_not_is_told(card: ModelCard, model: SpamModel) -> None:
    assert (card.ham, card.spam, card.days_learnt) == (model.ham, model.spam, tuple(DAYS))
    assert card.days_without_mail == (day_text(3),)
    assert (card.threshold, card.held_out_share) == (model.threshold, SHARE)
    assert card.days_contradicting == ()


def test_a_day_whose_mail_is_not_at_hand_or_is_another_is_counted_as_unknown(
    model: SpamModel, days: dict[str, CardDay], mail: dict[str, pd.DataFrame]
) -> None:
    last = model.evaluation.days[-1]
    count = int((model.progressive.day_indices == len(model.evaluation.days) - 1).sum())
    other = replace(days[last], labels=1 - days[last].labels)
    for at_hand in ({day: days[day] for day in days if day != last}, {**days, last: other}):
        card = build_card(DAYS[-1], model, DAYS, at_hand)
        assert card.unknown_messages == count
        assert sum_up(card.by_sender)[0] < card.overall.ham
    assert describe_card_day(mail[last], featurize_mail(mail[last].iloc[::-1]), SHARE) is None


def test_the_calibration_counts_every_score_once(card: ModelCard, model: SpamModel) -> None:
    assert sum(found.messages for found in card.calibration) == model.evaluation.messages
    assert sum(found.spam for found in card.calibration) == model.evaluation.spam
    means = [found.mean_score for found in card.calibration]
    assert means == sorted(means)


def judge(card: ModelCard, *, ham: tuple[int, int] = (0, 0), spam: tuple[int, int] = (0, 0)) -> tuple[str, ...]:
    """Weak spots where the whole lost 1 of 100 ham and caught 90 of 100 spam, of a part with these errors."""
    part = Part("lists", ham[1], spam[1], ham[0], spam[0])
    whole = Part("all", 100, 100, 1, 90)
    return replace(card, overall=whole, by_sender=(part,), by_length=(), by_headers=()).weak_spots


def test_a_part_is_weak_if_it_is_worse_than_the_whole_by_more_than_chance(card: ModelCard) -> None:
    assert judge(card, spam=(10, 20)) == ("lists: 10 of 20 spam caught",)
    assert judge(card, ham=(3, 20)) == ("lists: 3 of 20 ham lost",)
    assert judge(card, spam=(17, 20), ham=(0, 20)) == ()
    assert judge(card, spam=(20, 20)) == ()
    assert judge(card, spam=(0, 9), ham=(9, 9)) == ()  # few messages say much by chance
    assert judge(card, spam=(0, 10)) == ("lists: 0 of 10 spam caught",)


def test_a_model_without_scores_has_a_card_all_the_same(model: SpamModel) -> None:
    empty = np.empty(0)
    nothing = ProgressiveScores((), np.empty(0, np.int32), np.empty(0, np.int8), empty, empty)
    card = build_card(DAYS[0], replace(model, progressive=nothing), [DAYS[0]], {})
    assert sum_up((card.overall,)) == (0, 0, 0, 0)
    assert (card.weak_spots, card.calibration, card.by_day) == ((), (), ())
