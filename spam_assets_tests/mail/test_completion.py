"""Completing mail: every row ends with every text, its own where it has one."""

import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spam_assets.mail.columns import BODY, LABEL, MAIL_COLUMNS, RAW, RECEIVED_AT, SUBJECT
from spam_assets.mail.completion import complete_mail

COLUMNS = [name for name in MAIL_COLUMNS if name not in (RECEIVED_AT, LABEL, RAW)] + [RAW]
EML = b"From: Ann <ann@example.com>\r\nTo: me@example.com\r\nSubject: lunch\r\n\r\nat noon\r\n"


CELLS = st.one_of(st.text(max_size=8), st.none(), st.just(pd.NA), st.floats(), st.integers(), st.binary(max_size=8))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    rows=st.lists(
        st.fixed_dictionaries({"subject": CELLS, "body": CELLS, "raw": st.none() | st.text(max_size=8) | st.binary()}),
        max_size=4,
    )
)
def test_a_frame_of_arbitrary_cells_is_completed(rows: list[dict[str, object]]) -> None:
    mail = complete_mail(pd.DataFrame(rows, columns=["subject", "body", "raw"]))
    assert len(mail) == len(rows)
    assert not mail[COLUMNS[:-1]].isna().any(axis=None)


def test_what_a_row_lacks_comes_from_its_raw_message_and_the_rest_stays() -> None:
    mail = complete_mail(
        pd.DataFrame({"raw": [EML, EML.decode(), None], "subject": ["mine", None, None]}, index=[3, 1, 2])
    )
    assert mail.index.tolist() == [3, 1, 2]
    assert mail[SUBJECT].tolist() == ["mine", "lunch", ""]
    assert [body.strip() for body in mail[BODY]] == ["at noon", "at noon", ""]


def test_text_stands_for_the_body_unless_there_is_one() -> None:
    assert complete_mail(pd.DataFrame({"text": ["a"]}))[BODY].tolist() == ["a"]
    assert complete_mail(pd.DataFrame({"text": ["a"], "body": ["b"]}))[BODY].tolist() == ["b"]
