"""The sensors that look after runs whose process died."""

from collections.abc import Callable

import dagster as dg
from mlflow import MlflowClient

from spam_assets.engine.life import name_of_life
from spam_assets.registry.training_runs import RUN_KILLED, RUN_OPEN
from spam_assets.sensors import dead_runs
from spam_assets.settings import Settings
from spam_assets_tests.sensors.ticks import FAILED, end_run, say, start_run, tick


def open_mlflow_run(settings: Settings, run: dg.DagsterRun) -> Callable[[], str]:
    """Open the MLflow run of a Dagster run; returns what tells its status."""
    client = MlflowClient(settings.tracking_uri)
    known = client.get_experiment_by_name(settings.experiment)
    experiment = known.experiment_id if known else client.create_experiment(settings.experiment)
    run_id = client.create_run(experiment, tags={"dagster_run_id": run.run_id}).info.run_id
    return lambda: str(client.get_run(run_id).info.status)


def test_a_run_whose_process_is_gone_is_failed_by_the_sensor(watched: Settings, instance: dg.DagsterInstance) -> None:
    dead, elsewhere = start_run(instance), start_run(instance)
    status = open_mlflow_run(watched, dead)
    (watched.home / "locks").mkdir()
    (watched.home / "locks" / f"{name_of_life(dead.run_id)}.alive").touch()
    result = tick(dead_runs.dead_runs_sensor, instance)
    assert say(result) == f"failed {dead.run_id}: their processes are gone"
    assert status() == RUN_KILLED
    found = instance.get_run_by_id(elsewhere.run_id)
    assert found is not None
    assert found.status == dg.DagsterRunStatus.STARTED
    assert say(tick(dead_runs.dead_runs_sensor, instance)) == "no run is dead"


def test_the_mlflow_run_of_a_run_that_died_is_ended(watched: Settings, instance: dg.DagsterInstance) -> None:
    died, goes_on = start_run(instance), start_run(instance)
    statuses = [open_mlflow_run(watched, run) for run in (died, goes_on)]
    died = end_run(instance, died, FAILED)
    (entry,) = instance.all_logs(died.run_id, of_type=FAILED)
    assert entry.dagster_event is not None
    context = dg.build_run_status_sensor_context(
        sensor_name="abandoned_mlflow_runs",
        dagster_event=entry.dagster_event,
        dagster_run=died,
        dagster_instance=instance,
    ).for_run_failure()
    dead_runs.abandoned_mlflow_runs_sensor(context)
    assert [status() for status in statuses] == [RUN_KILLED, RUN_OPEN]
