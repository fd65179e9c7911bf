"""The registered model: a version for each model, and aliases that follow decisions."""

import dataclasses
import io
from typing import Any

import numpy as np
import pytest

from spam_assets.io_managers.fingerprints import fingerprint_model, fingerprint_stored_model
from spam_assets.learning.dated_model import DatedModel, UnreadableModel
from spam_assets.learning.gate import Decision
from spam_assets.learning.model import SpamModel
from spam_assets.learning.model_files import dump_model
from spam_assets.learning.succession import Succession
from spam_assets.registry.gate_changes import carry_out_verdicts, load_succession
from spam_assets.registry.model_artifacts import UnreadableModelError
from spam_assets.registry.registered_models import (
    CHALLENGER,
    CHAMPION,
    MODEL_NAME,
    PREVIOUS,
    ModelRegistry,
)
from spam_assets.registry.store import TrackingError
from spam_assets.registry.training_runs import TrainingMlFlow
from spam_assets.settings import Settings
from spam_assets_tests.registry import DAYS, change, find_model_file, log, runs_of


def test_an_empty_registry_has_no_versions_and_no_champion(settings: Settings) -> None:
    registry = ModelRegistry(settings)
    assert registry.versions() == []
    assert registry.aliased(CHAMPION) is None


def test_the_same_model_is_registered_once_and_another_of_its_day_again(
    settings: Settings, mlflow: TrainingMlFlow, model: SpamModel
) -> None:
    registry = ModelRegistry(settings)
    version = log(mlflow, DAYS[-1], model)
    first = registry.register(DAYS[-1], version)
    log(mlflow, DAYS[-1], model)
    assert registry.register(DAYS[-1], version) == first
    second = registry.register(DAYS[-1], log(mlflow, DAYS[-1], change(model, 0.25)))
    assert (first.version, second.version) == (1, 2)
    assert [(found.version, found.training_date) for found in registry.versions()] == [(1, DAYS[-1]), (2, DAYS[-1])]
    assert registry.aliased(CHAMPION) is None, "an alias that nothing has is no error"


def test_a_registered_model_is_read_back_whole_whatever_store_the_process_uses(
    settings: Settings, mlflow: TrainingMlFlow, model: SpamModel, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow as library

    registered = ModelRegistry(settings).register(DAYS[-1], log(mlflow, DAYS[-1], model))
    monkeypatch.chdir(tmp_path)
    before = library.get_tracking_uri()
    library.set_tracking_uri(f"sqlite:///{tmp_path / 'other.db'}")
    try:
        loaded = ModelRegistry(settings).load_model(registered)
    finally:
        library.set_tracking_uri(before)
    assert fingerprint_model(loaded) == fingerprint_model(model)
    np.testing.assert_array_equal(loaded.weights, model.weights)
    assert not (tmp_path / "mlflow.db").exists()


def test_a_model_that_no_run_trained_is_not_registered(settings: Settings) -> None:
    with pytest.raises(TrackingError, match=f"materialize trained_model of {DAYS[0]} again"):
        ModelRegistry(settings).register(DAYS[0], "unknown")


def test_a_run_that_failed_is_no_source_of_a_version(
    settings: Settings, mlflow: TrainingMlFlow, model: SpamModel
) -> None:
    version = log(mlflow, DAYS[-1], model)
    (run,) = runs_of(mlflow)
    mlflow.tracking_client.set_terminated(run.info.run_id, "FAILED")
    with pytest.raises(TrackingError, match="no finished run"):
        ModelRegistry(settings).register(DAYS[-1], version)


def test_a_run_that_was_half_logged_is_no_source_of_a_version(settings: Settings, mlflow: TrainingMlFlow) -> None:
    with mlflow.training_run(DAYS[0], ValueError) as run_id:
        mlflow.tracking_client.set_tag(run_id, "data_version", "v")  # and not yet where its model is
    with pytest.raises(TrackingError, match="no finished run"):
        ModelRegistry(settings).register(DAYS[0], "v")


def test_a_version_tells_where_it_comes_from_its_figures_and_what_the_gate_said(
    settings: Settings, mlflow: TrainingMlFlow, model: SpamModel
) -> None:
    registry = ModelRegistry(settings)
    version = registry.register(DAYS[-1], log(mlflow, DAYS[-1], model))
    for reason in ("too little evidence", "it loses 3 of 40 ham"):
        registry.note_verdict(version.version, Decision("refuse", reason))
    found = registry._client.get_model_version(MODEL_NAME, str(version.version))
    assert found.description.startswith(
        f"Trained for {DAYS[-1]} on 3 days of mail, {DAYS[0]} to {DAYS[-1]}, in the run train-{DAYS[-1]}. "
        "Each day scored before it was learnt: (1-ROCA)% "
    )
    assert found.description.endswith("\n\nThe gate said last: refuse: it loses 3 of 40 ham")
    assert "too little" not in found.description
    assert found.tags["window_first_day"] == DAYS[0]
    assert float(found.tags["daily_protocol_messages"]) == model.evaluation.messages


def test_aliases_follow_decisions_and_rolling_back_twice_returns(
    settings: Settings, mlflow: TrainingMlFlow, model: SpamModel
) -> None:
    registry = ModelRegistry(settings)
    one, two, three = (
        registry.register(day, log(mlflow, day, change(model, threshold)))
        for day, threshold in zip(DAYS, (0.5, 0.6, 0.7), strict=True)
    )

    def aliases() -> dict[str, int]:
        return {alias: found.version for found in registry.versions() for alias in found.aliases}

    registry.carry_out(one, None, promote=False)
    assert aliases() == {CHALLENGER: 1}
    registry.carry_out(one, None, promote=True)
    assert aliases()[CHAMPION] == 1
    registry.carry_out(one, registry.aliased(CHAMPION), promote=True)
    assert PREVIOUS not in aliases(), "a champion does not succeed itself"
    registry.carry_out(three, registry.aliased(CHAMPION), promote=True)
    assert (aliases()[CHAMPION], aliases()[PREVIOUS]) == (3, 1)
    best = registry.best()
    assert best is not None
    assert best.version == 3, "later candidates are held against what a person promoted"
    registry.carry_out(two, registry.aliased(CHAMPION), promote=False)
    assert aliases()[CHALLENGER] != 2, "older than the champion: nothing to challenge with"

    for champion, previous in ((1, 3), (3, 1)):
        back = registry.aliased(PREVIOUS)
        assert back is not None
        registry.carry_out(back, registry.aliased(CHAMPION), promote=True)
        assert (aliases()[CHAMPION], aliases()[PREVIOUS]) == (champion, previous)
    found = registry.aliased(CHAMPION)
    assert found is not None
    assert (found.version, found.training_date, MODEL_NAME) == (3, DAYS[2], "spam-classifier")


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("missing", "its artifact is missing"),
        ("cut off", "its artifact is damaged"),
        ("exchanged", "its artifact is not what was registered"),
        ("of another version", "the model was trained on features of version 0, this code makes version"),
    ],
)
def test_a_model_that_cannot_be_read_is_told_with_the_reason(
    settings: Settings, mlflow: TrainingMlFlow, model: SpamModel, how: str, why: str
) -> None:
    remedy = "MLflow serves it with the code that it carries" if "version" in how else f"run --date {DAYS[1]} registers"
    whole = ModelRegistry(settings).register(DAYS[0], log(mlflow, DAYS[0], change(model, 0.4)))
    version = ModelRegistry(settings).register(DAYS[1], log(mlflow, DAYS[1], model))
    path = find_model_file(settings.tracking_uri, version.version)
    content = {
        "cut off": path.read_bytes()[:1000],
        "exchanged": dump_model(change(model, 0.25)),
        "of another version": dump_model(dataclasses.replace(model, features_version="0")),
    }
    path.unlink() if how == "missing" else path.write_bytes(content[how])

    registry = ModelRegistry(settings)
    with pytest.raises(UnreadableModelError, match=f"version 2, trained for {DAYS[1]}, cannot score mail here: {why}"):
        registry.load_model(version)
    with pytest.raises(UnreadableModelError, match=remedy):
        registry.load_model(version)
    found = registry.load_or_explain(version)
    assert isinstance(found, UnreadableModel)
    assert (found.training_date, found.version) == (DAYS[1], 2)
    assert why in found.why
    assert isinstance(registry.load_or_explain(whole), DatedModel)

    registry.point(CHAMPION, version.version)
    registry.change("gate", "", {}, best=version.version)
    registry.note_verdict(version.version, Decision("wait", "too little evidence"))
    found_succession = load_succession(registry)
    assert found_succession == Succession(unreadable_champion=found, unreadable_waiting=(found,))
    registry.change("gate", "", {}, best=whole.version)
    assert load_succession(registry).best is not None

    carry_out_verdicts(registry, found_succession, found_succession, ())
    assert registry.waiting() == []
    assert "it waited in vain" in registry.versions()[1].reason


def test_a_store_that_cannot_be_read_says_nothing_of_the_model(
    settings: Settings, mlflow: TrainingMlFlow, model: SpamModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder in the file's place stands for a store that answers with something else than 'not there'."""
    registry = ModelRegistry(settings)
    version = registry.register(DAYS[1], log(mlflow, DAYS[1], model))
    path = find_model_file(settings.tracking_uri, version.version)
    path.unlink()
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        ModelRegistry(settings).load_or_explain(version)


def test_a_damaged_model_is_registered_again_once_it_was_trained_again(
    settings: Settings, mlflow: TrainingMlFlow, model: SpamModel
) -> None:
    first = ModelRegistry(settings).register(DAYS[1], log(mlflow, DAYS[1], model))
    find_model_file(settings.tracking_uri, first.version).unlink()
    data_version = fingerprint_model(model)
    assert ModelRegistry(settings).register(DAYS[1], data_version).version == 1, "the same run has the same file"
    log(mlflow, DAYS[1], model)
    second = ModelRegistry(settings).register(DAYS[1], data_version)
    assert (second.version, second.data_version) == (2, data_version)
    assert fingerprint_model(ModelRegistry(settings).load_model(second)) == data_version
    assert ModelRegistry(settings).register(DAYS[1], data_version) == second


def test_a_model_of_before_more_was_stored_of_it_is_whole_all_the_same(
    settings: Settings, mlflow: TrainingMlFlow, model: SpamModel
) -> None:
    registered = ModelRegistry(settings).register(DAYS[1], log(mlflow, DAYS[1], model))
    arrays = {name: array for name, array in model.to_arrays().items() if name not in ("suspects", "held_out_share")}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    find_model_file(settings.tracking_uri, registered.version).write_bytes(buffer.getvalue())
    old = dataclasses.replace(registered, data_version=fingerprint_stored_model(buffer.getvalue()))
    assert old.data_version != registered.data_version
    loaded = ModelRegistry(settings).load_model(old)
    np.testing.assert_array_equal(loaded.weights, model.weights)
    assert fingerprint_model(loaded) != old.data_version
