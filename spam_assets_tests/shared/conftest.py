"""One PostgreSQL server for all tests of what is shared, and an empty database on it for each."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy

from spam_assets_tests.machines import Machine, be, build_machine
from spam_assets_tests.postgres_server import serve_postgres


@pytest.fixture(scope="package")
def server() -> Iterator[str]:
    with serve_postgres() as url:
        yield url


@pytest.fixture
def database(server: str, request: pytest.FixtureRequest) -> str:
    """The URL of an empty database."""
    name = f"of_{abs(hash(request.node.nodeid))}"
    engine = sqlalchemy.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    return server.rpartition("/")[0] + f"/{name}"


@pytest.fixture
def here(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """The machine that this process is of."""
    machine = build_machine(tmp_path / "here", database)
    be(machine, monkeypatch)
    return machine


@pytest.fixture
def there(tmp_path: Path, database: str) -> Machine:
    """Another machine."""
    return build_machine(tmp_path / "there", database)
