"""What stateless vectorisers of somebody else's estimators made of days of mail, so that no window makes it again."""

import io
from collections.abc import Callable, Iterator
from typing import Any
from zipfile import BadZipFile

import numpy as np
from upath import UPath

from spam_assets.io_managers.daily_files import write_day

FOLDER = "text_vectors"


class DailyTextVectors:
    """One file for each vectoriser and day; it is made again when the day's mail was written anew.

    Args:
        base_path: Where the assets are stored.
    """

    def __init__(self, base_path: UPath) -> None:
        self._folder = base_path / FOLDER

    def look_up(self, day: str, version: str, key: str, make: Callable[[], Any]) -> Any:
        """See `learning.mail_text.TextVectors`; what is no sparse matrix is not kept."""
        path = self._folder / key / f"{day}.npz"
        known = _read(path, version)
        if known is not None:
            return known
        made = make()
        content = _dump(made, version)
        if content is not None:
            write_day(path, content)
        return made

    def files_of(self, day: str) -> Iterator[UPath]:
        """Yield the files that hold a day."""
        if self._folder.exists():
            for folder in sorted(self._folder.iterdir(), key=str):
                path = folder / f"{day}.npz"
                if path.exists():
                    yield path


def _read(path: UPath, version: str) -> Any:
    """The matrix in a file; None where there is none of that version. A damaged one is as good as none."""
    from scipy import sparse

    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            if str(arrays["version"]) != version:
                return None
            shape = tuple(arrays["shape"].tolist())
            return sparse.csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=shape)
    except (FileNotFoundError, ValueError, KeyError, EOFError, BadZipFile):
        return None


def _dump(matrix: Any, version: str) -> bytes | None:
    from scipy import sparse

    if not sparse.issparse(matrix):
        return None
    rows = sparse.csr_matrix(matrix)
    buffer = io.BytesIO()
    np.savez(
        buffer,
        allow_pickle=False,
        version=np.array(version),
        shape=np.array(rows.shape, np.int64),
        data=rows.data,
        indices=rows.indices,
        indptr=rows.indptr,
    )
    return buffer.getvalue()
