"""A home folder that real processes work on, and what must be true of it afterwards, whatever happened meanwhile."""

import itertools
import os
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import dagster as dg
import pytest

from spam_assets.settings import Settings
from spam_assets_tests.conftest import FIRST_DAY, PROJECT, day_text, make_mail

if TYPE_CHECKING:
    from mlflow.entities import Run

SLOW = [pytest.mark.slow, pytest.mark.timeout(600)]
PATIENCE_SECONDS = 180
COMPARED = ("validated_mail", "mail_features", "trained_model")
STORED = ("raw_mail", *COMPARED)
MAIL_ASSETS = ("raw_mail", "validated_mail", "mail_features")
ALL_ASSETS = (*MAIL_ASSETS, "trained_model", "registered_model", "champion_report")
DAYS = [day_text(offset) for offset in range(10)]

Found = TypeVar("Found")


def wait_for(what: str, find: Callable[[], Found | None], seconds: float = PATIENCE_SECONDS) -> Found:
    """Ask again and again until the answer is neither empty nor false."""
    deadline = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < deadline, f"no {what} after {seconds} s"
        time.sleep(0.05)
    return found


@dataclass(frozen=True)
class Results:
    """What does not depend on the way in which days were run."""

    data_versions: dict[str, dict[str, str]]
    champion: tuple[str, str] | None


def read_results(settings: Settings, instance: dg.DagsterInstance) -> Results:
    """Return the data version of every day of the assets, and the champion."""
    from spam_assets.engine.day_records import read_day_records
    from spam_assets.registry.registered_models import CHAMPION, ModelRegistry

    champion = ModelRegistry(settings).aliased(CHAMPION)
    return Results(
        {
            asset: {day: record.data_version for day, record in sorted(read_day_records(instance, asset).items())}
            for asset in COMPARED
        },
        (champion.training_date, champion.data_version) if champion else None,
    )


class Home:
    """A home folder with ten landed days, and the commands a person gives it."""

    def __init__(self, folder: Path, prepared_mlflow: Path, **settings: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.landing = settings.get("landing", folder / "landing")
        self.landing.mkdir()
        for day in DAYS:
            make_mail(day).to_csv(self.landing / f"training-{day}.csv", index=False)
        shutil.copy(prepared_mlflow, folder / "mlflow.db")
        self.settings = Settings(
            home=folder,
            mlflow_tracking_uri=None,  # MLflow exports the one that was used last in this process
            start_date=FIRST_DAY,
            end_date=date.fromisoformat(DAYS[-1]),
            **{name: str(path) for name, path in settings.items()},
        )
        self.storage = Path(self.settings.storage_url)
        self.environment = {
            **{name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"},
            "SPAM_ASSETS_HOME": str(folder),
            "SPAM_ASSETS_END_DATE": DAYS[-1],
            "DAGSTER_HOME": str(folder / "dagster"),
            **{f"SPAM_ASSETS_{name.upper()}": str(path) for name, path in settings.items()},
            "PYTHONPATH": str(PROJECT),
            "COLUMNS": "200",
        }

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start `spam-assets` as a person would."""
        return subprocess.Popen(
            [sys.executable, "-m", "spam_assets", *arguments], cwd=PROJECT.parent, env=self.environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `spam-assets` as a person would."""
        return wait_until_done(self.start(*arguments))

    @contextmanager
    def open_instance(self) -> Iterator[dg.DagsterInstance]:
        """Open the home's Dagster instance in this process."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DAGSTER_HOME", str(self.settings.dagster_home))
            with dg.DagsterInstance.from_config(str(self.settings.dagster_home)) as instance:
                yield instance

    def stored_days(self, asset: str) -> list[str]:
        """Return the days of an asset that have a file with a day's name."""
        return sorted(path.stem for path in self.storage.glob(f"{asset}/[!.]*") if path.suffix != ".tmp")

    def wait_for_models(self, count: int) -> None:
        """Wait until so many days have a stored model."""
        wait_for(f"{count} stored models", lambda: len(self.stored_days("trained_model")) >= count)

    def run_of(self, backfill_id: str) -> dg.DagsterRun:
        """Return the one run of a backfill."""
        (run,) = self.dagster_runs(tags={"dagster/backfill": backfill_id})
        return run

    def missing_days(self) -> list[str]:
        """Return the days that the Dagster UI shows as missing or failed."""
        with self.open_instance() as instance:
            return sorted({*DAYS} - instance.get_materialized_partitions(dg.AssetKey("registered_model")))

    def dagster_runs(self, **filters: object) -> list[dg.DagsterRun]:
        """Return the runs that Dagster knows, newest first."""
        with self.open_instance() as instance:
            return list(instance.get_runs(dg.RunsFilter(**filters)))  # type: ignore[arg-type]

    def mlflow_runs(self) -> "list[Run]":
        """Return the runs that MLflow knows."""
        from mlflow import MlflowClient

        client = MlflowClient(self.settings.tracking_uri)
        experiment = client.get_experiment_by_name(self.settings.experiment)
        return list(client.search_runs([experiment.experiment_id])) if experiment else []

    def assert_complete(self, undisturbed: Results) -> None:
        """All days are there, once, as an undisturbed home has them, and nothing is left open."""
        from spam_assets.cli.verification import find_faults
        from spam_assets.registry.registered_models import ModelRegistry
        from spam_assets.registry.training_runs import RUN_OPEN

        with self.open_instance() as instance:
            assert read_results(self.settings, instance) == undisturbed
            for asset in ALL_ASSETS:
                assert sorted(instance.get_materialized_partitions(dg.AssetKey(asset))) == DAYS
            assert list(find_faults(self.settings, instance, lambda *_: None)) == []
            assert [run for run in instance.get_runs() if not run.is_finished] == []
        for asset in STORED:
            assert self.stored_days(asset) == DAYS
        assert [run.info.run_name for run in self.mlflow_runs() if run.info.status == RUN_OPEN] == []
        versions = [
            (version.training_date, version.data_version) for version in ModelRegistry(self.settings).versions()
        ]
        assert sorted(versions) == sorted(undisturbed.data_versions["trained_model"].items())

    def assert_no_event_tells_of_a_locked_database(self) -> None:
        """No run waited in vain for another one's database."""
        with self.open_instance() as instance:
            for run in instance.get_runs():
                told = [entry.user_message + str(entry.dagster_event) for entry in instance.all_logs(run.run_id)]
                assert [text for text in told if "database is locked" in text] == []

    def assert_trainings_of_a_date_follow_each_other(self) -> None:
        """The MLflow runs of one training date do not overlap."""
        spans = defaultdict(list)
        for run in self.mlflow_runs():
            spans[run.data.tags["training_date"]].append((run.info.start_time, run.info.end_time))
        assert sorted(spans) == DAYS
        for of_a_date in spans.values():
            assert_spans_follow_each_other(of_a_date)

    def assert_champion_never_moved_back(self) -> None:
        """Every promotion was of a newer training date, or of the champion's own."""
        with self.open_instance() as instance:
            records = instance.fetch_materializations(dg.AssetKey("registered_model"), limit=1000).records
        promoted = [
            record.partition_key
            for record in reversed(records)
            if record.asset_materialization and record.asset_materialization.metadata["promoted"].value
        ]
        assert promoted
        assert promoted == sorted(promoted)


def assert_spans_follow_each_other(spans: list[tuple[float, float]]) -> None:
    """Each starts when the one before has ended."""
    for earlier, later in itertools.pairwise(sorted(spans)):
        assert earlier[1] <= later[0], spans


def wait_until_done(process: "subprocess.Popen[str]") -> subprocess.CompletedProcess[str]:
    """Wait for a started command and return what it said."""
    try:
        output, errors = process.communicate(timeout=2 * PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)
