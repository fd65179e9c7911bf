"""Days that a transient fault has failed are run again after growing pauses, those of people are not."""

import time
from collections.abc import Mapping

import dagster as dg
import pytest

from spam_assets.sensors.lost_days import PAUSE_SECONDS, find_repeats, lost_days_sensor
from spam_assets_tests.conftest import day_text
from spam_assets_tests.sensors.ticks import FAILED, SUCCEEDED, end_run, say, start_run, tick

OF_A_SENSOR = {"dagster/max_retries": "2"}
LOST = {
    "spam_assets/transient_fault": "true",
    "spam_assets/days_to_repeat": f"{day_text(0)},{day_text(1)},{day_text(4)}",
}
NO_TAGS: Mapping[str, str] = {}
SOON = PAUSE_SECONDS[0] / 2


def fail_run(instance: dg.DagsterInstance, tags: Mapping[str, str] = NO_TAGS) -> dg.DagsterRun:
    """Fail a run of a sensor in its steps, which Dagster by itself does not repeat."""
    run = end_run(instance, start_run(instance, {**OF_A_SENSOR, **LOST, **tags}, "mail_job"), FAILED)
    instance.add_run_tags(run.run_id, {"dagster/will_retry": "false"})
    return run


def find(instance: dg.DagsterInstance, seconds_later: float) -> list[dg.RunRequest]:
    return list(find_repeats(instance, time.time() + seconds_later))


def test_the_lost_days_are_run_again_after_a_pause_and_no_others(instance: dg.DagsterInstance) -> None:
    run = fail_run(instance)
    assert find(instance, SOON) == []
    adjacent, alone = find(instance, PAUSE_SECONDS[0])
    assert adjacent.job_name == alone.job_name == "mail_job"
    assert adjacent.tags["dagster/asset_partition_range_start"] == day_text(0)
    assert adjacent.tags["dagster/asset_partition_range_end"] == day_text(1)
    assert alone.partition_key == day_text(4)
    assert run.run_id in alone.tags["spam_assets/reason"]
    assert find(instance, PAUSE_SECONDS[0]) == [adjacent, alone]  # the tick is repeated after a crash


def test_a_repeat_that_fails_is_repeated_after_a_longer_pause_until_there_is_none_longer(
    instance: dg.DagsterInstance,
) -> None:
    first = fail_run(instance)
    second = fail_run(instance, find(instance, PAUSE_SECONDS[0])[0].tags)
    assert second.tags["spam_assets/repeat_of"] == first.run_id
    assert find(instance, PAUSE_SECONDS[0]) == []
    (request, _) = find(instance, PAUSE_SECONDS[1])
    assert request.tags["spam_assets/repeat"] == "2"
    assert sorted(set(PAUSE_SECONDS)) == list(PAUSE_SECONDS)

    last = fail_run(instance, {**request.tags, "spam_assets/repeat": str(len(PAUSE_SECONDS))})
    assert last.tags["spam_assets/repeat_of"] == second.run_id
    assert find(instance, 10 * PAUSE_SECONDS[-1]) == []


@pytest.mark.parametrize(
    "tags",
    [
        {**LOST},  # of a person
        {**OF_A_SENSOR},  # bad mail
        {**OF_A_SENSOR, **LOST, "dagster/will_retry": "true"},  # Dagster itself tries it again
    ],
    ids=["a person's", "bad mail", "will retry"],
)
def test_other_failures_are_left_alone(instance: dg.DagsterInstance, tags: dict[str, str]) -> None:
    run = end_run(instance, start_run(instance, tags, "mail_job"), FAILED)
    instance.add_run_tags(run.run_id, {"dagster/will_retry": tags.get("dagster/will_retry", "false")})
    assert find(instance, PAUSE_SECONDS[-1]) == []


def test_a_run_that_came_through_and_one_that_runs_are_not_repeated(instance: dg.DagsterInstance) -> None:
    end_run(instance, start_run(instance, {**OF_A_SENSOR, **LOST}, "mail_job"), SUCCEEDED)
    start_run(instance, {**OF_A_SENSOR, **LOST}, "mail_job")
    assert find(instance, PAUSE_SECONDS[-1]) == []
    assert say(tick(lost_days_sensor, instance)) == "no day is to be repeated now"
