"""What travels with a model, so that plain `mlflow.pyfunc.load_model` works where only its requirements are.

The weights are arrays in one `.npz` file; beside them go the two pure rooms that parse, featurize and score.
"""

import shutil
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import spam_assets
from spam_assets.mail.columns import LABEL, MAIL_COLUMNS, TEXT

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

LOADER_MODULE = "spam_assets.learning.serving"
REQUIRED_PACKAGES = ("numba", "numpy", "pandas")
ROOMS = ("mail", "learning")


@cache
def find_version(package: str) -> str:
    """Return the installed version of a package; looking it up reads files."""
    return version(package)


def list_requirements() -> list[str]:
    """Return what scoring needs, in the versions that the model was made with; MLflow adds itself."""
    return [f"{package}=={find_version(package)}" for package in REQUIRED_PACKAGES]


def copy_serving_code(folder: Path) -> Path:
    """Copy the rooms that scoring needs below `folder` and return the package's folder."""
    source = Path(spam_assets.__file__).parent
    package = folder / "code" / "spam_assets"
    package.mkdir(parents=True)
    shutil.copy(source / "__init__.py", package)
    for room in ROOMS:
        shutil.copytree(source / room, package / room, ignore=shutil.ignore_patterns("__pycache__"))
    return package


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
