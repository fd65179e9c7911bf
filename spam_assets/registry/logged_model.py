"""What travels with a model, so that plain `mlflow.pyfunc.load_model` works where only its requirements are.

The model is arrays in one `.npz` file; beside it go, in one archive, the modules of the two pure rooms that parse and
score mail, and of somebody else's estimator the module that its types are of, where that is no installed package.
"""

import ast
import io
import sys
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import spam_assets
from spam_assets.mail.columns import LABEL, MAIL_COLUMNS, TEXT
from spam_assets.registry import model_loader

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

    from spam_assets.learning.trained_model import TrainedModel

LOADER_MODULE = "spam_assets.learning.serving"
ESTIMATOR_LOADER_MODULE = "spam_assets.learning.estimator_serving"
REQUIRED_PACKAGES = ("numba", "numpy", "pandas")
REQUIRED_BY_ESTIMATORS = ("numpy", "pandas", "scikit-learn", "skops")
CLASSIFIER_MODULE = "spam_assets.learning.classifier"
"""The one of ours that compiles."""
BUILT_IN = frozenset(sys.stdlib_module_names)
MODEL_FILE = "model.npz"
CARRIED_LOADER = "spam_model_loader"
"""The name under which `model_loader` travels."""
OWN_PACKAGE = "spam_assets"


@dataclass(frozen=True)
class Luggage:
    """What a model needs beside its file.

    Attributes:
        loader: The module that loads it.
        modules: Modules of ours that travel, with all that they import.
        foreign_code: Files or folders of somebody else's code that travel.
        packages: Packages that must be installed.
    """

    loader: str
    modules: tuple[str, ...]
    foreign_code: tuple[Path, ...]
    packages: tuple[str, ...]


OUR_LUGGAGE = Luggage(LOADER_MODULE, (LOADER_MODULE,), (), REQUIRED_PACKAGES)


def find_luggage(model: "TrainedModel") -> Luggage:
    """Return what a model needs beside its file, by the modules that its types are of."""
    from spam_assets.learning.estimator_model import EstimatorModel

    if not isinstance(model, EstimatorModel):
        return OUR_LUGGAGE
    from spam_assets.learning.stored_estimators import list_modules

    modules = [name for name in sorted(list_modules(model.packed)) if name.partition(".")[0] not in BUILT_IN]
    ours = tuple(name for name in modules if name.partition(".")[0] == OWN_PACKAGE)
    others = sorted({name.partition(".")[0] for name in modules} - {OWN_PACKAGE})
    installed = _find_distributions()
    packages = {*REQUIRED_BY_ESTIMATORS, *(installed[name][0] for name in others if name in installed)}
    if CLASSIFIER_MODULE in ours:
        packages.add("numba")
    places = [find_spec(name) for name in others if name not in installed]
    code = [Path(place.origin) for place in places if place is not None and place.origin is not None]
    return Luggage(
        ESTIMATOR_LOADER_MODULE,
        (ESTIMATOR_LOADER_MODULE, *ours),
        tuple(file.parent if file.name == "__init__.py" else file for file in code),
        tuple(sorted(packages)),
    )


@cache
def find_version(package: str) -> str:
    """Return the installed version of a package; looking it up reads files."""
    return version(package)


@cache
def _find_distributions() -> Mapping[str, list[str]]:
    """Names of installed distributions by what is imported of them; looking them up reads hundreds of files."""
    return packages_distributions()


def list_requirements(luggage: Luggage = OUR_LUGGAGE) -> list[str]:
    """Return what scoring needs, in the versions that the model was made with; MLflow adds itself."""
    return [f"{package}=={find_version(package)}" for package in luggage.packages]


@cache
def pack_serving_code(loader: str, modules: tuple[str, ...]) -> dict[str, bytes]:
    """Return the files of ours that travel, by name: the modules that scoring imports in an archive, and its loader.

    Equal modules give equal bytes.
    """
    package = Path(spam_assets.__file__).parent
    buffer = io.BytesIO()
    with ZipFile(buffer, "w", ZIP_DEFLATED) as archive:
        archive.comment = loader.encode()
        for file in find_imported_files(package, *modules):
            entry = ZipInfo(file.relative_to(package.parent).as_posix())  # without its time, or its mode
            archive.writestr(entry, file.read_bytes(), ZIP_DEFLATED)
    return {
        model_loader.MODULES_FILE: buffer.getvalue(),
        f"{CARRIED_LOADER}.py": Path(model_loader.__file__).read_bytes(),
    }


def copy_serving_code(folder: Path, luggage: Luggage = OUR_LUGGAGE) -> list[str]:
    """Write what travels of ours into a folder and return the paths of the files."""
    for name, content in pack_serving_code(luggage.loader, luggage.modules).items():
        (folder / name).write_bytes(content)
    return [str(folder / name) for name in pack_serving_code(luggage.loader, luggage.modules)]


def find_imported_files(package: Path, *modules: str) -> tuple[Path, ...]:
    """Return the files of a package that some of its modules import, wherever in a module the import stands.

    Args:
        package: The package's folder. Beside it may be others, as where packages are installed.
        modules: The modules to begin with, by their full names.
    """
    found: set[Path] = set()
    open_modules = [*modules]
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
    import mlflow.pyfunc
    from mlflow.models import Model

    luggage = find_luggage(model)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # The signature is stated; an example would only be run through the model to infer it once more.
        warnings.filterwarnings("ignore", message=".*An input example was not provided")
        path = Path(folder) / MODEL_FILE
        path.write_bytes(dump_logged_model(model))
        # What `mlflow.pyfunc.log_model` does with the active run. That would have to be looked up, and ended once more.
        logged = Model.log(
            artifact_path=None,
            name="model",
            flavor=mlflow.pyfunc,
            run_id=run_id,
            loader_module=CARRIED_LOADER,
            data_path=str(path),
            code_paths=[*copy_serving_code(Path(folder), luggage), *map(str, luggage.foreign_code)],
            pip_requirements=list_requirements(luggage),
            signature=build_signature(),
        )
    return str(logged.model_uri)
