"""The old place of `engine.sqlite_storage`, which the `dagster.yaml` of older home folders names."""

from spam_assets.engine.sqlite_storage import SharedEngineStorage

__all__ = ["SharedEngineStorage"]
