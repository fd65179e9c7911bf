"""The history of the aliases: written once, in order, whatever crashes or moves from outside."""

from collections.abc import Callable
from datetime import datetime, timezone
from typing import cast

import pytest
from mlflow import MlflowClient
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

from spam_assets.learning.dated_model import DatedModel
from spam_assets.learning.gate import Decision
from spam_assets.learning.method_choice import Judged
from spam_assets.learning.model import SpamModel
from spam_assets.learning.succession import Succession
from spam_assets.registry.alias_changes import AliasMove, Change, find_services_on, list_services, tell_change
from spam_assets.registry.alias_history import AliasHistory
from spam_assets.registry.gate_changes import carry_out_verdicts
from spam_assets.registry.registered_models import CHALLENGER, CHAMPION, MODEL_NAME, PREVIOUS, ModelRegistry
from spam_assets.registry.store import TrackingError
from spam_assets.settings import Settings
from spam_assets_tests.registry import DAYS
from spam_assets_tests.registry.crashes import Crash, CrashingClient

Decide = Callable[[ModelRegistry], object]
MODEL = cast("SpamModel", object())
"""Nobody asks it here."""


@pytest.fixture
def registry(settings: Settings) -> ModelRegistry:
    """Versions 1 to 3, of one day each, without artifacts, and no alias yet."""
    registry = ModelRegistry(settings)
    registry._client.create_registered_model(MODEL_NAME)
    for day in DAYS:
        registry._client.create_model_version(MODEL_NAME, "file:///nowhere", tags={"training_date": day})
    return registry


def told(registry: ModelRegistry) -> list[tuple[str, str, str]]:
    return [(change.who, tell_change(change), change.why) for change in registry.standing().changes]


def promote(registry: ModelRegistry, number: int, why: str = "") -> None:
    with registry.changing():
        (version,) = (one for one in registry.versions() if one.version == number)
        registry.carry_out(version, registry.aliased(CHAMPION), promote=True, why=why)


def judge(registry: ModelRegistry) -> None:
    """What the gate does when version 2 waited, version 3 does and 2 is promoted, and best from now on."""
    with registry.changing():
        one, two, three = (DatedModel(version.training_date, MODEL, version.version) for version in registry.versions())
        before = Succession(one, one, (two,))
        judged = (Judged(three, Decision("wait", "too little")), Judged(two, Decision("promote", "not worse", True)))
        current = registry.aliased(CHAMPION)
        if current is not None and current.version == 2:  # done before the crash, and finished since
            before, judged = Succession(two, two, ()), judged[:1]
            carry_out_verdicts(registry, before, before, judged)
        else:
            carry_out_verdicts(registry, before, Succession(two, two, (three,)), judged)


def state(registry: ModelRegistry) -> object:
    standing = registry.standing()
    best = registry.best()
    return (
        dict(standing.aliases),
        [(change.number, change.who, tell_change(change), change.why) for change in standing.changes],
        standing.unfinished,
        best.version if best else None,
        [(one.version, one.verdict, one.reason, one.was_champion, one.barred) for one in registry.versions()],
        [registry._client.get_model_version(MODEL_NAME, str(one.version)).description for one in registry.versions()],
    )


def test_every_change_is_told_in_order_with_when_from_to_who_and_why(registry: ModelRegistry) -> None:
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    promote(registry, 1, "the first")
    judge(registry)
    with registry.changing():
        registry.change("person", "no more", {}, bars=1)
        registry.change("person", "for good", {}, pins=True)
    assert told(registry) == [
        ("person", "champion none to 1", "the first"),
        ("gate", "champion 1 to 2, previous none to 1, challenger none to 3", "not worse"),
        ("person", "version 1 barred", "no more"),
        ("person", "pinned", "for good"),
    ]
    standing = registry.standing()
    assert [change.number for change in standing.changes] == [1, 2, 3, 4]
    times = [change.at for change in standing.changes]
    assert times == sorted(times)
    assert started <= times[0] <= datetime.now(timezone.utc).isoformat(timespec="seconds")
    assert standing.pin is not None
    assert standing.pin.why == "for good"
    assert registry.versions()[0].barred == "no more"


def test_what_changes_nothing_is_not_written(registry: ModelRegistry) -> None:
    promote(registry, 1)
    with registry.changing():
        assert registry.change("gate", "again", {CHAMPION: 1}) is None
        version = registry.versions()[0]
        assert registry.carry_out(version, registry.aliased(CHAMPION), promote=False) is None
    assert len(told(registry)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("decide", [judge, lambda registry: promote(registry, 3, "a reason")], ids=["gate", "person"])
def test_a_crash_after_any_call_is_repaired_by_whoever_comes_next(
    settings: Settings, registry: ModelRegistry, decide: Decide
) -> None:
    promote(registry, 1, "the first")
    client = MlflowClient(settings.tracking_uri)
    counting = ModelRegistry(settings)
    counting.__dict__["_client"] = CrashingClient(client)
    start = dict(registry.standing().aliases)

    def restore() -> None:
        for alias in registry.standing().aliases:
            client.delete_registered_model_alias(MODEL_NAME, alias)
        for alias, version in start.items():
            client.set_registered_model_alias(MODEL_NAME, alias, str(version))
        for key in [key for key in client.get_registered_model(MODEL_NAME).tags if key > "change.000002"]:
            client.delete_registered_model_tag(MODEL_NAME, key)
        first = registry.standing().changes[0]
        client.set_registered_model_tag(MODEL_NAME, "changes_carried_out", first.key)
        client.set_registered_model_tag(MODEL_NAME, "best_version", "1")
        for version in ("2", "3"):
            for tag in ("promoted", "gate_verdict", "gate_reason"):
                client.set_model_version_tag(MODEL_NAME, version, tag, "x")
                client.delete_model_version_tag(MODEL_NAME, version, tag)

    decide(counting)
    calls = counting.__dict__["_client"].calls
    expected = state(registry)
    assert len(calls) > 10
    for crash_after in range(1, len(calls) + 1):
        restore()
        crashing = ModelRegistry(settings)
        crashing.__dict__["_client"] = CrashingClient(client, crash_after)
        with pytest.raises(Crash):
            decide(crashing)
        decide(ModelRegistry(settings))
        assert state(registry) == expected, f"after call {crash_after}, {calls[crash_after - 1]}"


def test_an_intent_alone_is_told_as_unfinished_and_finished_by_the_next(
    settings: Settings, registry: ModelRegistry
) -> None:
    promote(registry, 1)
    client = MlflowClient(settings.tracking_uri)
    crashing = ModelRegistry(settings)
    crashing.__dict__["_client"] = CrashingClient(client, 2)  # read, write the intent
    with pytest.raises(Crash):
        crashing.change("person", "because", {PREVIOUS: 1, CHAMPION: 3})
    standing = registry.standing()
    assert standing.unfinished is not None
    assert (standing.aliases[CHAMPION], standing.unfinished.why) == (1, "because")
    with registry.changing():
        pass
    standing = registry.standing()
    assert standing.unfinished is None
    assert dict(standing.aliases) == {CHAMPION: 3, PREVIOUS: 1}
    assert len(standing.changes) == 2


def test_what_was_moved_in_mlflow_itself_is_written_down_and_stays(registry: ModelRegistry) -> None:
    registry.point(CHAMPION, 2)  # of before there was a history
    with registry.changing():
        pass
    registry._client.delete_model_version(MODEL_NAME, "2")
    promote(registry, 3)
    assert [(who, what) for who, what, _ in told(registry)] == [
        ("outside", "champion none to 2"),
        ("outside", "champion 2 to none"),
        ("person", "champion none to 3"),
    ]


def test_a_version_that_was_deleted_between_the_crash_and_the_repair_does_not_stand_in_the_way(
    settings: Settings, registry: ModelRegistry
) -> None:
    promote(registry, 1)
    crashing = ModelRegistry(settings)
    crashing.__dict__["_client"] = CrashingClient(MlflowClient(settings.tracking_uri), 2)
    with pytest.raises(Crash):
        crashing.change("person", "because", {PREVIOUS: 1, CHAMPION: 3})
    registry._client.delete_model_version(MODEL_NAME, "3")
    promote(registry, 2)
    assert registry.standing().aliases[CHAMPION] == 2
    assert [what for _, what, _ in told(registry)] == [
        "champion none to 1",
        "champion 1 to 3, previous none to 1",
        "champion 3 to 1",
        "champion 1 to 2",
    ]


def test_of_two_who_write_one_number_the_second_is_told_to_try_again(registry: ModelRegistry) -> None:
    promote(registry, 1)
    history = AliasHistory(registry._client, MODEL_NAME)
    seen = history.read()
    history.make(seen, Change("person", "mine", (AliasMove(CHAMPION, 1, 2),)))
    with pytest.raises(TrackingError, match="somebody else changed the aliases"):
        history.make(seen, Change("person", "yours", (AliasMove(CHAMPION, 1, 3),)))
    assert [why for _, _, why in told(registry)] == ["", "mine"]
    assert registry.standing().aliases[CHAMPION] == 2


def test_a_gate_reads_the_history_before_and_after_it_writes_and_not_for_each_call(
    registry: ModelRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(registry, 1)
    read = SqlAlchemyStore.get_registered_model
    reads: list[str] = []

    def note(store: SqlAlchemyStore, name: str) -> object:
        reads.append(name)
        return read(store, name)

    monkeypatch.setattr(SqlAlchemyStore, "get_registered_model", note)
    judge(registry)
    assert len(reads) == 2, "what stands, and whether somebody else wrote the same number"
    monkeypatch.undo()
    assert [what for _, what, _ in told(registry)][-1] == "champion 1 to 2, previous none to 1, challenger none to 3"


def test_tags_of_other_people_are_left_alone(registry: ModelRegistry) -> None:
    for name in ("change.log", "change.of.heart", "changes"):
        registry._client.set_registered_model_tag(MODEL_NAME, name, "not ours")
    promote(registry, 1)
    assert [what for _, what, _ in told(registry)] == ["champion none to 1"]


def test_a_long_reason_is_cut_and_fits_a_tag_of_any_database(registry: ModelRegistry) -> None:
    with registry.changing():
        registry.change("person", '"\u00e9' * 3000, {CHAMPION: 1, PREVIOUS: 2, CHALLENGER: 3}, pins=True, best=1)
    tags = registry._client.get_registered_model(MODEL_NAME).tags
    (value,) = (value for key, value in tags.items() if key.startswith("change."))
    assert len(value) < 5000
    assert len(registry.standing().changes[0].why) == 1000


def make_change(number: int, at: str, after: int | None) -> Change:
    return Change("gate", f"reason {number}", (AliasMove(CHAMPION, None, after),), number=number, at=at)


def test_who_served_on_a_day_is_told_by_the_clock() -> None:
    changes = [
        make_change(1, "2024-03-01T10:00:00+00:00", 1),
        Change("gate", "a challenger", (AliasMove(CHALLENGER, None, 9),), number=2, at="2024-03-02T10:00:00+00:00"),
        make_change(3, "2024-03-03T10:00:00+00:00", 2),
        make_change(4, "2024-03-03T11:00:00+00:00", 3),
        make_change(5, "2024-03-05T11:00:00+00:00", None),
    ]
    served = {
        day: [service.version for service in find_services_on(changes, f"2024-03-{day}")]
        for day in ("01", "02", "03", "04", "05", "06")
    }
    assert served == {"01": [1], "02": [1], "03": [1, 2, 3], "04": [3], "05": [3], "06": []}
    assert find_services_on(changes, "2024-02-29") == []
    assert list_services(changes[:1])[0].until is None
