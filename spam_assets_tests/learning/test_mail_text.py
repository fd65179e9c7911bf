"""Mail as an estimator reads it."""

import pandas as pd

from spam_assets.learning.features import featurize_mail, read_frame
from spam_assets.learning.held_out import find_held_out, part_mail
from spam_assets.learning.mail_text import ESTIMATOR_COLUMNS, MailText, hold_mail, shape_mail
from spam_assets_tests.learning import make_mail

MAIL = make_mail("2030-01-01", ham=30, spam=10)


def test_whatever_columns_there_are_a_frame_is_whole() -> None:
    for given in (MAIL, MAIL[["message_id", "body", "label"]], MAIL.drop(columns="raw").assign(sender=None)):
        shaped = shape_mail(given)
        assert tuple(shaped.columns) == ESTIMATOR_COLUMNS
        assert shaped["body"].tolist() == MAIL["body"].tolist()
        assert shaped[["sender", "recipients", "subject"]].map(lambda cell: isinstance(cell, str)).all().all()
        assert (shaped["raw"] == b"").all()
    assert shape_mail(MAIL)["received_at"].tolist() == MAIL["received_at"].tolist()
    assert shape_mail(MAIL.assign(raw=b"Subject: x\n\ny"))["raw"].tolist() == [b"Subject: x\n\ny"] * len(MAIL)


def test_parted_mail_has_the_text_of_its_own_messages() -> None:
    features = read_frame(MAIL)
    assert featurize_mail(MAIL).mail is None
    learnt, held_out = part_mail(features, 0.3)
    assert held_out is not None
    assert 0 < len(held_out) < len(MAIL)
    for part, chosen in ((learnt, ~find_held_out(features, 0.3)), (held_out, find_held_out(features, 0.3))):
        assert part.mail is not None
        assert part.mail.read()["message_id"].tolist() == part.message_ids.tolist()
        assert part.mail.read()["body"].tolist() == MAIL.loc[chosen, "body"].tolist()
    assert hold_mail(MAIL).read()["body"].tolist() == MAIL["body"].tolist()


def test_what_a_vectoriser_makes_of_a_day_is_kept_whole_and_handed_out_in_parts() -> None:
    kept: dict[tuple[str, str, str], pd.DataFrame] = {}

    class Vectors:
        def look_up(self, day, version, key, make):
            return kept.setdefault((day, version, key), make())

    text = MailText(lambda: MAIL, "2030-01-01", lambda: "first", Vectors())
    lengths = text.select(find_held_out(read_frame(MAIL), 0.3).nonzero()[0])
    made = lengths.vectorise("a key", lambda mail: mail["body"].str.len().to_numpy())
    assert made.tolist() == lengths.read()["body"].str.len().tolist()
    assert list(kept) == [("2030-01-01", "first", "a key")]
    assert len(kept[("2030-01-01", "first", "a key")]) == len(MAIL)
    assert lengths.vectorise("", lambda mail: mail["body"].str.len().to_numpy()).tolist() == made.tolist()
    assert len(kept) == 1, "without a key nothing is kept"
