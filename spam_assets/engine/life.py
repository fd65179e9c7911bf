"""Runs whose process died without a word.

Dagster notices a dead worker only while the server that started it lives. After a power cut, or when a person kills
`spam-assets backfill`, the run would stay STARTED forever, with its backfill and everything that waits in the queue.
"""

import dagster as dg

from spam_assets.engine.executor import name_of_life
from spam_assets.engine.locks import is_alive
from spam_assets.settings import Settings


def fail_dead_runs(settings: Settings, instance: dg.DagsterInstance) -> list[str]:
    """Mark runs as failed whose process of this machine is gone, and end their MLflow runs; return their ids."""
    filters = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING])
    dead = [run for run in instance.get_runs(filters) if is_alive(settings, name_of_life(run.run_id)) is False]
    for run in dead:
        instance.report_run_failed(run, "The run's process is gone. What it finished is kept; run its days again.")
    if dead:
        from spam_assets.registry.training_runs import end_abandoned_runs

        end_abandoned_runs(settings, instance, again=True)
    return [run.run_id for run in dead]
