"""A run that a person cancels in the UI is canceled where Celery's workers run it, and not failed and tried again."""

from pathlib import Path

import dagster as dg
import yaml

from spam_assets.engine.instance import SECTIONS

LAUNCHER = """
run_launcher:
  module: spam_assets.engine.celery_launcher
  class: CancelingCeleryRunLauncher
  config:
    broker: memory://
    backend: cache+memory://
"""


def test_a_run_is_marked_as_being_canceled_before_its_task_is_revoked(tmp_path: Path) -> None:
    configuration = yaml.safe_load(SECTIONS + LAUNCHER)
    configuration["storage"]["custom"]["config"]["base_dir"] = str(tmp_path)

    @dg.job
    def job() -> None: ...

    with dg.instance_for_test(temp_dir=str(tmp_path), overrides=configuration) as instance:
        run = instance.create_run_for_job(job, tags={"dagster-celery/task_id": "1"})
        instance.report_dagster_event(dg.DagsterEvent("PIPELINE_START", "job"), run.run_id)
        assert instance.run_launcher.terminate(run.run_id)
        found = instance.get_run_by_id(run.run_id)
        assert found is not None
        assert found.status == dg.DagsterRunStatus.CANCELING
        instance.report_run_canceled(found)
        assert not instance.run_launcher.terminate(run.run_id)
