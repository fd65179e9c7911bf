"""What later days know of a day: how much there was, and hashes that stay the same."""

import numpy as np

from spam_assets.mail.day_summary import hash_contents, summarize_day
from spam_assets.mail.validation import validate_day
from spam_assets_tests.mail import DAY, make_frame


def test_content_is_compared_whatever_its_case_and_white_space() -> None:
    frame = make_frame(
        count=4,
        spam=1,
        subject=["Hi  there", "hi there", "hi", "hi there x"],
        body=["A\nB", " a b ", "there a b", None],
    )
    hashes = hash_contents(frame)
    assert hashes.dtype == np.uint64
    assert hashes[0] == hashes[1]
    assert len(set(hashes.tolist())) == 3


def test_content_hashes_do_not_change_between_versions_because_stored_ones_are_compared() -> None:
    assert hash_contents(make_frame(count=1, spam=0)).tolist() == [STORED_HASH]


STORED_HASH = 8265262448642354648


def test_a_summary_counts_what_models_may_learn_from() -> None:
    summary = summarize_day(validate_day(make_frame(), DAY), DAY)
    assert (summary.day, summary.messages, summary.spam) == (DAY, 100, 30)
    assert sorted(summary.content_hashes.tolist()) == sorted(hash_contents(make_frame()).tolist())
