"""Mail, raw and validated: pandas frames as Parquet."""

import io
from typing import TYPE_CHECKING

from typing_extensions import override
from upath import UPath

from spam_assets.io_managers.daily_files import DailyFileIOManager
from spam_assets.io_managers.fingerprints import fingerprint_frame

if TYPE_CHECKING:
    import pandas as pd


class FrameIOManager(DailyFileIOManager):
    """pandas frames as Parquet."""

    extension = ".parquet"

    @override
    def to_bytes(self, value: "pd.DataFrame") -> bytes:
        buffer = io.BytesIO()
        value.to_parquet(buffer, index=False, compression="zstd")
        return buffer.getvalue()

    @override
    def fingerprint(self, value: "pd.DataFrame") -> str:
        return fingerprint_frame(value)

    @override
    def from_path(self, path: UPath) -> "pd.DataFrame":
        import pandas as pd

        return pd.read_parquet(io.BytesIO(path.read_bytes()))

    def load_columns(self, asset: str, day: str, columns: list[str]) -> "pd.DataFrame":
        """Read some columns of one stored day without the cost of the others; raises as `load_day` does."""
        import pyarrow.parquet as pq

        path = self.path_of(asset, day)
        with self._telling_what_to_do(asset, day, path), path.open("rb") as file:
            frame: pd.DataFrame = pq.read_table(file, columns=columns).to_pandas()
        return frame
