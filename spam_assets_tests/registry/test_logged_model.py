"""The logged model: loaded by plain MLflow it scores as the model itself, also where nothing of this project is."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest

from spam_assets.learning.features import featurize_mail
from spam_assets.learning.model import SpamModel
from spam_assets.learning.served_model import IS_SPAM, SPAM_PROBABILITY, ServedModel
from spam_assets.learning.serving import score_mail
from spam_assets.mail.completion import complete_mail
from spam_assets.mail.errors import MailError
from spam_assets.registry import model_loader
from spam_assets.registry.logged_model import LOADER_MODULE, find_imported_files, pack_serving_code
from spam_assets.registry.model_loader import MODULES_FILE
from spam_assets.settings import Settings
from spam_assets_tests.conftest import FIRST_DAY, day_text, make_mail, open_instance
from spam_assets_tests.pipeline import run_days, stores

TOLERANCE = 1e-6
MAX_MODEL_BYTES = 25 * 1024**2
MAX_MODEL_FILES = 8
RAW_MESSAGES = [
    b"From: promo@example.com\nTo: me@example.com\nSubject: winner prize\n\nclick free offer casino pills cash loan\n",
    b"From: colleague@example.com\nSubject: =?utf-8?q?agenda_f=C3=BCr_morgen?=\n\nmeeting minutes patch review\n",
    b"\xff\xfe no mail at all \x00",
]


@dataclass(frozen=True)
class Logged:
    settings: Settings
    run_id: str
    model: SpamModel
    folder: Path
    served: Any

    def probabilities(self, mail: Any) -> np.ndarray:
        return self.served.predict(mail)[SPAM_PROBABILITY].to_numpy()


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory, prepared_mlflow: Path) -> Iterator[Logged]:
    """The third day's model, trained by the pipeline and loaded as `runs:/{run_id}/model`."""
    home = tmp_path_factory.mktemp("serving") / "home"
    (home / "landing").mkdir(parents=True)
    (home / "mlflow.db").write_bytes(prepared_mlflow.read_bytes())
    days = [day_text(0), day_text(1), day_text(2)]
    for day in days:
        make_mail(day).to_csv(home / "landing" / f"training-{day}.csv", index=False)
    with pytest.MonkeyPatch.context() as patch, open_instance(home) as instance:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        settings = Settings(home=home, start_date=FIRST_DAY, end_date=date(2024, 3, 31))
        assert run_days(settings, instance, days[0], days[-1]).is_success
        import mlflow

        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(settings.tracking_uri)
        (run,) = mlflow.search_runs(
            experiment_names=[settings.experiment], filter_string=f"params.training_date = '{days[-1]}'",
            output_format="list",
        )  # fmt: skip
        uri = f"runs:/{run.info.run_id}/model"
        folder = Path(mlflow.artifacts.download_artifacts(uri))
        _, _, models = stores(settings)
        yield Logged(
            settings, run.info.run_id, models.load_day("trained_model", days[-1]), folder, mlflow.pyfunc.load_model(uri)
        )
        mlflow.set_tracking_uri(before)


def expected(model: SpamModel, mail: pd.DataFrame) -> np.ndarray:
    return model.score(featurize_mail(complete_mail(mail)))


def test_mail_columns_score_as_the_model_itself(logged: Logged) -> None:
    mail = make_mail(day_text(5)).drop(columns="label")
    answer = logged.served.predict(mail)
    ours = expected(logged.model, mail)
    assert list(answer.columns) == [SPAM_PROBABILITY, IS_SPAM]
    np.testing.assert_allclose(answer[SPAM_PROBABILITY], ours, rtol=0, atol=TOLERANCE)
    assert answer[IS_SPAM].tolist() == (ours >= logged.model.threshold).tolist()
    assert answer[SPAM_PROBABILITY].between(0, 1).all()
    assert ours.max() - ours.min() > 0.5, "spam and ham differ, so the comparison means something"


def test_validated_mail_scores_as_its_stored_features(logged: Logged) -> None:
    frames, features, _ = stores(logged.settings)
    mail = frames.load_day("validated_mail", day_text(2)).drop(columns=["label", "content_hash"])
    ours = logged.model.score(features.load_day("mail_features", day_text(2)))
    np.testing.assert_allclose(logged.probabilities(mail), ours, rtol=0, atol=TOLERANCE)


def test_text_alone_in_every_shape_scores_the_same(logged: Logged) -> None:
    texts = make_mail(day_text(5))["body"].tolist()
    ours = expected(logged.model, pd.DataFrame({"text": texts}))
    np.testing.assert_allclose(ours, expected(logged.model, pd.DataFrame({"body": texts})), rtol=0, atol=0)
    for given in (pd.DataFrame({"text": texts}), {"text": texts}, {"text": np.array(texts)}):
        np.testing.assert_allclose(logged.probabilities(given), ours, rtol=0, atol=TOLERANCE)
    assert logged.probabilities({"text": texts[0]}) == pytest.approx(ours[:1], abs=TOLERANCE)
    assert len(logged.probabilities({"text": []})) == 0


def test_raw_messages_score_the_same_as_a_column_and_as_a_list(logged: Logged) -> None:
    ours = expected(logged.model, pd.DataFrame({"raw": RAW_MESSAGES}))
    assert ours[0] > ours[1]
    for given in (pd.DataFrame({"raw": RAW_MESSAGES}), {"raw": RAW_MESSAGES}):
        np.testing.assert_allclose(logged.probabilities(given), ours, rtol=0, atol=TOLERANCE)


def test_a_bare_list_scores_the_same_below_mlflows_check_of_the_signature(logged: Logged) -> None:
    """The check drops what has no column name, so `predict` of MLflow's wrapper cannot take a bare list."""
    texts = make_mail(day_text(5))["body"].tolist()
    for given, frame in ((texts, pd.DataFrame({"text": texts})), (RAW_MESSAGES, pd.DataFrame({"raw": RAW_MESSAGES}))):
        for shape in (given, np.array(given, dtype=object), pd.Series(given)):
            answer = ServedModel(partial(score_mail, logged.model)).predict(shape)[SPAM_PROBABILITY]
            np.testing.assert_allclose(answer, expected(logged.model, frame), rtol=0, atol=TOLERANCE)
    with pytest.raises(MailError, match="needs one of the columns raw, body or text"):
        logged.served.predict(texts)


def test_one_message_scores_the_same_alone_as_among_others(logged: Logged) -> None:
    mail = make_mail(day_text(5)).drop(columns="label")
    alone = [logged.probabilities(mail.iloc[[row]])[0] for row in (0, 7, 39)]
    np.testing.assert_allclose(alone, logged.probabilities(mail)[[0, 7, 39]], rtol=0, atol=TOLERANCE)


def test_the_index_of_the_input_is_kept(logged: Logged) -> None:
    mail = make_mail(day_text(5), messages=3).drop(columns="label").set_axis([30, 10, 20])
    assert score_mail(logged.model, mail).index.tolist() == [30, 10, 20]
    assert logged.served.predict(mail).index.tolist() == [30, 10, 20]


@pytest.mark.parametrize(
    "cells",
    [
        {"text": [None, "hello"]},
        {"text": pd.array([pd.NA, "hello"], dtype="string")},
        {"text": ["", "\ud800 surrogate"]},
        {"raw": [None, ""], "text": ["hello", None]},
        {"raw": ["Subject: \udcff\ud800\n\nhi", b""]},
        {"subject": ["only", "subjects"], "body": [None, float("nan")]},
        {"body": [b"bytes in a text column", 7]},
    ],
    ids=str,
)
def test_odd_cells_get_a_probability(logged: Logged, cells: dict[str, Any]) -> None:
    answer = score_mail(logged.model, pd.DataFrame(cells))
    assert answer[SPAM_PROBABILITY].between(0, 1).all()
    assert len(answer) == 2


def test_no_messages_give_no_verdicts(logged: Logged) -> None:
    assert len(score_mail(logged.model, pd.DataFrame({"text": []}))) == 0


def test_a_frame_without_mail_says_which_columns_it_needs(logged: Logged) -> None:
    with pytest.raises(MailError, match="one of the columns raw, body or text; found subject"):
        score_mail(logged.model, pd.DataFrame({"subject": ["hello"]}))


def test_the_champion_loads_under_its_alias(logged: Logged) -> None:
    import mlflow

    champion = mlflow.pyfunc.load_model("models:/spam-classifier@champion")
    texts = ["winner prize casino", "meeting agenda minutes"]
    assert champion.predict({"text": texts})[SPAM_PROBABILITY].is_monotonic_decreasing


def test_the_model_is_small_and_logged_in_no_time(logged: Logged, tmp_path: Path) -> None:
    size = sum(path.stat().st_size for path in logged.folder.rglob("*") if path.is_file())
    assert size < MAX_MODEL_BYTES
    from mlflow import MlflowClient

    run = MlflowClient(logged.settings.tracking_uri).get_run(logged.run_id)
    seconds = (run.info.end_time - run.info.start_time) / 1000
    print(f"model folder {size / 1e6:.2f} MB; training and logging took {seconds:.2f} s")  # noqa: T201


def test_the_model_carries_only_what_scoring_imports(logged: Logged, tmp_path: Path) -> None:
    files = [path for path in logged.folder.rglob("*") if path.is_file()]
    assert len(files) <= MAX_MODEL_FILES, "each is an upload for each training date"
    with ZipFile(logged.folder / "code" / MODULES_FILE) as archive:
        carried = {Path(name) for name in archive.namelist()}
    where = load_by_what_it_carries(logged.folder)
    assert {path.relative_to(logged.folder / "code" / "modules") for path in where} == carried


def load_by_what_it_carries(folder: Path, before: str = "", **environment: str) -> list[Path]:
    """Load and use a model in a process that does not know this project, and return where its modules lie."""
    code = """if True:
        import sys
        from spam_model_loader import _load_pyfunc
        _load_pyfunc(sys.argv[1]).predict([b"Subject: x\\n\\ny", b"z"])
        print(*(module.__file__ for name, module in sys.modules.items() if name.startswith("spam_assets")), sep="\\n")
    """
    done = subprocess.run(
        [sys.executable, "-c", f"{before}\n{code}", str(folder / "data" / "model.npz")],
        cwd=folder, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(folder / "code"), "NUMBA_DISABLE_JIT": "1",
             "PYTHONDONTWRITEBYTECODE": "1", **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [Path(line) for line in done.stdout.split()]


def test_a_model_that_may_only_be_read_is_unpacked_elsewhere_and_leaves_nothing(logged: Logged, tmp_path: Path) -> None:
    folder, temporary = tmp_path / "model", tmp_path / "temporary"
    shutil.copytree(logged.folder, folder, ignore=shutil.ignore_patterns("modules"))
    temporary.mkdir()
    refuse = """if True:  # as nothing keeps root from writing
        import tempfile
        make = tempfile.mkdtemp
        def make_elsewhere(dir=None):
            if dir is not None:
                raise PermissionError
            return make()
        tempfile.mkdtemp = make_elsewhere
    """
    where = load_by_what_it_carries(folder, refuse, TMPDIR=str(temporary))
    assert not (folder / "code" / "modules").exists()
    assert all(path.is_relative_to(temporary) for path in where)
    assert list(temporary.iterdir()) == []


def test_modules_that_were_changed_after_they_were_unpacked_are_not_loaded(logged: Logged, tmp_path: Path) -> None:
    folder, temporary = tmp_path / "model", tmp_path / "temporary"
    shutil.copytree(logged.folder, folder, ignore=shutil.ignore_patterns("modules"))
    temporary.mkdir()
    load_by_what_it_carries(folder)
    (folder / "code" / "modules" / "spam_assets" / "learning" / "serving.py").write_text("raise SystemExit('changed')")
    where = load_by_what_it_carries(folder, TMPDIR=str(temporary))
    assert all(path.is_relative_to(temporary) for path in where)
    assert list(temporary.iterdir()) == []


def test_of_two_that_unpack_a_model_at_once_both_can_load_it(logged: Logged, tmp_path: Path) -> None:
    shutil.copytree(logged.folder / "code", tmp_path / "code", ignore=shutil.ignore_patterns("modules"))
    with ZipFile(tmp_path / "code" / MODULES_FILE) as archive, ThreadPoolExecutor(8) as threads:
        places = list(threads.map(lambda _: model_loader._unpack(archive, tmp_path / "code"), range(8)))
    assert set(places) == {tmp_path / "code" / "modules"}
    assert (tmp_path / "code" / "modules" / "spam_assets" / "learning" / "serving.py").is_file()
    assert sorted(path.name for path in (tmp_path / "code").iterdir()) == sorted(
        [MODULES_FILE, "modules", "spam_model_loader.py"]
    )


def test_equal_modules_give_equal_files() -> None:
    pack = pack_serving_code.__wrapped__
    assert pack("loader", (LOADER_MODULE,)) == pack("loader", (LOADER_MODULE,))


def test_only_files_of_the_package_are_found_where_others_are_installed_beside_it(tmp_path: Path) -> None:
    for name, text in {
        "ours/__init__.py": "",
        "ours/start.py": "import numpy\nfrom ours.room import thing\n\ndef later():\n    import ours.lazy\n",
        "ours/room/__init__.py": "",
        "ours/room/thing.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import ours.types\n",
        "ours/lazy.py": "",
        "ours/types.py": "",
        "ours/unused.py": "",
        "numpy/__init__.py": "",
        "typing.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = {str(path.relative_to(tmp_path)) for path in find_imported_files(tmp_path / "ours", "ours.start")}
    expected = {"__init__.py", "start.py", "room/__init__.py", "room/thing.py", "lazy.py"}
    assert found == {f"ours/{name}" for name in expected}


def test_nothing_of_the_model_folder_is_a_pickle(logged: Logged) -> None:
    names = {path.name for path in logged.folder.rglob("*") if path.is_file()}
    assert "model.npz" in names
    assert not [name for name in names if name.endswith((".pkl", ".pickle", ".joblib", ".pyc"))]
    with np.load(logged.folder / "data" / "model.npz", allow_pickle=False) as arrays:
        assert all(arrays[name].dtype != object for name in arrays.files)


SCORE_ELSEWHERE = """
import json, sys
import mlflow
import pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
given = json.load(open(sys.argv[2]))
raw = [text.encode("latin-1") for text in given["raw"]]
import spam_assets
print(json.dumps({
    "package": spam_assets.__file__,
    "mail": model.predict(pd.DataFrame(given["mail"]))["spam_probability"].tolist(),
    "text": model.predict({"text": given["text"]})["spam_probability"].tolist(),
    "raw": model.predict(pd.DataFrame({"raw": raw}))["spam_probability"].tolist(),
}))
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_model_scores_the_same_where_only_its_requirements_are_installed(logged: Logged, tmp_path: Path) -> None:
    started = time.monotonic()
    mail = make_mail(day_text(5)).drop(columns="label")
    given = {
        "mail": mail.to_dict("list"),
        "text": mail["body"].tolist(),
        "raw": [raw.decode("latin-1") for raw in RAW_MESSAGES],
    }
    (tmp_path / "given.json").write_text(json.dumps(given))
    (tmp_path / "score.py").write_text(SCORE_ELSEWHERE)
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SPAM_ASSETS_", "MLFLOW_", "DAGSTER_", "PYTHON", "VIRTUAL_ENV", "NUMBA_"))
    }
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True, env=clean)
    python = tmp_path / "venv" / "bin" / "python"
    requirements = str(logged.folder / "requirements.txt")
    subprocess.run([str(python), "-m", "pip", "install", "-q", "-r", requirements], check=True, env=clean)
    installed = time.monotonic() - started
    done = subprocess.run(
        [str(python), "-I", "score.py", str(logged.folder), "given.json"],
        cwd=tmp_path, env=clean, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

    answers = json.loads(done.stdout.splitlines()[-1])
    assert Path(answers["package"]).is_relative_to(logged.folder), "it runs on the code that travels with the model"
    for form, frame in (
        ("mail", mail),
        ("text", pd.DataFrame({"text": mail["body"]})),
        ("raw", pd.DataFrame({"raw": RAW_MESSAGES})),
    ):
        np.testing.assert_allclose(answers[form], expected(logged.model, frame), rtol=0, atol=TOLERANCE)
    print(f"installed in {installed:.0f} s, scored after {time.monotonic() - started:.0f} s")  # noqa: T201
