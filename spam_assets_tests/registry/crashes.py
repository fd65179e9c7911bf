"""A client of MLflow after one of whose calls the process is as good as dead."""

from collections.abc import Callable
from typing import Any


class Crash(BaseException):
    """Nobody catches it, as nobody survives a blow."""


class CrashingClient:
    """Passes every call on to a real client and crashes after so many; counts them."""

    def __init__(self, client: Any, crash_after: int | None = None) -> None:
        self._client = client
        self._crash_after = crash_after
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        def call(*arguments: Any, **options: Any) -> Any:
            if self._crash_after is not None and len(self.calls) >= self._crash_after:
                raise Crash(f"{name}, after the crash")
            answer = method(*arguments, **options)
            self.calls.append(name)
            if len(self.calls) == self._crash_after:
                raise Crash(name)
            return answer

        return call
