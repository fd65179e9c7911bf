"""Verdicts: every rule passes a good day, and none trips over a frame."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spam_assets.mail.blocking_rules import BLOCKING_RULES, judge_day
from spam_assets.mail.columns import MAIL_COLUMNS
from spam_assets.mail.warning_rules import WARNING_RULES, warn_about_day
from spam_assets_tests.mail import DAY, MIDNIGHT, make_frame, make_history


def test_a_good_day_passes_every_rule() -> None:
    verdicts = judge_day(make_frame(), DAY)
    assert [verdict.rule for verdict in verdicts] == [rule.__name__ for rule in BLOCKING_RULES]
    assert all(verdict.passed for verdict in verdicts), verdicts
    warnings = warn_about_day(make_frame(), DAY, make_history())
    assert [verdict.rule for verdict in warnings] == [rule.__name__ for rule in WARNING_RULES]
    assert all(verdict.passed for verdict in warnings), warnings


ODD_CELLS = st.one_of(
    st.none(),
    st.floats(),
    st.integers(),
    st.booleans(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.dates(),
    st.datetimes(),
    st.lists(st.integers(), max_size=2),
    st.just(pd.NaT),
    st.just(pd.NA),
    st.just("ham"),
    st.just("spam"),
    st.just(MIDNIGHT),
    st.just("\ud800"),
    st.just({"a": 1}),
    st.just(np.datetime64("2002-08-01")),
    st.complex_numbers(),
)


@settings(max_examples=60, deadline=None)
@given(
    columns=st.dictionaries(
        st.sampled_from([*MAIL_COLUMNS, "other"]), st.lists(ODD_CELLS, min_size=3, max_size=3), max_size=9
    ),
    repeated=st.booleans(),
)
def test_no_frame_makes_a_rule_raise(columns: dict[str, list[Any]], repeated: bool) -> None:
    frame = pd.DataFrame({name: pd.Series(cells, dtype=object) for name, cells in columns.items()})
    if repeated:
        frame = pd.concat([frame, frame], axis=1)
    for verdict in (*judge_day(frame, DAY), *warn_about_day(frame, DAY, make_history())):
        assert "\n" not in verdict.sentence


@pytest.mark.parametrize("dtype", ["category", "string", "Int64", "float64", "datetime64[ns]", "bool"])
def test_odd_dtypes_are_judged_and_not_tripped_over(dtype: str) -> None:
    frame = pd.DataFrame({name: pd.Series([1, 0], dtype="int64").astype(dtype) for name in MAIL_COLUMNS})
    assert len(judge_day(frame, DAY)) == len(BLOCKING_RULES)
    assert len(warn_about_day(frame, DAY, make_history())) == len(WARNING_RULES)
