"""CPU and wall time of one date, `spam-assets run --date D`, beside a plain script with MLflow and no Dagster.

    python -m benchmarks.one_date [--landing DIR] [--date D] [--json FILE]

Both start as fresh processes on the same home: the window before D is stored, and the day before D that has a
model has it registered. The plain script calls the same pure functions and gives MLflow the same things (run,
parameters, metrics, picture, window, model, version, aliases), but stores no assets, writes no model card, describes
nothing for a UI and never imports Dagster. Before every round the home is put back as it was; CPU time includes child
processes.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from importlib.metadata import version
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

# The plain script imports this module: no Dagster and nothing heavy up here.
from spam_assets.learning.code_versions import FEATURES_VERSION, MODEL_VERSION

if TYPE_CHECKING:
    from spam_assets.learning.features import MailFeatures
    from spam_assets.learning.model import SpamModel
    from spam_assets.learning.training import TrainingSettings
    from spam_assets.mail.day_summary import DaySummary

PROJECT = Path(__file__).parent.parent
ROUNDS = 5
WINDOW_DAYS = 90
MODEL_NAME = EXPERIMENT = "spam-classifier"
PACKAGES = ("mlflow", "numpy", "pandas", "scikit-learn", "spam-assets")


# --- the plain script: everything below runs without Dagster ----------------------------------------------------


class PlainPipeline:
    """Days from the landing zone to MLflow, one after the other; what earlier days left is kept in memory."""

    def __init__(self, home: Path) -> None:
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
        import mlflow

        from spam_assets.landing.zone import LandingZone

        self.zone = LandingZone(str(home / "landing"))
        uri = f"sqlite:///{home / 'mlflow.db'}"
        mlflow.set_tracking_uri(uri)
        self.client = mlflow.MlflowClient(uri)
        experiment = self.client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            raise SystemExit(f"{home} is not prepared: its MLflow store has no experiment {EXPERIMENT}")
        self.experiment_id = str(experiment.experiment_id)
        self.summaries: list[DaySummary] = []
        self.features: dict[str, MailFeatures] = {}
        self.versions: dict[str, str] = {}

    def load_history(self, storage: Path, day: str) -> None:
        """Read the days before `day` from the files that the assets store."""
        import pandas as pd
        import pyarrow as pa

        from spam_assets.learning.features import MailFeatures, SparseRows
        from spam_assets.mail.day_summary import SUMMARY_COLUMNS, summarize_day
        from spam_assets.mail.warning_rules import TRAILING_DAYS

        days = sorted(path.stem for path in (storage / "mail_features").iterdir() if path.stem < day)
        for earlier in days[-TRAILING_DAYS:]:
            path = storage / "validated_mail" / f"{earlier}.parquet"
            self.summaries.append(summarize_day(pd.read_parquet(path, columns=list(SUMMARY_COLUMNS)), earlier))
        for earlier in days:
            batch = pa.ipc.open_file(pa.memory_map(str(storage / "mail_features" / f"{earlier}.arrow"))).get_batch(0)
            columns = {name: batch.column(name) for name in batch.schema.names}
            self.features[earlier] = MailFeatures(
                message_ids=columns.pop("message_id").to_numpy(zero_copy_only=False),
                labels=columns.pop("label").to_numpy(),
                views={
                    name.removeprefix("view:"): SparseRows(lists.values.to_numpy(), lists.offsets.to_numpy())
                    for name, lists in columns.items()
                },
            )
            self.versions[earlier] = str(batch.schema.metadata[b"data_version"], "ascii")

    def run_day(self, day: str) -> dict[str, str]:
        """Take a day through everything; return the data versions of its features and, if there is one, its model."""
        from spam_assets.io_managers.fingerprints import fingerprint_features, fingerprint_model
        from spam_assets.learning.daily_protocol import NotEnoughMailError
        from spam_assets.learning.explanation import tell_strongest_words
        from spam_assets.learning.features import featurize_mail
        from spam_assets.learning.held_out import HELD_OUT_SHARE
        from spam_assets.learning.training import TrainingSettings, train_model
        from spam_assets.mail.blocking_rules import judge_day
        from spam_assets.mail.day_summary import summarize_day
        from spam_assets.mail.validation import QualityError, validate_day
        from spam_assets.mail.warning_rules import warn_about_day
        from spam_assets.views.pictures import draw_evaluation

        raw = self.zone.read(day).frame
        judge_day(raw, day)
        warn_about_day(raw, day, self.summaries)
        try:
            mail = validate_day(raw, day)
        except QualityError:
            return {}
        self.summaries.append(summarize_day(mail, day))
        self.features[day] = featurize_mail(mail)
        made = {"mail_features": fingerprint_features(self.features[day])}
        self.versions[day] = made["mail_features"]
        window = _select_window(self.features, day)
        settings = TrainingSettings(held_out_share=HELD_OUT_SHARE)
        try:
            model = train_model(window, settings)
        except NotEnoughMailError:
            return made
        tell_strongest_words(model, mail)
        made["trained_model"] = fingerprint_model(model)
        run_id, model_uri = self._log(day, model, made["trained_model"], settings, draw_evaluation(model, day), window)
        self._register(day, model, made["trained_model"], run_id, model_uri, window)
        return made

    def _log(
        self,
        day: str,
        model: "SpamModel",
        data_version: str,
        settings: "TrainingSettings",
        picture: str,
        window: "Mapping[str, MailFeatures]",
    ) -> tuple[str, str]:
        import mlflow
        from mlflow.entities import Metric, Param, RunTag

        from spam_assets.learning.model_files import dump_model
        from spam_assets.registry.logged_model import (
            CARRIED_LOADER,
            build_signature,
            copy_serving_code,
            list_requirements,
        )

        run = self.client.create_run(self.experiment_id, run_name=f"train-{day}", tags={"training_date": day})
        run_id = str(run.info.run_id)
        parameters = {
            "training_date": day,
            "window_first_day": min(window),
            "window_last_day": max(window),
            "window_days": len(window),
            "features_version": FEATURES_VERSION,
            "model_version": MODEL_VERSION,
            **asdict(settings),
            **{f"version_{package}": version(package) for package in PACKAGES},
        }
        now_milliseconds = int(time.time() * 1000)
        self.client.log_batch(
            run_id,
            metrics=[
                Metric(name, float(value), now_milliseconds, 0)
                for name, value in asdict(model.evaluation).items()
                if isinstance(value, int | float) and not isnan(value)
            ],
            params=[Param(name, str(value)) for name, value in parameters.items()],
            tags=[RunTag("data_version", data_version)],
        )
        self.client.log_text(run_id, picture, "evaluation.svg")
        self.client.log_dict(run_id, {day: self.versions[day] for day in window}, "window.json")
        with (
            tempfile.TemporaryDirectory() as folder,
            mlflow.start_run(run_id=run_id, log_system_metrics=False),
            warnings.catch_warnings(),
        ):
            warnings.filterwarnings("ignore", message=".*An input example was not provided")
            path = Path(folder) / "model.npz"
            path.write_bytes(dump_model(model))
            logged = mlflow.pyfunc.log_model(
                name="model",
                loader_module=CARRIED_LOADER,
                data_path=str(path),
                code_paths=copy_serving_code(Path(folder)),
                pip_requirements=list_requirements(),
                signature=build_signature(),
            )
        self.client.set_terminated(run_id, "FINISHED")
        return run_id, str(logged.model_uri)

    def _register(
        self,
        day: str,
        model: "SpamModel",
        data_version: str,
        run_id: str,
        model_uri: str,
        window: "Mapping[str, MailFeatures]",
    ) -> None:
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        from spam_assets.learning.dated_model import DatedModel
        from spam_assets.learning.model_files import load_model
        from spam_assets.learning.succession import Succession, judge_day

        champion, dated = None, None
        try:
            champion = self.client.get_model_version_by_alias(MODEL_NAME, "champion")
        except MlflowException:  # there is no champion or no registered model
            self._create_registered_model()
        tags = {"training_date": day, "data_version": data_version}
        candidate = self.client.create_model_version(MODEL_NAME, model_uri, run_id=run_id, tags=tags)
        if champion is not None:
            folder = self.client.get_model_version_download_uri(MODEL_NAME, champion.version)
            content = Path(download_artifacts(f"{folder}/data/model.npz")).read_bytes()
            dated = DatedModel(champion.tags["training_date"], load_model(content))
        after, _ = judge_day(Succession(dated, dated), [DatedModel(day, model)], window)
        if after.champion is dated:
            self.client.set_registered_model_alias(MODEL_NAME, "challenger", candidate.version)
            return
        if champion is not None:
            self.client.set_registered_model_alias(MODEL_NAME, "previous", champion.version)
        self.client.set_registered_model_alias(MODEL_NAME, "champion", candidate.version)

    def _create_registered_model(self) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(MODEL_NAME)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


def _select_window(features: "Mapping[str, MailFeatures]", day: str) -> "dict[str, MailFeatures]":

    first = (date.fromisoformat(day) - timedelta(days=WINDOW_DAYS - 1)).isoformat()
    return {earlier: features[earlier] for earlier in features if first <= earlier <= day}


def run_plainly(home: Path, days: Sequence[str], *, is_resuming: bool) -> dict[str, dict[str, str]]:
    """Be the plain script: take days through everything and return the data versions of what each made."""
    pipeline = PlainPipeline(home)
    if is_resuming:
        pipeline.load_history(home / "storage", days[0])
    return {day: pipeline.run_day(day) for day in days}


PLAIN_SCRIPT = """
import json, sys
from pathlib import Path
from benchmarks.one_date import run_plainly
home, how, days = sys.argv[1:]
made = run_plainly(Path(home), days.split(","), is_resuming=how == "resuming")
assert not [name for name in sys.modules if name.partition(".")[0] == "dagster"], "the plain script has Dagster"
print(json.dumps(made))
"""


def build_plain_command(home: Path, days: Iterable[str], *, is_resuming: bool) -> list[str]:
    """Return the command that runs the plain script; its last line of output is JSON, the data versions made."""
    how = "resuming" if is_resuming else "from nothing"
    return [sys.executable, "-W", "ignore", "-c", PLAIN_SCRIPT, str(home), how, ",".join(days)]


# --- measuring: from here on Dagster may be imported -----------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """What a process and its children took."""

    cpu_seconds: float
    wall_seconds: float
    output: str


def measure_process(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Cost:
    """Run a command in a folder and return what it took.

    Raises:
        SystemExit: it failed; with what it said.
    """
    before, started = os.times(), time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - started, os.times()
    if done.returncode:
        raise SystemExit(f"{command[:4]} ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    return Cost(cpu, wall, done.stdout)


def build_environment(home: Path, first: str, last: str) -> dict[str, str]:
    """Return this process's environment, with settings for a home of its own and no others of ours."""
    ours = ("SPAM_ASSETS_", "DAGSTER_", "MLFLOW_")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(ours)},
        "PYTHONPATH": str(PROJECT),
        "SPAM_ASSETS_HOME": str(home),
        "DAGSTER_HOME": str(home / "dagster"),
        "SPAM_ASSETS_START_DATE": first,
        "SPAM_ASSETS_END_DATE": last,
        "SPAM_ASSETS_WINDOW_DAYS": str(WINDOW_DAYS),
    }


PREPARE_SCRIPT = (
    "from spam_assets.cli.home import prepare_home; from spam_assets.settings import load_settings as load; "
)
PREPARE_COMMAND = [sys.executable, "-W", "ignore", "-c", PREPARE_SCRIPT + "prepare_home(load())"]
"""Makes Dagster's configuration and the MLflow store, which takes seconds once in the life of a home."""


def store_history(home: Path, days: Iterable[str]) -> None:
    """Store validated mail and features of days as the assets do."""
    from upath import UPath

    from spam_assets.io_managers.arrow_features import FeaturesIOManager
    from spam_assets.io_managers.daily_files import write_day
    from spam_assets.io_managers.parquet_frames import FrameIOManager
    from spam_assets.landing.zone import LandingZone
    from spam_assets.learning.features import featurize_mail
    from spam_assets.mail.validation import validate_day

    storage, zone = UPath(home / "storage"), LandingZone(str(home / "landing"))
    frames, features = FrameIOManager(storage), FeaturesIOManager(storage)
    for day in days:
        mail = validate_day(zone.read(day).frame, day)
        write_day(frames.path_of("validated_mail", day), frames.to_bytes(mail))
        write_day(features.path_of("mail_features", day), features.to_bytes(featurize_mail(mail)))


def land_mail(landing: str | None, home: Path) -> list[str]:
    """Put a landing zone, or else the SpamAssassin corpus, into a home; return its days."""
    from spam_assets.landing.importers.days import land_messages
    from spam_assets.landing.importers.spamassassin import corpus_messages, fetch_corpus
    from spam_assets.landing.zone import LandingZone

    zone = LandingZone(str(home / "landing"))
    if landing is not None:
        shutil.copytree(landing, home / "landing")
    else:
        (home / "landing").mkdir(parents=True)
        land_messages(corpus_messages(fetch_corpus(home / "cache")), zone)
    return zone.days()


def compare_date(landing: str | None, day: str | None, rounds: int, scratch: Path) -> dict[str, float]:
    """Measure both in turn on a home that is put back before each; return the medians."""
    home, snapshot = scratch / "home", scratch / "snapshot"
    days = land_mail(landing, home)
    day = day or days[-1]
    if day not in days[1:]:
        raise SystemExit(f"{day} cannot be measured: mail must have landed for it and for a day before it")
    environment = build_environment(home, days[0], days[-1])
    command = [sys.executable, "-m", "spam_assets", "run", "--date"]
    plain_command = build_plain_command(home, [day], is_resuming=True)
    measure_process(PREPARE_COMMAND, environment, scratch)
    store_history(home, [earlier for earlier in days if earlier < day])
    measure_process([*command, days[days.index(day) - 1]], environment, scratch)  # the champion so far
    shutil.copytree(home, snapshot)

    def measure_restored(command: Sequence[str]) -> Cost:
        shutil.rmtree(home)
        shutil.copytree(snapshot, home)
        return measure_process(command, environment, scratch)

    measure_restored(plain_command)  # fills the caches
    ours, plain = [], []
    for _ in range(rounds):
        ours.append(measure_restored([*command, day]))
        plain.append(measure_restored(plain_command))
        print(f"  {ours[-1].cpu_seconds:.2f} CPU s against {plain[-1].cpu_seconds:.2f}", flush=True)
    run_cpu = statistics.median(cost.cpu_seconds for cost in ours)
    plain_cpu = statistics.median(cost.cpu_seconds for cost in plain)
    return {
        "run_cpu_seconds": run_cpu,
        "plain_cpu_seconds": plain_cpu,
        "run_wall_seconds": statistics.median(cost.wall_seconds for cost in ours),
        "plain_wall_seconds": statistics.median(cost.wall_seconds for cost in plain),
        "ratio": run_cpu / plain_cpu,
    }


def main() -> None:
    """Print both medians and their ratio."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.one_date",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--landing", help="landing zone, a local folder (default: the SpamAssassin corpus, downloaded)")
    parser.add_argument("--date", metavar="YYYY-MM-DD", help="the day to run (default: the last that landed)")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="one-date-") as scratch:
        figures = compare_date(options.landing, options.date, options.rounds, Path(scratch))
    for name, prefix in (("spam-assets run", "run"), ("plain script", "plain")):
        cpu, wall = figures[f"{prefix}_cpu_seconds"], figures[f"{prefix}_wall_seconds"]
        print(f"{name:18} {cpu:6.2f} CPU s {wall:6.2f} s wall (medians of {options.rounds})")
    print(f"ratio of CPU {figures['ratio']:.2f}; load now {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
