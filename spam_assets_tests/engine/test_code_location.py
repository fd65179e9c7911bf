"""Runs belong to the code location by its name, however it is loaded; other projects' runs are not ours."""

import dagster as dg
import pytest
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.remote_origin import ManagedGrpcPythonEnvCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.storage.tags import CODE_LOCATION_TAG
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.load_target import ModuleTarget, PyProjectFileTarget, WorkspaceFileTarget

from spam_assets.engine.code_location import DEFINITIONS, build_repository_origin, is_ours
from spam_assets_tests.conftest import PROJECT


@pytest.mark.parametrize(
    "target",
    [
        ModuleTarget(DEFINITIONS, None, None, None),  # `spam-assets ui`
        WorkspaceFileTarget([str(PROJECT / "workspace.yaml")]),  # `dagster dev` in the checkout
        PyProjectFileTarget(str(PROJECT / "pyproject.toml")),
    ],
    ids=["ui", "workspace", "pyproject"],
)
def test_however_the_definitions_are_loaded_their_location_has_the_name_that_runs_of_the_command_line_carry(
    target: ModuleTarget | WorkspaceFileTarget | PyProjectFileTarget,
) -> None:
    (origin,) = target.create_origins()
    assert build_repository_origin().code_location_origin.location_name == origin.location_name


@dg.job
def job() -> None: ...


def create_run(instance: dg.DagsterInstance, module: str | None, location: str | None) -> dg.DagsterRun:
    """A run as a server launches it that has loaded a module as a code location; without one, as a script does."""
    if location is None or module is None:
        return instance.create_run_for_job(job)
    target = LoadableTargetOrigin(module_name=module)
    origin = RemoteRepositoryOrigin(ManagedGrpcPythonEnvCodeLocationOrigin(target, location), "__repository__")
    repository = ReconstructableRepository.for_module(module, "defs")
    run = instance.create_run_for_job(
        job,
        remote_job_origin=origin.get_job_origin("job"),
        job_code_origin=repository.get_python_origin().get_job_origin("job"),
    )
    assert run.tags[CODE_LOCATION_TAG] == location
    return run


@pytest.mark.parametrize(
    ("module", "location", "expected"),
    [
        (None, None, True),  # it does not say
        (DEFINITIONS, DEFINITIONS, True),
        (DEFINITIONS, "mail", True),
        ("company.all_projects", "platform", True),  # which holds this one as well, and its sensors know
        ("other_project.definitions", "other_project", False),
    ],
)
def test_a_run_is_ours_by_its_location_or_its_module(
    instance: dg.DagsterInstance, module: str | None, location: str | None, expected: bool
) -> None:
    assert is_ours(create_run(instance, module, location), own_location="platform") is expected
