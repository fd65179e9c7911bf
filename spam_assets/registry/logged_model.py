"""What travels with a model, so that plain `mlflow.pyfunc.load_model` works where only its requirements are.

The weights are arrays in one `.npz` file; beside them go the two pure rooms that parse, featurize and score.
"""

import ast
import shutil
import tempfile
import warnings
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import spam_assets
from spam_assets.mail.columns import LABEL, MAIL_COLUMNS, TEXT

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

    from spam_assets.learning.trained_model import TrainedModel

LOADER_MODULE = "spam_assets.learning.serving"
REQUIRED_PACKAGES = ("numba", "numpy", "pandas")
MODEL_FILE = "model.npz"


@cache
def find_version(package: str) -> str:
    """Return the installed version of a package; looking it up reads files."""
    return version(package)


def list_requirements() -> list[str]:
    """Return what scoring needs, in the versions that the model was made with; MLflow adds itself."""
    return [f"{package}=={find_version(package)}" for package in REQUIRED_PACKAGES]


def copy_serving_code(folder: Path) -> Path:
    """Copy the modules that scoring needs below `folder` and return the package's folder."""
    source = Path(spam_assets.__file__).parent
    package = folder / "code" / source.name
    for file in find_serving_files():
        copy = package / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)  # not its mode: a home folder is its owner's alone
    return package


@cache
def find_serving_files() -> tuple[Path, ...]:
    """Return the files of this package that scoring imports; each is an upload for each training date."""
    return find_imported_files(Path(spam_assets.__file__).parent, LOADER_MODULE)


def find_imported_files(package: Path, module: str) -> tuple[Path, ...]:
    """Return the files of a package that one of its modules imports, wherever in a module the import stands.

    Args:
        package: The package's folder. Beside it may be others, as where packages are installed.
        module: The module to begin with, by its full name.
    """
    found: set[Path] = set()
    open_modules = [module]
    while open_modules:
        name = open_modules.pop()
        if name.partition(".")[0] != package.name:
            continue
        place = package.parent.joinpath(*name.split("."))
        file = next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)
        if file is None or file in found:  # a name that is imported from a module is no module
            continue
        found.add(file)
        imports = _ImportFinder()
        imports.visit(ast.parse(file.read_bytes()))
        open_modules += [*imports.modules, name.rpartition(".")[0]]
    return tuple(sorted(found))


class _ImportFinder(ast.NodeVisitor):
    """Collects what a module imports of this package, but for what only a type checker imports."""

    def __init__(self) -> None:
        self.modules: list[str] = []

    def visit_Import(self, node: ast.Import) -> None:
        self.modules += [alias.name for alias in node.names]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        self.modules += [module, *(f"{module}.{alias.name}" for alias in node.names)]

    def visit_If(self, node: ast.If) -> None:
        is_for_types = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for child in node.orelse if is_for_types else (node.test, *node.body, *node.orelse):
            self.visit(child)


def build_signature() -> "ModelSignature":
    """Return the signature: any of the mail columns or `text`, in; probability and decision, out."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    any_type = AnyType()  # type: ignore[no-untyped-call]
    columns = [*(name for name in MAIL_COLUMNS if name != LABEL), TEXT]
    return ModelSignature(
        inputs=Schema([ColSpec(any_type, name, required=False) for name in columns]),
        outputs=Schema([ColSpec("double", "spam_probability"), ColSpec("boolean", "is_spam")]),
    )


def dump_logged_model(model: "TrainedModel") -> bytes:
    """Return a model as the bytes that are logged: who loads it needs no ids of other people's mail, its suspects."""
    from spam_assets.learning.model_files import dump_model

    return dump_model(replace(model, suspects=()))


def log_model(run_id: str, model: "TrainedModel") -> str:
    """Log a model to a training run and return its URI, which resolves faster than `runs:/{run_id}/model`."""
    import mlflow

    with (
        tempfile.TemporaryDirectory() as folder,
        mlflow.start_run(run_id=run_id, log_system_metrics=False),
        warnings.catch_warnings(),
    ):
        # The signature is stated; an example would only be run through the model to infer it once more.
        warnings.filterwarnings("ignore", message=".*An input example was not provided")
        path = Path(folder) / MODEL_FILE
        path.write_bytes(dump_logged_model(model))
        logged = mlflow.pyfunc.log_model(
            name="model",
            loader_module=LOADER_MODULE,
            data_path=str(path),
            code_paths=[str(copy_serving_code(Path(folder)))],
            pip_requirements=list_requirements(),
            signature=build_signature(),
        )
    return str(logged.model_uri)
