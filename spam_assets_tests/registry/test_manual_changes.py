"""What a person decides: tried before anything moves, pinned, written down; what cannot serve changes nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from spam_assets.learning.model import SpamModel
from spam_assets.learning.model_files import dump_model
from spam_assets.registry.alias_changes import tell_change
from spam_assets.registry.manual_changes import (
    ManualChangeError,
    bar_version,
    promote_version,
    roll_back,
    unbar_version,
    unpin_champion,
)
from spam_assets.registry.registered_models import CHAMPION, PREVIOUS, ModelRegistry
from spam_assets.registry.training_runs import TrainingMlFlow
from spam_assets.settings import Settings
from spam_assets_tests.registry import DAYS, change, find_model_file, log


@pytest.fixture
def registry(settings: Settings, mlflow: TrainingMlFlow, model: SpamModel) -> ModelRegistry:
    """Versions 1 to 3, of one day each; the gate promoted all of them in turn."""
    registry = ModelRegistry(settings)
    for number, day in enumerate(DAYS):
        version = registry.register(day, log(mlflow, day, change(model, 0.5 + number / 10)))
        with registry.changing():
            registry.carry_out(version, registry.aliased(CHAMPION), promote=True, who="gate", why="not worse")
    return ModelRegistry(settings)


def aliases(registry: ModelRegistry) -> dict[str, int]:
    return dict(registry.standing().aliases)


def last(registry: ModelRegistry) -> tuple[str, str, str]:
    newest = registry.standing().changes[-1]
    return newest.who, tell_change(newest), newest.why


def test_promote_and_rollback_pin_and_tell_who_and_why(registry: ModelRegistry) -> None:
    promote_version(registry, 1, "labels were mended")
    assert aliases(registry) == {CHAMPION: 1, PREVIOUS: 3}
    assert last(registry) == ("person", "champion 3 to 1, previous 2 to 3, pinned", "labels were mended")
    roll_back(registry, reason="they were not")
    assert aliases(registry) == {CHAMPION: 3, PREVIOUS: 1}
    assert last(registry) == ("rollback", "champion 1 to 3, previous 3 to 1, pinned", "they were not")
    roll_back(registry, to=2)
    assert aliases(registry) == {CHAMPION: 2, PREVIOUS: 3}
    assert last(registry)[2] == "rolled back by hand, no reason was given"
    promote_version(registry, 2, "it stays")  # the champion itself
    assert last(registry) == ("person", "pinned", "it stays")
    best = registry.best()
    assert best is not None
    assert best.version == 2
    assert unpin_champion(registry, "enough").why == "it stays"
    assert registry.standing().pin is None
    with pytest.raises(ManualChangeError, match="is not pinned"):
        unpin_champion(registry)


def damage(path: Path, model: SpamModel) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def exchange(path: Path, model: SpamModel) -> None:
    path.write_bytes(dump_model(change(model, 0.11)))


def lose(path: Path, model: SpamModel) -> None:
    path.unlink()


@pytest.mark.parametrize(
    "harm", [damage, pytest.param(exchange, marks=pytest.mark.slow), pytest.param(lose, marks=pytest.mark.slow)]
)
def test_a_version_that_cannot_be_used_moves_nothing(
    registry: ModelRegistry, settings: Settings, model: SpamModel, harm: Callable[[Path, SpamModel], None]
) -> None:
    before = registry.standing()
    harm(find_model_file(settings.tracking_uri, 2), model)
    for act in (lambda: roll_back(registry, reason="quick"), lambda: promote_version(registry, 2)):
        with pytest.raises(ManualChangeError, match=r"version 2 cannot serve, .*nothing was changed"):
            act()
    assert registry.standing() == before
    promote_version(registry, 1)
    assert aliases(registry)[CHAMPION] == 1


def test_a_barred_version_cannot_be_promoted_and_rollback_goes_past_it(registry: ModelRegistry) -> None:
    bar_version(registry, 2, "it learnt a broken export")
    with pytest.raises(ManualChangeError, match=r"version 2 is barred \(it learnt a broken export\)"):
        promote_version(registry, 2)
    with pytest.raises(ManualChangeError, match="is barred"):
        roll_back(registry, to=2)
    assert registry.load_dated(registry.versions()[1]).barred == "it learnt a broken export"
    assert roll_back(registry).version == 1
    with pytest.raises(ManualChangeError, match="version 1 serves"):
        bar_version(registry, 1)
    unbar_version(registry, 2)
    with pytest.raises(ManualChangeError, match="version 2 is not barred"):
        unbar_version(registry, 2)
    assert roll_back(registry, to=2).version == 2


@pytest.mark.slow
def test_what_is_barred_is_no_standard_for_later_candidates(registry: ModelRegistry) -> None:
    roll_back(registry, to=1)
    with registry.changing():
        registry.change("gate", "it was the best", {}, best=3)
    bar_version(registry, 3)
    best = registry.best()
    assert best is not None
    assert best.version == 1


@pytest.mark.slow
def test_only_an_earlier_champion_can_be_rolled_back_to(
    registry: ModelRegistry, mlflow: TrainingMlFlow, model: SpamModel
) -> None:
    registry.register(DAYS[-1], log(mlflow, DAYS[-1], change(model, 0.9)))
    with pytest.raises(ManualChangeError, match="version 4 never was the champion; spam-assets promote 4"):
        roll_back(registry, to=4)
    with pytest.raises(ManualChangeError, match="there is no version 99"):
        roll_back(registry, to=99)
    assert promote_version(registry, 4).version == 4
