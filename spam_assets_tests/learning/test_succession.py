"""Who serves after whom, day after day."""

import dataclasses

import pytest

from spam_assets.learning.dated_model import DatedModel, UnreadableModel
from spam_assets.learning.features import featurize_mail
from spam_assets.learning.held_out import HELD_OUT_SHARE
from spam_assets.learning.model_files import dump_model
from spam_assets.learning.succession import Succession, judge_day
from spam_assets.learning.training import TrainingSettings, train_model
from spam_assets_tests.learning import make_mail, make_window
from spam_assets_tests.learning.test_gate import change, forget

WINDOW = make_window(24, ham=40, spam=24)
DAYS = sorted(WINDOW)


def mail_until(number: int):
    return {day: WINDOW[day] for day in DAYS[:number]}


def train_until(number: int) -> DatedModel:
    model = train_model(mail_until(number), TrainingSettings(held_out_share=HELD_OUT_SHARE))
    return DatedModel(DAYS[number - 1], model)


@pytest.fixture(scope="module")
def models() -> dict[int, DatedModel]:
    return {number: train_until(number) for number in range(19, 24)}


def weaken(dated: DatedModel) -> DatedModel:
    """One that separates ham and spam less, and has to wait."""
    return DatedModel(dated.training_date, forget(dated.model, 0.15))


def test_a_promoted_candidate_serves_and_nobody_waits(models):
    before = Succession(models[19], models[19])
    after, judged = judge_day(before, [models[20]], mail_until(20))
    assert after.champion is models[20]
    assert after.waiting == ()
    assert [one.decision.verdict for one in judged] == ["promote"]


def test_a_candidate_that_waits_is_judged_again_the_next_day_without_a_new_one(models):
    before = Succession(models[19], models[19])
    waits = weaken(models[20])
    for number in (20, 21, 22):
        before, judged = judge_day(before, [waits] if number == 20 else (), mail_until(number))
        assert before.waiting == (waits,)
        assert before.champion is models[19]
        assert judged[0].decision.verdict == "wait"
    after, judged = judge_day(before, (), mail_until(23))
    assert after.champion is waits
    assert after.waiting == ()


def test_a_pinned_champion_stays_and_who_would_be_promoted_is_held_until_it_is_no_longer_pinned(models):
    pinned = Succession(models[19], models[19], (), pin="the new one loses newsletters")
    after, judged = judge_day(pinned, [models[20]], mail_until(20))
    assert (after.champion, after.best) == (models[19], models[19])
    (held,) = judged
    assert held.decision.verdict == "hold"
    assert not held.decision.promote
    assert "would be promoted (not worse: it catches" in held.decision.reason
    assert held.decision.reason.endswith("but the champion is pinned: the new one loses newsletters")
    assert after.waiting == (models[20],)
    free, judged = judge_day(dataclasses.replace(after, pin=""), (), mail_until(21))
    assert free.champion is models[20]
    assert [one.decision.verdict for one in judged] == ["promote"]


def test_what_a_pinned_champion_would_be_spared_anyway_is_refused_or_waits_as_ever(models):
    pinned = Succession(models[19], models[19], (), pin="for good")
    _, judged = judge_day(pinned, [change(models[20], threshold=1.1)], mail_until(20))
    assert judged[0].decision.verdict == "refuse"
    _, judged = judge_day(pinned, [weaken(models[20])], mail_until(20))
    assert judged[0].decision.verdict == "wait"


def test_a_barred_candidate_is_refused_whatever_it_can(models):
    before = Succession(models[19], models[19])
    barred = dataclasses.replace(models[20], barred="it learnt a broken export")
    after, judged = judge_day(before, [barred], mail_until(20))
    assert after == before
    assert judged[0].decision.verdict == "refuse"
    assert judged[0].decision.reason == "barred by a person: it learnt a broken export"


def test_a_newer_candidate_that_is_promoted_ends_the_waiting_of_older_ones(models):
    waits = weaken(models[20])
    before, _ = judge_day(Succession(models[19], models[19]), [waits], mail_until(20))
    after, judged = judge_day(before, [models[21]], mail_until(21))
    assert after.champion is models[21]
    assert after.waiting == ()
    assert [one.candidate.training_date for one in judged] == [DAYS[20]]  # the older one is not asked


def test_an_older_candidate_may_be_promoted_while_a_newer_one_waits(models):
    older = weaken(models[20])
    newer = weaken(models[23])
    state = Succession(models[19], models[19], (older,))
    after, judged = judge_day(state, [newer], mail_until(23))
    assert after.champion is older
    assert after.waiting == (newer,)
    assert [one.decision.verdict for one in judged] == ["wait", "promote"]


def test_a_refused_candidate_is_forgotten(models):
    before = Succession(models[19], models[19])
    after, judged = judge_day(before, [change(models[20], threshold=1.1)], mail_until(20))
    assert after == before
    assert judged[0].decision.verdict == "refuse"


def test_the_same_candidate_does_not_wait_twice(models):
    waits = weaken(models[20])
    before, _ = judge_day(Succession(models[19], models[19]), [waits], mail_until(20))
    again, judged = judge_day(before, [waits], mail_until(20))
    assert again.waiting == (waits,)
    assert len(judged) == 1


def test_a_day_without_candidates_changes_nothing(models):
    before = Succession(models[19], models[19])
    assert judge_day(before, (), mail_until(20)) == (before, ())


def test_the_same_days_give_the_same_succession(models):
    def run() -> list[tuple[str, bytes]]:
        state, seen = Succession(), []
        for number in range(19, 24):
            candidate = models[number] if number != 21 else change(models[21], threshold=0.0)
            state, _ = judge_day(state, [candidate], mail_until(number))
            assert state.champion is not None
            seen.append((state.champion.training_date, dump_model(state.champion.model)))
        return seen

    first = run()
    assert [day for day, _ in first] == [DAYS[18], DAYS[19], DAYS[19], DAYS[21], DAYS[22]]
    assert run() == first


def test_a_day_that_lands_late_is_evidence_of_its_own_day_only(models):
    late = {**mail_until(20), DAYS[20]: featurize_mail(make_mail(DAYS[20], ham=5, spam=0))}
    before = Succession(models[19], models[19])
    assert judge_day(before, [models[20]], late)[0].champion is models[20]


def test_the_champion_that_is_asked_about_again_serves_already(models):
    serving = dataclasses.replace(models[20], version=7)
    before = Succession(serving, models[19])
    after, judged = judge_day(before, [dataclasses.replace(models[20], version=7)], mail_until(20))
    assert (after.champion, after.waiting) == (before.champion, before.waiting)
    assert [(one.decision.verdict, one.decision.reason) for one in judged] == [("promote", "it serves already")]


def test_an_older_day_that_runs_again_does_not_judge_newer_candidates(models):
    before = Succession(models[19], models[19], (models[23],))
    after, judged = judge_day(before, (), mail_until(22))
    assert after.waiting == before.waiting
    assert judged == ()


def test_who_has_learnt_an_excluded_day_does_not_come_to_serve(models):
    before = Succession(models[19], models[19], (models[20],))
    excluded = {DAYS[19]: "labels of a broken export"}  # learnt by both candidates, not by the champion
    after, judged = judge_day(before, [models[21]], mail_until(21), excluded=excluded)
    assert after.champion is models[19]
    assert after.waiting == ()
    assert [one.decision.verdict for one in judged] == ["refuse", "refuse"]
    assert judged[0].decision.reason == (
        f"it has learnt what is excluded: {DAYS[19]} (labels of a broken export); train it again"
    )
    _, judged = judge_day(before, [models[21]], mail_until(21), excluded={DAYS[22]: "not learnt"})
    assert "refuse" not in [one.decision.verdict for one in judged]


def test_a_champion_that_has_learnt_an_excluded_day_goes_on_serving_and_that_is_said(models):
    champion = dataclasses.replace(models[20], version=7)
    after, judged = judge_day(Succession(champion), [champion], mail_until(20), excluded={DAYS[3]: "a bad day"})
    assert after.champion is champion
    assert judged[0].decision.reason == (
        f"it serves already, though it has learnt what is excluded: {DAYS[3]} (a bad day)"
    )


LOST = "version 7 of {} cannot score mail here: its artifact is damaged (BadZipFile)"


def lose(number: int) -> UnreadableModel:
    return UnreadableModel(DAYS[number - 1], 7, "its artifact is damaged (BadZipFile)")


def test_beside_a_champion_that_cannot_be_read_the_bar_decides_and_that_is_said(models):
    before = Succession(unreadable_champion=lose(19))
    assert before.serving == lose(19)
    after, judged = judge_day(before, [models[20]], mail_until(20))
    assert after.champion is models[20]
    assert after.serving is models[20]
    assert judged[0].decision.reason.startswith("the first model: (1-ROCA)%")
    assert judged[0].decision.reason.endswith(
        f"; judged by the bar of a first model, because the champion, {LOST.format(DAYS[18])}"
    )


def test_a_candidate_that_fails_the_bar_leaves_the_unreadable_champion_serving(models):
    broken = change(models[20], threshold=1.1)
    after, judged = judge_day(Succession(unreadable_champion=lose(19)), [broken], mail_until(20))
    assert after.serving == lose(19)
    assert judged[0].decision.verdict == "refuse"
    assert "because the champion, version 7" in judged[0].decision.reason


def test_a_backfill_moves_no_unreadable_champion_back_in_time(models):
    after, judged = judge_day(Succession(unreadable_champion=lose(21)), [models[20]], mail_until(20))
    assert after.serving == lose(21)
    assert judged[0].decision.reason == (
        f"trained for {DAYS[19]}, the champion for {DAYS[20]}: a backfill never moves the champion back in time"
    )


def test_that_the_best_model_could_not_be_asked_is_said(models):
    _, judged = judge_day(Succession(models[19], unreadable_best=lose(10)), [models[20]], mail_until(20))
    assert judged[0].decision.reason.endswith(
        f"; not held against the best model of the last year, because {LOST.format(DAYS[9])}"
    )
