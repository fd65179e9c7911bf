"""Runs on workers of several machines that share Dagster's storage in PostgreSQL: which may start, how one is canceled.

With the storage of the home folder all of it does nothing.
"""

import select
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import dagster as dg

from spam_assets.engine.locks import TRAINING_POOL
from spam_assets.engine.tags import (
    COMMAND_TAG,
    MAX_RETRIES_TAG,
    PERSONS_RUN_TAG,
    PRIORITY_TAG,
    RETRIES_OF_A_PERSONS_RUN,
)
from spam_assets.settings import Settings
from spam_assets.shared.agreement import check_agreement, join_others
from spam_assets.shared.place import choose_dagster_home, find_place

POOL_NOTE = f"pool-{TRAINING_POOL}"
SECONDS_BETWEEN_LOOKS = 5.0
LOOKS_BEFORE_AN_INTERRUPT = 2
"""A launcher that reaches the process itself comes first."""


def join(settings: Settings) -> None:
    """Let this process, which loads the project, be one of those that share the storage."""
    place = find_place(settings)
    if not place.is_shared:
        return
    join_others(settings)
    if place.read_note(POOL_NOTE) is None:
        # Dagster gives a pool its default limit too late: in its first look at the queue all runs of the pool start.
        with dg.DagsterInstance.from_config(str(choose_dagster_home(settings)[0])) as instance:
            storage = instance.event_log_storage
            if TRAINING_POOL not in storage.get_concurrency_keys():
                storage.initialize_concurrency_limit_to_default(TRAINING_POOL)
        place.write_note(POOL_NOTE, "has a limit")


def prepare_run(settings: Settings, instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """See that a run may start in this process, and let it be started again when its worker dies.

    Raises:
        dg.Failure: this process does not share what the run is kept in.
        DisagreementError: it has other settings or versions than another one.
    """
    if not find_place(settings).is_shared:
        if type(instance.run_storage).__module__.startswith("dagster_postgres"):
            raise dg.Failure(
                f"the run is kept in PostgreSQL, and {choose_dagster_home(settings)[0] / 'dagster.yaml'}, which this "
                "process reads, names another storage; set DAGSTER_HOME to a folder with the same dagster.yaml on "
                "every machine"
            )
        return
    check_agreement(settings)
    _keep_connections(instance)
    if COMMAND_TAG in run.tags:  # nobody would see it go on
        instance.add_run_tags(run.run_id, {MAX_RETRIES_TAG: "0", PERSONS_RUN_TAG: "true"})
        return
    retries = {} if MAX_RETRIES_TAG in run.tags else RETRIES_OF_A_PERSONS_RUN
    # A retry has the tags of the run that died, and what that began comes before what nobody has begun.
    instance.add_run_tags(run.run_id, {**retries, PRIORITY_TAG: run.tags.get(PRIORITY_TAG, "1")})


def _keep_connections(instance: dg.DagsterInstance) -> None:
    """Let a process that runs days keep its connections to each storage: dagster-postgres makes one for every event.

    And what Dagster asks for nearly every event, whether the database has been migrated, it is asked once.
    """
    from dagster_postgres.utils import create_pg_engine
    from sqlalchemy import event
    from sqlalchemy.pool import NullPool

    storages: tuple[Any, ...] = (instance.run_storage, instance.event_log_storage)
    if not isinstance(instance.run_storage._engine.pool, NullPool):  # type: ignore[attr-defined]  # noqa: SLF001
        return  # an earlier run of this process has seen to it
    for storage in storages:
        storage._engine = create_pg_engine(  # noqa: SLF001 - as its own method for the webserver does
            storage.postgres_url,
            storage._token_provider,  # noqa: SLF001
            isolation_level="AUTOCOMMIT",
            pool_size=2,  # what is asked while an event is stored takes a second one
            max_overflow=10,
        )
        event.listen(storage._engine, "checkout", _refuse_closed)  # noqa: SLF001
    events = storages[-1]
    events.has_table, events.has_asset_key_col = cache(events.has_table), cache(events.has_asset_key_col)


def _refuse_closed(connection: Any, *_: object) -> None:
    """Let the pool connect anew where the server has gone, or was started again, since a connection was used last.

    It says so when it goes, and nothing else unasked. To look for that costs nothing; to ask the server, as the pool's
    own ping does, cost a fifteenth of the work of a day of mail.
    """
    from sqlalchemy.exc import DisconnectionError

    said = select.poll()  # `select.select` takes no file whose number is above 1023
    if not connection.closed:
        said.register(connection, select.POLLIN)
    if connection.closed or said.poll(0):
        raise DisconnectionError


@contextmanager
def watching_for_cancel(settings: Settings, instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Interrupt the block when the run is canceled or given up for dead: another machine cannot send a signal."""
    is_main = threading.current_thread() is threading.main_thread()  # signals come there only
    if not find_place(settings).is_shared or not is_main:
        yield
        return
    is_over = threading.Event()
    main_thread = threading.get_ident()

    def watch() -> None:
        looks = 0
        while not is_over.wait(SECONDS_BETWEEN_LOOKS):
            with suppress(Exception):  # the database is away; the next look may find it
                run = instance.get_run_by_id(run_id)
                is_over_elsewhere = run is not None and (run.is_finished or run.status == dg.DagsterRunStatus.CANCELING)
                looks += is_over_elsewhere
            if looks == LOOKS_BEFORE_AN_INTERRUPT and not is_over.is_set():
                signal.pthread_kill(main_thread, signal.SIGINT)
                return

    watcher = threading.Thread(target=watch, name=f"watches {run_id}", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()
