"""The rules of who may import whom, held by import-linter (configured in pyproject.toml)."""

import subprocess
import sys
from pathlib import Path

import pytest

from spam_assets_tests.conftest import PROJECT


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as lint; lint()", "--no-cache"],
        cwd=folder, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_the_rooms_keep_their_rules() -> None:
    done = lint(PROJECT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("mail/blocking_rules.py", "import dagster"),
        ("learning/training.py", "import mlflow"),
        ("assets.py", "import mlflow"),
        ("mail/parsing.py", "import spam_assets.settings"),
        ("io_managers/daily_files.py", "import spam_assets.assets"),
    ],
)
def test_an_import_against_the_rules_is_found(tmp_path: Path, module: str, line: str) -> None:
    import shutil

    shutil.copytree(PROJECT / "spam_assets", tmp_path / "spam_assets", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    with (tmp_path / "spam_assets" / module).open("a") as file:
        file.write(f"\n{line}\n")
    assert lint(tmp_path).returncode != 0
