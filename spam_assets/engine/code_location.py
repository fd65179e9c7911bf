"""The code location: by its name the UI ties runs to the project, also those of the command line."""

import sys

import dagster as dg
from dagster._core.remote_origin import ManagedGrpcPythonEnvCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.storage.tags import CODE_LOCATION_TAG
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

DEFINITIONS = "spam_assets.definitions"
"""The module with the definitions, after which `dagster dev -m` and `workspace.yaml` name the code location as well."""


def build_repository_origin() -> RemoteRepositoryOrigin:
    """Return what runs that the UI launches have as their origin, for runs of the command line."""
    target = LoadableTargetOrigin(executable_path=sys.executable, module_name=DEFINITIONS)
    return RemoteRepositoryOrigin(ManagedGrpcPythonEnvCodeLocationOrigin(target, DEFINITIONS), "__repository__")


def is_ours(run: dg.DagsterRun, own_location: str | None = None) -> bool:
    """Return whether a run is of this project, and not of another one that shares the instance.

    Args:
        run: The run; one that does not say where it is from is taken for ours.
        own_location: How this code location is named, where it is not named as usual.
    """
    location = run.tags.get(CODE_LOCATION_TAG)
    if location is None and run.remote_job_origin is not None:
        location = run.remote_job_origin.location_name
    if location is None or location in (DEFINITIONS, own_location):
        return True
    origin = run.job_code_origin
    return origin is not None and getattr(origin.repository_origin.code_pointer, "module", None) == DEFINITIONS


def name_of_location(context: dg.SensorEvaluationContext) -> str | None:
    """Return how the code location of a sensor is named, where Dagster says so."""
    origin = context.code_location_origin
    return origin.location_name if origin is not None else None
