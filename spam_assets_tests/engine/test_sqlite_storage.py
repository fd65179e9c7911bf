"""Dagster's SQLite files, used by many threads of a server at once."""

from contextlib import ExitStack
from pathlib import Path

import sqlalchemy

from spam_assets.engine.sqlite_storage import begin, share_engine


def test_more_requests_at_once_than_a_default_pool_has_connections_do_not_wait_for_each_other(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    with ExitStack() as stack:
        connections = [stack.enter_context(begin(url)) for _ in range(40)]  # the default gives up at the sixteenth
        answers = [connection.execute(sqlalchemy.text("SELECT 1")).scalar() for connection in connections]
    assert answers == 40 * [1]
    assert share_engine(url) is share_engine(url)
