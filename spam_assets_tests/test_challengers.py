"""Methods that are trained beside the main one: what becomes of them, and of the day when they fail."""

import dagster as dg
import pytest

from spam_assets.challengers import name_challengers
from spam_assets.registry.registered_models import CHAMPION, ModelRegistry, RegisteredVersion
from spam_assets.settings import Settings
from spam_assets_tests.homes import DAYS, Home

GOOD = "spam_assets.estimators:hashing_sgd"
MODULE = """
import os, time
def crashing(): os._exit(3)
def endless(): time.sleep(600)
def failing(): raise RuntimeError("no licence")
"""


@pytest.fixture
def home_with_challengers(home: Home) -> Home:
    (home.folder / "their_models.py").write_text(MODULE)
    home.environment["PYTHONPATH"] += f":{home.folder}"
    return home


def choose(home: Home, *challengers: str, **settings: str) -> None:
    home.environment |= {"SPAM_ASSETS_CHALLENGERS": ",".join(challengers), **settings}


def find_versions(home: Home) -> dict[tuple[str, str], RegisteredVersion]:
    return {(one.training_date, one.method): one for one in ModelRegistry(home.settings).versions()}


def test_assets_are_named_by_function_or_where_two_have_one_name_by_module_as_well() -> None:
    def name(challengers: str) -> list[str]:
        return list(name_challengers(Settings(challengers=challengers, estimator="my:main")))

    assert name("my.models:build, other:make, ours") == ["challenger_build", "challenger_make", "challenger_ours"]
    assert name("my.models:build,other:build") == ["challenger_my_models_build", "challenger_other_build"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_challengers_are_candidates_of_the_same_registered_model_and_each_fails_alone(
    home_with_challengers: Home,
) -> None:
    home = home_with_challengers
    broken = [f"their_models:{name}" for name in ("crashing", "endless", "failing")]
    choose(home, GOOD, *broken, "no_such_module:build", SPAM_ASSETS_CHALLENGER_MINUTES="0.5")
    done = home.run("run", "--date", DAYS[4])
    assert done.returncode == 1
    said = " ".join((done.stdout + done.stderr).split())
    assert f"their_models:crashing ended its process while it learnt the window of {DAYS[4]}" in said
    assert f"their_models:endless did not learn the window of {DAYS[4]} within 0.5 minutes and was stopped" in said
    assert "their_models:failing fails (RuntimeError: no licence)" in said
    assert "module no_such_module cannot be imported" in said
    assert home.stored_days("challenger_hashing_sgd") == [DAYS[4]]
    versions = find_versions(home)
    assert set(versions) == {(DAYS[4], ""), (DAYS[4], GOOD)}
    assert sorted(version.verdict for version in versions.values()) == ["promote", "trail"]
    names = {run.info.run_name: run.info.status for run in home.mlflow_runs()}
    assert names == {
        f"train-{DAYS[4]}": "FINISHED",
        f"train-{DAYS[4]}-hashing_sgd": "FINISHED",
        **{f"train-{DAYS[4]}-{name}": "FAILED" for name in ("crashing", "endless", "failing", "build")},
    }

    choose(home, GOOD)
    assert home.run("run", "--date", DAYS[5]).returncode == 0
    with home.open_instance() as instance:
        (record,) = instance.fetch_materializations(dg.AssetKey("champion_report"), limit=1).records
    assert record.asset_materialization is not None
    metadata = record.asset_materialization.metadata
    assert "hashing_sgd" in str(metadata["methods"].value)
    assert str(metadata["methods_of_60_days"].value).startswith("![spam missed and ham lost")
    assert ", champion |" in str(metadata["methods"].value)
    listed = home.run("models").stdout
    assert "method" in listed
    assert "hashing_sgd" in listed
    assert home.run("verify").returncode == 0

    champion = ModelRegistry(home.settings).aliased(CHAMPION)
    assert champion is not None
    assert champion.training_date == DAYS[5]
