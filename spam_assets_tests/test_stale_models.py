"""What Dagster shows as out of date when an old day changes: the models whose window holds it, and nothing else."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from spam_assets.settings import Settings
from spam_assets_tests.conftest import day_text, make_mail
from spam_assets_tests.pipeline import build_job, run_days

pytestmark = pytest.mark.slow

LandDay = Callable[..., Path]
MAIL = ["raw_mail", "validated_mail", "mail_features"]
EVERY_ASSET = [*MAIL, "trained_model", "registered_model"]
NOTHING_STALE: dict[str, list[str]] = {asset: [] for asset in EVERY_ASSET}


def find_stale(instance: dg.DagsterInstance, settings: Settings, days: list[str]) -> dict[str, list[str]]:
    graph = build_job(settings).asset_layer.asset_graph
    resolver = CachingStaleStatusResolver(instance, graph, loading_context=LoadingContextForTest(instance))
    return {
        asset: [day for day in days if resolver.get_status(dg.AssetKey(asset), day) == StaleStatus.STALE]
        for asset in EVERY_ASSET
    }


def test_a_changed_day_makes_the_models_stale_whose_window_holds_it(
    settings: Settings, instance: dg.DagsterInstance, land_day: LandDay
) -> None:
    days = [day_text(offset) for offset in range(6)]
    for day in days:
        if day != days[1]:  # nothing landed there
            land_day(day)
    run_days(settings, instance, days[0], days[-1])
    assert find_stale(instance, settings, days) == NOTHING_STALE

    run_days(settings, instance, days[3], selection=MAIL)  # again, with the same content
    assert find_stale(instance, settings, days) == NOTHING_STALE

    land_day(days[3], make_mail(days[3], seed=5))
    run_days(settings, instance, days[3], selection=MAIL)
    stale = find_stale(instance, settings, days)
    assert stale == {**NOTHING_STALE, "trained_model": days[3:], "registered_model": days[3:]}

    run_days(settings, instance, days[3], days[-1], selection=["trained_model", "registered_model"])
    assert find_stale(instance, settings, days) == NOTHING_STALE


def test_a_window_forgets_days_before_it(settings: Settings, instance: dg.DagsterInstance, land_day: LandDay) -> None:
    first, inside, outside = day_text(0), day_text(settings.window_days - 1), day_text(settings.window_days)
    for day in (first, inside, outside):
        land_day(day)
        run_days(settings, instance, day)
    land_day(first, make_mail(first, seed=5))
    run_days(settings, instance, first, selection=MAIL)

    assert find_stale(instance, settings, [first, inside, outside])["trained_model"] == [first, inside]
