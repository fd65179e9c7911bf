"""Missing mail and landed files that cannot be used, as alerts."""

from pathlib import Path

import dagster as dg
import pytest

from spam_assets.alerts.events import describe_landing_problem, describe_missing_mail
from spam_assets.alerts.message import Alert
from spam_assets.sensors import landing_problems
from spam_assets_tests.conftest import day_text
from spam_assets_tests.sensors.conftest import Told
from spam_assets_tests.sensors.ticks import land, land_twice, look_for_news, say, use_settings


def test_missing_mail_is_told_once(
    told: Told, instance: dg.DagsterInstance, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_settings(monkeypatch, told.settings.model_copy(update={"end_date": None}))
    cursor = look_for_news(instance, None).cursor
    assert say(look_for_news(instance, cursor)) == "nothing to tell"  # nothing has landed, so nothing is missed
    land(landing, day_text(0))
    result = look_for_news(instance, cursor)
    assert say(result).startswith("No mail of 20")
    for _ in range(2):
        result = look_for_news(instance, result.cursor)
        assert say(result) == "nothing to tell"
    assert len(told.texts) == 1


def test_missing_mail_of_an_archive_is_no_news(told: Told, instance: dg.DagsterInstance, landing: Path) -> None:
    land(landing, day_text(0))
    assert say(look_for_news(instance, look_for_news(instance, None).cursor)) == "nothing to tell"


def test_two_files_for_a_day_are_told_once_when_they_are_quiet(
    told: Told, instance: dg.DagsterInstance, landing: Path
) -> None:
    cursor = look_for_news(instance, None).cursor
    land_twice(landing, 0, age_seconds=0)
    assert say(look_for_news(instance, cursor)) == "nothing to tell"  # being landed again in another format
    land_twice(landing, 0)
    result = look_for_news(instance, cursor)
    assert say(result) == f"The landed file of {day_text(0)} cannot be used"
    assert say(look_for_news(instance, result.cursor)) == "nothing to tell"
    assert "keep one and remove the other" in told.texts[0]


@pytest.mark.parametrize(("days", "messages"), [(0, 1), (1, 2), (3, 4), (4, 2), (50, 2)])
def test_more_than_three_landing_problems_are_joined(days: int, messages: int) -> None:
    missing = describe_missing_mail("2024-06-01", 7)
    problems: list[Alert] = [describe_landing_problem(day_text(offset), "two files") for offset in range(days)]
    joined = landing_problems.join_problems([*problems, missing])
    assert len(joined) == messages
    assert {key for keys in joined.values() for key in keys} == {alert.key for alert in [*problems, missing]}


def test_a_file_of_a_day_to_come_is_told_once_and_silences_no_missing_mail(
    told: Told, instance: dg.DagsterInstance, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_settings(monkeypatch, told.settings.model_copy(update={"end_date": None}))
    cursor = look_for_news(instance, None).cursor
    land(landing, day_text(0))
    land(landing, "2099-01-19")
    result = look_for_news(instance, cursor)
    assert "The landed file of 2099-01-19 cannot be used" in say(result)
    assert "No mail of 20" in say(result)
    assert say(look_for_news(instance, result.cursor)) == "nothing to tell"
