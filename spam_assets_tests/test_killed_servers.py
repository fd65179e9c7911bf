"""`dagster dev` and its run workers are killed in the middle of a backfill: Dagster notices, and nothing is lost."""

import dagster as dg

from spam_assets_tests.dagster_dev import kill_everything, kill_workers, launch, serve, wait_for_end
from spam_assets_tests.homes import DAYS, SLOW, Home, Results, wait_for

pytestmark = SLOW
FAILURE = dg.DagsterRunStatus.FAILURE


def test_a_ui_backfill_whose_worker_is_killed_fails_and_another_one_completes_it(
    home: Home, undisturbed: Results
) -> None:
    with serve(home) as dev:
        first = launch(dev, DAYS)
        home.wait_for_models(3)
        assert kill_workers(dev) == 1
        wait_for("failure of the dead run", lambda: home.run_of(first).status == FAILURE)
        missing = home.missing_days()
        assert 0 < len(missing) < len(DAYS)
        second = launch(dev, missing)
        assert wait_for_end(dev, first) == "COMPLETED_FAILED"
        assert wait_for_end(dev, second) == "COMPLETED_SUCCESS"

    home.assert_complete(undisturbed)


def test_after_a_power_cut_dagster_fails_the_dead_run_and_a_backfill_of_the_missing_days_completes_it(
    home: Home, undisturbed: Results
) -> None:
    with serve(home) as dev:
        first = launch(dev, DAYS)
        home.wait_for_models(3)
        kill_everything(dev)
    assert home.run_of(first).status == dg.DagsterRunStatus.STARTED  # nobody could say otherwise
    missing = home.missing_days()
    assert 0 < len(missing) < len(DAYS)

    with serve(home) as dev:
        wait_for("failure of the dead run", lambda: home.run_of(first).status == FAILURE)
        second = launch(dev, missing)
        assert wait_for_end(dev, first) == "COMPLETED_FAILED"
        assert wait_for_end(dev, second) == "COMPLETED_SUCCESS"

    home.assert_complete(undisturbed)
