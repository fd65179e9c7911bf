import numpy as np
import pandas as pd
import pytest

from spam_assets.learning.explanation import (
    describe_explanation,
    explain_mail,
    make_printable,
    tell_strongest_words,
)
from spam_assets.learning.features import BODY_BYTES, PATTERNS, VIEWS, WORDS, featurize_mail, locate_features
from spam_assets.learning.training import TrainingSettings, train_model
from spam_assets.mail.columns import HAM, MAIL_COLUMNS
from spam_assets_tests.learning import make_mail, make_window

EVERYTHING = 1_000_000
UNSEEN = make_mail("2031-05-05", ham=4, spam=4)


@pytest.fixture(scope="module")
def model():
    return train_model(make_window(12), TrainingSettings())


def mail_of(**columns: object) -> pd.DataFrame:
    row = {"message_id": "1", "label": HAM, **columns}
    return pd.DataFrame([[row.get(name) for name in MAIL_COLUMNS]], columns=list(MAIL_COLUMNS), dtype=object)


def explain(model, count=10, **columns):
    (explanation,) = explain_mail(model, mail_of(**columns), count)
    return explanation


def test_every_explained_feature_is_one_that_the_message_has(model):
    features = featurize_mail(UNSEEN)
    for row, explanation in enumerate(explain_mail(model, UNSEEN, EVERYTHING)):
        explained = [pair for reason in explanation.for_spam + explanation.for_ham for pair in reason.features]
        assert len(explained) == len(set(explained)) > 50
        for view in VIEWS:
            rows = features.views[view]
            of_message = set(rows.indices[rows.offsets[row] : rows.offsets[row + 1]].tolist())
            assert {found for name, found in explained if name == view} <= of_message


def test_located_features_are_those_of_featurize_mail():
    mail = make_mail("2030-01-01", ham=700, spam=5)
    mail.iloc[-1] = mail_of(raw=b"X: y\n\n", body="z" * 99).iloc[0]
    features = featurize_mail(mail)
    located = list(locate_features(mail))
    assert len(located) > 1
    for view in VIEWS:
        hashes = np.concatenate([chunk.views[view].indices for chunk in located])
        assert np.array_equal(hashes, features.views[view].indices)
        assert all(len(chunk.places[view]) == len(chunk.views[view].indices) for chunk in located)


def test_the_text_at_a_features_place_has_that_feature():
    (chunk,) = locate_features(mail_of(sender="a.b@c.example", subject="Cheap loans now", body="loans & more"))
    for (start, stop, _), hashed in zip(chunk.places[WORDS].tolist(), chunk.views[WORDS].indices.tolist(), strict=True):
        alone = featurize_mail(mail_of(body=chunk.text[start:stop].decode()))
        assert alone.views[WORDS].indices.tolist() == [hashed]
    words = [chunk.text[start:stop] for start, stop, _ in chunk.places[WORDS].tolist()]
    assert words == [b"a.b", b"c.example", b"Cheap", b"loans", b"now", b"more"]


def test_contributions_add_up_to_the_margin_and_the_score(model):
    scores = model.score(featurize_mail(UNSEEN))
    for score, shown, whole in zip(
        scores, explain_mail(model, UNSEEN, 3), explain_mail(model, UNSEEN, EVERYTHING), strict=True
    ):
        assert shown.probability == pytest.approx(score, abs=1e-9)
        assert whole.rest == pytest.approx(0, abs=1e-6)
        for explanation in (shown, whole):
            told = sum(reason.contribution for reason in explanation.for_spam + explanation.for_ham)
            assert told + explanation.rest == pytest.approx(explanation.margin)


def test_telling_words_are_told_strongest_first(model):
    spam = explain(model, subject="hello", body="casino viagra winner the and")
    assert {reason.text for reason in spam.for_spam[:3]} == {"casino", "viagra", "winner"}
    assert all(reason.is_word for reason in spam.for_spam[:3])
    strengths = [reason.contribution for reason in spam.for_spam]
    assert strengths == sorted(strengths, reverse=True)
    assert strengths[-1] > 0
    ham = explain(model, body="kernel patch compile the and")
    assert {reason.text for reason in ham.for_ham[:3]} == {"kernel", "patch", "compile"}


def test_a_word_in_a_header_is_told_with_the_header(model):
    explanation = explain(model, subject="the casino\n more viagra", body="the")
    told = [str(reason) for reason in explanation.for_spam]
    assert "subject: casino" in told
    assert "subject: viagra" in told
    body = explain(model, body="the casino\nviagra: winner\n")
    assert {"casino", "viagra", "winner"} <= {str(reason) for reason in body.for_spam}


def test_messages_are_explained_in_order_with_their_ids(model):
    mail = make_mail("2030-01-01", ham=600, spam=0)
    assert [explanation.message_id for explanation in explain_mail(model, mail, 1)] == mail["message_id"].tolist()
    assert list(explain_mail(model, mail.iloc[:0])) == []


def test_an_explanation_reads_as_lines(model):
    lines = describe_explanation(explain(model, body="casino viagra winner kernel"))
    assert lines[0].startswith("spam: probability 0.9")
    assert lines[1] == "for spam:"
    assert any(line.startswith("  +0.") and line.endswith("  casino") for line in lines)
    assert lines[-1].startswith("everything else: ")


def test_nothing_to_say_is_said(model):
    lines = describe_explanation(explain(model, body=""))
    assert "for spam: nothing" in lines
    assert "for ham: nothing" in lines
    assert lines[-1] == "everything else: +0.0000"


@pytest.mark.parametrize(
    "columns",
    [
        {"subject": "\x1b[2J\x1b]0;owned\x07 casino", "body": "viagra\x00\x08\x7f\u202eevil casino\u2028x"},
        {"body": "\ud800 casino \U000e0001 " + "\u0301" * 500},
        {"raw": b"\x1b[31mcasino: viagra\nX-\xff\xfe: casino\n\n", "body": "x"},
        {"raw": bytes(range(256)) * 40, "body": "".join(map(chr, range(0x250)))},
        {"raw": b"casino" * 3000, "body": "casino" * 3000},
    ],
)
def test_hostile_text_comes_out_printable_and_short(columns):
    hostile = mail_of(**columns)
    features = featurize_mail(pd.concat([hostile.assign(label="spam")] * 12, ignore_index=True))
    model = train_model({**make_window(3), "2030-01-09": features}, TrainingSettings())
    for explanation in explain_mail(model, hostile, EVERYTHING):
        assert len(explanation.for_spam) > 5
        for line in describe_explanation(explanation):
            assert line.isprintable()
            assert len(line) < 600
    for word in tell_strongest_words(model, hostile, EVERYTHING).for_spam:
        assert word.text.isprintable()


def test_what_cannot_be_shown_is_escaped():
    assert make_printable("Grüße 你好".encode()) == "Grüße 你好"
    assert make_printable(b"a\nb\x1b[0m\x00") == "a\\nb\\x1b[0m\\x00"
    assert make_printable("\u202e".encode()) == "\\u202e"
    assert make_printable(b"\xff\xfe") == "\ufffd\ufffd"


def test_the_strongest_words_of_a_model_are_told_over_given_mail(model):
    strongest = tell_strongest_words(model, make_mail("2030-01-02", ham=20, spam=8), 5)
    assert len(strongest.for_spam) == len(strongest.for_ham) == 5
    odds = [word.log_odds for word in strongest.for_spam]
    assert odds == sorted(odds, reverse=True)
    assert odds[-1] > 0 > strongest.for_ham[0].log_odds
    assert {word.text for word in strongest.for_spam} <= set(
        "winner viagra million guarantee click unsubscribe loan casino xxx".split()
    )
    assert "kernel" in {word.text for word in tell_strongest_words(model, UNSEEN, 50).for_ham}


def test_strongest_words_count_the_messages_that_hold_them(model):
    mail = pd.concat(
        [mail_of(body="casino casino"), mail_of(subject="casino", body="kernel"), mail_of(body="unheard-of")]
    )
    strongest = tell_strongest_words(model, mail)
    assert [(word.text, word.messages) for word in strongest.for_spam] == [("casino", 2)]
    assert [(word.text, word.messages) for word in strongest.for_ham] == [("kernel", 1)]


def test_no_mail_has_no_strongest_words(model):
    strongest = tell_strongest_words(model, UNSEEN.iloc[:0])
    assert strongest.for_spam == strongest.for_ham == ()


def test_a_message_of_20_mb_is_explained_by_what_is_hashed_of_it(model):
    body = "casino " + "kernel " * 3_000_000
    huge = explain(model, body=body)
    assert huge == explain(model, body=body[:BODY_BYTES])
    assert {"casino", "kernel"} <= {reason.text for reason in huge.for_spam + huge.for_ham}


def test_four_bytes_between_words_stand_for_themselves(model):
    explanation = explain(model, EVERYTHING, body="winner viagra casino loan")
    loose = [reason for reason in explanation.for_spam + explanation.for_ham if not reason.is_word]
    assert all(len(reason.features) == 1 and reason.features[0][0] == PATTERNS for reason in loose)
    assert all(" " in reason.text or reason.text.startswith("\\n") for reason in loose)  # the body follows a line end
    assert all(str(reason) == f'"{reason.text}"' for reason in loose)
