"""Errors of the MLflow store show no secret; what is done in it is done whole."""

import os
import signal
from collections.abc import Callable

import pytest
from dagster._core.errors import DagsterExecutionInterruptedError, raise_execution_interrupts

from spam_assets.registry.store import TrackingError, secret_kept


@pytest.mark.parametrize(
    "uri",
    [
        "https://user:hunter2@example.com",
        "postgresql://u:hunter2@db/x",
        "postgresql://db/x?user=u&password=hunter2",
    ],
)
def test_an_error_that_could_show_a_secret_is_replaced(uri: str) -> None:
    with pytest.raises(TrackingError) as raised, secret_kept(uri, "reading"):
        raise ValueError(f"cannot reach {uri}")
    assert "hunter2" not in str(raised.value.description)
    assert "MLflow failed while reading (ValueError)" in str(raised.value.description)
    assert raised.value.__suppress_context__


def test_an_error_without_a_secret_stays_as_it_is() -> None:
    with pytest.raises(ValueError, match="disk full"), secret_kept("sqlite:///x.db", "reading"):
        raise ValueError("disk full")


def interrupt_in_a_step(tracking_uri: str, then: Callable[[], object], number: signal.Signals = signal.SIGINT) -> None:
    """Do something with the store in a step of Dagster's, and interrupt it before it is done."""
    with raise_execution_interrupts(), secret_kept(tracking_uri, "recording"):
        os.kill(os.getpid(), number)
        then()


@pytest.mark.parametrize("delivered", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_waits_until_what_is_done_in_a_database_is_done_whole(delivered: signal.Signals) -> None:
    done: list[str] = []
    with pytest.raises(DagsterExecutionInterruptedError):
        interrupt_in_a_step("sqlite:///x.db", lambda: done.append("whole"), delivered)
    assert done == ["whole"]


def test_an_interrupt_does_not_wait_for_a_server() -> None:
    done: list[str] = []
    with pytest.raises(DagsterExecutionInterruptedError):
        interrupt_in_a_step("http://127.0.0.1:9", lambda: done.append("whole"))
    assert done == []
