"""Where processes share locks and notes is what `dagster.yaml` says."""

from pathlib import Path

import pytest

from spam_assets.settings import Settings
from spam_assets.shared.home_files import HomeFiles
from spam_assets.shared.place import find_place, find_postgres_url

URL = "postgresql+psycopg2://user:p%40ss@host:5433/dagster"
PARTS = (
    "{username: user, password: {env: PG_PASSWORD}, hostname: host, db_name: dagster, port: 5433, "
    "scheme: postgresql+psycopg2}"
)


@pytest.mark.parametrize(
    "text",
    [
        f"storage: {{postgres: {{postgres_url: '{URL}'}}}}",
        "storage: {postgres: {postgres_url: {env: PG_URL}}}",
        f"storage: {{postgres: {{postgres_db: {PARTS}}}}}",
        "storage: {custom: {module: dagster_postgres, class: DagsterPostgresStorage, config: "
        f"{{postgres_db: {PARTS}}}}}}}",
        "run_storage: {module: dagster_postgres.run_storage, class: PostgresRunStorage, config: "
        "{postgres_url: {env: PG_URL}}}",
    ],
    ids=["url", "url in the environment", "parts", "custom", "storages one by one"],
)
def test_postgresql_is_found_however_dagster_is_told_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("PG_URL", URL)
    monkeypatch.setenv("PG_PASSWORD", "p@ss")
    (tmp_path / "dagster.yaml").write_text(text)
    assert find_postgres_url(tmp_path) == URL


@pytest.mark.parametrize(
    "text", ["", "# no postgres\n", "storage: {sqlite: {base_dir: postgres}}", "postgres: [", "- postgres"]
)
def test_everything_else_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    (tmp_path / "dagster").mkdir()
    (tmp_path / "dagster" / "dagster.yaml").write_text(text)
    assert find_place(Settings(home=tmp_path)) == HomeFiles(tmp_path / "locks")


def test_a_note_of_the_home_folder_is_read_replaced_listed_and_removed(tmp_path: Path) -> None:
    place = HomeFiles(tmp_path / "locks")
    lock = place.lock("a")
    assert lock.acquire(0)
    assert not place.lock("a").acquire(0)
    lock.release(for_good=True)
    assert list(place.folder.iterdir()) == []
    place.write_note("note-a", "1")
    place.write_note("note-a", "2")
    note = place.read_note("note-a")
    assert note is not None
    assert note.text == "2"
    assert 0 <= note.age_seconds < 60
    assert place.list_notes("note") == ["note-a"]
    place.remove_note("note-a")
    assert place.read_note("note-a") is None
