"""Whether MLflow's registered models, their records and their runs are what they say they are, and belong together."""

from collections.abc import Iterable, Iterator, Mapping

import dagster as dg

from spam_assets.registry.inspection import RegistryInspection, TrainingRun
from spam_assets.registry.model_artifacts import UnreadableModelError
from spam_assets.registry.registered_models import CHAMPION, ModelRegistry, RegisteredVersion
from spam_assets.registry.training_records import Environment, TrainingRecord
from spam_assets.registry.training_runs import RUN_FINISHED, RUN_OPEN
from spam_assets.settings import Settings


def verify_models(
    settings: Settings,
    instance: dg.DagsterInstance,
    faults: list[str],
    notes: list[str],
    read: dict[int, str],
    wanted: int | None,
) -> set[str] | None:
    """Look at every registered version, or at one, and at what belongs to none.

    Args:
        settings: Of the home.
        instance: Its Dagster instance.
        faults: Faults are added here.
        notes: What is no fault is added here.
        read: The data version of each version that was read is added here.
        wanted: The one version to look at; None: all.

    Returns:
        The days that the one version was made from; None where all were looked at.

    Raises:
        ValueError: there is no such version.
    """
    registry, inspection = ModelRegistry(settings), RegistryInspection(settings)
    versions = registry.versions()
    chosen = [version for version in versions if wanted is None or version.version == wanted]
    if wanted is not None and not chosen:
        raise ValueError(f"there is no version {wanted} of spam-classifier; spam-assets models lists them")
    runs = {run.run_id: run for run in inspection.list_runs()}
    unrecorded: list[RegisteredVersion] = []
    days: set[str] = set()
    for version in chosen:
        try:
            record = inspection.read_record(version)
            window = inspection.read_window(version)
        except ValueError as error:
            faults.append(f"the record of version {version.version} is damaged ({error}); {_train_again(version)}")
            record = window = None
        else:
            if record is None:
                unrecorded.append(version)
        days |= set(window or {})
        faults += find_model_faults(version, registry, inspection, record)
        faults += find_record_faults(version, record, window, runs)
        if record is not None and (version.version == wanted or CHAMPION in version.aliases):
            changes = record.environment.find_changed_packages(Environment.read())
            faults += [f"version {version.version} was trained otherwise: {change}" for change in changes]
        read[version.version] = version.data_version
    if unrecorded:
        which = ", ".join(str(version.version) for version in unrecorded)
        notes.append(f"version {which} was trained before trainings were recorded, and cannot be reproduced")
    if wanted is not None:
        return days
    faults += find_orphans(versions, runs.values(), instance)
    faults += [
        f"{folder} belongs to no run and to no model of MLflow; remove it"
        for folder in inspection.find_unknown_folders()
    ]
    return None


def find_model_faults(
    version: RegisteredVersion,
    registry: ModelRegistry,
    inspection: RegistryInspection,
    record: TrainingRecord | None,
) -> Iterator[str]:
    """Yield what is wrong with the files of a registered model."""
    name = f"the champion, version {version.version}," if CHAMPION in version.aliases else f"version {version.version}"
    remedy = "promote another version" if CHAMPION in version.aliases else _train_again(version)
    try:
        registry.load_model(version)
    except UnreadableModelError as error:
        if not error.is_outdated:
            yield f"{name} is not what was registered: {error.why}; {remedy}"
            return
    if record is None:
        return
    found = inspection.hash_files(version)
    for path, recorded in record.files.items():
        if found.get(path) != recorded:
            state = "is missing" if path not in found else "changed"
            yield f"{name} is not what was registered: its file {path} {state}; {remedy}"


def find_record_faults(
    version: RegisteredVersion,
    record: TrainingRecord | None,
    window: Mapping[str, str] | None,
    runs: Mapping[str, TrainingRun],
) -> Iterator[str]:
    """Yield where a version, its record and its run contradict each other."""
    run = runs.get(version.run_id)
    if run is None:
        yield f"version {version.version} has no training run any more; restore it in MLflow, or delete the version"
    elif run.status != RUN_FINISHED:
        yield f"version {version.version} comes from {run.name}, which is {run.status}; {_train_again(version)}"
    if record is None:
        return
    for what, recorded, found in (
        ("training date", record.training_date, version.training_date),
        ("data version", record.data_version, version.data_version),
        ("window", dict(record.window), dict(window or {})),
    ):
        if recorded != found:
            yield f"the record of version {version.version} is not its own: the {what} differs; {_train_again(version)}"


def find_orphans(
    versions: Iterable[RegisteredVersion], runs: Iterable[TrainingRun], instance: dg.DagsterInstance
) -> Iterator[str]:
    """Yield the runs that go on without a Dagster run, and the models that no version holds."""
    registered = {(version.training_date, version.data_version) for version in versions}
    told: set[tuple[str, str]] = set()
    for run in runs:
        which = f"{run.name} (MLflow run {run.run_id})"
        model = (run.training_date, run.data_version)
        if run.status == RUN_OPEN:
            dagster_run = instance.get_run_by_id(run.dagster_run_id)
            if dagster_run is None or dagster_run.is_finished:
                yield f"{which} is still open, and nobody works on it; spam-assets backfill ends it"
        elif run.status == RUN_FINISHED and run.has_model and model not in registered and model not in told:
            told.add(model)
            yield (
                f"{which} trained a model that no version holds; materialize registered_model for {run.training_date}, "
                "or delete the run"
            )


def _train_again(version: RegisteredVersion) -> str:
    return f"spam-assets run --date {version.training_date} trains and registers it again"
