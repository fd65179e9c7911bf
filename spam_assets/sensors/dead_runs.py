"""Runs whose process died: see `spam_assets.engine.life`."""

import dagster as dg

from spam_assets.partitions import SETTINGS
from spam_assets.sensors.described import described


@described(dg.sensor, name="dead_runs", minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def dead_runs_sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Fail runs whose process is gone, after a power cut for instance; nothing else would, and queues wait for them."""
    from spam_assets.engine.life import end_dead_runs

    failed = end_dead_runs(SETTINGS, context.instance)
    if failed:
        from spam_assets.registry.training_runs import end_abandoned_runs

        end_abandoned_runs(SETTINGS, context.instance, again=True)
    return dg.SkipReason(f"failed {', '.join(failed)}: their processes are gone" if failed else "no run is dead")


@described(dg.run_failure_sensor, name="abandoned_mlflow_runs", default_status=dg.DefaultSensorStatus.RUNNING)
def abandoned_mlflow_runs_sensor(context: dg.RunFailureSensorContext) -> None:
    """End the MLflow runs that a run left open: it died, or a full disk kept it from ending them."""
    from spam_assets.registry.training_runs import end_abandoned_runs

    end_abandoned_runs(SETTINGS, context.instance, again=True)
