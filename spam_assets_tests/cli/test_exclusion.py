"""`spam-assets exclude` and `include` as a person uses them."""

import subprocess
from collections.abc import Callable

import pytest

from spam_assets_tests.conftest import LandDays

REASON = "labels of a [broken] export"


@pytest.mark.slow
def test_a_bad_day_is_taken_back_and_given_back(
    run_command: Callable[..., subprocess.CompletedProcess[str]], land_days: LandDays
) -> None:
    days = land_days(3)
    assert run_command("backfill").returncode == 0

    refused = run_command("exclude", days[1], "--reason", " ")
    assert (refused.returncode, "--reason is empty" in refused.stderr) == (1, True)
    done = run_command("exclude", days[1], "--reason", REASON)
    assert done.returncode == 0, done.stderr
    assert f"{days[1]} is excluded: {REASON}" in done.stdout
    assert f"2 models whose window holds it are out of date, {days[1]} to {days[2]}; spam-assets" in done.stdout
    assert f"has learnt {days[1]}; it serves until a newer one passes the gate" in done.stdout
    listed = run_command("models").stdout
    assert f"excluded: {days[1]} since " in listed
    assert REASON in listed

    assert "2 models whose window holds it" in run_command("include", days[1]).stdout
    assert f"{days[1]} is not excluded" in run_command("include", days[1]).stderr
