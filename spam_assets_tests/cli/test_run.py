"""Which landed days a backfill takes on."""

import pytest

from spam_assets.cli.console import CommandError
from spam_assets.cli.run import leave_out_strays
from spam_assets.settings import Settings
from spam_assets_tests.conftest import day_text


def test_a_stray_day_outside_of_the_partitions_is_told_and_stops_nothing(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    days = [day_text(0), day_text(1)]
    assert leave_out_strays(days, settings) == days
    assert capsys.readouterr().err == ""
    assert leave_out_strays(["1970-01-01", *days, "2038-01-19"], settings) == days
    said = capsys.readouterr().err
    assert said.startswith("note: 1970-01-01, 2038-01-19 landed in ")
    assert "outside of the partitions, 2024-01-01 to 2024-03-31" in said
    assert "SPAM_ASSETS_END_DATE" in said


def test_many_strays_are_counted(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    leave_out_strays([day_text(0), *(f"2038-01-{number}" for number in range(10, 20))], settings)
    assert "2038-01-10, 2038-01-11, 2038-01-12 and 7 more landed" in capsys.readouterr().err


def test_nothing_but_strays_is_an_error(settings: Settings) -> None:
    with pytest.raises(CommandError, match="2038-01-19 is not one of the partitions"):
        leave_out_strays(["2038-01-19"], settings)
