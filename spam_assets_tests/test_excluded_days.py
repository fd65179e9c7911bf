"""A day that is taken back: no window finds it, what learnt it is out of date, and people are told."""

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import dagster as dg
import pytest

from spam_assets.cli.exclusion import describe_exclusions, tell_dagster
from spam_assets.cli.outdated_days import find_days_to_run
from spam_assets.landing.zone import LandingZone
from spam_assets.registry.registered_models import CHAMPION, PREVIOUS, ModelRegistry
from spam_assets.resources import MailHistory, build_resources, open_excluded_days
from spam_assets.settings import Settings
from spam_assets.windows import EXCLUDED, TrainingWindows
from spam_assets_tests.conftest import LandDays, day_text
from spam_assets_tests.pipeline import reason_for_nothing, run_days, stores
from spam_assets_tests.test_stale_models import NOTHING_STALE, find_stale

BAD = day_text(2)
REASON = "labels of a broken export"


@pytest.fixture
def ran(settings: Settings, instance: dg.DagsterInstance, land_days: LandDays) -> list[str]:
    """Four days that ran, the third of which turns out to be bad."""
    days = land_days(4)
    run_days(settings, instance, days[0], days[-1])
    return days


def exclude(settings: Settings, instance: dg.DagsterInstance, day: str) -> None:
    open_excluded_days(settings).exclude(day, REASON, datetime(2024, 2, 1, tzinfo=timezone.utc))
    tell_dagster(instance, day, REASON, EXCLUDED)


def outdated(settings: Settings, instance: dg.DagsterInstance, days: list[str]) -> list[str]:
    return find_days_to_run(settings, instance, LandingZone(settings.landing_url), days)


def metadata_of(instance: dg.DagsterInstance, asset: str, day: str) -> dict[str, str]:
    filters = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[day])
    (record,) = instance.fetch_materializations(filters, limit=1).records
    assert record.asset_materialization is not None
    return {name: str(value.value) for name, value in record.asset_materialization.metadata.items()}


@pytest.mark.slow
def test_models_that_learnt_an_excluded_day_are_out_of_date_and_learn_without_it(
    settings: Settings, instance: dg.DagsterInstance, ran: list[str]
) -> None:
    assert outdated(settings, instance, ran) == []
    before = stores(settings)[2].load_day("trained_model", ran[-1])
    assert BAD in before.days

    exclude(settings, instance, BAD)

    assert outdated(settings, instance, ran) == ran[2:]
    stale = {**NOTHING_STALE, "trained_model": ran[2:], "registered_model": ran[2:]}
    assert find_stale(instance, settings, ran) == stale
    champion, previous = (ModelRegistry(settings).aliased(alias) for alias in (CHAMPION, PREVIOUS))
    assert champion is not None
    assert previous is not None
    assert describe_exclusions(settings) == [
        f"excluded: {BAD} since 2024-02-01, {REASON}",
        f"version {previous.version} (previous) has learnt {BAD}",
        f"version {champion.version} (champion) has learnt {BAD}; it serves until a newer one passes the gate",
    ]

    run_days(settings, instance, ran[2], ran[3])

    assert outdated(settings, instance, ran) == []
    assert find_stale(instance, settings, ran) == NOTHING_STALE
    models = stores(settings)[2]
    assert [BAD in models.load_day("trained_model", day).days for day in ran] == [False] * 4
    assert models.load_day("trained_model", ran[-1]).days == tuple(day for day in ran if day != BAD)
    assert f"{BAD}: {REASON}" in metadata_of(instance, "trained_model", ran[-1])["days_excluded"]
    assert REASON in metadata_of(instance, "mail_features", BAD)["excluded"]
    assert "excluded" not in metadata_of(instance, "mail_features", ran[-1])

    open_excluded_days(settings).include(BAD)
    assert outdated(settings, instance, ran) == ran[2:]
    run_days(settings, instance, ran[2], ran[3])
    after = models.load_day("trained_model", ran[-1])
    assert models.to_bytes(after) == models.to_bytes(before)


def open_for_a_day(settings: Settings) -> tuple[TrainingWindows, MailHistory]:
    names = ("excluded_days", "training_windows", "mail_history")
    with dg.build_resources({name: build_resources(settings)[name] for name in names}) as opened:
        return opened.training_windows, opened.mail_history


@pytest.mark.slow
def test_an_excluded_day_judges_nobody(settings: Settings, instance: dg.DagsterInstance, ran: list[str]) -> None:
    windows, history = open_for_a_day(settings)
    assert BAD in windows.ending(ran[-1])
    assert len(history.days_before(ran[-1])) == 3

    exclude(settings, instance, BAD)

    assert BAD in windows.ending(ran[-1]), "all steps of a day go by one list"
    assert windows.find_reasons(again=True) == {BAD: REASON}, "but for the gate, which asks again"
    windows, history = open_for_a_day(settings)
    assert list(windows.ending(ran[-1])) == [ran[0], ran[1], ran[3]]
    assert windows.ending(ran[-1]).excluded == {BAD: REASON}
    assert list(windows.ending(BAD)) == ran[:2]
    assert len(history.days_before(ran[-1])) == 2
    run_days(settings, instance, BAD, selection=["champion_report"])
    assert reason_for_nothing(instance, "champion_report", BAD) == (
        f"{BAD} is excluded, so it says nothing of a champion: {REASON}"
    )


@pytest.mark.slow
def test_a_candidate_that_has_learnt_an_excluded_day_is_refused(
    settings: Settings, instance: dg.DagsterInstance, land_days: LandDays
) -> None:
    days = land_days(4)
    run_days(settings, instance, days[0], days[2])
    run_days(settings, instance, days[3], selection=["raw_mail", "validated_mail", "mail_features", "trained_model"])
    exclude(settings, instance, BAD)

    run_days(settings, instance, days[3], selection=["registered_model"])

    told = metadata_of(instance, "registered_model", days[3])
    assert (told["verdict"], told["promoted"]) == ("refuse", "False")
    assert told["reason"] == f"it has learnt what is excluded: {BAD} ({REASON}); train it again"


def test_a_day_that_is_excluded_before_it_ran_is_never_learnt(
    settings: Settings, instance: dg.DagsterInstance, land_days: LandDays
) -> None:
    days = land_days(4)
    assert outdated(settings, instance, days) == days
    exclude(settings, instance, BAD)
    assert outdated(settings, instance, days) == [day for day in days if day != BAD]
    run_days(settings, instance, days[3])  # the others come from the landing zone
    assert stores(settings)[2].load_day("trained_model", days[3]).days == (days[0], days[1], days[3])


@pytest.mark.slow
def test_a_day_whose_file_was_removed_stays_learnt_and_its_models_say_so(
    settings: Settings, instance: dg.DagsterInstance, ran: list[str], land_day: Callable[..., Path]
) -> None:
    assert metadata_of(instance, "trained_model", ran[-1])["days_without_landing_file"] == "none"
    land_day(BAD).unlink()
    run_days(settings, instance, ran[-1])
    assert BAD in stores(settings)[2].load_day("trained_model", ran[-1]).days
    assert metadata_of(instance, "trained_model", ran[-1])["days_without_landing_file"] == BAD
