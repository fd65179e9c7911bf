"""The brake on real assets: a person's choice stands whatever runs, crashes at any point are repaired, four at once."""

import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from mlflow import MlflowClient

from spam_assets.cli.verification import find_faults
from spam_assets.engine.instance import prepare_instance
from spam_assets.registry.alias_changes import tell_change
from spam_assets.registry.manual_changes import bar_version, roll_back, unpin_champion
from spam_assets.registry.registered_models import CHAMPION, MODEL_NAME, ModelRegistry
from spam_assets.settings import Settings
from spam_assets_tests.conftest import PROJECT, day_text, make_mail
from spam_assets_tests.homes import SLOW
from spam_assets_tests.pipeline import run_days
from spam_assets_tests.registry.crashes import CrashingClient
from spam_assets_tests.test_gate import decision

pytestmark = SLOW
DAYS = [day_text(offset) for offset in range(20)]
GATE = ["registered_model"]
BEFORE_GATE = ["raw_mail", "validated_mail", "mail_features", "trained_model"]


@pytest.fixture
def landed(land_day: Callable[..., Path]) -> list[str]:
    for day in DAYS:
        land_day(day, make_mail(day, 60))
    return DAYS


def champion_of(settings: Settings) -> int | None:
    return ModelRegistry(settings).standing().aliases.get(CHAMPION)


def test_after_a_rollback_the_pinned_champion_serves_whatever_runs_and_unpinned_the_gate_decides(
    settings: Settings, instance: dg.DagsterInstance, landed: list[str]
) -> None:
    assert run_days(settings, instance, landed[0], landed[5]).is_success
    registry = ModelRegistry(settings)
    bad = registry.aliased(CHAMPION)
    assert bad is not None
    assert bad.training_date == landed[5]
    good = roll_back(registry, reason="it loses newsletters")

    for day in (landed[5], landed[6]):
        assert run_days(settings, instance, day).is_success
        assert champion_of(settings) == good.version
        told = decision(instance, day)
        assert (told["verdict"], told["promoted"]) == ("hold", False)
        assert "would be promoted" in str(told["reason"])
        assert str(told["reason"]).endswith("but the champion is pinned: it loses newsletters")
        assert "it loses newsletters" in str(told["pinned"])
        assert "rollback" in str(told["history"])
    newest = registry.versions()[-1]
    assert (newest.training_date, newest.verdict, newest.was_champion) == (landed[6], "hold", False)
    champions = [
        (change.who, move.before, move.after)
        for change in registry.standing().changes
        if (move := change.champion_move) is not None
    ]
    assert champions[-1] == ("rollback", bad.version, good.version)

    unpin_champion(registry, "the new ones are well")
    bar_version(registry, bad.version, "it loses newsletters")
    run_days(settings, instance, landed[5])
    assert decision(instance, landed[5])["reason"] == "barred by a person: it loses newsletters"
    assert champion_of(settings) == good.version
    assert [version.version for version in registry.waiting()] == [newest.version]
    run_days(settings, instance, landed[6], selection=GATE)
    assert decision(instance, landed[6])["promoted"] is True
    assert champion_of(settings) == newest.version


def test_a_crash_after_any_registry_call_of_a_gate_is_repaired_by_running_the_day_again(
    settings: Settings, instance: dg.DagsterInstance, landed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_days(settings, instance, landed[0], landed[4])
    run_days(settings, instance, landed[5], selection=BEFORE_GATE)
    database = settings.home / "mlflow.db"
    snapshot = sqlite3.connect(settings.home / "snapshot.db")
    with sqlite3.connect(database) as live:
        live.backup(snapshot)
    client = MlflowClient(settings.tracking_uri)

    def restore() -> None:
        with sqlite3.connect(database) as live:
            snapshot.backup(live)

    def run_gate(crash_after: int | None) -> list[str]:
        crashing = CrashingClient(client, crash_after)
        with monkeypatch.context() as patch:
            patch.setattr(ModelRegistry, "_client", crashing)
            run_days(settings, instance, landed[5], selection=GATE)
        return crashing.calls

    def outcome() -> object:
        registry = ModelRegistry(settings)
        standing = registry.standing()
        versions = registry.versions()
        return (
            standing.aliases,
            [(change.number, change.who, tell_change(change), change.why) for change in standing.changes],
            versions,
            [client.get_model_version(MODEL_NAME, str(one.version)).description for one in versions],
        )

    calls = run_gate(None)
    expected = outcome()
    assert champion_of(settings) == 6
    assert len(calls) > 15
    for crash_after in range(1, len(calls) + 1):
        restore()
        assert run_gate(crash_after) == calls[:crash_after]
        run_days(settings, instance, landed[5], selection=GATE)
        assert outcome() == expected, f"after call {crash_after}, {calls[crash_after - 1]}"
        assert list(find_faults(settings, instance, lambda *_: None)) == []


REGISTER = """
import sys
from datetime import date
from pathlib import Path
import dagster as dg
from spam_assets.settings import Settings
from spam_assets_tests.pipeline import run_days
home, days = Path(sys.argv[1]), sys.argv[2:]
settings = Settings(home=home, start_date=date(2024, 1, 1), end_date=date(2024, 3, 31))
with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
    for day in days:
        assert run_days(settings, instance, day, selection=["registered_model"]).is_success, day
"""


def test_twenty_days_registered_in_random_order_by_four_at_once_leave_the_right_champion_and_the_whole_history(
    settings: Settings, landed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.dagster_home.mkdir()
    prepare_instance(settings.dagster_home)
    monkeypatch.setenv("DAGSTER_HOME", str(settings.dagster_home))
    with dg.DagsterInstance.from_config(str(settings.dagster_home)) as instance:
        assert run_days(settings, instance, landed[0], landed[-1], selection=BEFORE_GATE).is_success
    days = random.Random(11).sample(landed, len(landed))
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", REGISTER, str(settings.home), *days[number::4]],
            cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for number in range(4)
    ]  # fmt: skip
    for process in processes:
        output, _ = process.communicate(timeout=400)
        assert process.returncode == 0, output

    registry = ModelRegistry(settings)
    standing, versions = registry.standing(), {one.version: one for one in registry.versions()}
    trained = [version.training_date for version in versions.values()]
    assert sorted(trained) == sorted(set(trained))
    assert len(trained) >= 19, "the first day may hold too little to learn from"
    assert all(version.verdict for version in versions.values())

    assert [change.number for change in standing.changes] == list(range(1, len(standing.changes) + 1))
    assert [change.at for change in standing.changes] == sorted(change.at for change in standing.changes)
    assert {change.who for change in standing.changes} == {"gate"}
    aliases: dict[str, int | None] = {}
    for change in standing.changes:
        for move in change.moves:
            assert aliases.get(move.alias) == move.before
            aliases[move.alias] = move.after
    assert aliases == dict(standing.aliases)
    assert (standing.unfinished, standing.leftovers) == (None, ())

    served = [versions[move.after].training_date for change in standing.changes if (move := change.champion_move)]
    assert served == sorted(served), "the champion never moved back in time"
    promoted = [version.training_date for version in versions.values() if version.verdict == "promote"]
    assert sorted(promoted) == served
    assert versions[standing.aliases[CHAMPION]].training_date == max(promoted) == landed[-1]
