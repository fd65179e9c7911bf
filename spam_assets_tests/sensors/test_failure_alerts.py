"""Failed runs are told once each, to real servers."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from pydantic import SecretStr

from spam_assets.engine import executor
from spam_assets.sensors import failure_alerts
from spam_assets_tests.conftest import day_text, make_mail
from spam_assets_tests.pipeline import run_days
from spam_assets_tests.sensors.conftest import Told
from spam_assets_tests.sensors.ticks import END_TAG, FAILED, START_TAG, end_run, look_for_failures, say, start_run
from spam_assets_tests.servers import SECRET

LandDay = Callable[..., Path]


def test_a_failed_run_is_one_message_with_day_reason_and_link(
    told: Told, instance: dg.DagsterInstance, land_day: LandDay
) -> None:
    cursor = look_for_failures(instance, None).cursor
    land_day(day_text(0), make_mail(day_text(0)).assign(label="junk"))
    run = run_days(told.settings, instance, day_text(0), selection=["raw_mail", "validated_mail"])
    result = look_for_failures(instance, cursor)
    (text,) = told.texts
    assert f"failed for {day_text(0)}" in text
    assert "40 labels are neither ham nor spam" in text
    assert f"{told.settings.dagster_url}/runs/{run.run_id}" in text
    assert say(result) == f"job failed for {day_text(0)}"
    assert say(look_for_failures(instance, result.cursor)) == "nothing to tell"
    assert len(told.texts) == 1


def test_a_failed_range_names_the_days_that_failed_and_a_run_that_never_came_to_one_its_own_reason(
    told: Told, instance: dg.DagsterInstance, land_day: LandDay, monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor = look_for_failures(instance, None).cursor
    for offset in range(4):
        land_day(day_text(offset), make_mail(day_text(offset), messages=10))
    land_day(day_text(1)).write_text("text,label\nhello,ham,too many\n")
    run_days(told.settings, instance, day_text(0), day_text(3), selection=["raw_mail", "validated_mail"])
    cursor = look_for_failures(instance, cursor).cursor
    assert f"job failed for {day_text(1)}\nReason: raw_mail: " in told.texts[0]
    assert f"training-{day_text(1)}.csv" in told.texts[0]

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(executor, "PAUSE_SECONDS", ())
    nowhere = told.settings.model_copy(update={"mlflow_tracking_uri": SecretStr(f"http://me:{SECRET}@127.0.0.1:9")})
    run_days(nowhere, instance, day_text(0), selection=["raw_mail", "trained_model"])
    look_for_failures(instance, cursor)
    assert f"job failed for {day_text(0)}\nReason: run: MLflow failed while opening the experiment" in told.texts[1]
    assert SECRET not in told.texts[1]


def test_failures_from_before_the_sensor_was_turned_on_are_no_news(told: Told, instance: dg.DagsterInstance) -> None:
    end_run(instance, start_run(instance), FAILED)
    first = look_for_failures(instance, None)
    assert say(first) == "watching from now on"
    end_run(instance, start_run(instance, {START_TAG: day_text(0), END_TAG: day_text(9)}), FAILED, "no memory left")
    assert (
        say(look_for_failures(instance, first.cursor)) == f"job failed for 10 days from {day_text(0)} to {day_text(9)}"
    )
    (text,) = told.texts
    assert "no memory left" in text


def test_failures_of_projects_that_share_the_instance_are_theirs_to_tell(
    told: Told, instance: dg.DagsterInstance
) -> None:
    cursor = look_for_failures(instance, None).cursor
    end_run(instance, start_run(instance, {"dagster/code_location": "other_project.definitions"}), FAILED)
    ours = end_run(instance, start_run(instance, {"dagster/code_location": "spam_assets.definitions"}), FAILED)
    result = look_for_failures(instance, cursor)
    (text,) = told.texts
    assert ours.run_id in text
    assert say(look_for_failures(instance, result.cursor)) == "nothing to tell"


def test_a_crashed_run_that_is_tried_again_is_told_only_if_a_day_failed(
    told: Told, instance: dg.DagsterInstance, land_day: LandDay
) -> None:
    cursor = look_for_failures(instance, None).cursor
    end_run(instance, start_run(instance, {"dagster/max_retries": "2"}), FAILED)
    result = look_for_failures(instance, cursor)
    assert (say(result), told.texts) == ("nothing to tell", [])

    land_day(day_text(0), make_mail(day_text(0)).assign(label="junk"))
    run = run_days(told.settings, instance, day_text(0), selection=["raw_mail", "validated_mail"])
    instance.add_run_tags(run.run_id, {"dagster/will_retry": "true"})
    look_for_failures(instance, result.cursor)
    assert len(told.texts) == 1  # the next try goes on after that day, so nobody else tells of it


def test_a_failure_that_could_not_be_told_is_told_at_the_next_tick_in_order(
    told: Told, instance: dg.DagsterInstance
) -> None:
    cursor = look_for_failures(instance, None).cursor
    runs = [end_run(instance, start_run(instance), FAILED) for _ in range(3)]
    told.webhook.answers = [(200, {}), (404, {})]
    told.mail.answers = {"RCPT": [b"250 ok", b"550 nobody"]}
    failing = look_for_failures(instance, cursor)
    assert "the webhook answers HTTP 404" in say(failing)
    assert "the e-mail server 127.0.0.1 refuses every recipient" in say(failing)
    assert SECRET not in say(failing) + str(failing.cursor)
    assert "/services/" not in say(failing)
    assert [run.run_id for run in runs if run.run_id in "".join(told.webhook.texts)] == [
        run.run_id for run in runs[:2]
    ]  # the second was refused
    told.webhook.requests.clear()
    told.mail.mails.clear()
    result = look_for_failures(instance, failing.cursor)
    assert [text.rpartition("/")[2] for text in told.texts] == [run.run_id for run in runs[1:]]
    assert say(look_for_failures(instance, result.cursor)) == "nothing to tell"


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, []),
        ({"dagster/partition": "2024-01-02"}, ["2024-01-02"]),
        ({START_TAG: "2024-02-28", END_TAG: "2024-03-01"}, ["2024-02-28", "2024-02-29", "2024-03-01"]),
        ({START_TAG: "2024-01-01", END_TAG: "2024-01-01"}, ["2024-01-01"]),
    ],
)
def test_the_days_of_a_run_are_those_of_its_tags(tags: dict[str, str], expected: list[str]) -> None:
    assert failure_alerts.list_days_of_run(tags) == expected
