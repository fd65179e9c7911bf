"""What MLflow imports of a logged model: it unpacks the modules that travel with it and lets them load it.

It travels as a module of its own and needs nothing but Python. The modules are one file, as each is an upload for each
training date; they are unpacked because Numba keeps what it compiled beside real files only.
"""

import atexit
import shutil
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any
from zipfile import ZipFile
from zlib import crc32

MODULES_FILE = "modules.zip"


def _load_pyfunc(path: str) -> Any:
    """Load the model file at a path; the name is MLflow's. The archive's comment is the module that can."""
    code = Path(path).parent.parent / "code"
    with ZipFile(code / MODULES_FILE) as archive:
        sys.path.insert(0, str(_unpack(archive, code)))
        loader = archive.comment.decode()
    return import_module(loader)._load_pyfunc(path)  # noqa: SLF001 - the name is MLflow's


def _unpack(archive: ZipFile, code: Path) -> Path:
    """Return a folder with the modules: beside the archive, for whoever comes next too, or where there is room."""
    place = code / "modules"
    if place.is_dir() and _holds(place, archive):
        return place
    try:
        unpacked = Path(tempfile.mkdtemp(dir=code))
    except OSError:  # a folder that may only be read
        return _unpack_for_this_process(archive)
    archive.extractall(unpacked)
    unpacked.chmod(0o755)  # as whoever may read the model may read them
    try:
        return unpacked.rename(place)
    except OSError:  # somebody was faster, or what is there was changed
        shutil.rmtree(unpacked, ignore_errors=True)
    return place if _holds(place, archive) else _unpack_for_this_process(archive)


def _unpack_for_this_process(archive: ZipFile) -> Path:
    unpacked = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, unpacked, ignore_errors=True)
    archive.extractall(unpacked)
    return unpacked


def _holds(place: Path, archive: ZipFile) -> bool:
    """Whether the modules in a folder are those of the archive, which is what `spam-assets verify` looks at."""
    try:
        return all(crc32((place / entry.filename).read_bytes()) == entry.CRC for entry in archive.infolist())
    except OSError:
        return False
