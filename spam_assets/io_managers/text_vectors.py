"""What stateless vectorisers of somebody else's estimators made of days of mail, so that no window makes it again."""

import io
import json
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any
from zipfile import BadZipFile

import numpy as np
from upath import UPath

from spam_assets.io_managers.daily_files import write_day

FOLDER = "text_vectors"
BYTES_IN_MEMORY = 64 * 1024**2
"""Of the matrices used last: a day is scored, learnt, and scored again by other models."""


class DailyTextVectors:
    """One file for each vectoriser and day; it is made again when the day's mail was written anew.

    Args:
        base_path: Where the assets are stored.
    """

    def __init__(self, base_path: UPath) -> None:
        self._folder = base_path / FOLDER
        self._in_memory: OrderedDict[tuple[str, str, str], Any] = OrderedDict()

    def look_up(self, day: str, version: str, key: str, make: Callable[[], Any]) -> Any:
        """See `learning.mail_text.TextVectors`; what is no sparse matrix is not kept."""
        which = (day, version, key)
        if which in self._in_memory:
            self._in_memory.move_to_end(which)
            return self._in_memory[which]
        path = self._folder / key / f"{day}.npz"
        matrix = _read(path, version)
        if matrix is None:
            matrix = make()
            content = _dump(matrix, version)
            if content is None:
                return matrix
            write_day(path, content)
        self._in_memory[which] = matrix
        while sum(map(_count_bytes, self._in_memory.values())) > BYTES_IN_MEMORY:
            self._in_memory.popitem(last=False)
        return matrix

    def files_of(self, day: str) -> Iterator[UPath]:
        """Yield the files that hold a day."""
        if self._folder.exists():
            for folder in sorted(self._folder.iterdir(), key=str):
                path = folder / f"{day}.npz"
                if path.exists():
                    yield path


def _count_bytes(matrix: Any) -> int:
    return int(matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes)


def _read(path: UPath, version: str) -> Any:
    """The matrix in a file; None where there is none of that version. A damaged one is as good as none."""
    from scipy import sparse

    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            about = json.loads(arrays["about"].tobytes())
            if about["version"] != version:
                return None
            return sparse.csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=about["shape"])
    except (FileNotFoundError, ValueError, KeyError, EOFError, BadZipFile):
        return None


def _dump(matrix: Any, version: str) -> bytes | None:
    from scipy import sparse

    if not sparse.issparse(matrix):
        return None
    rows = sparse.csr_matrix(matrix)
    about = np.frombuffer(json.dumps({"version": version, "shape": rows.shape}).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, about=about, data=rows.data, indices=rows.indices, indptr=rows.indptr)
    return buffer.getvalue()
