"""Trained models of any method as plain arrays."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from typing_extensions import override
from upath import UPath

from spam_assets.io_managers.daily_files import DailyFileIOManager, OutdatedFileError, read_file
from spam_assets.io_managers.fingerprints import fingerprint_model, fingerprint_stored_model

if TYPE_CHECKING:
    from spam_assets.learning.trained_model import TrainedModel


class ModelIOManager(DailyFileIOManager):
    """Trained models of any method as plain arrays.

    Args:
        base_path: Where the days are stored.
        trusted_types: See `learning.methods.Method`.
    """

    extension = ".npz"

    def __init__(self, base_path: UPath, trusted_types: Collection[str] = ()) -> None:
        super().__init__(base_path)
        self._trusted_types = frozenset(trusted_types)

    @override
    def to_bytes(self, value: "TrainedModel") -> bytes:
        from spam_assets.learning.model_files import dump_model

        return dump_model(value)

    @override
    def fingerprint(self, value: "TrainedModel") -> str:
        return fingerprint_model(value)

    @override
    def read_data_version(self, path: UPath) -> str:
        return fingerprint_stored_model(read_file(path))

    def stored_assets(self) -> list[str]:
        """Return the assets of which models are stored: `trained_model` and what challengers there were ever."""
        try:
            names = sorted(path.name for path in self._base_path.iterdir())
        except FileNotFoundError:  # nothing was ever stored
            return []
        return [name for name in names if self.stored_days(name)]

    def find_usable(self, asset: str, day: str) -> str | None:
        """Return the data version of a stored day; None where there is none, or none that this code can use."""
        from spam_assets.learning.model_files import load_model

        path = self.path_of(asset, day)
        try:
            content = read_file(path)
        except FileNotFoundError:
            return None
        try:
            with self._telling_what_to_do(asset, day, path):
                load_model(content, self._trusted_types)
                return fingerprint_stored_model(content)
        except OutdatedFileError:
            return None

    @override
    def from_path(self, path: UPath) -> "TrainedModel":
        from spam_assets.learning.model_files import load_model

        return load_model(read_file(path), self._trusted_types)
