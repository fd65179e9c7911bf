"""Faults that pass by themselves: a network, a busy server, a locked database. Steps that meet one are tried again.

Not Dagster's `RetryPolicy`: it repeats whatever fails, bad mail and mistakes in code as well, and takes a cancel for a
failure that is to be repeated.
"""

import functools
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg

PAUSE_SECONDS = (1.0, 2.0, 4.0)
"""Before each further try of a step. Dagster waits them out even when a run is canceled, so they are short."""
_BUSY = re.compile(r"(?i)locked|busy|deadlock|connection|could not connect|timed out|timeout")
_NAMES_OF_NETWORK_ERRORS = re.compile(r"Connect|Timeout|TimedOut|Disconnected|IncompleteRead|ProtocolError|Throttl")
"""Network libraries have no class in common; their classes say what they are for."""
_TOO_MANY_REQUESTS = 429
_SERVER_ERRORS = range(500, 600)


def is_transient(error: BaseException | None) -> bool:
    """Return whether an error, or one that it comes from, is a fault that passes by itself.

    Errors of ours that are such faults have an attribute `passes_by_itself`.
    """
    while error is not None:
        if getattr(error, "passes_by_itself", False):
            return True
        if isinstance(error, (ConnectionError, TimeoutError)) or _is_answer_of_a_busy_server(error):
            return True
        if any(_NAMES_OF_NETWORK_ERRORS.search(cls.__name__) for cls in type(error).__mro__):
            return True
        is_of_database = isinstance(error, sqlite3.OperationalError) or "OperationalError" in str(error)
        if is_of_database and _BUSY.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _is_answer_of_a_busy_server(error: BaseException) -> bool:
    """Return whether an error is an HTTP 429 or 5xx, as MLflow, requests, aiohttp and botocore tell it."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        response = response.get("ResponseMetadata", {})
        status = response.get("HTTPStatusCode")
    else:
        status = getattr(response, "status_code", getattr(error, "status", None))
    if (ask := getattr(error, "get_http_status_code", None)) is not None:
        status = ask()
    return status == _TOO_MANY_REQUESTS or status in _SERVER_ERRORS


def build_retry(tries: int) -> dg.RetryRequested:
    """Return what lets Dagster repeat a step after a pause, the longer the more it was tried before."""
    pause = PAUSE_SECONDS[min(tries, len(PAUSE_SECONDS) - 1)]
    return dg.RetryRequested(max_retries=len(PAUSE_SECONDS), seconds_to_wait=pause)


def retry_transient_faults(function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """Let Dagster repeat the step of an asset or a check whose body meets a transient fault."""

    @functools.wraps(function)
    def body(context: Any, *inputs: Any, **named_inputs: Any) -> Iterator[Any]:
        try:
            yield from function(context, *inputs, **named_inputs)
        except Exception as error:
            if not is_transient(error):
                raise
            raise build_retry(context.op_execution_context.retry_number) from error

    return body


@contextmanager
def retrying_storage(context: dg.InputContext | dg.OutputContext) -> Iterator[None]:
    """Let Dagster repeat the step whose IO manager meets a transient fault."""
    try:
        yield
    except Exception as error:
        if not is_transient(error):
            raise
        raise build_retry(context.step_context.previous_attempt_count) from error


def is_given_up(event: dg.DagsterEvent) -> bool:
    """Return whether an event says that a step failed of a transient fault, after all tries that it had."""
    if event.event_type != dg.DagsterEventType.STEP_FAILURE:
        return False
    error = event.step_failure_data.error
    return error is not None and error.cls_name == dg.RetryRequested.__name__
