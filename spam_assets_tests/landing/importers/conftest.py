"""A landing zone that does not exist yet."""

from pathlib import Path

import pytest

from spam_assets.landing.zone import LandingZone


@pytest.fixture
def zone(tmp_path: Path) -> LandingZone:
    return LandingZone(str(tmp_path / "landing"))
