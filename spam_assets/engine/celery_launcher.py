"""Runs as Celery tasks: what `dagster.yaml` names as `run_launcher` where workers of several machines run them."""

from dagster_celery.launcher import CeleryRunLauncher
from typing_extensions import override


class CancelingCeleryRunLauncher(CeleryRunLauncher):  # type: ignore[misc, unused-ignore]
    """dagster-celery's launcher, whose runs are canceled and not failed when a person cancels them.

    dagster-celery revokes the task and notes nothing: its worker, if the signal reaches it, takes that for a machine
    that goes down, and the run is started again.
    """

    @override
    def terminate(self, run_id: str) -> bool:
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        return bool(super().terminate(run_id))
