"""Which days a backfill runs, and in which runs."""

from datetime import date, timedelta

import dagster as dg
from hypothesis import given
from hypothesis import strategies as st

from spam_assets.runs import find_unfinished_days, split_into_ranges
from spam_assets_tests.conftest import day_text


def test_successive_days_are_one_range_and_a_gap_begins_another() -> None:
    assert split_into_ranges(["2024-02-28", "2024-02-29", "2024-03-01", "2024-03-03"]) == [
        ("2024-02-28", "2024-03-01"),
        ("2024-03-03", "2024-03-03"),
    ]
    assert split_into_ranges([]) == []


def test_the_order_of_the_days_does_not_matter() -> None:
    assert split_into_ranges(["2024-01-03", "2024-01-01", "2024-01-02"]) == [("2024-01-01", "2024-01-03")]


@given(st.sets(st.dates(date(2023, 12, 1), date(2024, 3, 31)), max_size=60))
def test_ranges_hold_every_day_once_and_no_other(days: set[date]) -> None:
    covered = []
    for first, last in split_into_ranges([day.isoformat() for day in days]):
        day = date.fromisoformat(first)
        while day <= date.fromisoformat(last):
            covered.append(day)
            day += timedelta(days=1)
    assert covered == sorted(days)


def test_a_day_is_finished_with_a_registered_model_or_a_reason_for_having_none() -> None:
    days = [day_text(offset) for offset in range(5)]
    with dg.DagsterInstance.ephemeral() as instance:

        def materialize(asset: str, day: str) -> None:
            instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=day))

        def observe(asset: str, day: str) -> None:
            event = dg.AssetObservation(asset, partition=day, metadata={"skipped": "too little"})
            instance.report_runless_asset_event(event)

        materialize("registered_model", days[0])
        materialize("mail_features", days[1])
        observe("trained_model", days[1])  # too little mail: done
        materialize("mail_features", days[2])  # stopped before training
        observe("trained_model", days[3])  # its features were never made
        assert find_unfinished_days(instance, days) == days[2:]
        assert find_unfinished_days(instance, []) == []
