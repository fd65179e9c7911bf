"""Backfills as the Dagster UI launches them, in a real `dagster dev`."""

import pytest

from benchmarks.backfill import PARTITIONS, DagsterDev
from spam_assets_tests.conftest import day_text, make_mail
from spam_assets_tests.dagster_dev import launch, serve, wait_for_end
from spam_assets_tests.homes import ALL_ASSETS, MAIL_ASSETS, SLOW, Home

pytestmark = SLOW
THIRTY_DAYS = [day_text(offset) for offset in range(30)]
BAD_DAYS = [THIRTY_DAYS[number] for number in (9, 17, 24)]
DAY_WITHOUT_MAIL = THIRTY_DAYS[12]
STALENESS = """
query Staleness($key: AssetKeyInput!, $day: String!) { assetNodeOrError(assetKey: $key) {
  ... on AssetNode { staleStatus(partition: $day) }
} }
"""


def days_shown_as(dev: DagsterDev, asset: str, status: str) -> list[str]:
    ranges = dev.ask(PARTITIONS, key={"path": [asset]})["assetPartitionStatuses"]["ranges"]
    return [
        day
        for day in THIRTY_DAYS
        for span in ranges
        if span["status"] == status and span["startKey"][:10] <= day <= span["endKey"][:10]
    ]


def days_shown_as_stale(dev: DagsterDev, asset: str) -> list[str]:
    return [day for day in THIRTY_DAYS if dev.ask(STALENESS, key={"path": [asset]}, day=day)["staleStatus"] == "STALE"]


@pytest.fixture
def home_of_thirty_days(home: Home) -> Home:
    """Thirty landed days, three of them bad and one without mail, in partitions that go on after them."""
    for day in THIRTY_DAYS:
        path = home.landing / f"training-{day}.csv"
        if day == DAY_WITHOUT_MAIL:
            path.unlink(missing_ok=True)
            continue
        mail = make_mail(day, messages=16)
        if day in BAD_DAYS:
            mail.loc[:3, "label"] = "junk"
        mail.to_csv(path, index=False)
    home.environment["SPAM_ASSETS_END_DATE"] = "2024-03-31"
    return home


def test_of_thirty_days_three_bad_ones_fail_and_all_others_go_through(home_of_thirty_days: Home) -> None:
    home = home_of_thirty_days
    with serve(home) as dev:
        first = launch(dev, THIRTY_DAYS)
        assert wait_for_end(dev, first) == "COMPLETED_FAILED"
        run = home.run_of(first)  # the only one
        good = [day for day in THIRTY_DAYS if day not in BAD_DAYS]
        for asset in ALL_ASSETS:
            failed = [] if asset == "raw_mail" else BAD_DAYS
            assert days_shown_as(dev, asset, "FAILED") == failed
            assert days_shown_as(dev, asset, "MATERIALIZED") == [day for day in THIRTY_DAYS if day not in failed]
        with home.open_instance() as instance:
            told = " ".join(entry.user_message for entry in instance.all_logs(run.run_id))
        assert all(f"2024-{day[5:]}" in told for day in BAD_DAYS)
        assert home.stored_days("trained_model")[0] <= THIRTY_DAYS[3]
        assert {*good} - {*home.stored_days("trained_model")} <= {*THIRTY_DAYS[:3], DAY_WITHOUT_MAIL}
        names = [run.info.run_name for run in home.mlflow_runs() if run.info.status == "FINISHED"]
        assert sorted(names) == [f"train-{day}" for day in home.stored_days("trained_model")]

        # One day again, corrected: one day is run, and the models that learnt without it are shown as out of date.
        corrected = BAD_DAYS[1]
        make_mail(corrected, messages=16).to_csv(home.landing / f"training-{corrected}.csv", index=False)
        second = launch(dev, [corrected])
        assert wait_for_end(dev, second) == "COMPLETED_SUCCESS"
        assert home.run_of(second).tags["dagster/asset_partition_range_end"] == corrected
        later = [day for day in good if day > corrected]
        for asset in MAIL_ASSETS:
            assert days_shown_as_stale(dev, asset) == []
        for asset in ("trained_model", "registered_model"):
            assert days_shown_as_stale(dev, asset) == later
    backfill = home.run("backfill", "--from", later[0])
    assert backfill.returncode == 1  # of the bad day after it
    assert f"{len(later) + 1} days run: {len(later)} with a registered model, 1 failed" in backfill.stdout
