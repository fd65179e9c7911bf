"""What the processes of several machines share: advisory locks and a table in the PostgreSQL database of Dagster.

A lock is a connection of its own, for the server frees it when that ends: at once when a process dies, within a minute
when a machine or the network between goes away. Not through a pooler that hands connections on between statements.
"""

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import dagster as dg
import sqlalchemy
from sqlalchemy.exc import DBAPIError, OperationalError

LOGGER = dg.get_dagster_logger("spam_assets")
SECONDS_BETWEEN_BEATS = 10.0
GRACE_SECONDS = 30.0
"""A living process notices a lost connection and has its locks again within this time, unless the server is away."""
SECONDS_OF_ONE_WAIT = 1.0
"""A wait within the server hears no Ctrl-C and no cancel."""
CLIENT = {
    "connect_timeout": 10,
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 40_000,  # milliseconds
}
"""Of libpq: a server that is gone is noticed."""
SESSION = {
    "tcp_keepalives_idle": "20",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "idle_session_timeout": "0",
    "statement_timeout": "0",
}
"""Of the server, for a connection that holds a lock: a machine that is gone is noticed, one that is quiet is left."""
LOCK_NOT_AVAILABLE = "55P03"
NOTES = sqlalchemy.Table(
    "spam_assets_notes",
    sqlalchemy.MetaData(),
    sqlalchemy.Column("name", sqlalchemy.Text, primary_key=True),
    sqlalchemy.Column("text", sqlalchemy.Text, nullable=False),
    sqlalchemy.Column("written_at", sqlalchemy.DateTime(timezone=True), nullable=False),
)


@dataclass(frozen=True)
class RowNote:
    """A note in a row; its age is by the server's clock."""

    text: str
    age_seconds: float


def open_database(url: str) -> "PostgresDatabase":
    """Return the place in a database, whose table is made first if it must be."""
    return _open_database(url, os.getpid())  # connections are not for a process that was forked


@lru_cache
def _open_database(url: str, _process: int) -> "PostgresDatabase":
    # Statements commit by themselves, and every connection is new: it may be the one that holds a lock.
    engine = sqlalchemy.create_engine(
        url, poolclass=sqlalchemy.NullPool, isolation_level="AUTOCOMMIT", connect_args=CLIENT
    )
    database = PostgresDatabase(engine)
    database.create_table()
    return database


class AdvisoryLock:
    """A lock of the server, held by a connection of its own."""

    def __init__(self, engine: sqlalchemy.Engine, name: str) -> None:
        self._engine = engine
        self._name = name
        digest = hashlib.sha256(f"spam_assets {name}".encode()).digest()
        self._key = int.from_bytes(digest[:8], "big", signed=True)
        self._connection: sqlalchemy.Connection | None = None

    @property
    def where(self) -> str:
        """The lock's name, and that it is none of this machine."""
        return f"{self._name} in PostgreSQL"

    def acquire(self, timeout_seconds: float | None = None) -> bool:
        """See `Lock`."""
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        connection = self._engine.connect()
        is_taken = False
        try:
            _set_up(connection)
            while not is_taken:
                left = SECONDS_OF_ONE_WAIT if deadline is None else deadline - time.monotonic()
                is_taken = self._wait(connection, min(left, SECONDS_OF_ONE_WAIT))
                if not is_taken and deadline is not None and time.monotonic() >= deadline:
                    break
        finally:
            if not is_taken:
                connection.close()
        self._connection = connection if is_taken else None
        return is_taken

    def _wait(self, connection: sqlalchemy.Connection, seconds: float) -> bool:
        key = {"key": self._key}
        if seconds <= 0:
            return bool(connection.scalar(sqlalchemy.text("SELECT pg_try_advisory_lock(:key)"), key))
        connection.execute(sqlalchemy.text(f"SET lock_timeout = {max(1, int(1000 * seconds))}"))
        try:
            connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:key)"), key)
        except OperationalError as error:
            if _read_code(error) != LOCK_NOT_AVAILABLE:
                raise
            return False
        return True

    def beat(self, note: str) -> None:
        """Renew the time of a note on the connection that holds the lock, or take the lock anew if that is gone."""
        renew = sqlalchemy.update(NOTES).where(NOTES.c.name == note).values(written_at=sqlalchemy.func.now())
        with suppress(DBAPIError):
            if self._connection is not None:
                self._connection.execute(renew)
                return
        self._drop()
        with suppress(DBAPIError):  # the server is away; the next beat tries again
            self.acquire(0)  # it may take the server a while to see that the old connection is gone
            with self._engine.connect() as connection:
                connection.execute(renew)

    def release(self, *, for_good: bool = False) -> None:  # noqa: ARG002 - of other places
        """See `Lock`. A lock that was lost in between is told: what it kept from happening may have happened."""
        if self._connection is None:
            return
        try:
            is_held = self._connection.scalar(sqlalchemy.text("SELECT pg_advisory_unlock(:key)"), {"key": self._key})
        except DBAPIError:
            is_held = False
        self._drop()
        if not is_held:
            LOGGER.warning("the connection that held the lock %s was lost before it was released", self.where)

    def _drop(self) -> None:
        if self._connection is not None:
            with suppress(DBAPIError):
                self._connection.close()
        self._connection = None


class PostgresDatabase:
    """Locks and notes in a database."""

    is_shared = True
    grace_seconds = GRACE_SECONDS

    def __init__(self, engine: sqlalchemy.Engine) -> None:
        self._engine = engine

    def create_table(self) -> None:
        """Make the table of notes where there is none, whoever comes first."""
        with self._engine.connect() as connection:
            if connection.dialect.has_table(connection, NOTES.name):
                return
        lock = self.lock("tables")
        lock.acquire()
        try:
            with self._engine.connect() as connection:
                NOTES.create(connection, checkfirst=True)
        finally:
            lock.release()

    def lock(self, name: str) -> AdvisoryLock:
        """See `Place`."""
        return AdvisoryLock(self._engine, name)

    @contextmanager
    def keep(self, lock: AdvisoryLock, note: str) -> Iterator[None]:
        """See `Place`."""
        is_over = threading.Event()

        def beat() -> None:
            while not is_over.wait(SECONDS_BETWEEN_BEATS):
                lock.beat(note)

        keeper = threading.Thread(target=beat, name=f"keeps {note}", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            is_over.set()
            keeper.join()

    def write_note(self, name: str, text: str) -> None:
        """See `Place`."""
        from sqlalchemy.dialects.postgresql import insert

        values: dict[str, Any] = {"text": text, "written_at": sqlalchemy.func.now()}
        written = insert(NOTES).values(name=name, **values)
        with self._engine.connect() as connection:
            connection.execute(written.on_conflict_do_update(index_elements=[NOTES.c.name], set_=values))

    def read_note(self, name: str) -> RowNote | None:
        """See `Place`."""
        age = sqlalchemy.extract("epoch", sqlalchemy.func.now() - NOTES.c.written_at)
        with self._engine.connect() as connection:
            row = connection.execute(sqlalchemy.select(NOTES.c.text, age).where(NOTES.c.name == name)).first()
        return RowNote(str(row[0]), float(row[1])) if row is not None else None

    def remove_note(self, name: str) -> None:
        """See `Place`."""
        with self._engine.connect() as connection:
            connection.execute(sqlalchemy.delete(NOTES).where(NOTES.c.name == name))

    def list_notes(self, beginning: str) -> list[str]:
        """See `Place`."""
        wanted = sqlalchemy.select(NOTES.c.name).where(NOTES.c.name.startswith(beginning, autoescape=True))
        with self._engine.connect() as connection:
            return sorted(connection.execute(wanted).scalars())


def _set_up(connection: sqlalchemy.Connection) -> None:
    """Give a connection the settings of one that holds a lock; a server of an older release lacks some."""
    for name, value in SESSION.items():
        with suppress(DBAPIError):
            connection.exec_driver_sql(f"SET {name} = {value}")


def _read_code(error: DBAPIError) -> str | None:
    """Return the five letters by which PostgreSQL names an error."""
    return getattr(error.orig, "pgcode", None) or getattr(error.orig, "sqlstate", None)
