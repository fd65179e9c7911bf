import subprocess
import sys
import zlib

import numpy as np
import pandas as pd
import pytest

from spam_assets.learning.features import (
    BODY_BYTES,
    PATTERNS,
    TABLE_SIZES,
    VIEWS,
    WORDS,
    MailFeatures,
    featurize_mail,
    hash_documents,
)
from spam_assets.mail.columns import HAM, MAIL_COLUMNS, SPAM
from spam_assets_tests.learning import make_mail

HEADERS = b"Received: from a.example by b.example\nX-Mailer: Blaster 3\nSubject: Cheap loans\n"


def mail_of(**columns: object) -> pd.DataFrame:
    row = {"message_id": "1", "label": HAM, **columns}
    return pd.DataFrame([[row.get(name) for name in MAIL_COLUMNS]], columns=list(MAIL_COLUMNS), dtype=object)


def features_of(view: str, **columns: object) -> set[int]:
    rows = featurize_mail(mail_of(**columns)).views[view]
    return set(rows.indices.tolist())


def checksum(features: MailFeatures) -> int:
    value = 0
    for view in VIEWS:
        value = zlib.crc32(features.views[view].indices.astype("<u4").tobytes(), value)
        value = zlib.crc32(features.views[view].offsets.astype("<i8").tobytes(), value)
    return value


def test_every_message_keeps_its_row_id_and_label():
    mail = make_mail("2030-01-01", ham=3, spam=2)
    features = featurize_mail(mail)
    assert features.message_ids.tolist() == mail["message_id"].tolist()
    assert features.labels.tolist() == [0, 0, 0, 1, 1]
    assert features.labels.dtype == np.int8
    for view in VIEWS:
        rows = features.views[view]
        assert len(rows) == 5
        assert rows.indices.dtype == np.uint32
        assert rows.offsets.dtype == np.int64
        assert rows.offsets[-1] == len(rows.indices)
        assert rows.indices.max() < TABLE_SIZES[view]


def test_a_feature_stands_once_in_a_row_however_often_it_occurs():
    for view in VIEWS:
        rows = featurize_mail(mail_of(body="loan loan loan loan " * 50)).views[view]
        assert len(set(rows.indices.tolist())) == len(rows.indices)


def test_hashes_are_the_same_on_every_platform_and_in_every_process():
    # a number computed once and written down: if this fails, raise FEATURES_VERSION
    mail = mail_of(sender="a@example.org", subject="Grüße", body="two words", raw=HEADERS + b"\nx")
    assert checksum(featurize_mail(mail)) == 3_986_985_304


def test_a_fresh_process_hashes_alike():
    code = (
        "from spam_assets_tests.learning.test_features import *\n"
        "print(checksum(featurize_mail(make_mail('2030-01-01', ham=4, spam=3))))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(printed) == checksum(featurize_mail(make_mail("2030-01-01", ham=4, spam=3)))


def test_a_message_has_the_same_features_whatever_stands_beside_it():
    mail = make_mail("2030-01-01", ham=700, spam=0)
    mail.iloc[-1] = mail_of(body="hello there").iloc[0]
    together, alone = featurize_mail(mail), featurize_mail(mail_of(body="hello there"))
    for view in VIEWS:
        last = together.views[view].indices[together.views[view].offsets[-2] :]
        assert last.tolist() == alone.views[view].indices.tolist()


def test_words_ignore_the_header_that_patterns_remember():
    assert features_of(WORDS, body="casino") <= features_of(WORDS, subject="casino")
    assert not features_of(PATTERNS, body="casino") <= features_of(PATTERNS, subject="casino!")


def test_headers_of_raw_mail_are_features():
    with_headers = features_of(WORDS, body="hello", raw=HEADERS + b"\nhello")
    assert features_of(WORDS, body="hello") < with_headers
    assert features_of(WORDS, body="Blaster") <= with_headers


def test_folded_headers_belong_to_the_header_they_continue():
    straight = features_of(PATTERNS, raw=b"X-List: two\n\n")
    folded = features_of(PATTERNS, raw=b"X-List: a\n\ttwo\n\n")
    other = features_of(PATTERNS, raw=b"X-List: a\nX-Other: \ttwo\n\n")
    assert len(straight & folded) == len(straight & other) + 1  # the word `two` tagged `x-list`


def test_line_endings_make_no_difference():
    unix = HEADERS + b"\nbody"
    assert features_of(PATTERNS, raw=unix) == features_of(PATTERNS, raw=unix.replace(b"\n", b"\r\n"))


@pytest.mark.parametrize(
    "mark",
    [
        b"X-Spam-Status: Yes, score=12\n",
        b"X-Bogosity: Spam, tests=bogofilter\n",
        b"Status: RO\n",
        b"X-Gmail-Labels: Junk,\n\tTrash\n",
    ],
)
def test_marks_made_after_delivery_are_no_features(mark):
    assert features_of(WORDS, raw=HEADERS + mark + b"\n") == features_of(WORDS, raw=HEADERS + b"\n")


def test_headers_of_the_sender_are_features():
    assert features_of(WORDS, raw=HEADERS + b"X-Special: Yes\n\n") != features_of(WORDS, raw=HEADERS + b"\n")


def test_the_mbox_envelope_is_no_feature():
    envelope = b"From zzzz@collector.example Thu Aug 22 12:00:00 2002\n"
    assert features_of(PATTERNS, raw=envelope + HEADERS + b"\n") == features_of(PATTERNS, raw=HEADERS + b"\n")


def test_an_empty_message_and_an_empty_day_have_empty_rows():
    for view in VIEWS:
        assert featurize_mail(mail_of()).views[view].offsets.tolist() == [0, 0] or view == PATTERNS
        assert featurize_mail(make_mail("2030-01-01", ham=0, spam=0)).views[view].offsets.tolist() == [0]


def test_mail_without_label_column_counts_as_ham():
    assert featurize_mail(mail_of(body="x").drop(columns="label")).labels.tolist() == [0]
    assert featurize_mail(mail_of(body="x", label=SPAM)).labels.tolist() == [1]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n\n\n",
        b":" * 5000,
        b"no header at all",
        b"From \n" * 2000,
        bytes(range(256)) * 40,
        b"Subject: " + b"a" * 200_000,
        b"X-Spam-A: b\n" + b" \n" * 20_000,
    ],
)
def test_hostile_raw_mail_is_hashed(raw):
    features = featurize_mail(mail_of(raw=raw, body="\ud800 lone surrogate"))
    assert len(features) == 1


def test_a_message_of_20_mb_costs_no_more_than_its_first_kilobytes():
    huge = mail_of(body="word " * 4_000_000, raw=HEADERS + b"\n" + b"x" * 20_000_000)
    start = mail_of(body=("word " * 4_000)[:BODY_BYTES], raw=HEADERS + b"\n")
    assert checksum(featurize_mail(huge)) == checksum(featurize_mail(start))


def test_more_documents_than_the_table_can_number_are_refused():
    starts = np.zeros(70_000, np.int64)
    with pytest.raises(ValueError, match="65,535 documents"):
        hash_documents(np.empty(0, np.uint8), starts, starts[:-1], is_locating=False)
    few = np.zeros(60_001, np.int64)
    words, *_ = hash_documents(np.empty(0, np.uint8), few, few[:-1], is_locating=False)
    assert len(words) == 0
