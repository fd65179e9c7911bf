"""Prefect's side of docs/comparison.md, on a real server of Prefect's own environment; skipped where there is none."""

import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from benchmarks.one_date import PREPARE_COMMAND, build_environment, measure_process
from benchmarks.plain_storage import PlainStorage
from benchmarks.prefect_server import PREFECT_PYTHON, PROJECT, TUNED_POLLING, PrefectServer, serve_prefect
from spam_assets_tests.conftest import day_text, make_mail
from spam_assets_tests.homes import SLOW, wait_for

pytestmark = [
    *SLOW,
    pytest.mark.skipif(not PREFECT_PYTHON.exists(), reason="Prefect's environment is missing; make prefect"),
]

THIRTY_DAYS = [day_text(offset) for offset in range(30)]
BAD_DAY = THIRTY_DAYS[15]
TRACKING_PASSWORD = "hunter2-hunter2"


class PrefectHome:
    """A server and a home folder that the flow works on."""

    def __init__(self, server: PrefectServer, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.storage = PlainStorage(folder / "storage")

    def land(self, day: str, *, seed: int = 0, is_bad: bool = False) -> None:
        mail = make_mail(day, messages=24, seed=seed)
        if is_bad:
            mail.loc[:1, "label"] = None
        mail.to_csv(self.folder / "landing" / f"training-{day}.csv", index=False)

    def start(self, *words: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.server.flow_command(*words), cwd=PROJECT, env=self.server.environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`python -m benchmarks.prefect_flow run --home HOME ...`"""
        process = self.start("run", "--home", str(self.folder), *words)
        output, _ = process.communicate(timeout=300)
        return subprocess.CompletedProcess(process.args, process.returncode, output, "")

    def prefect(self, *words: str) -> str:
        """`prefect ...`"""
        done = subprocess.run(
            self.server.prefect_command(*words), cwd=PROJECT, env={**self.server.environment, "COLUMNS": "200"},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=200, check=False,
        )  # fmt: skip
        return done.stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectHome]:
    folder = tmp_path_factory.mktemp("prefect") / "home"
    (folder / "landing").mkdir(parents=True)
    measure_process(PREPARE_COMMAND, build_environment(folder, THIRTY_DAYS[0], THIRTY_DAYS[-1]), folder.parent)
    with serve_prefect(folder.parent / "server", f"sqlite:///{folder / 'mlflow.db'}") as server:
        prefect_home = PrefectHome(server, folder)
        for day in THIRTY_DAYS:
            prefect_home.land(day, is_bad=day == BAD_DAY)
        yield prefect_home


def read_data_version(home: PrefectHome, day: str) -> str:
    return home.storage.read_features(day)[1]


def test_of_thirty_days_the_bad_one_fails_alone_because_the_flow_keeps_the_dates_apart(home: PrefectHome) -> None:
    done = home.run(*THIRTY_DAYS)
    assert done.returncode == 1, done.stdout
    assert f"failed: {BAD_DAY}" in done.stdout
    runs = home.server.list_flow_runs(flows={"name": {"any_": ["train-date"]}})
    assert {run.name.removeprefix("train-"): run.state for run in runs} == {
        day: "FAILED" if day == BAD_DAY else "COMPLETED" for day in THIRTY_DAYS
    }
    assert home.storage.list_days(before="2100") == [day for day in THIRTY_DAYS if day != BAD_DAY]
    assert max(home.server.count_tries("validate_data")) == 1  # the condition of its retries lets no bad day through
    assert "backfill" not in home.prefect("deployment", "--help") + home.prefect("flow-run", "--help")


def test_a_result_that_is_cached_by_arguments_is_served_after_the_file_has_changed_and_one_by_content_is_not(
    home: PrefectHome,
) -> None:
    day, next_day = "2024-03-01", "2024-03-02"
    for one in (day, next_day):
        home.land(one)
        assert home.run("--caching", "arguments", one).returncode == 0
    before = read_data_version(home, day)
    home.land(day, seed=1)
    stale = home.run("--caching", "arguments", day)
    assert stale.returncode == 0
    assert "Cached(type=COMPLETED)" in stale.stdout
    assert read_data_version(home, day) == before
    model_of_next_day = read_runs(home, next_day)
    assert home.run("--caching", "content", day).returncode == 0
    assert read_data_version(home, day) != before
    assert read_runs(home, next_day) == model_of_next_day  # nothing says that it has learnt what has changed since


def read_runs(home: PrefectHome, day: str) -> list[str]:
    """The MLflow runs of a date."""
    with sqlite3.connect(home.folder / "mlflow.db") as store:
        return [row[0] for row in store.execute("SELECT run_uuid FROM runs WHERE name = ?", (f"train-{day}",))]


def test_a_landing_zone_that_comes_back_is_read_by_a_retry(home: PrefectHome) -> None:
    day = "2024-03-03"
    home.land(day)
    away = home.folder / "landing-is-away"
    (home.folder / "landing").rename(away)
    process = home.start("run", "--home", str(home.folder), day)
    said = ""
    for line in process.stdout or ():
        said += line
        if "AwaitingRetry" in line or "Retry 1/3" in line:
            away.rename(home.folder / "landing")
            break
    rest, _ = process.communicate(timeout=200)
    assert process.returncode == 0, said + rest
    assert max(home.server.count_tries("fetch_data")) > 1


def test_a_worker_that_is_killed_leaves_its_run_running_and_the_next_worker_does_not_look_for_it(
    home: PrefectHome,
) -> None:
    server = home.server
    with server.work("dates", **TUNED_POLLING) as worker:
        run_id = server.launch("train-dates/worked", {"days": THIRTY_DAYS, "home": str(home.folder)})
        wait_for("a running flow", lambda: server.read_flow_run(run_id).state == "RUNNING")
        everything = [psutil.Process(worker), *psutil.Process(worker).children(recursive=True)]
        for process in everything:
            process.kill()
        psutil.wait_procs(everything, timeout=10)
    with server.work("dates", **TUNED_POLLING):
        time.sleep(15)
        assert server.read_flow_run(run_id).state == "RUNNING"


def test_the_uri_of_mlflow_is_kept_in_a_secret_block_that_shows_it_to_nobody(home: PrefectHome) -> None:
    kept = f"sqlite:///{home.folder / 'mlflow.db'}"
    home.server.flow("secret", f"postgresql://spam:{TRACKING_PASSWORD}@127.0.0.1/mlflow")
    try:
        shown = home.prefect("block", "inspect", "secret/mlflow-tracking-uri")
        assert "mlflow-tracking-uri" in shown
        assert TRACKING_PASSWORD not in shown
    finally:
        home.server.flow("secret", kept)


def test_a_deployment_takes_a_schedule_and_the_server_plans_its_runs(home: PrefectHome) -> None:
    home.server.deploy("dates")
    said = home.prefect("deployment", "schedule", "create", "train-dates/worked", "--cron", "0 6 * * *")
    assert "Created deployment schedule" in said
    wait_for("planned runs", lambda: home.server.list_flow_runs(flow_runs={"state": {"type": {"any_": ["SCHEDULED"]}}}))


def test_a_task_is_tried_out_as_the_function_that_it_was(home: PrefectHome) -> None:
    script = (
        "from benchmarks.prefect_flow.flow import fetch_data; "
        f"print(len(fetch_data.fn('{THIRTY_DAYS[0]}', '{home.folder}')))"
    )
    done = subprocess.run(
        [str(PREFECT_PYTHON), "-c", script], cwd=PROJECT, env=home.server.environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == "24", done.stderr
