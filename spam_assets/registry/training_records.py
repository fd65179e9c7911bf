"""The record of a training: all that a model was made from and with.

By it a model can be made again, or it can be named what is not as it was. It is a file of the MLflow run,
`record.json`. What may differ without changing a model (the machine, how long it took) is told as well, and is never
held against anybody.
"""

import hashlib
import json
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import spam_assets
from spam_assets.learning.code_versions import FEATURES_VERSION, MODEL_VERSION
from spam_assets.registry.logged_model import (
    MODEL_FILE,
    dump_logged_model,
    find_luggage,
    find_version,
    pack_serving_code,
)

if TYPE_CHECKING:
    from spam_assets.learning.trained_model import TrainedModel
    from spam_assets.learning.training import TrainingSettings

RECORD_FILE = "record.json"
WINDOW_FILE = "window.json"
RECORDED_PACKAGES = (
    "dagster", "llvmlite", "mlflow", "numba", "numpy", "pandas", "pyarrow", "scikit-learn", "scipy", "skops",
    "spam-assets",
)  # fmt: skip
OWN_PACKAGE = "spam-assets"
"""Told, but not compared: its code is, by `Environment.code`."""


@dataclass(frozen=True)
class Environment:
    """What ran the code.

    Attributes:
        python: Its version.
        packages: Versions of installed packages by name.
        features_version: See `learning.code_versions`.
        model_version: See `learning.code_versions`.
        code: SHA-256 of the modules of `mail` and `learning`, hexadecimal.
        platform: Operating system and its version.
        processor: Its name, as far as the system tells.
        processors: How many there are.
        memory_bytes: Memory of the machine; 0 where the system does not tell.
    """

    python: str
    packages: Mapping[str, str]
    features_version: str
    model_version: str
    code: str
    platform: str
    processor: str
    processors: int
    memory_bytes: int

    @classmethod
    def read(cls) -> "Environment":
        """Return the environment of this process."""
        return cls(
            python=platform.python_version(),
            packages={package: find_version(package) for package in RECORDED_PACKAGES},
            features_version=FEATURES_VERSION,
            model_version=MODEL_VERSION,
            code=digest_code(),
            platform=platform.platform(),
            processor=_find_processor(),
            processors=os.cpu_count() or 0,
            memory_bytes=_measure_memory(),
        )

    def find_changed_packages(self, now: "Environment") -> Iterator[str]:
        """Yield a sentence for Python and for each package that is another one now."""
        if self.python != now.python:
            yield f"Python is {now.python} here, it was {self.python}"
        for name in sorted({*self.packages, *now.packages} - {OWN_PACKAGE}):
            before, here = self.packages.get(name), now.packages.get(name)
            if before is not None and before != here:
                yield f"package {name} is {here} here, it was {before}; pip install {name}=={before}"

    def find_changed_code(self, now: "Environment") -> Iterator[str]:
        """Yield a sentence for each version of the code that is another one now."""
        if self.features_version != now.features_version:
            yield f"this code makes version {now.features_version} of the features, it was {self.features_version}"
        if self.model_version != now.model_version:
            yield f"this code trains by version {now.model_version} of the method, it was {self.model_version}"
        if self.code != now.code:
            was, here = self.packages.get(OWN_PACKAGE, "unknown"), now.packages.get(OWN_PACKAGE, "unknown")
            yield f"the code of mail and learning is not what it was (spam-assets {was} then, {here} here)"


@dataclass(frozen=True)
class TrainingRecord:
    """What a model was made from and with.

    Attributes:
        training_date: The date it was trained for.
        data_version: Its fingerprint.
        settings: `learning.training.TrainingSettings` as JSON knows them.
        window: The days that it read, each with the data version of its features.
        storage: Where these were stored, without credentials.
        environment: What ran the code.
        seconds: How long training and logging took.
        files: SHA-256 of files of the logged model by their path in it, hexadecimal.
        observed: Figures of the model.
        method: See `learning.methods.Method.reference`; empty for ours.
    """

    training_date: str
    data_version: str
    settings: Mapping[str, Any]
    window: Mapping[str, str]
    storage: str
    environment: Environment
    seconds: float
    files: Mapping[str, str]
    observed: Mapping[str, float]
    method: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON knows it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "TrainingRecord":
        """Rebuild a record from `to_dict`; names that this code does not know are left out.

        Raises:
            ValueError: the record is not whole.
        """
        try:
            environment = Environment(
                **{field.name: content["environment"][field.name] for field in fields(Environment)}
            )
            parts = {field.name: content[field.name] for field in fields(cls) if field.name != "method"}
        except (KeyError, TypeError) as error:
            raise ValueError(f"{RECORD_FILE} is not whole ({error})") from None
        return cls(**{**parts, "environment": environment}, method=str(content.get("method", "")))


def build_record(
    training_date: str,
    model: "TrainedModel",
    data_version: str,
    settings: "TrainingSettings",
    window: Mapping[str, str],
    storage: str,
    seconds: float,
) -> TrainingRecord:
    """Return the record of a training in this process; arguments as in `TrainingRecord`."""
    luggage = find_luggage(model)
    carried = pack_serving_code(luggage.loader, luggage.modules)
    code = {f"code/{name}": content for name, content in carried.items()}
    figures = {"threshold": model.threshold, "ham": model.ham, "spam": model.spam, **asdict(model.evaluation)}
    return TrainingRecord(
        training_date,
        data_version,
        {name: sorted(value) if isinstance(value, frozenset) else value for name, value in asdict(settings).items()},
        dict(window),
        storage,
        Environment.read(),
        round(seconds, 2),
        {path: digest(content) for path, content in {f"data/{MODEL_FILE}": dump_logged_model(model), **code}.items()},
        {name: float(value) for name, value in figures.items() if isinstance(value, int | float) and not isnan(value)},
        model.method,
    )


def parse_record(content: bytes) -> TrainingRecord:
    """Return the record in a file's bytes; raises ValueError if it is not whole."""
    found = json.loads(content)
    if not isinstance(found, dict):
        raise TypeError(f"{RECORD_FILE} holds no record")
    return TrainingRecord.from_dict(found)


def digest(content: bytes) -> str:
    """Return the SHA-256 of bytes, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


@cache
def digest_code() -> str:
    """Return the SHA-256 of the modules that decide what a model becomes: those of `mail` and `learning`."""
    package = Path(spam_assets.__file__).parent
    code = hashlib.sha256()
    for file in sorted(path for room in ("mail", "learning") for path in (package / room).glob("*.py")):
        code.update(f"{file.relative_to(package).as_posix()}\0{digest(file.read_bytes())}\n".encode())
    return code.hexdigest()


def _find_processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _measure_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not a POSIX system
        return 0
