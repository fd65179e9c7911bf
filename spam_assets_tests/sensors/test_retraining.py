"""The sensor retraining and the schedule, on real instances and a real MLflow."""

import shutil
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from spam_assets.landing.zone import LandingZone
from spam_assets.learning.gate import Decision
from spam_assets.learning.retraining_rule import RetrainingSettings
from spam_assets.registry.registered_models import CHAMPION, ModelRegistry
from spam_assets.sensors import retraining
from spam_assets.settings import Settings
from spam_assets_tests.conftest import day_text, make_mail
from spam_assets_tests.pipeline import run_days
from spam_assets_tests.sensors.conftest import Trained
from spam_assets_tests.sensors.ticks import FAILED, SUCCEEDED, end_run, run_mail, say, start_run, tick, use_settings


@pytest.fixture
def with_champion(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A copy of that home for the test to change; models are read from where they were logged."""
    home = tmp_path / "copy"
    shutil.copytree(trained.settings.home, home)
    settings = trained.settings.model_copy(update={"home": home})
    use_settings(monkeypatch, settings)
    return settings


def judge(instance: dg.DagsterInstance, cursor: str | None = None) -> dg.SensorResult:
    return tick(retraining.retraining_sensor, instance, cursor)


def test_without_featurized_mail_the_retraining_sensor_says_what_to_do(
    watched: Settings, instance: dg.DagsterInstance
) -> None:
    result = judge(instance)
    assert (result.run_requests, result.cursor) == (None, None) or not result.run_requests
    assert "no mail has been featurized yet" in say(result)


def test_without_a_champion_a_model_is_trained_for_the_newest_day_once(
    watched: Settings, instance: dg.DagsterInstance
) -> None:
    run_mail(watched, instance, [0, 1])
    result = judge(instance)
    assert result.run_requests is not None
    (request,) = result.run_requests
    assert (request.run_key, request.partition_key) == (f"train-{day_text(1)}", day_text(1))
    assert request.tags["spam_assets/reason"] == "there is no champion yet"
    assert request.tags["spam_assets/reason.no_champion"] == "true"
    assert result.cursor == day_text(1)
    assert judge(instance).run_requests == result.run_requests  # the tick is repeated after a crash
    run_mail(watched, instance, [0, 1])  # days that run again
    again = judge(instance, result.cursor)
    assert not again.run_requests
    assert f"{day_text(1)} has been judged, and no newer day has come" in say(again)
    assert again.cursor == result.cursor


def test_a_day_waits_for_runs_in_progress_and_is_judged_afterwards(
    watched: Settings, instance: dg.DagsterInstance
) -> None:
    run_mail(watched, instance, [0])
    run = start_run(instance)
    result = judge(instance)
    assert not result.run_requests
    assert result.cursor is None
    assert say(result) == f"1 runs are in progress (job); {day_text(0)} waits"
    end_run(instance, run, SUCCEEDED)
    assert judge(instance).run_requests


def test_runs_of_projects_that_share_the_instance_are_not_waited_for(
    watched: Settings, instance: dg.DagsterInstance
) -> None:
    run_mail(watched, instance, [0])
    start_run(instance, {"dagster/code_location": "other_project.definitions"})
    assert judge(instance).run_requests


def test_a_day_without_a_report_is_not_judged(with_champion: Settings, instance: dg.DagsterInstance) -> None:
    run_mail(with_champion, instance, [4])
    LandingZone(with_champion.landing_url).write(day_text(5), make_mail(day_text(5)))
    run_days(with_champion, instance, day_text(5), selection=["raw_mail", "validated_mail", "mail_features"])
    first = judge(instance, day_text(3))
    assert first.cursor == day_text(4)  # the newest day with a report
    waiting = judge(instance, first.cursor)
    assert waiting.cursor == first.cursor
    assert f"{day_text(5)} waits for its champion_report" in say(waiting)
    run_days(with_champion, instance, day_text(5), selection=["champion_report"])
    assert judge(instance, first.cursor).cursor == day_text(5)


def test_a_champion_that_does_well_stays_and_the_cursor_moves(
    with_champion: Settings, instance: dg.DagsterInstance
) -> None:
    run_mail(with_champion, instance, [4, 5])
    result = judge(instance, day_text(3))
    assert not result.run_requests
    assert say(result) == f"{day_text(5)}: the champion does as well as ever"
    assert result.cursor == day_text(5)


def test_a_candidate_that_waits_is_judged_again_when_nothing_is_trained(
    with_champion: Settings, instance: dg.DagsterInstance
) -> None:
    registry = ModelRegistry(with_champion)
    newest = registry.versions()[-1]
    registry.note_verdict(newest.version, Decision("wait", "too little evidence"))
    registry.point(CHAMPION, registry.versions()[-2].version)  # so that the newest is a candidate
    run_mail(with_champion, instance, [4, 5])

    result = judge(instance)

    assert result.run_requests is not None
    (request,) = result.run_requests
    assert (request.job_name, request.partition_key) == ("gate_job", day_text(5))
    assert f"version {newest.version} waits for the gate" in request.tags["spam_assets/reason"]
    assert result.cursor == day_text(5)


def test_a_champion_that_is_below_the_bar_is_retrained_for_that_reason(
    with_champion: Settings, instance: dg.DagsterInstance
) -> None:
    run_mail(with_champion, instance, [4, 5], flipped=0.3)
    result = judge(instance, day_text(3))
    assert result.run_requests is not None
    (request,) = result.run_requests
    assert request.run_key == f"train-{day_text(5)}"
    assert "2 of the last 2 days were below the bar" in request.tags["spam_assets/reason"]
    assert request.tags["spam_assets/reason.performance"] == "true"
    assert result.cursor == day_text(5)


def test_just_after_a_training_even_a_bad_day_waits(with_champion: Settings, instance: dg.DagsterInstance) -> None:
    run_mail(with_champion, instance, [4], flipped=0.5)
    stricter = with_champion.model_copy(update={"retrain_new_messages": 1, "retrain_cool_down_days": 2})
    with pytest.MonkeyPatch.context() as patch:
        use_settings(patch, stricter)
        result = judge(instance, day_text(3))
    assert not result.run_requests
    assert "less than 2 days ago" in say(result)


def test_days_that_are_stored_but_no_partitions_any_more_are_left_alone(
    watched: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_mail(watched, instance, [0, 1, 2])
    shorter = watched.model_copy(update={"end_date": date.fromisoformat(day_text(1))})
    use_settings(monkeypatch, shorter)
    result = judge(instance)
    assert result.run_requests is not None
    assert [request.partition_key for request in result.run_requests] == [day_text(1)]


def test_a_person_chooses_age_messages_and_cool_down(settings: Settings) -> None:
    chosen = settings.model_copy(
        update={"retrain_max_age_days": 3, "retrain_new_messages": 7, "retrain_cool_down_days": 3}
    )
    built = retraining.build_retraining_settings(chosen)
    assert (built.max_age_days, built.new_messages, built.cool_down_days) == (3, 7, 3)
    assert retraining.build_retraining_settings(settings) == RetrainingSettings()


def ask_schedule(instance: dg.DagsterInstance) -> dg.RunRequest | str | None:
    answer = retraining.train_daily_schedule(dg.build_schedule_context(instance=instance))
    return answer.skip_message if isinstance(answer, dg.SkipReason) else answer


def test_the_schedule_trains_for_the_newest_day_and_says_when_there_is_none(
    watched: Settings, instance: dg.DagsterInstance
) -> None:
    assert ask_schedule(instance) == "no mail has been featurized yet"
    run_mail(watched, instance, [0, 1])
    request = ask_schedule(instance)
    assert isinstance(request, dg.RunRequest)
    assert request.partition_key == day_text(1)
    assert request.tags["spam_assets/reason"] == "the schedule train_daily"


def test_a_day_that_sensor_and_schedule_both_want_is_trained_once(
    with_champion: Settings, instance: dg.DagsterInstance
) -> None:
    assert ask_schedule(instance) == f"a model was trained for {day_text(3)}, and no newer day has come"
    assert "the next one wants newer mail" in say(judge(instance))
    run_mail(with_champion, instance, [4, 5], flipped=0.3)
    assert judge(instance, day_text(3)).run_requests
    run = start_run(instance, {"dagster/partition": day_text(5)}, "retrain_job")
    assert ask_schedule(instance) == f"a model of {day_text(5)} is being trained"
    end_run(instance, run, FAILED)
    assert isinstance(ask_schedule(instance), dg.RunRequest)
