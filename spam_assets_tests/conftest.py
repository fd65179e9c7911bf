"""Fixtures: a home folder of its own for every test that needs one, small synthetic mail, real Dagster and MLflow."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

# Before anything of ours is imported: the tests have their own home and do not see the developer's settings.
_SESSION_HOME = Path(tempfile.mkdtemp(prefix="spam_assets_tests_"))
for _name in [name for name in os.environ if name.startswith("SPAM_ASSETS_")]:
    del os.environ[_name]
for _name in ("MLFLOW_TRACKING_URI", "DAGSTER_HOME"):
    os.environ.pop(_name, None)
os.environ["SPAM_ASSETS_HOME"] = str(_SESSION_HOME / "home")
os.environ["SPAM_ASSETS_START_DATE"] = "2024-01-01"
os.environ["SPAM_ASSETS_END_DATE"] = "2024-03-31"

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from upath import UPath

from spam_assets.landing.zone import LandingZone
from spam_assets.settings import Settings
from spam_assets_tests.s3_server import DISK_AND_S3, make_bucket, make_place, serve_s3

if TYPE_CHECKING:
    from spam_assets_tests.homes import Home, Results

pytest.register_assert_rewrite("spam_assets_tests.homes", "spam_assets_tests.pipeline")  # they explain what differs

LandDays = Callable[[int], list[str]]
PROJECT = Path(__file__).parent.parent
FIRST_DAY = date(2024, 1, 1)
HAM_WORDS = "meeting agenda minutes patch compile kernel lunch report review thanks schedule draft budget train".split()
SPAM_WORDS = "winner prize viagra mortgage click free offer credit casino pills unsubscribe guarantee cash loan".split()
COMMON_WORDS = "the a to and of please today we you is on for with this that have your from will can".split()


def pytest_sessionfinish() -> None:
    shutil.rmtree(_SESSION_HOME, ignore_errors=True)


def day_text(offset: int) -> str:
    return (FIRST_DAY + timedelta(days=offset)).isoformat()


def make_mail(day: str, messages: int = 40, spam_share: float = 0.4, seed: int = 0) -> pd.DataFrame:
    """Mail of one day whose classes differ by some of their words, in the columns of a landing file."""
    random = np.random.default_rng([seed, int(day.replace("-", ""))])
    midnight = datetime.fromisoformat(day).replace(tzinfo=timezone.utc)
    rows = []
    for number in range(messages):
        is_spam = number < round(messages * spam_share)
        words = random.choice(SPAM_WORDS if is_spam else HAM_WORDS, 8).tolist()
        words += random.choice(COMMON_WORDS, 20).tolist()
        random.shuffle(words)
        rows.append(
            {
                "message_id": f"<{day}-{number}@example.com>",
                "received_at": (midnight + timedelta(seconds=60 * number)).isoformat(),
                "sender": f"{'promo' if is_spam else 'colleague'}{random.integers(5)}@example.com",
                "recipients": "me@example.com",
                "subject": " ".join(words[:4]),
                "body": " ".join(words),
                "label": "spam" if is_spam else "ham",
            }
        )
    return pd.DataFrame(rows)


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    folder = tmp_path / "home" / "landing"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def land_day(landing: Path) -> Callable[..., Path]:
    """Write a day's CSV file as a person would, without going through our own writer."""

    def write(day: str, mail: pd.DataFrame | None = None) -> Path:
        path = landing / f"training-{day}.csv"
        (make_mail(day) if mail is None else mail).to_csv(path, index=False)
        return path

    return write


@pytest.fixture
def land_days(land_day: Callable[..., Path]) -> LandDays:
    """Land so many days from the first on, and return them."""

    def land(count: int) -> list[str]:
        days = [day_text(offset) for offset in range(count)]
        for day in days:
            land_day(day)
        return days

    return land


@contextmanager
def open_instance(folder: Path) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance that is configured as a home folder's is."""
    import yaml

    from spam_assets.engine.instance import SECTIONS

    configuration = yaml.safe_load(SECTIONS)
    configuration["storage"]["custom"]["config"]["base_dir"] = str(folder)
    with dg.instance_for_test(temp_dir=str(folder), overrides=configuration) as instance:
        yield instance


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with open_instance(tmp_path) as instance:
        yield instance


@pytest.fixture(scope="session")
def prepared_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with nothing in it: creating one takes seconds."""
    folder = tmp_path_factory.mktemp("mlflow")
    from mlflow import MlflowClient

    MlflowClient(f"sqlite:///{folder / 'mlflow.db'}").search_experiments()
    return folder / "mlflow.db"


@pytest.fixture
def settings(tmp_path: Path, landing: Path, prepared_mlflow: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings with a home folder of their own and an empty MLflow store."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # MLflow exports the one that was used last
    home = tmp_path / "home"
    shutil.copy(prepared_mlflow, home / "mlflow.db")
    return Settings(home=home, start_date=FIRST_DAY, end_date=date(2024, 3, 31))


@pytest.fixture
def zone(landing: Path) -> LandingZone:
    return LandingZone(str(landing))


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    pytest.importorskip("moto.server", reason="pip install '.[test]'")
    with serve_s3() as url:
        yield url


@pytest.fixture
def bucket(s3_url: str) -> str:
    """The URL of a new bucket of an S3 server."""
    return make_bucket()


@pytest.fixture(params=DISK_AND_S3)
def place(request: pytest.FixtureRequest) -> UPath:
    """An empty folder on the disk; in slow tests, a bucket too."""
    return make_place(request.param, request)


@pytest.fixture
def run_command(
    tmp_path: Path, landing: Path, prepared_mlflow: Path
) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Run `spam-assets` as a person would: another process, its own home, a working directory of its own."""
    shutil.copy(prepared_mlflow, tmp_path / "home" / "mlflow.db")
    environment = {
        **{name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"},
        "SPAM_ASSETS_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(PROJECT),
        "COLUMNS": "200",
    }

    def run(*arguments: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "spam_assets", *arguments],
            cwd=tmp_path, env=environment, input=stdin, capture_output=True, timeout=200,
        )  # fmt: skip
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture
def home(tmp_path: Path, prepared_mlflow: Path, monkeypatch: pytest.MonkeyPatch) -> "Home":
    """A home folder with ten landed days for real processes to work on."""
    from spam_assets_tests.homes import Home

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # MLflow exports the one that was used last
    return Home(tmp_path / "home", prepared_mlflow)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, prepared_mlflow: Path) -> "Results":
    """What one run over the ten days of `home` makes when nothing happens to it."""
    from spam_assets_tests.homes import DAYS, Home, read_results
    from spam_assets_tests.pipeline import run_days

    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch, open_instance(folder) as instance:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        settings = Home(folder / "home", prepared_mlflow).settings
        run_days(settings, instance, DAYS[0], DAYS[-1])
        return read_results(settings, instance)
