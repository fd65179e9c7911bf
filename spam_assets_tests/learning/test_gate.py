"""The gate is tried with real models: trained ones, and ones that are broken in the ways that models break."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from spam_assets.learning.dated_model import DatedModel
from spam_assets.learning.evidence import examine
from spam_assets.learning.features import MailFeatures, featurize_mail
from spam_assets.learning.gate import Decision, judge_candidate
from spam_assets.learning.gate_settings import GateSettings
from spam_assets.learning.held_out import HELD_OUT_SHARE
from spam_assets.learning.model import SpamModel
from spam_assets.learning.model_files import dump_model, load_model
from spam_assets.learning.training import TrainingSettings, train_model
from spam_assets_tests.learning import make_mail, make_window

HAM, SPAM = 40, 24
WINDOW = make_window(24, ham=HAM, spam=SPAM)
DAYS = sorted(WINDOW)
CHAMPIONS_DAY, DAY, NEXT_DAY = DAYS[18], DAYS[19], DAYS[20]
MAIL = {day: WINDOW[day] for day in DAYS if day <= DAY}
JUST_ONE_DAY = {"2030-05-05": featurize_mail(make_mail("2030-05-05", ham=400, spam=200))}


def train_until(day: str, mail: Mapping[str, MailFeatures] = WINDOW) -> DatedModel:
    window = {earlier: features for earlier, features in mail.items() if earlier <= day}
    model = train_model(window, TrainingSettings(held_out_share=HELD_OUT_SHARE))
    return DatedModel(day, load_model(dump_model(model)))


@pytest.fixture(scope="module")
def champion() -> DatedModel:
    return train_until(CHAMPIONS_DAY)


@pytest.fixture(scope="module")
def candidate() -> DatedModel:
    return train_until(DAY)


def change(dated: DatedModel, **changes: object) -> DatedModel:
    return DatedModel(dated.training_date, replace(dated.model, **changes))


def relabel(change_labels: Callable[[str, np.ndarray], np.ndarray], days: list[str]) -> dict[str, MailFeatures]:
    changed = {}
    for day in days:
        features = MAIL[day]
        labels = change_labels(day, features.labels).astype(np.int8)
        changed[day] = MailFeatures(features.message_ids, labels, features.views)
    return {**MAIL, **changed}


def with_threshold(dated: DatedModel, mail: Mapping[str, MailFeatures], *, ham_lost: int = 0, spam_missed: int = 0):
    """The model with a threshold at which it loses so many ham, or misses so many spam."""
    judged = examine(dated, mail)
    if ham_lost:
        return change(dated, threshold=float(np.sort(judged.scores[judged.is_ham])[-ham_lost]))
    return change(dated, threshold=float(np.sort(judged.scores[~judged.is_ham])[spam_missed]))


def forget(model: SpamModel, share: float) -> SpamModel:
    """The model without a share of its weights; what a larger share leaves, a smaller one does too."""
    kept = [np.random.default_rng(seed).random(1 << 21) >= share for seed in (1, 2)]
    weights = np.where(kept[0][: len(model.weights)], model.weights, 0).astype(np.float32)
    return replace(
        model, weights=weights, log_odds=np.where(kept[1][: len(model.log_odds)], model.log_odds, 0).astype(np.float32)
    )


def judge(candidate: DatedModel, champion: DatedModel | None, mail: Mapping[str, MailFeatures] = MAIL) -> Decision:
    return judge_candidate(candidate, champion, champion, mail)


# --- a sound candidate ---


def test_a_newer_model_that_is_not_worse_is_promoted_with_both_models_figures(candidate, champion):
    decision = judge(candidate, champion)
    assert decision.promote
    assert CHAMPIONS_DAY in decision.reason
    assert f"of {19 * SPAM - unlearnt_spam(champion)} spam" in decision.reason
    assert "against" in decision.reason


def unlearnt_spam(champion: DatedModel) -> int:
    return 19 * SPAM - champion.model.spam


def test_the_first_model_is_promoted_by_the_figures_of_mail_that_it_had_not_learnt(candidate):
    decision = judge(candidate, None)
    assert decision.promote
    assert decision.is_best
    assert "(1-ROCA)%" in decision.reason


def test_a_model_of_the_same_date_may_replace_the_champion(candidate):
    assert judge(candidate, candidate).promote


def test_the_decision_is_the_same_every_time_and_in_any_order_of_the_days(candidate, champion):
    worse = DatedModel(DAY, forget(candidate.model, 0.9))
    backwards = dict(reversed(MAIL.items()))
    for one in (candidate, worse):
        assert judge(one, champion) == judge(one, champion) == judge(one, champion, backwards)


def test_a_backfill_never_moves_the_champion_back_in_time(candidate, champion):
    decision = judge(champion, candidate)
    assert decision.verdict == "refuse"
    assert "back in time" in decision.reason
    broken = with_threshold(candidate, MAIL, spam_missed=100)
    assert not judge(champion, broken).promote  # however bad the newer one is


# --- the candidate by itself ---


@pytest.mark.parametrize("has_champion", [True, False])
def test_a_model_that_calls_nothing_spam_is_refused(candidate, champion, has_champion):
    decision = judge(change(candidate, threshold=1.1), champion if has_champion else None)
    assert decision.verdict == "refuse"
    assert "threshold of 1.100 it catches 0 of" in decision.reason
    assert "30%" in decision.reason


@pytest.mark.parametrize("has_champion", [True, False])
def test_a_model_that_calls_everything_spam_is_refused(candidate, champion, has_champion):
    decision = judge(change(candidate, threshold=0.0), champion if has_champion else None)
    assert decision.verdict == "refuse"
    assert f"calls {candidate.model.ham} of {candidate.model.ham} ham" in decision.reason


@pytest.mark.parametrize("has_champion", [True, False])
def test_a_model_whose_weights_are_gone_is_refused(candidate, champion, has_champion):
    model = candidate.model
    empty = change(candidate, weights=np.zeros_like(model.weights), log_odds=np.zeros_like(model.log_odds))
    assert judge(empty, champion if has_champion else None).verdict == "refuse"
    assert judge(change(empty, threshold=0.5), champion if has_champion else None).verdict == "refuse"


def test_a_first_model_that_learnt_random_labels_is_refused():
    mail = relabel(lambda day, labels: np.random.default_rng([1, int(day[-2:])]).integers(0, 2, len(labels)), DAYS[:20])
    decision = judge(train_until(DAY, mail), None, mail)
    assert decision.verdict == "refuse"


def test_a_first_model_whose_ranking_is_no_better_than_chance_is_refused(candidate):
    """It knows what it has learnt and nothing else."""
    model = replace(candidate.model, days=("2030-01-01",))
    wrong = {day: MAIL[day] for day in ("2030-01-01",)} | relabel(
        lambda day, labels: np.random.default_rng(int(day[-2:])).permutation(labels), DAYS[1:20]
    )
    decision = judge(DatedModel(DAY, model), None, {**wrong, "2030-01-01": MAIL["2030-01-01"]})
    assert decision.verdict == "refuse"
    assert "not good enough for a first model" in decision.reason
    assert "at most 30" in decision.reason


def test_a_first_model_waits_for_enough_mail_of_both_classes():
    few = {day: featurize_mail(make_mail(day, ham=8, spam=8)) for day in DAYS[:3]}
    decision = judge(train_until(DAYS[2], few), None, few)
    assert decision.verdict == "wait"
    assert "50 are asked for" in decision.reason
    spam_only = {day: featurize_mail(make_mail(day, ham=0, spam=60)) for day in DAYS[3:6]}
    mail = {**few, **spam_only}
    one_class = DatedModel(DAYS[5], replace(train_until(DAYS[5], mail).model, days=tuple(DAYS[:3])))
    progressive = one_class.model.progressive
    only_spam = replace(progressive, labels=np.ones_like(progressive.labels))
    decision = judge(DatedModel(DAYS[5], replace(one_class.model, progressive=only_spam)), None, spam_only)
    assert decision.verdict == "wait"
    assert "of one class" in decision.reason


# --- labels that cannot be trusted ---


def test_a_candidate_that_learnt_random_labels_is_refused(champion):
    mail = relabel(lambda day, labels: np.random.default_rng(int(day[-2:])).integers(0, 2, len(labels)), DAYS[:20])
    assert judge(train_until(DAY, mail), champion, mail).verdict == "refuse"


def test_labels_that_are_no_longer_what_the_champion_learnt_promote_nobody(champion):
    mail = relabel(lambda _day, labels: 1 - labels, DAYS[:20])
    decision = judge(train_until(DAY, mail), champion, mail)
    assert decision.verdict == "refuse"
    assert f"contradicts {champion.model.ham + champion.model.spam} of" in decision.reason
    assert "mend the labels, or promote by hand" in decision.reason


def test_a_few_corrected_labels_are_no_obstacle(champion):
    def correct(_day: str, labels: np.ndarray) -> np.ndarray:
        return np.where(np.arange(len(labels)) == 0, 1, labels)

    mail = relabel(correct, DAYS[5:7])
    lenient = GateSettings(least_separation=0.0)  # two odd messages among so few show there
    assert judge_candidate(train_until(DAY, mail), champion, champion, mail, lenient).promote


def test_a_candidate_that_learnt_a_day_with_inverted_labels_is_not_promoted(candidate, champion):
    """Of a few messages of ham: it shows nowhere else."""
    ham = featurize_mail(make_mail(DAY, ham=12, spam=0))
    inverted = MailFeatures(ham.message_ids, 1 - ham.labels, ham.views)
    decision = judge(candidate, champion, {**MAIL, DAY: inverted})
    assert decision.verdict == "wait"
    assert f"labels of {DAY} are in doubt" in decision.reason
    assert "contradicts 12 of 12" in decision.reason
    assert judge(candidate, champion, {**MAIL, DAY: ham}).promote


def test_a_champion_that_has_hardly_learnt_anything_says_nothing_of_labels():
    young, newer = train_until(DAYS[1]), train_until(DAYS[2])
    ham = featurize_mail(make_mail(DAYS[2], ham=12, spam=0))
    mail = {day: WINDOW[day] for day in DAYS[:2]} | {DAYS[2]: MailFeatures(ham.message_ids, 1 - ham.labels, ham.views)}
    assert young.model.spam < GateSettings().mature_messages
    assert "in doubt" not in judge(newer, young, mail).reason
    assert "in doubt" in judge_candidate(newer, young, young, mail, GateSettings(mature_messages=0)).reason


# --- the candidate beside the champion ---


def as_unlearnt(dated: DatedModel) -> DatedModel:
    """The model as if all mail were new to it, but for what it needs to be known as sound."""
    return change(dated, days=("2030-01-01",), held_out_share=0.0)


def test_losing_ham_that_both_have_learnt_is_a_sure_sign(candidate, champion):
    decision = judge(with_threshold(candidate, MAIL, ham_lost=12), champion)
    assert decision.verdict == "refuse"
    assert "ham spam that the champion" in decision.reason
    assert "ham that both have learnt (p = " in decision.reason


def test_missing_spam_that_both_have_learnt_is_a_sure_sign(candidate, champion):
    decision = judge(with_threshold(candidate, MAIL, spam_missed=40), champion)
    assert decision.verdict == "refuse"
    assert "misses " in decision.reason
    assert "spam that both have learnt (p = " in decision.reason


def test_losing_ham_that_neither_has_learnt_refuses_when_chance_is_out_of_the_question(candidate, champion):
    ours, theirs = as_unlearnt(candidate), as_unlearnt(champion)
    decision = judge(with_threshold(ours, JUST_ONE_DAY, ham_lost=8), theirs, JUST_ONE_DAY)
    assert decision.verdict == "refuse"
    assert "calls 8 ham spam that the champion" in decision.reason
    assert "of 400 ham that neither has learnt (p = 0.0039)" in decision.reason


def test_four_newly_lost_ham_of_fifty_wait_for_more_mail(candidate, champion):
    fifty = {"2030-05-05": featurize_mail(make_mail("2030-05-05", ham=50, spam=30))}
    ours = with_threshold(as_unlearnt(candidate), fifty, ham_lost=4)
    decision = judge(ours, as_unlearnt(champion), fifty)
    assert decision.verdict == "promote"  # it has waited for months, see the limit below
    today = DatedModel("2030-05-05", ours.model)
    decision = judge(today, as_unlearnt(champion), fifty)
    assert decision.verdict == "wait"
    assert "calls 4 ham spam" in decision.reason
    assert "too little mail to show it" in decision.reason


def test_missing_spam_that_neither_has_learnt_refuses_when_chance_is_out_of_the_question(candidate, champion):
    ours, theirs = as_unlearnt(candidate), as_unlearnt(champion)
    decision = judge(with_threshold(ours, JUST_ONE_DAY, spam_missed=30), theirs, JUST_ONE_DAY)
    assert decision.verdict == "refuse"
    assert "of 200 spam that neither has learnt" in decision.reason


def test_a_worse_ranking_refuses_even_where_the_thresholds_lose_nothing(candidate, champion):
    theirs = with_threshold(as_unlearnt(champion), JUST_ONE_DAY, spam_missed=160)
    weights = candidate.model.weights
    noise = np.random.default_rng(3).normal(0, 18 * weights[weights != 0].std(), len(weights))
    noisy = as_unlearnt(change(candidate, weights=(weights + noise).astype(np.float32)))
    ours = with_threshold(noisy, JUST_ONE_DAY, spam_missed=160)
    ours = DatedModel("2030-05-05", ours.model)
    assert examine(ours, JUST_ONE_DAY).lost_ham == examine(theirs, JUST_ONE_DAY).lost_ham == 0
    decision = judge(ours, theirs, JUST_ONE_DAY)
    assert decision.verdict == "refuse"
    assert "ranks worse than the champion" in decision.reason


def test_a_candidate_that_separates_ham_and_spam_less_waits_though_it_loses_nothing_yet(candidate, champion):
    weaker = DatedModel(DAY, forget(candidate.model, 0.15))
    judged, before = examine(weaker, MAIL), examine(champion, MAIL)
    assert (judged.lost_ham, judged.caught_spam) == (before.lost_ham, before.caught_spam)
    decision = judge(weaker, champion)
    assert decision.verdict == "wait"
    assert "separates ham and spam less" in decision.reason
    assert "at least 97%" in decision.reason


def test_ham_that_its_rival_did_not_think_ham_either_before_learning_it_may_be_lost(candidate, champion):
    """Of wrong labels a model forgets some every day."""
    loses = with_threshold(candidate, MAIL, ham_lost=12)
    evaluation = replace(champion.model.evaluation, fpr=0.05)
    assert judge(loses, champion).verdict == "refuse"
    assert "ham that both have learnt" not in judge(loses, change(champion, evaluation=evaluation)).reason


def test_what_a_rival_thought_before_learning_excuses_no_more_than_wrong_labels_make(candidate, champion):
    loses = with_threshold(candidate, MAIL, ham_lost=40)  # 5 % of the ham, more than wrong labels explain
    lenient = change(champion, evaluation=replace(champion.model.evaluation, fpr=0.5))
    decision = judge(loses, lenient)
    assert decision.verdict == "refuse"
    assert "ham that both have learnt" in decision.reason


# --- waiting ---


def test_a_candidate_that_waits_is_judged_by_the_mail_of_the_days_that_follow(candidate, champion):
    fifty = {"2030-05-05": featurize_mail(make_mail("2030-05-05", ham=50, spam=30))}
    ours = DatedModel("2030-05-05", with_threshold(as_unlearnt(candidate), fifty, ham_lost=4).model)
    assert judge(ours, as_unlearnt(champion), fifty).verdict == "wait"
    later = {**fifty, "2030-05-06": featurize_mail(make_mail("2030-05-06", ham=400, spam=30))}
    decision = judge(ours, as_unlearnt(champion), later)
    assert decision.verdict == "refuse"
    assert "of 450 ham that neither has learnt" in decision.reason


def test_after_three_days_a_candidate_that_is_not_shown_to_be_worse_is_promoted(candidate, champion):
    weaker = DatedModel(DAY, forget(candidate.model, 0.15))
    decisions = [judge(weaker, champion, {day: WINDOW[day] for day in DAYS if day <= last}) for last in DAYS[19:23]]
    assert [decision.verdict for decision in decisions] == ["wait", "wait", "wait", "promote"]
    assert "waited 3 days" in decisions[-1].reason
    assert decisions[-1].is_best  # in days of new mail it lost nothing


def test_too_little_evidence_waits_and_says_how_much_is_asked_for(champion):
    # It has learnt everything, so that only a message of the last day is unlearnt.
    old = change(champion, held_out_share=0.0)
    decision = judge(train_until(DAY), old)
    assert decision.verdict == "wait"
    assert "too little evidence: 0 ham and 1 spam" in decision.reason
    assert "at least 10 and 5" in decision.reason
    later = {**MAIL, NEXT_DAY: WINDOW[NEXT_DAY]}
    assert judge(train_until(DAY), old, later).promote


def test_nothing_waits_beside_a_champion_that_has_hardly_learnt_anything():
    young, newer = train_until(DAYS[2]), train_until(DAYS[3])
    mail = {day: WINDOW[day] for day in DAYS[:4]}
    assert judge(newer, young, mail).promote
    strict = GateSettings(settled_messages=0)
    assert judge_candidate(newer, young, young, mail, strict).verdict == "wait"


# --- the best of the last year ---


def go_down(start: DatedModel, *, held_against_the_best: bool) -> DatedModel:
    """Forty candidates, each of which has forgotten a fiftieth more than the last."""
    champion = best = start
    for step in range(1, 41):
        candidate = DatedModel(DAY, forget(start.model, 1 - 0.98**step))
        decision = judge_candidate(candidate, champion, best if held_against_the_best else None, MAIL)
        if decision.promote:
            champion = candidate
            best = candidate if decision.is_best else best
    return champion


def test_many_small_steps_down_are_stopped_by_the_best_of_the_last_year(candidate):
    def separate(dated: DatedModel) -> float:
        judged = examine(dated, JUST_ONE_DAY)
        return float(np.median(judged.margins[~judged.is_ham]) - np.median(judged.margins[judged.is_ham]))

    whole = separate(candidate)
    assert separate(go_down(candidate, held_against_the_best=True)) > 0.95 * whole
    assert separate(go_down(candidate, held_against_the_best=False)) < 0.9 * whole


def test_a_candidate_that_is_worse_than_the_best_is_refused_though_it_equals_the_champion(candidate, champion):
    bad = with_threshold(candidate, MAIL, spam_missed=60)
    assert judge_candidate(bad, DatedModel(CHAMPIONS_DAY, bad.model), None, MAIL).promote
    decision = judge_candidate(bad, DatedModel(CHAMPIONS_DAY, bad.model), champion, MAIL)
    assert decision.verdict == "refuse"
    assert f"the best model of the last year, of {CHAMPIONS_DAY}" in decision.reason


def test_a_best_model_of_more_than_a_year_ago_no_longer_counts(candidate, champion):
    bad = with_threshold(candidate, MAIL, spam_missed=60)
    ancient = DatedModel("2028-12-31", champion.model)
    decision = judge_candidate(bad, DatedModel(CHAMPIONS_DAY, bad.model), ancient, MAIL)
    assert decision.promote
    assert decision.is_best


def test_only_a_candidate_that_is_behind_in_nothing_becomes_the_best(candidate, champion):
    slightly = with_threshold(candidate, MAIL, spam_missed=2)
    decision = judge(slightly, champion)
    assert not decision.is_best
    assert judge(candidate, candidate).is_best
