"""Where indexes are kept: they come back as they were, and old ones go."""

import os
from pathlib import Path
from uuid import uuid4

import pytest

from spam_assets.landing.errors import LandingError
from spam_assets.landing.index_store import IndexMissing, IndexStore
from spam_assets_tests.landing import NOON, make_index
from spam_assets_tests.s3_server import DISK_AND_S3, make_place


@pytest.fixture(params=["memory", *DISK_AND_S3])
def store(request: pytest.FixtureRequest) -> IndexStore:
    if request.param == "memory":
        return IndexStore(f"memory://indexes-{uuid4()}/a")
    return IndexStore(str(make_place(request.param, request) / "a" / "b"))


def list_names(store: IndexStore) -> list[str]:
    return sorted(path.rpartition("/")[2] for path in store._fs.ls(store._root, detail=False))


def test_an_index_is_loaded_as_it_was_saved(store: IndexStore) -> None:
    fingerprint = store.save(make_index())
    assert fingerprint == make_index().fingerprint()
    assert store.load(fingerprint) == make_index()
    assert list_names(store) == [f"landing-index-{fingerprint}.json"]


def test_an_index_that_is_there_is_not_written_again(tmp_path: Path) -> None:
    store = IndexStore(str(tmp_path))
    path = tmp_path / f"landing-index-{store.save(make_index())}.json"
    os.utime(path, (NOON, NOON))
    store.save(make_index())
    assert path.stat().st_mtime == NOON
    path.write_bytes(b"damaged")
    fingerprint = store.save(make_index())
    assert store.load(fingerprint) == make_index()


def test_a_missing_or_damaged_index_is_told_apart_from_a_folder_that_cannot_be_reached(
    store: IndexStore, tmp_path: Path
) -> None:
    fingerprint = make_index().fingerprint()
    with pytest.raises(IndexMissing, match=f"{fingerprint} is not in .*; build the index anew"):
        store.load(fingerprint)
    for cursor in ("", "../../etc/passwd", "F" * 32, fingerprint + "\n"):
        with pytest.raises(IndexMissing, match="is no fingerprint"):
            store.load(cursor)
    store.save(make_index())
    path = f"{store._root}/landing-index-{fingerprint}.json"
    for content in (b"", make_index().to_bytes()[:-1], make_index(1).to_bytes()):
        store._fs.pipe_file(path, content)
        with pytest.raises(IndexMissing, match="damaged"):
            store.load(fingerprint)

    (tmp_path / "file").write_text("x")
    for url in ("nosuchprotocol://user:secret@host/x", str(tmp_path / "file")):
        for call in (lambda s: s.load(fingerprint), lambda s: s.save(make_index())):
            with pytest.raises(LandingError, match="cannot be used") as caught:
                call(IndexStore(url))
            assert not isinstance(caught.value, IndexMissing)
            assert "secret" not in str(caught.value)


def test_the_newest_three_stay_and_the_one_to_keep_however_old(tmp_path: Path) -> None:
    store = IndexStore(str(tmp_path))
    (tmp_path / "other.json").write_text("x")
    saved: list[str] = []
    for number in range(6):
        saved.append(store.save(make_index(number), keep=saved[0] if saved else ""))
        path = tmp_path / f"landing-index-{saved[-1]}.json"
        os.utime(path, (NOON + number, NOON + number))
    left = {f"landing-index-{saved[number]}.json" for number in (0, 4, 5)}
    assert set(list_names(store)) == {*left, "other.json"}
    store.save(make_index(6))
    left = {f"landing-index-{make_index(number).fingerprint()}.json" for number in (4, 5, 6)}
    assert set(list_names(store)) == {*left, "other.json"}


def test_old_indexes_go_wherever_they_are(store: IndexStore) -> None:
    for number in range(5):
        last = store.save(make_index(number))
    assert len(list_names(store)) == 3
    assert store.load(last) == make_index(4)
