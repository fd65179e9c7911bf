"""Trained models: `SpamModel` as plain arrays."""

from typing import TYPE_CHECKING

from typing_extensions import override
from upath import UPath

from spam_assets.io_managers.daily_files import DailyFileIOManager, OutdatedFileError
from spam_assets.io_managers.fingerprints import fingerprint_model

if TYPE_CHECKING:
    from spam_assets.learning.model import SpamModel


class ModelIOManager(DailyFileIOManager):
    """`SpamModel` as plain arrays."""

    extension = ".npz"

    @override
    def to_bytes(self, value: "SpamModel") -> bytes:
        from spam_assets.learning.model import dump_model

        return dump_model(value)

    @override
    def fingerprint(self, value: "SpamModel") -> str:
        return fingerprint_model(value)

    def load_current(self, asset: str, day: str) -> "SpamModel | None":
        """Read one day; None where there is none, or one that this version of the code cannot use."""
        if not self.has_day(asset, day):
            return None
        try:
            model: SpamModel = self.load_day(asset, day)
        except OutdatedFileError:
            return None
        return model

    @override
    def from_path(self, path: UPath) -> "SpamModel":
        from spam_assets.learning.model import load_model

        return load_model(path.read_bytes())
