"""The sensors in a real daemon: every day is processed as often as its content changed, whatever happens; champions
come by themselves; and people are told once.
"""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from benchmarks.backfill import DagsterDev
from spam_assets.engine.day_records import read_day_records
from spam_assets.registry.registered_models import CHAMPION, ModelRegistry
from spam_assets_tests.conftest import day_text, make_mail
from spam_assets_tests.dagster_dev import kill_everything, launch, serve, wait_for_end
from spam_assets_tests.homes import DAYS, SLOW, Home, wait_for
from spam_assets_tests.servers import SECRET, run_mail_server, run_webhook

pytestmark = SLOW

START_SENSOR = """
mutation Start($selector: SensorSelector!) { startSensor(sensorSelector: $selector) {
  __typename ... on Sensor { sensorState { status } } ... on PythonError { message }
} }
"""
TICKS = """
query Ticks($selector: SensorSelector!) { sensorOrError(sensorSelector: $selector) {
  ... on Sensor { sensorState { ticks(limit: 20) { status skipReason error { message } } } }
} }
"""

TRY_SCHEDULE = """
mutation Try($selector: ScheduleSelector!, $now: Float) { scheduleDryRun(selectorData: $selector, timestamp: $now) {
  ... on DryRunInstigationTick { evaluationResult { skipReason error { message } runRequests { tags { key value } } } }
} }
"""


def selector(name: str) -> dict[str, str]:
    return {
        "repositoryLocationName": "spam_assets.definitions",
        "repositoryName": "__repository__",
        "sensorName": name,
    }


def turn_on(dev: DagsterDev, name: str) -> None:
    answer = dev.ask(START_SENSOR, selector=selector(name))
    assert answer.get("sensorState", {}).get("status") == "RUNNING", answer


def try_schedule(dev: DagsterDev, name: str) -> dict[str, str | None]:
    """What a schedule says now, asked by the button of the UI that tests it: its skip reason and its runs' tags."""
    repository = {key: value for key, value in selector("").items() if key != "sensorName"}
    answer = dev.ask(TRY_SCHEDULE, selector={**repository, "scheduleName": name}, now=time.time())["evaluationResult"]
    assert answer["error"] is None
    tags = [tag for request in answer["runRequests"] or [] for tag in request["tags"]]
    return {"skip": answer["skipReason"], **{tag["key"]: tag["value"] for tag in tags}}


def drop(home: Home, day: str, mail: pd.DataFrame | None = None) -> Path:
    """Land a day as a careful program does: written beside, then renamed."""
    path = home.landing / f"training-{day}.csv"
    beside = home.landing / f".{path.name}.partial"
    (make_mail(day, messages=12) if mail is None else mail).to_csv(beside, index=False)
    return beside.rename(path)


def count_processed(home: Home) -> Counter[str]:
    """How often each day was processed: materializations of its features."""
    with home.open_instance() as instance:
        records = instance.fetch_materializations(dg.AssetKey("mail_features"), limit=1000).records
    return Counter(str(record.partition_key) for record in records)


def wait_until_processed(home: Home, expected: Counter[str]) -> None:
    def is_done() -> bool:
        done = count_processed(home)
        assert not done - expected, f"processed too often: {done - expected}"
        return done == expected and not home.dagster_runs(statuses=[dg.DagsterRunStatus.STARTED])

    wait_for(f"processing of {sum(expected.values())} days", is_done)


def say_ticks(dev: DagsterDev, name: str) -> str:
    ticks: Sequence[dict[str, str | None]] = dev.ask(TICKS, selector=selector(name))["sensorState"]["ticks"]
    assert not [tick for tick in ticks if tick["status"] == "FAILURE"], ticks
    return "\n".join(tick["skipReason"] or "" for tick in ticks)


@pytest.mark.timeout(1000)
def test_every_day_is_processed_as_often_as_its_content_changed(home: Home) -> None:
    for path in home.landing.iterdir():
        path.unlink()
    home.environment["SPAM_ASSETS_SENSOR_SECONDS"] = "1"
    days = [day_text(offset) for offset in range(31)]
    home.environment["SPAM_ASSETS_END_DATE"] = days[-1]
    for day in days[:20]:
        drop(home, day)
    with serve(home) as dev:
        turn_on(dev, "new_mail")
        expected = Counter(days[:20])
        wait_until_processed(home, expected)
        assert len(home.dagster_runs()) <= 2  # a run for many days, not one for each

        for day in days[20:25]:
            drop(home, day)
            time.sleep(1.5)
        wait_for("half of the days that come one by one", lambda: len(count_processed(home)) >= 22)
        kill_everything(dev)
    for day in days[25:30]:
        drop(home, day)
        time.sleep(0.2)
    with serve(home) as dev:
        expected += Counter(days[20:30])
        with_a_day_in_hand = wait_for(
            # A run whose process had not come up yet is failed, and started again, after three minutes.
            "the days after the restart",
            lambda: has_all(home, days[:30]),
            420,
        )
        assert with_a_day_in_hand - expected == Counter() or sum((with_a_day_in_hand - expected).values()) == 1
        expected = with_a_day_in_hand  # the day in hand when the power went may have been made twice

        for day in days[3:6]:
            drop(home, day, make_mail(day, messages=12, seed=1))
        (home.landing / f"training-{days[7]}.csv").touch()
        (home.landing / f"training-{days[8]}.csv").unlink()
        whole = make_mail(days[30], messages=12).to_csv(index=False)
        half = home.landing / f"training-{days[30]}.csv"
        half.write_text(whole[: len(whole) // 2])
        expected += Counter(days[3:6])
        wait_until_processed(home, expected)
        wait_for("word of the half file", lambda: f"{days[30]} waits" in say_ticks(dev, "new_mail"))
        assert f"the file of {days[8]} is gone" in say_ticks(dev, "new_mail")
        half.write_text(whole)
        expected += Counter([days[30]])
        wait_until_processed(home, expected)
        time.sleep(5)
        wait_until_processed(home, expected)

        zone_elsewhere = home.landing.rename(home.landing.with_name("elsewhere"))
        wait_for("word of the missing zone", lambda: "does not exist" in say_ticks(dev, "new_mail"))
        zone_elsewhere.rename(home.landing)
        time.sleep(5)
        wait_until_processed(home, expected)

    with home.open_instance() as instance:
        raw = read_day_records(instance, "raw_mail")
        observed = instance.fetch_observations(dg.AssetKey("raw_mail"), limit=10).records
        reasons = {run.tags.get("spam_assets/reason", "") for run in instance.get_runs()}
    assert sorted(raw) == days
    assert [record.partition_key for record in observed] == [days[8]]
    assert all("new or changed mail of" in reason for reason in reasons)


def has_all(home: Home, days: Sequence[str]) -> Counter[str] | None:
    if home.dagster_runs(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.QUEUED]):
        return None
    done = count_processed(home)
    return done if set(days) <= set(done) else None


def wait_until_quiet(home: Home) -> None:
    """Wait until no run is in progress, and then for some ticks of sensors."""
    open_statuses = [
        dg.DagsterRunStatus.QUEUED,
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
    ]
    for _ in range(2):
        wait_for("end of all runs", lambda: not home.dagster_runs(statuses=open_statuses))
        time.sleep(4)


def test_days_that_land_lead_to_a_champion_by_themselves(home: Home) -> None:
    for path in home.landing.iterdir():
        path.unlink()
    home.environment["SPAM_ASSETS_SENSOR_SECONDS"] = "1"
    registry = ModelRegistry(home.settings)
    with serve(home) as dev:
        turn_on(dev, "new_mail")
        turn_on(dev, "retraining")
        wait_for("word that there is no mail", lambda: "no mail has been featurized" in say_ticks(dev, "retraining"))
        for day in DAYS[:4]:
            drop(home, day, make_mail(day))
        first = wait_for("first champion", lambda: registry.aliased(CHAMPION))
        wait_until_quiet(home)
        for day in DAYS[4:8]:
            drop(home, day, make_mail(day))
        newer = wait_for(
            "newer champion",
            lambda: (now := registry.aliased(CHAMPION)) and now.training_date > first.training_date and now,
        )
        wait_until_quiet(home)
        say_ticks(dev, "new_mail")
        say_ticks(dev, "retraining")
        at_three = try_schedule(dev, "train_daily")
        if DAYS[7] in home.stored_days("trained_model"):
            assert at_three == {"skip": f"a model was trained for {DAYS[7]}, and no newer day has come"}
        else:
            assert (at_three["dagster/partition"], at_three["skip"]) == (DAYS[7], None)

    runs = home.dagster_runs()
    assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
    reasons = {
        run.tags["dagster/partition"]: run.tags["spam_assets/reason"] for run in runs if run.job_name == "retrain_job"
    }
    assert reasons[min(reasons)] == "there is no champion yet"
    assert "new messages" in reasons[newer.training_date]
    assert all("new or changed mail of" in run.tags["spam_assets/reason"] for run in runs if run.job_name == "mail_job")
    assert {run.job_name for run in runs} == {"mail_job", "retrain_job"}
    assert count_processed(home) == Counter(DAYS[:8])
    with home.open_instance() as instance:
        reports = {day: record.skipped for day, record in read_day_records(instance, "champion_report").items()}
    assert not any(reports[day] for day in DAYS[4:8])  # a champion was there


def test_a_failed_day_and_a_new_champion_are_told_once_on_each_channel(home: Home) -> None:
    junk = make_mail(DAYS[1]).assign(label="junk")
    drop(home, DAYS[1], junk)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        home.environment.pop(name, None)
    with run_webhook() as webhook, run_mail_server() as mail_server:
        home.environment |= {
            "SPAM_ASSETS_SENSOR_SECONDS": "1",
            "SPAM_ASSETS_ALERT_WEBHOOK": webhook.url,
            "SPAM_ASSETS_ALERT_EMAIL_TO": "ops@example.com",
            "SPAM_ASSETS_ALERT_EMAIL_FROM": "spam-assets@example.org",
            "SPAM_ASSETS_ALERT_SMTP": mail_server.url(),
        }
        with serve(home) as dev:
            for sensor in ("alerts", "alert_failures"):  # on without a click, because there is a channel
                wait_for(f"first tick of {sensor}", lambda: "watching from now on" in say_ticks(dev, sensor))  # noqa: B023
            webhook.answers = [(503, {}), (503, {})]  # the first tick fails on this channel
            mail_server.answers = {"RCPT": [b"450 later"] * 2}  # and on this one
            assert wait_for_end(dev, launch(dev, [DAYS[1]])) == "COMPLETED_FAILED"
            wait_for("mail about the bad day", lambda: mail_server.mails)
            time.sleep(5)
            assert len(mail_server.mails) == 1
            assert len(webhook.texts) == 3
            failure = webhook.texts[-1]
            assert f"materialization failed for {DAYS[1]}\nReason: raw_mail: " in failure
            assert "40 labels are neither ham nor spam" in failure
            assert dev.ask(RUN_OF_LINK, id=failure.rpartition("/")[2])["runId"]
            assert "the webhook answers HTTP 503" in say_ticks(dev, "alert_failures")

            assert wait_for_end(dev, launch(dev, DAYS[2:])) == "COMPLETED_SUCCESS"
            wait_for("mail about the champion", lambda: len(mail_server.mails) > 1)
            time.sleep(5)
            assert len(mail_server.mails) == 2
            (promotion,) = webhook.texts[3:]
            assert f"trained for {DAYS[-1]}, is the new champion" in promotion
        shown = dev.log.read_text(errors="replace")
    assert SECRET not in shown


RUN_OF_LINK = "query Run($id: ID!) { runOrError(runId: $id) { ... on Run { runId } } }"
