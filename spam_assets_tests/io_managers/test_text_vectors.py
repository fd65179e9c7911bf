"""Vectorised text: made once for each day and version of its mail, found again by another process."""

from pathlib import Path

import numpy as np
from scipy import sparse
from upath import UPath

from spam_assets.io_managers import text_vectors
from spam_assets.io_managers.text_vectors import DailyTextVectors

MATRIX = sparse.csr_matrix(np.array([[0, 1.5, 0], [2, 0, 0.1]]))


class Maker:
    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> sparse.csr_matrix:
        self.made += 1
        return MATRIX * self.made


def test_a_day_is_made_once_and_again_when_its_mail_or_the_vectoriser_is_another(place: UPath) -> None:
    make = Maker()
    for _ in range(2):
        vectors = DailyTextVectors(place)  # as another process would
        for _ in range(2):
            assert (vectors.look_up("2030-01-01", "v1", "key", make) != MATRIX).nnz == 0
    assert make.made == 1
    assert vectors.look_up("2030-01-01", "v2", "key", make).toarray().tolist() == (2 * MATRIX).toarray().tolist()
    vectors.look_up("2030-01-02", "v1", "key", make)
    vectors.look_up("2030-01-01", "v1", "other", make)
    assert make.made == 4
    again = DailyTextVectors(place).look_up("2030-01-01", "v2", "key", make)
    assert again.dtype == MATRIX.dtype
    assert make.made == 4
    assert len(list(vectors.files_of("2030-01-01"))) == 2
    assert list(vectors.files_of("2030-01-03")) == []


def test_a_damaged_file_is_made_again(place: UPath) -> None:
    make = Maker()
    DailyTextVectors(place).look_up("2030-01-01", "v", "key", make)
    (path,) = DailyTextVectors(place).files_of("2030-01-01")
    path.write_bytes(path.read_bytes()[:100])
    DailyTextVectors(place).look_up("2030-01-01", "v", "key", make)
    assert make.made == 2


def test_what_is_no_sparse_matrix_is_not_kept(place: UPath) -> None:
    vectors = DailyTextVectors(place)
    made = [vectors.look_up("2030-01-01", "v", "key", lambda: np.ones((2, 2))) for _ in range(2)]
    assert made[0] is not made[1]
    assert list(vectors.files_of("2030-01-01")) == []


def test_memory_is_bounded(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(text_vectors, "BYTES_IN_MEMORY", 100)
    vectors, make = DailyTextVectors(UPath(tmp_path)), Maker()
    for day in ("2030-01-01", "2030-01-02", "2030-01-03"):
        vectors.look_up(day, "v", "key", make)
    assert len(vectors._in_memory) < 3
