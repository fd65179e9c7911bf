"""The demo's first 25 days on somebody's own MLflow server: SQLite or PostgreSQL behind it, open or with users."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
import requests

from spam_assets.registry.registered_models import MODEL_NAME
from spam_assets_tests.conftest import PROJECT, day_text, make_mail
from spam_assets_tests.corpus import land_first_days
from spam_assets_tests.homes import SLOW
from spam_assets_tests.mlflow_servers import USER, MlflowServer, serve_mlflow
from spam_assets_tests.postgres_server import serve_postgres

pytestmark = SLOW
LAST_DAY = "2002-08-07"
DAYS = 25
LOAD_ELSEWHERE = """
import mlflow
model = mlflow.pyfunc.load_model("models:/spam-classifier@champion")
import spam_assets
print(spam_assets.__file__)
print(model.predict({"raw": [b"Subject: minutes\\n\\nthe minutes of the meeting"]})["spam_probability"].tolist())
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("corpus")
    days = land_first_days(folder / "landing", folder / "cache", LAST_DAY)
    assert len(days) == DAYS
    return folder / "landing", days


@dataclass(frozen=True)
class Desk:
    """A home folder on a server, and the environment in which commands reach both."""

    folder: Path
    home: Path
    environment: dict[str, str]

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [sys.executable, *arguments], cwd=self.folder, env=self.environment, capture_output=True, text=True,
            timeout=500,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def command(self, *arguments: str) -> str:
        done = self.run("-m", "spam_assets", *arguments)
        assert USER[1] not in done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def open_instance(self) -> Iterator[dg.DagsterInstance]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DAGSTER_HOME", str(self.home / "dagster"))
            with dg.DagsterInstance.from_config(str(self.home / "dagster")) as instance:
                yield instance


def set_desk(folder: Path, landing: Path, days: list[str], **environment: str) -> Desk:
    (folder / "desk").mkdir()
    home = folder / "home"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SPAM_ASSETS_", "MLFLOW_T"))}
    return Desk(
        folder / "desk",
        home,
        {
            **clean,
            "PYTHONPATH": str(PROJECT),
            "COLUMNS": "200",
            "SPAM_ASSETS_HOME": str(home),
            "SPAM_ASSETS_LANDING": str(landing),
            "SPAM_ASSETS_START_DATE": days[0],
            "SPAM_ASSETS_END_DATE": days[-1],
            **environment,
        },
    )


def check_days(desk: Desk, server: MlflowServer, days: list[str], login: tuple[str, str] | None) -> None:
    """Run the days and look at everything that a person would: versions, history, links, artifacts, loading."""
    backfill = desk.command("backfill")
    ran = re.search(rf"^{len(days)} days run: (\d+) with a registered model, 0 failed", backfill, re.MULTILINE)
    assert ran is not None, backfill
    assert "everything stored is as recorded" in desk.command("verify")
    versions = re.findall(r"^│ \d+ +│ (2002-\d\d-\d\d) +│.*$", desk.command("models"), re.MULTILINE)
    assert len(versions) == len(set(versions)) == int(ran[1]) >= 15
    assert re.search(r"champion none to \d+", desk.command("models", "--history"))

    def ask(path: str, **parameters: str) -> dict:
        answer = requests.get(f"{server.url}/api/2.0/mlflow/{path}", params=parameters, auth=login, timeout=60)
        assert answer.ok, answer.text
        return answer.json()

    experiment = ask("experiments/get-by-name", experiment_name="spam-classifier")["experiment"]
    assert experiment["artifact_location"].startswith("mlflow-artifacts:")
    assert len(list(server.store.rglob("model.npz"))) == len(versions)
    assert not list(desk.folder.iterdir()), "nothing is left in the working directory"
    assert not list((desk.home / "mlartifacts").rglob("*"))
    registered = ask("registered-models/get", name=MODEL_NAME)["registered_model"]
    aliases = {alias["alias"]: int(alias["version"]) for alias in registered["aliases"]}
    assert 1 <= aliases["champion"] <= len(versions)

    with desk.open_instance() as instance:
        records = instance.fetch_materializations(dg.AssetKey("trained_model"), limit=100).records
    links = [
        str(record.asset_materialization.metadata["mlflow_run"].value)
        for record in records
        if record.asset_materialization is not None and "mlflow_run" in record.asset_materialization.metadata
    ]
    assert len(links) == len(versions)
    for link in links:
        found = re.fullmatch(re.escape(server.url) + rf"/#/experiments/{experiment['experiment_id']}/runs/(\w+)", link)
        assert found is not None, link
        assert ask("runs/get", run_id=found[1])["run"]["info"]["status"] == "FINISHED"

    where, probabilities = desk.run("-W", "ignore", "-c", LOAD_ELSEWHERE).stdout.split("\n")[:2]
    assert "/code/modules/spam_assets/" in where, "the model brings its own code"
    assert re.fullmatch(r"\[[01]\.\d+\]|\[\d\.?\d*e-\d+\]", probabilities)
    if login is not None:
        left = [path for path in desk.home.rglob("*") if path.is_file() and login[1].encode() in path.read_bytes()]
        assert left == [], "the password is written nowhere"


def test_on_a_server_with_sqlite_the_days_pass(corpus: tuple[Path, list[str]], tmp_path: Path) -> None:
    landing, days = corpus
    with serve_mlflow(tmp_path / "server") as server:
        desk = set_desk(tmp_path, landing, days, MLFLOW_TRACKING_URI=server.url)
        check_days(desk, server, days, None)
        assert requests.get(f"{server.url}/health", timeout=10).ok


def test_on_a_server_with_postgresql_and_users_the_days_pass_and_the_password_in_the_url_is_shown_nowhere(
    corpus: tuple[Path, list[str]], tmp_path: Path
) -> None:
    landing, days = corpus
    with serve_postgres() as database, serve_mlflow(tmp_path / "server", database, with_users=True) as server:
        assert requests.get(f"{server.url}/api/2.0/mlflow/experiments/get", timeout=10).status_code == 401
        desk = set_desk(tmp_path, landing, days, MLFLOW_TRACKING_URI=server.url_with_password)
        check_days(desk, server, days, USER)


def test_user_and_password_may_stand_in_the_environment_and_a_wrong_one_is_told_in_one_sentence(tmp_path: Path) -> None:
    landing = tmp_path / "landing"
    landing.mkdir()
    days = [day_text(offset) for offset in range(3)]
    for day in days:
        make_mail(day).to_csv(landing / f"training-{day}.csv", index=False)
    login = {"MLFLOW_TRACKING_USERNAME": USER[0], "MLFLOW_TRACKING_PASSWORD": USER[1]}
    with serve_mlflow(tmp_path / "server", with_users=True) as server:
        desk = set_desk(tmp_path, landing, days, MLFLOW_TRACKING_URI=server.url, **login)
        assert "3 days run: 3 with a registered model, 0 failed" in desk.command("backfill")
        assert f"version 1, trained for {days[0]}" in desk.command("promote", "1", "--reason", "to see that it works")
        desk.environment["MLFLOW_TRACKING_PASSWORD"] = "wrong-wrong-wrong"
        done = subprocess.run(
            [sys.executable, "-m", "spam_assets", "models"], cwd=desk.folder, env=desk.environment,
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "wrong-wrong" not in done.stdout + done.stderr
    assert not [path for path in desk.home.rglob("*") if path.is_file() and USER[1].encode() in path.read_bytes()]


def test_with_a_postgresql_database_and_no_server_artifacts_are_in_the_home_and_the_password_is_not(
    tmp_path: Path,
) -> None:
    landing = tmp_path / "landing"
    landing.mkdir()
    days = [day_text(offset) for offset in range(2)]
    for day in days:
        make_mail(day).to_csv(landing / f"training-{day}.csv", index=False)
    with serve_postgres() as database:
        password = database.split(":")[2].partition("@")[0]
        desk = set_desk(tmp_path, landing, days, MLFLOW_TRACKING_URI=database)
        said = desk.command("backfill") + desk.command("verify") + desk.command("models", "--history")
    assert "2 days run: 2 with a registered model, 0 failed" in said
    assert len(list((desk.home / "mlartifacts").rglob("model.npz"))) == 2
    assert not list(desk.folder.iterdir()), "nothing is left in the working directory"
    assert password not in said
    assert not [path for path in desk.home.rglob("*") if path.is_file() and password.encode() in path.read_bytes()]
