"""The rules of who may import whom, held by import-linter (configured in pyproject.toml)."""

import ast
import re
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
        ("assets/mail_assets.py", "import mlflow"),
        ("mail/parsing.py", "import spam_assets.settings"),
        ("io_managers/daily_files.py", "import spam_assets.assets"),
        ("landing/zone.py", "import dagster"),
        ("engine/locks.py", "import spam_assets.landing.zone"),
        ("engine/executor.py", "import mlflow"),
        ("alerts/channels.py", "import dagster"),
        ("alerts/services.py", "import apprise"),
        ("cli/run.py", "import mlflow"),
        ("sensors/new_mail.py", "import dagster_shared"),
        ("checks.py", "import os"),
    ],
)
def test_an_import_against_the_rules_is_found(tmp_path: Path, module: str, line: str) -> None:
    import shutil

    shutil.copytree(PROJECT / "spam_assets", tmp_path / "spam_assets", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    with (tmp_path / "spam_assets" / module).open("a") as file:
        file.write(f"\n{line}\n")
    assert lint(tmp_path).returncode != 0


PRIVATE_IMPORT = re.compile(r"^ *(from|import) dagster(\._|_shared)", re.MULTILINE)


def test_only_engine_imports_dagsters_private_modules() -> None:
    """import-linter sees no submodules of other packages."""
    users = {
        path.relative_to(PROJECT / "spam_assets").parts[0]
        for path in (PROJECT / "spam_assets").rglob("*.py")
        if PRIVATE_IMPORT.search(path.read_text())
    }
    assert users == {"engine"}


def test_every_room_is_on_the_map() -> None:
    """The docstring of the package names each module at the top and each room."""
    top = (PROJECT / "spam_assets").iterdir()
    names = {path.stem for path in top if path.suffix == ".py" or (path / "__init__.py").exists()}
    described = ast.get_docstring(ast.parse((PROJECT / "spam_assets" / "__init__.py").read_text())) or ""
    assert {name for name in names if not name.startswith("__") and f"`{name}" not in described} == set()


def test_no_two_modules_have_one_name() -> None:
    modules = [path.stem for path in (PROJECT / "spam_assets").rglob("*.py") if not path.stem.startswith("__")]
    twice = {name for name in modules if modules.count(name) > 1}
    assert twice <= {"errors"}  # of its own room each


def test_the_modules_that_the_architecture_names_exist() -> None:
    text = (PROJECT / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"`([a-z_]+/[a-z_/]*)`", text))
    assert len(named) > 20
    package = PROJECT / "spam_assets"
    assert {name for name in named if not ((package / name).is_dir() or (package / f"{name}.py").is_file())} == set()
