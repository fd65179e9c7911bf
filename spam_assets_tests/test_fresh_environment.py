"""A registered model is verified and made again by an installed copy of the project, in an environment of its own."""

import json
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from spam_assets.registry.registered_models import CHAMPION, ModelRegistry
from spam_assets_tests.conftest import PROJECT
from spam_assets_tests.homes import SLOW, Home
from spam_assets_tests.registry import find_model_file

pytestmark = SLOW
Command = Callable[..., subprocess.CompletedProcess[str]]


def call(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(argument) for argument in arguments], capture_output=True, text=True, timeout=300, **options
    )  # type: ignore[call-overload]
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout, done.stderr)


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """Where a fresh virtual environment has its packages: the project by `pip install`, and what it needs from here."""
    venv = tmp_path / "venv"
    assert call(sys.executable, "-m", "venv", venv).returncode == 0
    packages = Path(sysconfig.get_path("purelib", "venv", vars={"base": str(venv)}))
    source = tmp_path / "source"
    tracked = call("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=PROJECT).stdout.split(
        "\0"
    )
    for name in filter(None, tracked):
        if (PROJECT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((PROJECT / name).read_bytes())
    (packages / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    done = call(venv / "bin" / "pip", "install", "--no-deps", "--quiet", source)
    assert done.returncode == 0, done.stderr
    return packages


@pytest.fixture
def command(home: Home, packages: Path, tmp_path: Path) -> Command:
    """Run `spam-assets` of the fresh environment on the home, which another environment filled."""
    script = tmp_path / "venv" / "bin" / "spam-assets"
    environment = {name: value for name, value in home.environment.items() if name != "PYTHONPATH"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return call(script, *arguments, cwd=tmp_path, env=environment)

    code = "import spam_assets; print(spam_assets.__file__)"
    where = call(script.with_name("python"), "-c", code, cwd=tmp_path, env=environment)
    assert Path(where.stdout.strip()).is_relative_to(packages), "the installed copy, not the checkout"
    return run


def test_the_champion_passes_and_what_was_changed_is_named(home: Home, command: Command, packages: Path) -> None:
    for path in sorted(home.landing.iterdir())[4:]:
        path.unlink()
    assert home.run("backfill").returncode == 0
    champion = ModelRegistry(home.settings).aliased(CHAMPION)
    assert champion is not None
    number = str(champion.version)

    for arguments in (("verify", number), ("reproduce", number)):
        done = command(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    assert f"identical weights: version {number} of {champion.training_date}" in done.stdout
    record = json.loads((home.folder / f"verification-{number}.json").read_text())
    assert (record["result"], record["models"]) == ("as recorded", {number: champion.data_version})
    assert record["environment"]["packages"]["numpy"]
    assert record["data"][f"mail_features/{champion.training_date}"]

    (mail,) = home.storage.glob(f"validated_mail/{champion.training_date}.*")
    content = mail.read_bytes()
    mail.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    for arguments in (("verify", number), ("reproduce", number)):
        assert_names(command(*arguments), f"validated_mail of {champion.training_date} is ")
    mail.write_bytes(content)

    other = packages / "numpy-1.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 1.0\n")
    for arguments in (("verify", number), ("reproduce", number)):
        assert_names(command(*arguments), "package numpy is 1.0 here, it was ")
    (other / "METADATA").unlink()
    other.rmdir()

    model = find_model_file(home.settings.tracking_uri, int(number))
    model.write_bytes(model.read_bytes()[:-1])
    for arguments in (("verify", number), ("reproduce", number)):
        assert_names(command(*arguments), "its artifact is damaged")


def assert_names(done: subprocess.CompletedProcess[str], cause: str) -> None:
    assert done.returncode == 1
    assert cause in done.stdout, done.stdout + done.stderr
