"""What passes by itself is tried again with growing pauses; what does not is not."""

import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import dagster as dg
import fsspec
import pytest
import requests
from fsspec.implementations.memory import MemoryFileSystem
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST, RESOURCE_DOES_NOT_EXIST, TEMPORARILY_UNAVAILABLE
from pydantic import SecretStr

from spam_assets.engine import executor, transient_faults
from spam_assets.engine.tags import DAYS_TO_REPEAT_TAG, TRANSIENT_FAULT_TAG
from spam_assets.engine.transient_faults import is_transient
from spam_assets.landing.zone import LandingZone
from spam_assets.mail.errors import MailError
from spam_assets.registry.registered_models import CHAMPION, ModelRegistry
from spam_assets.settings import Settings
from spam_assets_tests.conftest import day_text, make_mail
from spam_assets_tests.mlflow_servers import serve_gateway, serve_mlflow
from spam_assets_tests.pipeline import materialized, run_days

MAIL_ASSETS = ["raw_mail", "validated_mail", "mail_features"]
DAYS = [day_text(offset) for offset in range(4)]


class FlakyFileSystem(MemoryFileSystem):
    """A bucket whose network breaks: so many reads of a file fail."""

    protocol = "flaky"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    failures: ClassVar[dict[str, int]] = {}

    def cat_file(self, path: str, *arguments: Any, **options: Any) -> bytes:
        self.reach(path)
        content: bytes = super().cat_file(path, *arguments, **options)
        return content

    def _open(self, path: str, mode: str = "rb", *arguments: Any, **options: Any) -> Any:
        self.reach(path)
        return super()._open(path, mode, *arguments, **options)

    def reach(self, path: str) -> None:
        (day,) = re.findall("[0-9]{4}-[0-9]{2}-[0-9]{2}", path)
        if self.failures.get(day, 0):
            self.failures[day] -= 1
            raise ConnectionResetError("the network is down")


fsspec.register_implementation("flaky", FlakyFileSystem, clobber=True)


@pytest.fixture
def failures() -> Iterator[dict[str, int]]:
    """How often the reads of a day fail from now on."""
    FlakyFileSystem.failures.clear()
    yield FlakyFileSystem.failures
    FlakyFileSystem.store.clear()


@pytest.fixture
def flaky(settings: Settings, failures: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings whose landing zone has four days and a network that breaks; pauses that take no time."""
    forget_pauses(monkeypatch)
    landed = settings.model_copy(update={"landing": "flaky://zone"})
    for day in DAYS:
        LandingZone(landed.landing_url).write(day, make_mail(day))
    return landed


def forget_pauses(patch: pytest.MonkeyPatch) -> None:
    for module in (transient_faults, executor):
        patch.setattr(module, "PAUSE_SECONDS", (0.0, 0.0, 0.0))


def count_retries(instance: dg.DagsterInstance, run: dg.DagsterRun) -> int:
    return len(instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_UP_FOR_RETRY))


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def answered(status: int) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(response=response)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(),
        TimeoutError(),
        requests.ConnectionError("no route"),
        requests.ReadTimeout(),
        answered(503),
        answered(429),
        MlflowException("the server is busy", TEMPORARILY_UNAVAILABLE),
        sqlite3.OperationalError("database is locked"),
        MlflowException("(sqlite3.OperationalError) database is locked", BAD_REQUEST),
        caused(dg.Failure("the landing zone cannot be used"), ConnectionRefusedError()),
    ],
    ids=repr,
)
def test_networks_busy_servers_and_locks_pass_by_themselves(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        MailError("no header"),
        dg.Failure("40 labels are neither ham nor spam"),
        ValueError("timeout"),
        answered(404),
        MlflowException("no such run", RESOURCE_DOES_NOT_EXIST),
        sqlite3.OperationalError("no such table: runs"),
        OSError(28, "No space left on device"),
        FileNotFoundError(),
    ],
    ids=repr,
)
def test_bad_mail_mistakes_and_full_disks_do_not(error: Exception) -> None:
    assert not is_transient(error)


def test_the_pauses_grow() -> None:
    pauses = [transient_faults.build_retry(tries).seconds_to_wait for tries in range(3)]
    assert pauses == sorted(set(pauses))
    assert transient_faults.build_retry(2).max_retries == 3


def test_a_fault_that_passes_costs_no_day(
    flaky: Settings, instance: dg.DagsterInstance, failures: dict[str, int]
) -> None:
    failures.update({DAYS[0]: 3, DAYS[2]: 1})
    run = run_days(flaky, instance, DAYS[0], DAYS[-1], MAIL_ASSETS)
    assert run.is_success
    assert count_retries(instance, run) == 4
    assert materialized(instance, "mail_features") == DAYS
    assert TRANSIENT_FAULT_TAG not in run.tags


def test_a_fault_that_stays_fails_its_day_and_is_not_waited_for_again_on_the_next(
    flaky: Settings, instance: dg.DagsterInstance, failures: dict[str, int]
) -> None:
    failures.update({DAYS[0]: 4, DAYS[1]: 1, DAYS[3]: 1})
    run = run_days(flaky, instance, DAYS[0], DAYS[-1], MAIL_ASSETS)
    assert not run.is_success
    assert materialized(instance, "mail_features") == DAYS[2:]  # a day that goes well gives patience back
    assert count_retries(instance, run) == 3 + 0 + 1
    assert run.tags[TRANSIENT_FAULT_TAG] == "true"
    assert run.tags[DAYS_TO_REPEAT_TAG] == f"{DAYS[0]},{DAYS[1]}"


def test_bad_mail_is_not_tried_again(flaky: Settings, instance: dg.DagsterInstance) -> None:
    LandingZone(flaky.landing_url).write(DAYS[0], make_mail(DAYS[0]).assign(label="junk"))
    fsspec.filesystem("flaky").pipe_file(f"/zone/training-{DAYS[1]}.csv", b"text,label\nhello,ham,too many\n")
    run = run_days(flaky, instance, DAYS[0], DAYS[1], MAIL_ASSETS)
    assert not run.is_success
    assert count_retries(instance, run) == 0
    assert TRANSIENT_FAULT_TAG not in run.tags


def test_a_storage_whose_network_breaks_is_read_again(
    flaky: Settings, instance: dg.DagsterInstance, failures: dict[str, int]
) -> None:
    stored = flaky.model_copy(update={"storage": "flaky://storage"})
    assert run_days(stored, instance, DAYS[0], DAYS[0], MAIL_ASSETS[:1]).is_success
    failures[DAYS[0]] = 2
    run = run_days(stored, instance, DAYS[0], DAYS[0], MAIL_ASSETS[1:])
    assert run.is_success
    assert count_retries(instance, run) == 2


# --- a server that is away while a day is set up --------------------------------------------------------------------


@pytest.fixture
def unavailable() -> Iterator[tuple[str, list[str]]]:
    """A server that answers 503, with the requests that it got."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(503)

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def test_an_mlflow_server_that_is_away_is_asked_again_and_the_days_are_noted(
    settings: Settings,
    instance: dg.DagsterInstance,
    land_days: Callable[[int], list[str]],
    unavailable: tuple[str, list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forget_pauses(monkeypatch)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    url, asked = unavailable
    land_days(2)
    away = settings.model_copy(update={"mlflow_tracking_uri": SecretStr(url)})
    run = run_days(away, instance, DAYS[0], DAYS[1])
    assert not run.is_success
    assert len(asked) == 4
    assert run.tags[DAYS_TO_REPEAT_TAG] == f"{DAYS[0]},{DAYS[1]}"


@pytest.mark.slow
def test_a_real_mlflow_server_that_is_busy_for_a_while_costs_no_asset_of_the_day(
    settings: Settings,
    instance: dg.DagsterInstance,
    land_days: Callable[[int], list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")  # its own tries come before ours
    land_days(4)
    with serve_mlflow(tmp_path / "server") as server, serve_gateway(server.url) as gateway:
        served = settings.model_copy(update={"mlflow_tracking_uri": SecretStr(gateway.url)})
        assert run_days(served, instance, DAYS[0], DAYS[2]).is_success
        assert run_days(served, instance, DAYS[3], selection=MAIL_ASSETS).is_success
        for asset in ("trained_model", "registered_model", "champion_report"):
            gateway.busy_answers = 2
            run = run_days(served, instance, DAYS[3], selection=[asset])
            assert run.is_success
            assert TRANSIENT_FAULT_TAG not in run.tags
            assert materialized(instance, asset)[-1] == DAYS[3]
        assert len(gateway.refused) == 6
        champion = ModelRegistry(served).aliased(CHAMPION)
    assert champion is not None
    assert champion.training_date == DAYS[3]
