"""The home folder is its owner's alone, unless a person opened it for a group."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from spam_assets.cli.home import prepare_home, prepare_landing
from spam_assets.engine.private_home import keep_home_private
from spam_assets.landing.zone import LandingZone
from spam_assets.settings import Settings
from spam_assets_tests.conftest import day_text, make_mail


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def modes_of(folder: Path) -> set[str]:
    """The permissions of everything below a folder."""
    return {f"{path.stat().st_mode & 0o777:o}" for path in (folder, *folder.rglob("*"))}


@pytest.mark.slow
def test_a_new_home_and_all_that_is_written_there_are_the_owners_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home" / "dagster"))
    settings = Settings(home=tmp_path / "home")
    prepare_home(settings)
    LandingZone(settings.landing_url).write(day_text(0), make_mail(day_text(0)))
    assert (settings.home / "mlflow.db").exists()
    assert modes_of(settings.home) == {"700", "600"}


@pytest.mark.parametrize(("before", "after"), [(0o755, 0o700), (0o777, 0o700), (0o705, 0o700), (0o750, 0o750)])
def test_a_home_that_lets_everybody_in_is_closed_and_one_for_a_group_stays(
    tmp_path: Path, before: int, after: int
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(before)
    keep_home_private(Settings(home=home))
    assert home.stat().st_mode & 0o777 == after
    (home / "file").write_text("x")
    assert (home / "file").stat().st_mode & 0o777 == 0o666 & after & ~0o022


def test_a_landing_zone_of_ones_own_keeps_the_permissions_that_one_gives_it(tmp_path: Path) -> None:
    zone = tmp_path / "zone"
    zone.mkdir()
    settings = Settings(home=tmp_path / "home", landing=str(zone))
    prepare_landing(settings)
    path = Path(LandingZone(str(zone)).write(day_text(0), make_mail(day_text(0))))
    assert path.stat().st_mode & 0o777 == 0o644
    assert settings.home.stat().st_mode & 0o777 == 0o700
