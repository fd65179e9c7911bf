"""A real PostgreSQL server on this machine, for as long as a test needs one."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from benchmarks import machine_servers
from benchmarks.machine_servers import find_free_port as find_free_port
from benchmarks.machine_servers import find_postgres_programs


@contextmanager
def serve_postgres() -> Iterator[str]:
    """Run a PostgreSQL server in a folder of its own and yield the URI of its empty database, password included."""
    if find_postgres_programs() is None:
        pytest.skip("PostgreSQL is not installed here; Debian's package is `postgresql`")
    with machine_servers.serve_postgres() as server:
        yield server.uri()
