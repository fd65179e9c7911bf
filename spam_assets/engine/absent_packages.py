"""Packages that libraries try to import again and again, in case somebody has them.

MLflow asks for Databricks' at every request, pandera for GeoPandas at every column that it checks. What is not there is
looked for in every folder of `sys.path` each time: with an MLflow server a twentieth of the work of a day.
"""

import importlib.util
import sys
from typing import Any, cast

ASKED_FOR = ("IPython", "dbruntime", "geopandas")
"""Not pyspark: MLflow and pandera take it for imported when `sys.modules` has its name."""


def note_absent_packages() -> None:
    """Let imports of those that are not installed fail at once, as Python does for a name without a module."""
    modules = cast("dict[str, Any]", sys.modules)
    for name in ASKED_FOR:
        if name not in modules and importlib.util.find_spec(name) is None:
            modules[name] = None
