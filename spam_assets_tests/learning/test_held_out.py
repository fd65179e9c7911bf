from dataclasses import replace

import numpy as np
import pytest

from spam_assets.learning import daily_protocol
from spam_assets.learning.day_parts import select_messages
from spam_assets.learning.features import WORDS, MailFeatures, SparseRows, featurize_mail
from spam_assets.learning.held_out import HELD_OUT_SHARE, find_held_out, part_mail
from spam_assets.learning.model_files import dump_model, load_model
from spam_assets.learning.training import TrainingSettings, train_model
from spam_assets_tests.learning import make_mail, make_window


def test_about_the_share_asked_for_is_held_out():
    features = featurize_mail(make_mail("2030-01-01", ham=3000, spam=1000))
    assert find_held_out(features, HELD_OUT_SHARE).mean() == pytest.approx(HELD_OUT_SHARE, abs=0.01)
    assert find_held_out(features, 0.5).mean() == pytest.approx(0.5, abs=0.03)
    assert not find_held_out(features, 0.0).any()


def test_ham_and_spam_are_held_out_alike():
    features = featurize_mail(make_mail("2030-01-01", ham=3000, spam=3000))
    held_out = find_held_out(features, 0.2)
    assert held_out[features.labels == 0].mean() == pytest.approx(0.2, abs=0.03)
    assert held_out[features.labels == 1].mean() == pytest.approx(0.2, abs=0.03)


def test_a_message_is_on_the_same_side_on_any_day_under_any_label_and_whatever_the_order_of_its_words():
    mail = make_mail("2030-01-01", ham=200, spam=0)
    first = find_held_out(featurize_mail(mail), 0.3)
    resent = mail.assign(label="spam", message_id=[f"other-{number}" for number in range(200)]).iloc[::-1]
    assert np.array_equal(find_held_out(featurize_mail(resent), 0.3), first[::-1])
    shuffled = mail.assign(body=[" ".join(reversed(body.split())) for body in mail["body"]])
    assert np.array_equal(find_held_out(featurize_mail(shuffled), 0.3), first)


def test_what_a_share_holds_out_a_larger_share_does_too():
    features = featurize_mail(make_mail("2030-01-01", ham=500, spam=0))
    few, many = find_held_out(features, 0.1), find_held_out(features, 0.3)
    assert not (few & ~many).any()
    assert many.sum() > few.sum() > 0


def test_a_message_without_words_is_always_learnt():
    nothing = make_mail("2030-01-01", ham=1, spam=0).assign(sender="", recipients="", subject="", body="")
    assert not find_held_out(featurize_mail(nothing), 0.999).any()


def test_selected_messages_keep_ids_labels_and_features_together():
    features = featurize_mail(make_mail("2030-01-01", ham=5, spam=5))
    chosen = np.array([True, False] * 5)
    some = select_messages(features, chosen)
    assert list(some.message_ids) == list(features.message_ids[::2])
    assert np.array_equal(some.labels, features.labels[::2])
    for name, rows in features.views.items():
        for at in range(5):
            there = rows.indices[rows.offsets[2 * at] : rows.offsets[2 * at + 1]]
            here = some.views[name].indices[some.views[name].offsets[at] : some.views[name].offsets[at + 1]]
            assert np.array_equal(here, there)
    assert len(select_messages(features, np.zeros(10, np.bool_))) == 0


def test_a_model_learns_nothing_of_what_is_held_out():
    window = make_window(12)
    settings = TrainingSettings(held_out_share=0.2)
    model = train_model(window, settings)
    without = train_model({day: part_mail(features, 0.2)[0] for day, features in window.items()}, TrainingSettings())
    assert np.array_equal(model.weights, without.weights)
    assert (model.calibration, model.threshold) == (without.calibration, without.threshold)
    held_out = sum(int(find_held_out(features, 0.2).sum()) for features in window.values())
    assert model.ham + model.spam == 12 * 28 - held_out
    assert held_out > 0


def test_labels_of_held_out_mail_leave_no_trace_in_a_model_but_in_the_figures_it_is_judged_by():
    window = make_window(12)
    lied = {
        day: MailFeatures(
            features.message_ids,
            np.where(find_held_out(features, 0.2), 1 - features.labels, features.labels).astype(np.int8),
            features.views,
        )
        for day, features in window.items()
    }
    settings = TrainingSettings(held_out_share=0.2)
    model, of_lies = train_model(window, settings), train_model(lied, settings)
    assert dump_model(replace(model, held_out=None)) == dump_model(replace(of_lies, held_out=None))
    assert model.held_out is not None
    assert of_lies.held_out is not None
    assert (of_lies.held_out.spam, model.held_out.spam) == (
        model.held_out.messages - model.held_out.spam,
        model.held_out.spam,
    )


def test_a_models_own_figures_are_of_the_newest_mail_that_no_model_learns_as_it_serves():
    window = make_window(12)
    model = load_model(dump_model(train_model(window, TrainingSettings(held_out_share=0.2))))
    held_out = [select_messages(features, find_held_out(features, 0.2)) for features in window.values()]
    called = np.concatenate([model.score(features) >= model.threshold for features in held_out])
    labels = np.concatenate([features.labels for features in held_out])
    assert model.held_out is not None
    assert model.held_out.days == tuple(window)
    assert model.held_out.true_positives == int((called & (labels == 1)).sum())
    assert model.held_out.false_positives == int((called & (labels == 0)).sum())
    assert model.held_out.threshold == model.threshold
    assert train_model(window, TrainingSettings()).held_out is None


def test_of_held_out_mail_only_the_newest_days_are_kept(monkeypatch):
    monkeypatch.setattr(daily_protocol, "HELD_OUT_MESSAGES", 20)
    window = make_window(12)
    counts = [int(find_held_out(features, 0.2).sum()) for features in window.values()]
    model = train_model(window, TrainingSettings(held_out_share=0.2))
    assert model.held_out is not None
    kept = len(model.held_out.days)
    assert model.held_out.days == tuple(window)[-kept:]
    assert sum(counts[-kept:]) >= 20 > sum(counts[-kept + 1 :])


def test_a_stored_model_knows_how_much_it_did_not_learn():
    model = train_model(make_window(8), TrainingSettings(held_out_share=0.1))
    assert load_model(dump_model(model)).held_out_share == 0.1


def test_a_model_stored_before_there_was_held_out_mail_has_learnt_everything():
    arrays = train_model(make_window(8), TrainingSettings()).to_arrays()
    del arrays["held_out_share"]
    assert type(train_model(make_window(8), TrainingSettings())).from_arrays(arrays).held_out_share == 0.0


def test_features_of_a_day_without_mail_can_be_asked():
    empty = featurize_mail(make_mail("2030-01-01", ham=0, spam=0))
    assert find_held_out(empty, 0.5).shape == (0,)
    for part in part_mail(empty, 0.5):
        assert part is not None
        assert isinstance(part.views[WORDS], SparseRows)
