"""Sensors and schedules are described in the UI by their docstrings, as assets are."""

import inspect
from collections.abc import Callable
from typing import Any


def described(decorator: Callable[..., Any], **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return one of Dagster's decorators with these options and the docstring's first paragraph as description."""

    def decorate(function: Callable[..., Any]) -> Any:
        first_paragraph = (inspect.getdoc(function) or "").split("\n\n")[0]
        return decorator(description=" ".join(first_paragraph.split()), **options)(function)

    return decorate
