import math
import weakref
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
import pytest

from spam_assets.learning.daily_protocol import NotEnoughMailError
from spam_assets.learning.evaluation import one_minus_roca_percent
from spam_assets.learning.features import PATTERNS, MailFeatures, featurize_mail
from spam_assets.learning.label_suspects import DISBELIEF
from spam_assets.learning.training import StreamingLearner, TrainingSettings, train_model
from spam_assets.mail.completion import complete_mail
from spam_assets_tests.learning import make_mail, make_window

SETTINGS = TrainingSettings()


def test_mail_to_come_is_told_apart():
    window = make_window(15)
    model = train_model(window, SETTINGS)
    unseen = featurize_mail(make_mail("2031-05-05", ham=200, spam=100))
    scores = model.score(unseen)
    assert one_minus_roca_percent(unseen.labels, scores) < 0.5
    assert np.mean(scores[unseen.labels == 0] >= model.threshold) <= 0.02
    assert np.mean(scores[unseen.labels == 1] >= model.threshold) > 0.8


def test_the_same_window_gives_the_same_bytes():
    first, second = (train_model(make_window(12), SETTINGS).to_arrays() for _ in range(2))
    assert first.keys() == second.keys()
    for name, array in first.items():
        assert array.dtype == second[name].dtype
        assert array.tobytes() == second[name].tobytes(), name


def test_days_are_learnt_oldest_first_whatever_the_order_of_the_mapping():
    window = make_window(8)
    backwards = dict(reversed(window.items()))
    assert np.array_equal(train_model(window, SETTINGS).weights, train_model(backwards, SETTINGS).weights)


def test_a_day_is_scored_by_what_came_before_it_only():
    window = make_window(12)
    last = max(window)
    truth = train_model(window, SETTINGS).progressive
    turned = MailFeatures(window[last].message_ids, 1 - window[last].labels, window[last].views)
    of_last = truth.day_indices == len(truth.days) - 1
    lied_to = train_model({**window, last: turned}, SETTINGS).progressive
    assert np.array_equal(truth.scores, lied_to.scores)
    assert np.array_equal(truth.thresholds, lied_to.thresholds)
    assert np.array_equal(truth.labels[of_last], 1 - lied_to.labels[of_last])


def test_progressive_scores_are_those_of_the_model_of_the_day_before():
    window = make_window(12)
    last = max(window)
    model = train_model({day: window[day] for day in window if day != last}, SETTINGS)
    progressive = train_model(window, SETTINGS).progressive
    of_last = progressive.day_indices == len(progressive.days) - 1
    assert progressive.days[-1] == last
    assert progressive.scores[of_last] == pytest.approx(model.score(window[last]), abs=2e-3)
    assert progressive.thresholds[of_last] == pytest.approx(model.threshold)


def test_evaluation_covers_the_newest_days_that_were_scored():
    model = train_model(make_window(12), TrainingSettings(evaluation_days=5))
    assert model.evaluation.days == model.progressive.days == tuple(sorted(make_window(12))[-5:])
    assert model.evaluation.messages == 5 * 28
    assert model.evaluation.spam == 5 * 8
    assert len(model.days) == 12
    assert (model.ham, model.spam) == (12 * 20, 12 * 8)


def test_days_before_both_classes_are_known_are_not_evaluated():
    window = make_window(6)
    assert train_model(window, SETTINGS).progressive.days == tuple(sorted(window)[2:])  # 16 spam after two days


def make_ambiguous_mail(days: int) -> dict[str, pd.DataFrame]:
    """Days of mail, half of whose ham and half of whose spam say nothing but what both say."""
    mail = {}
    for day in pd.date_range("2030-01-01", periods=days):
        frame = make_mail(str(day.date()), ham=14, spam=14)
        of_ham, of_spam = (set(" ".join(frame["body"][rows]).split()) for rows in (slice(14), slice(14, None)))
        says_nothing = frame.index % 2 == 0
        frame.loc[says_nothing, ["sender", "subject"]] = ""
        frame.loc[says_nothing, "body"] = [
            " ".join(word for word in body.split() if word in of_ham & of_spam) for body in frame["body"][says_nothing]
        ]
        mail[str(day.date())] = frame
    return mail


def test_a_higher_target_gives_a_threshold_that_is_not_higher():
    window = {day: featurize_mail(mail) for day, mail in make_ambiguous_mail(30).items()}
    thresholds = [train_model(window, TrainingSettings(target_fpr=fpr)).threshold for fpr in (0.001, 0.05, 0.3)]
    assert thresholds == sorted(thresholds, reverse=True)
    assert thresholds[0] > thresholds[-1]


def test_spam_that_someone_calls_ham_does_not_raise_the_threshold():
    window = make_window(30)
    believed = train_model(window, SETTINGS).threshold
    for features in window.values():
        features.labels[-1] = 0  # an eighth of all spam
    unseen = featurize_mail(make_mail("2031-05-05", ham=200, spam=100))
    model = train_model(window, SETTINGS)
    assert model.threshold <= believed + 0.1
    assert np.mean(model.score(unseen)[unseen.labels == 1] >= model.threshold) > 0.9
    assert np.mean(model.score(unseen)[unseen.labels == 0] >= model.threshold) < 0.02


def test_words_of_a_message_whose_label_is_contradicted_are_not_counted():
    learner = StreamingLearner(SETTINGS)
    for features in make_window(15).values():
        learner.learn(features)
    before = learner.word_log_odds()
    lie = featurize_mail(make_mail("2031-05-05", ham=0, spam=10).assign(label="ham"))
    margins = learner.score_margins(lie)
    learner.learn(lie, margins)
    assert (margins > DISBELIEF).all()
    assert np.array_equal(learner.word_log_odds(), before)


def test_where_labels_were_right_so_far_a_message_of_a_new_kind_is_counted():
    """Its margin contradicts its label by more than ``DISBELIEF``, and by less than it takes to doubt it."""
    window = list(make_window(60).values())
    learner = StreamingLearner(SETTINGS)
    for features in window:
        learner.learn(features, learner.score_margins(features))
    lie = featurize_mail(make_mail("2031-05-05", ham=0, spam=10).assign(label="ham"))
    before = learner.word_log_odds()
    learner.learn(lie, np.full(10, 1.5))
    assert not np.array_equal(learner.word_log_odds(), before)
    before = learner.word_log_odds()
    learner.learn(lie, np.full(10, 3.5))
    assert np.array_equal(learner.word_log_odds(), before)


def test_an_immature_learner_believes_every_label():
    learner = StreamingLearner(SETTINGS)
    for features in make_window(3).values():
        learner.learn(features)
    before = learner.word_log_odds()
    lie = featurize_mail(make_mail("2031-05-05", ham=0, spam=10).assign(label="ham"))
    learner.learn(lie, learner.score_margins(lie))
    assert not np.array_equal(learner.word_log_odds(), before)


@pytest.mark.parametrize(("ham", "spam"), [(19, 0), (0, 19), (3, 3)])
def test_too_little_mail_is_refused_with_the_counts(ham, spam):
    with pytest.raises(NotEnoughMailError) as refused:
        train_model(make_window(3, ham=ham, spam=spam), SETTINGS)
    assert str(refused.value) == (
        f"the window of 3 days holds {3 * spam} spam and {3 * ham} ham; training needs at least 10 of each"
    )


def test_an_empty_window_is_refused():
    with pytest.raises(NotEnoughMailError, match="0 days holds 0 spam and 0 ham"):
        train_model({}, SETTINGS)


def test_one_day_is_enough_and_has_no_evaluation():
    model = train_model(make_window(1, ham=40, spam=40), SETTINGS)
    assert model.evaluation.messages == 0
    assert math.isnan(model.evaluation.one_minus_roca_percent)
    unseen = featurize_mail(make_mail("2031-05-05", ham=100, spam=100))
    assert one_minus_roca_percent(unseen.labels, model.score(unseen)) < 1


def test_days_of_one_class_and_days_without_mail_are_learnt():
    window = make_window(9)
    days = sorted(window)
    window[days[0]] = featurize_mail(make_mail(days[0], ham=0, spam=15))
    window[days[3]] = featurize_mail(make_mail(days[3], ham=50, spam=0))
    window[days[4]] = featurize_mail(make_mail(days[4], ham=0, spam=0))
    model = train_model(window, SETTINGS)
    assert np.isfinite(model.weights).all()
    assert np.isfinite(model.progressive.scores).all()


def test_ten_thousand_identical_messages_do_no_harm():
    window = make_window(10)
    same = make_mail("2030-01-11", ham=0, spam=1)
    flood = pd.concat([same] * 10_000, ignore_index=True)
    model = train_model({**window, "2030-01-11": featurize_mail(flood)}, SETTINGS)
    unseen = featurize_mail(make_mail("2031-05-05", ham=100, spam=100))
    assert model.score(featurize_mail(same))[0] > 0.9
    assert one_minus_roca_percent(unseen.labels, model.score(unseen)) < 2


def test_a_message_that_differs_by_a_byte_from_a_known_one_is_recognised():
    mail = make_mail("2030-01-10", ham=0, spam=8)
    window = make_window(9) | {"2030-01-10": featurize_mail(mail)}
    changed = mail.assign(body=[f"{body[:-1]}q" for body in mail["body"]])
    assert (train_model(window, SETTINGS).score(featurize_mail(changed)) > 0.5).all()


def test_an_empty_message_has_a_score_in_the_middle():
    empty = make_mail("2030-01-01", ham=1, spam=0).assign(sender="", recipients="", subject="", body="")
    score = train_model(make_window(8), SETTINGS).score(featurize_mail(empty))
    assert 0.05 < score[0] < 0.95


def test_contradicting_labels_on_the_same_mail_leave_the_weights_bounded():
    mail = make_mail("2030-01-01", ham=30, spam=0)
    both = pd.concat([mail, mail.assign(label="spam")], ignore_index=True)
    window = {f"2030-01-0{day}": featurize_mail(both) for day in range(1, 8)}
    model = train_model(window, SETTINGS)
    assert np.abs(model.weights).max() < 100
    assert model.evaluation.one_minus_roca_percent == pytest.approx(50, abs=10)


class _Counted(Mapping[str, MailFeatures]):
    """A window that counts look-ups, as one that reads files would want few of them."""

    def __init__(self, days: dict[str, MailFeatures]) -> None:
        self._days = days
        self.looked_up: list[str] = []

    def __getitem__(self, day: str) -> MailFeatures:
        self.looked_up.append(day)
        return self._days[day]

    def __iter__(self) -> Iterator[str]:
        return iter(self._days)

    def __len__(self) -> int:
        return len(self._days)


def test_each_day_is_looked_up_once_and_oldest_first():
    window = _Counted(make_window(9))
    train_model(window, SETTINGS)
    assert window.looked_up == sorted(make_window(9))


def test_the_buffer_for_revisits_is_bounded_by_its_limit():
    learner = StreamingLearner(TrainingSettings(replay_messages=50))
    for features in make_window(6).values():
        learner.learn(features)
        assert learner.buffered_messages <= 50
    learner.learn(featurize_mail(make_mail("2030-02-01", ham=300, spam=10)))
    assert learner.buffered_messages == 50


def test_read_only_features_can_be_learnt_and_scored():
    window = make_window(4)
    for features in window.values():
        for rows in features.views.values():
            rows.indices.flags.writeable = False
            rows.offsets.flags.writeable = False
        features.labels.flags.writeable = False
    day = max(window)
    assert len(train_model(window, SETTINGS).score(window[day])) == len(window[day].views[PATTERNS])


class _ReadAnew(Mapping[str, MailFeatures]):
    """A window that makes every day anew, as one that maps files does, and knows how many are held on to."""

    def __init__(self, days: dict[str, MailFeatures]) -> None:
        self._days = days
        self._given: list[weakref.ref[np.ndarray]] = []
        self.most_held = 0

    def __getitem__(self, day: str) -> MailFeatures:
        self.most_held = max(self.most_held, sum(given() is not None for given in self._given))
        features = self._days[day]
        labels = features.labels.copy()
        self._given.append(weakref.ref(labels))
        return MailFeatures(features.message_ids, labels, features.views)

    def __iter__(self) -> Iterator[str]:
        return iter(self._days)

    def __len__(self) -> int:
        return len(self._days)


def test_only_days_that_are_visited_again_are_held_on_to():
    window = _ReadAnew(make_window(20))
    train_model(window, TrainingSettings(replay_messages=56))
    assert window.most_held <= 3  # two days of 28 messages, and the one at hand


def test_a_first_day_of_only_spam_is_learnt():
    window = {"2029-12-31": featurize_mail(make_mail("2029-12-31", ham=0, spam=30)), **make_window(9)}
    model = train_model(window, SETTINGS)
    unseen = featurize_mail(make_mail("2031-05-05", ham=100, spam=100))
    assert one_minus_roca_percent(unseen.labels, model.score(unseen)) < 1
    assert model.days[0] == "2029-12-31"


def test_a_newest_day_of_only_ham_is_learnt_and_evaluated():
    window = make_window(9) | {"2030-01-10": featurize_mail(make_mail("2030-01-10", ham=40, spam=0))}
    model = train_model(window, TrainingSettings(evaluation_days=1))
    assert model.evaluation.messages == 40
    assert math.isnan(model.evaluation.recall)
    assert model.evaluation.fpr <= 0.05
    unseen = featurize_mail(make_mail("2031-05-05", ham=100, spam=100))
    assert one_minus_roca_percent(unseen.labels, model.score(unseen)) < 1


def test_a_message_of_20_mb_is_learnt_and_scored():
    raw = b"Subject: casino\nFrom: a@b.example\n\n" + b"viagra winner casino " * 1_000_000
    mail = pd.concat([complete_mail(pd.DataFrame({"raw": [raw]})).assign(label="spam")] * 2, ignore_index=True)
    huge = featurize_mail(mail)
    model = train_model(make_window(9) | {"2030-01-10": huge}, SETTINGS)
    assert np.isfinite(model.weights).all()
    assert (model.score(huge) > 0.9).all()
