"""Dagster's SQLite storage with one SQLAlchemy engine for each database file instead of one for each query.

Dagster builds an engine and opens the file every time it reads or writes a row, and SQLAlchemy then compiles the
statement anew; that is a fifth of the CPU time of a day in a backfill. The files and tables are the same, so a home
folder can go back to Dagster's own storage at any time. `dagster.yaml` of the home folder names
`SharedEngineStorage`; see docs/decisions/sqlite-engines.md.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import sqlalchemy
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData
from filelock import FileLock
from typing_extensions import Self, override

from spam_assets.engine.locks import TRAINING_POOL

BUSY_TIMEOUT_SECONDS = 60
ENGINES = 32
"""Each run has a database of its own: a long-lived daemon keeps the engines of the last ones."""


@lru_cache(maxsize=ENGINES)
def share_engine(url: str) -> sqlalchemy.Engine:
    """Return the engine of a SQLite file; a writer waits for others instead of failing with `database is locked`."""
    engine = sqlalchemy.create_engine(
        url,
        connect_args={"timeout": BUSY_TIMEOUT_SECONDS},
        max_overflow=-1,  # by default the sixteenth thread of a webserver waits, and gives up after half a minute
    )

    @sqlalchemy.event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _record: object) -> None:
        # Dagster's files are in WAL mode, where this loses nothing when a process dies; a power cut may take the last
        # events, but never leaves a damaged file.
        connection.execute("PRAGMA synchronous = NORMAL")

    return engine


@contextmanager
def begin(url: str) -> Iterator[sqlalchemy.Connection]:
    """Open a connection and commit at its end."""
    with share_engine(url).connect() as connection, connection.begin():
        yield connection


class SharedEngineRunStorage(SqliteRunStorage):
    """Runs."""

    @contextmanager
    @override
    def connect(self) -> Iterator[sqlalchemy.Connection]:
        with begin(self._conn_string) as connection:
            yield connection


class SharedEngineScheduleStorage(SqliteScheduleStorage):
    """Ticks of schedules and sensors."""

    @contextmanager
    @override
    def connect(self) -> Iterator[sqlalchemy.Connection]:
        with begin(self._conn_string) as connection:
            yield connection


class SharedEngineEventLogStorage(SqliteEventLogStorage):
    """Events: a file for each run and one index of all asset events."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._found: set[str] = set()
        super().__init__(base_dir, inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sqlalchemy.Connection]:
        if shard not in self._initialized_dbs:
            with super()._connect(shard) as connection:  # creates the file
                yield connection
            return
        with self._db_lock, begin(self.conn_string_for_shard(shard)) as connection:
            yield connection

    # Dagster asks for most events it stores whether the database has been migrated. It does not go back.

    def _find_once(self, what: str, look: Callable[..., bool], *place: Any) -> bool:
        if what not in self._found and look(*place):
            self._found.add(what)
        return what in self._found

    @override
    def has_table(self, table_name: str) -> bool:
        return self._find_once(f"table {table_name}", super().has_table, table_name)

    @override
    def has_secondary_index(self, name: str) -> bool:
        return self._find_once(f"index {name}", super().has_secondary_index, name)

    @override
    def has_asset_key_col(self, column_name: str) -> bool:
        return self._find_once(f"column {column_name}", super().has_asset_key_col, column_name)

    @override
    def _has_asset_key_index_cols_on_connection(self, conn: sqlalchemy.Connection) -> bool:
        return self._find_once("columns", super()._has_asset_key_index_cols_on_connection, conn)

    @override
    def get_concurrency_keys(self) -> set[str]:
        """Return the pools that have a limit, and give the pool of training its default one where it has none.

        Dagster does that too late: in its first look at the queue of a fresh home, all runs of a pool would start.
        """
        pools = super().get_concurrency_keys()
        if TRAINING_POOL not in pools and self.initialize_concurrency_limit_to_default(TRAINING_POOL):
            pools = {*pools, TRAINING_POOL}
        return pools


class SharedEngineStorage(DagsterSqliteStorage):
    """What `dagster.yaml` names."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        # Not the parent's, which opens the three storages that these replace.
        super(DagsterSqliteStorage, self).__init__()  # type: ignore[no-untyped-call]
        self.base_dir = base_dir
        self._inst_data = inst_data
        history = Path(base_dir, "history")
        history.mkdir(parents=True, exist_ok=True)
        # Two processes that create the files at once leave them with two schema versions, and no later one opens them.
        with FileLock(Path(base_dir, "storage.lock")):
            self._run_storage = SharedEngineRunStorage.from_local(str(history))
            self._event_log_storage = SharedEngineEventLogStorage(str(history / "runs"))
            self._schedule_storage = SharedEngineScheduleStorage.from_local(str(Path(base_dir, "schedules")))

    @classmethod
    @override
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        return cls.from_local(inst_data=inst_data, **config_value)
