"""What `dagster.yaml` says where several machines share an instance: PostgreSQL, Celery, and no secret.

`spam-assets init` writes it. URLs stay in the environment, by the names of the settings that hold them.
"""

import hashlib
import importlib
import tempfile
from collections.abc import Mapping
from pathlib import Path

import yaml
from dagster._config import resolve_to_config_type, validate_config
from dagster._core.errors import DagsterInvalidConfigError
from dagster._core.instance.ref import InstanceRef
from dagster._serdes import ConfigurableClassData

POSTGRES_URL = "SPAM_ASSETS_POSTGRES_URL"
CELERY_URL = "SPAM_ASSETS_CELERY_URL"
RESULTS_URL = "SPAM_ASSETS_CELERY_RESULTS_URL"
QUEUE = "dagster"
"""Of Celery: the queue that runs go to."""
_SEAL = "# Written by spam-assets init; after an upgrade run it again. Changed by hand it is yours. Seal "

_STORAGE = """\
telemetry:
  enabled: false

# Runs, events and queues of all machines.
storage:
  postgres:
    postgres_url:
      env: SPAM_ASSETS_POSTGRES_URL

# stdout and stderr of steps are not captured: everything the assets say is in the event log.
compute_logs:
  module: dagster._core.storage.noop_compute_log_manager
  class: NoOpComputeLogManager
"""
_LAUNCHER = """
# A whole run is one task of Celery, so the days of a run stay in one process.
run_launcher:
  module: spam_assets.engine.celery_launcher
  class: CancelingCeleryRunLauncher
  config:
    broker:
      env: SPAM_ASSETS_CELERY_URL
    backend:
      env: {results}
    default_queue: {queue}
    config_source:
"""
_RUNS = """
# Runs that train wait for each other (they are in the pool "training"). No more runs are started than the workers have
# room for: one that waits in Celery's queue for longer than start_timeout_seconds is failed.
concurrency:
  pools:
    granularity: run
    default_limit: 1
  runs:
    max_concurrent_runs: {runs}

# A run that never came up is failed after ten minutes, one that is to be canceled and does not say so after three. What
# a dead run held of a pool is free again a minute after its end.
run_monitoring:
  enabled: true
  start_timeout_seconds: 600
  cancel_timeout_seconds: 180
  max_resume_run_attempts: 0
  poll_interval_seconds: 30
  free_slots_after_run_end_seconds: 60

# A run whose worker died is started again, wherever there is room. What failed in a step, as a bad day does, is not.
run_retries:
  enabled: true
  max_retries: 2
  retry_on_asset_or_op_failure: false

# The UI shows whether mail still comes in every day.
freshness:
  enabled: true

python_logs:
  python_log_level: INFO
"""
_CELERY_OF_ALL = {
    # Without it a run that waits looks like one that works, and monitoring fails a run that works.
    "task_track_started": True,
    # Seconds. By default a result is forgotten after a day, and with it that a longer run still works.
    "result_expires": 7 * 86400,
    "broker_connection_retry_on_startup": True,
}
IMPORTED_BY_WORKERS = ["spam_assets.worker_imports"]
_CELERY_OF_WORKERS = {
    **_CELERY_OF_ALL,
    "worker_concurrency": 1,
    # A run that a busy worker had reserved would wait although another worker has nothing to do.
    "worker_disable_prefetch": True,
    # Each run has a process of its own, as without Celery: what it held of memory goes with it.
    "worker_max_tasks_per_child": 1,
    "imports": IMPORTED_BY_WORKERS,
}
_CELERY_HEAD = """\
# For the workers: dagster-celery worker start -A dagster_celery.app -y THIS_FILE -q {queue}
# worker_concurrency is how many runs a worker does at once; over all workers dagster.yaml's max_concurrent_runs.
# Leave task_acks_late off: Redis would hand a run that takes longer than an hour to a second worker.
execution:
  config:
    broker:
      env: SPAM_ASSETS_CELERY_URL
    backend:
      env: {results}
    config_source:
"""


def write_instance(runs: int, results: str | None) -> str:
    """Return the text of `dagster.yaml`, sealed.

    Args:
        runs: how many runs there may be at once.
        results: the variable with the URL of Celery's result backend; None if runs are started without Celery.
    """
    launcher = ""
    if results is not None:
        launcher = _LAUNCHER.format(results=results, queue=QUEUE) + _indent(_CELERY_OF_ALL)
    return _seal(_STORAGE + launcher + _RUNS.format(runs=runs))


def write_worker_settings(results: str) -> str:
    """Return the text of `celery.yaml`, which `dagster-celery worker start -y` reads, sealed."""
    return _seal(_CELERY_HEAD.format(results=results, queue=QUEUE) + _indent(_CELERY_OF_WORKERS))


def is_written_by_init(text: str) -> bool:
    """Return whether a file is as `spam-assets init` of some version wrote it."""
    return _seal(text.partition("\n")[2]) == text


def check_instance(text: str) -> list[str]:
    """Check a `dagster.yaml` as Dagster does before it opens an instance; nothing is connected to.

    Returns:
        The packages that it needs and that are not installed here, so that their part is unchecked.

    Raises:
        DagsterInvalidConfigError: Dagster, its storage or its launcher does not take the file.
    """
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "dagster.yaml").write_text(text, encoding="utf-8")
        instance = InstanceRef.from_dir(folder)
    parts = (instance.storage_data, instance.run_launcher_data)
    return [package for part in parts if part is not None and (package := _check_part(part)) is not None]


def _check_part(part: ConfigurableClassData) -> str | None:
    try:
        found = getattr(importlib.import_module(part.module_name), part.class_name)
    except ModuleNotFoundError as error:
        return str(error.name).partition(".")[0].replace("_", "-")
    config_type = resolve_to_config_type(found.config_type())
    result = validate_config(config_type, part.config_dict)
    if not result.success:
        said = f"{part.class_name} does not take its part of dagster.yaml."
        raise DagsterInvalidConfigError(said, result.errors, {})  # type: ignore[no-untyped-call]
    return None


def _indent(settings: Mapping[str, object]) -> str:
    return "".join(f"      {line}\n" for line in yaml.safe_dump(settings, sort_keys=False).splitlines())


def _seal(text: str) -> str:
    return f"{_SEAL}{hashlib.sha256(text.encode()).hexdigest()}\n{text}"
