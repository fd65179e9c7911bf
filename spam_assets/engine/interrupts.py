"""Interrupts (Ctrl-C, SIGTERM, a cancel in the UI) held back while something must not be left half done."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def delay_interrupts() -> Iterator[None]:
    """Hold interrupts back to the end of the block, where they are delivered.

    Dagster raises an interrupt wherever a step happens to be. Inside SQLAlchemy that can leave a transaction open,
    which locks the database for the rest of the process. For blocks of seconds at most: nothing else stops them.
    """
    if threading.current_thread() is not threading.main_thread():  # signals come to the main thread only
        yield
        return
    received: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, lambda number, _frame: received.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if received:
            signal.raise_signal(received[0])
