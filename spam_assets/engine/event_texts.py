"""Texts in Dagster's event log that a person wants gone: what an event says of mail outlives the mail.

Dagster deletes whole runs only, and with them the record of what is complete. Here events stay, and the texts in them
are replaced.
"""

import json
import re
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, AssetKeyTable, SqlEventLogStorageTable

FORGOTTEN = "(forgotten)"
TEXT_KEYS = frozenset({"md_str", "text", "description", "message", "user_message"})
"""Of serialized events: what people read. Keys, partitions and tags are no text."""


def erase_texts(instance: dg.DagsterInstance, texts: Sequence[str], day: str, labels: Collection[str]) -> int:
    """Replace texts wherever an event says them, and all metadata of some names in the events of a day.

    Args:
        instance: whose event log.
        texts: for instance an id, in all the ways in which it is shown.
        day: a partition.
        labels: names of metadata that show mail of the day, such as a preview.

    Returns:
        How many stored events were changed.
    """
    storage: Any = instance.event_log_storage
    pattern = re.compile("|".join(rf"(?<!\w){re.escape(text)}(?!\w)" for text in sorted(texts, key=len, reverse=True)))

    def erase(event: str, *, is_of_run: bool = False) -> str:
        is_of_the_day = f'"partition": "{day}"' in event or (is_of_run and '"partition": "' not in event)
        if not is_of_the_day and not pattern.search(json.dumps(json.loads(event), ensure_ascii=False)):
            return event
        return json.dumps(_erase(json.loads(event), pattern, labels if is_of_the_day else ()))

    changed = 0
    with storage.index_connection() as connection:
        of_the_day = sqlalchemy.select(SqlEventLogStorageTable.c.run_id).where(
            SqlEventLogStorageTable.c.partition == day
        )
        runs_of_the_day = set(connection.execute(of_the_day).scalars())
        changed += _rewrite(connection, SqlEventLogStorageTable.c.event, SqlEventLogStorageTable.c.id, erase)
        changed += _rewrite(connection, AssetKeyTable.c.last_materialization, AssetKeyTable.c.id, erase)
        changed += _rewrite(
            connection, AssetCheckExecutionsTable.c.evaluation_event, AssetCheckExecutionsTable.c.id, erase
        )
    if isinstance(storage, SqliteEventLogStorage):  # each run has a database of its own
        for run_id in instance.get_run_ids():
            # Outputs of steps repeat what is said of the day, and say no partition.
            change = partial(erase, is_of_run=run_id in runs_of_the_day)
            with storage.run_connection(run_id) as connection:
                changed += _rewrite(connection, SqlEventLogStorageTable.c.event, SqlEventLogStorageTable.c.id, change)
    return changed


def _rewrite(connection: Any, column: Any, key: Any, change: Callable[[str], str]) -> int:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete = ON")  # what is replaced is overwritten with zeros
    rows = connection.execute(sqlalchemy.select(key, column).where(column.is_not(None))).all()
    changed = [(number, after) for number, before in rows if (after := change(before)) != before]
    for number, after in changed:
        connection.execute(column.table.update().where(key == number).values({column: after}))
    return len(changed)


def _erase(node: Any, pattern: "re.Pattern[str]", labels: Collection[str]) -> Any:
    if isinstance(node, list):
        return [_erase(child, pattern, labels) for child in node]
    if not isinstance(node, dict):
        return node
    if node.get("label") in labels and isinstance(node.get("entry_data"), dict):
        entry = {name: FORGOTTEN if name in TEXT_KEYS else value for name, value in node["entry_data"].items()}
        return {**node, "entry_data": entry}
    return {
        name: pattern.sub(FORGOTTEN, value) if name in TEXT_KEYS and isinstance(value, str)
        else _erase(value, pattern, labels)
        for name, value in node.items()
    }  # fmt: skip


def compact_databases(dagster_home: Path) -> Iterator[str]:
    """Write the SQLite files of the event log anew, for what was deleted earlier stays in their free pages.

    Yields:
        A sentence for each file that was in use and stays as it is.
    """
    for path in sorted((dagster_home / "history").rglob("*.db")):
        trouble = _compact(path)
        if trouble is not None:
            yield (
                f"{path} is in use and may hold deleted text in free pages ({trouble}); stop Dagster and repeat this "
                "command"
            )


def _compact(path: Path) -> str | None:
    try:
        with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as database:
            for statement in ("PRAGMA wal_checkpoint(TRUNCATE)", "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
                database.execute(statement)
    except sqlite3.OperationalError as error:
        return str(error)
    return None
