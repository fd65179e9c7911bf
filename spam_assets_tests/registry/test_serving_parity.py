"""Whichever way the champion is asked, it says the same: `mlflow models serve`, pyfunc, `classify`, `scored_mail`."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spam_assets.landing.incoming import IncomingZone
from spam_assets.settings import Settings
from spam_assets_tests.conftest import FIRST_DAY, PROJECT, day_text, make_mail, open_instance
from spam_assets_tests.homes import wait_for
from spam_assets_tests.pipeline import run_days, stores

pytestmark = pytest.mark.slow

TOLERANCE = 1e-6
CHAMPION_URI = "models:/spam-classifier@champion"
RAW_DAY, COLUMNS_DAY = day_text(5), day_text(6)
ODD = (
    "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nFrom: Zo\u00eb <z@example.com>\n\nclick free offer \u20ac 5".encode(),
    b'MIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\n\n<b>winner</b> prize <a href="//x.example">loan</a>',
    b"no header at all, meeting agenda minutes",
    b"Subject: latin\n\n\xe9t\xe9 patch review \xff",
)


def make_raw() -> list[bytes]:
    """Whole messages: plain ones of both classes, and some that need care.

    Each ends with a blank line, as what is split from an mbox does.
    """
    plain = [
        f"From: {row.sender}\nTo: {row.recipients}\nSubject: {row.subject}\n\n{row.body}\n".encode()
        for row in make_mail(RAW_DAY).itertuples()
    ]
    return [raw.rstrip(b"\n") + b"\n\n" for raw in (*plain, *ODD)]


def make_columns() -> pd.DataFrame:
    return make_mail(COLUMNS_DAY)[["message_id", "sender", "recipients", "subject", "body"]]


@dataclass(frozen=True)
class Scored:
    """A home folder whose champion has scored two days of mail without labels."""

    settings: Settings
    raw: list[float]
    columns: list[float]

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "SPAM_ASSETS_HOME": str(self.settings.home),
            "MLFLOW_TRACKING_URI": self.settings.tracking_uri,
            "PYTHONPATH": str(PROJECT),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # MLflow looks for uvicorn there
        }


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory, prepared_mlflow: Path) -> Iterator[Scored]:
    home = tmp_path_factory.mktemp("parity") / "home"
    (home / "landing").mkdir(parents=True)
    shutil.copy(prepared_mlflow, home / "mlflow.db")
    for offset in range(3):
        make_mail(day_text(offset)).to_csv(home / "landing" / f"training-{day_text(offset)}.csv", index=False)
    with pytest.MonkeyPatch.context() as patch, open_instance(home) as instance:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        settings = Settings(home=home, start_date=FIRST_DAY, end_date=date(2024, 3, 31))
        assert run_days(settings, instance, day_text(0), day_text(2)).is_success
        zone = IncomingZone(settings.landing_url)
        zone.write(RAW_DAY, pd.DataFrame({"raw": make_raw(), "received_at": f"{RAW_DAY} 12:00"}), "jsonl")
        zone.write(COLUMNS_DAY, make_columns(), "csv")
        assert run_days(settings, instance, RAW_DAY, COLUMNS_DAY, ["scored_mail"]).is_success
        frames, _, _ = stores(settings)
        raw, columns = (frames.load_day("scored_mail", day)["spam_probability"] for day in (RAW_DAY, COLUMNS_DAY))
        assert raw.max() - raw.min() > 0.5, "spam and ham differ, so the comparison means something"
        yield Scored(settings, raw.tolist(), columns.tolist())


def assert_equal(found: list[float], expected: list[float]) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


def test_pyfunc_says_what_scored_mail_says(scored: Scored) -> None:
    import mlflow

    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(scored.settings.tracking_uri)
    try:
        model = mlflow.pyfunc.load_model(CHAMPION_URI)
        assert_equal(model.predict(pd.DataFrame({"raw": make_raw()}))["spam_probability"].tolist(), scored.raw)
        assert_equal(model.predict(make_columns())["spam_probability"].tolist(), scored.columns)
    finally:
        mlflow.set_tracking_uri(before)


def classify(scored: Scored, file: Path) -> list[dict[str, object]]:
    done = subprocess.run(
        [sys.executable, "-m", "spam_assets", "classify", "--json", str(file)],
        cwd=file.parent, env=scored.environment, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_classify_says_what_scored_mail_says(scored: Scored, tmp_path: Path) -> None:
    envelope = b"From someone@example.com Mon Jan  1 12:00:00 2024\n"
    (tmp_path / "mail.mbox").write_bytes(b"".join(envelope + raw for raw in make_raw()))
    make_columns().to_csv(tmp_path / "mail.csv", index=False)
    of_raw, of_columns = classify(scored, tmp_path / "mail.mbox"), classify(scored, tmp_path / "mail.csv")
    assert_equal([float(str(answer["spam_probability"])) for answer in of_raw], scored.raw)
    assert_equal([float(str(answer["spam_probability"])) for answer in of_columns], scored.columns)
    assert [answer["message_id"] for answer in of_columns] == make_columns()["message_id"].tolist()
    assert {answer["is_spam"] for answer in of_columns} == {True, False}


@contextmanager
def serve(scored: Scored, folder: Path) -> Iterator[str]:
    """`mlflow models serve` as docs/serving.md says."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["-m", "mlflow", "models", "serve", "-m", CHAMPION_URI, "--env-manager", "local", "--port", str(port)]
    with (folder / "serve.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, *command], cwd=folder, env=scored.environment, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    try:
        wait_for("the model server", lambda: server.poll() is not None or answers(f"http://127.0.0.1:{port}/ping"))
        assert server.poll() is None, (folder / "serve.log").read_text()
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(20)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


def ask(url: str, columns: dict[str, list[str]]) -> list[float]:
    names = list(columns)
    split = {"columns": names, "data": [list(row) for row in zip(*columns.values(), strict=True)]}
    body = json.dumps({"dataframe_split": split}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return [answer["spam_probability"] for answer in json.load(response)["predictions"]]


def test_mlflow_models_serve_says_what_scored_mail_says(scored: Scored, tmp_path: Path) -> None:
    with serve(scored, tmp_path) as url:
        assert_equal(ask(url, {"raw": [raw.decode("utf-8", "surrogateescape") for raw in make_raw()]}), scored.raw)
        columns = make_columns()
        assert_equal(ask(url, {name: columns[name].tolist() for name in columns}), scored.columns)
