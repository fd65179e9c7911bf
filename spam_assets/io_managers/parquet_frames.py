"""Mail, raw and validated: pandas frames as Parquet."""

import io
from functools import partial
from typing import TYPE_CHECKING

from typing_extensions import override
from upath import UPath

from spam_assets.files import Content, copy_file
from spam_assets.io_managers.daily_files import DailyFileIOManager, open_to_read
from spam_assets.io_managers.fingerprints import fingerprint_frame

if TYPE_CHECKING:
    import pandas as pd

    from spam_assets.mail.mail_batches import Mail


class FrameIOManager(DailyFileIOManager):
    """pandas frames as Parquet; a day of more than one batch is read batch after batch, see `mail.mail_batches`."""

    extension = ".parquet"

    @override
    def to_bytes(self, value: "pd.DataFrame") -> bytes:
        buffer = io.BytesIO()
        value.to_parquet(buffer, index=False, compression="zstd")
        return buffer.getvalue()

    @override
    def to_content(self, value: "Mail") -> Content:
        from spam_assets.mail.mail_batches import read_whole
        from spam_assets.mail_files import MailFile

        return partial(copy_file, value.file) if isinstance(value, MailFile) else self.to_bytes(read_whole(value))

    @override
    def fingerprint(self, value: "Mail") -> str:
        return fingerprint_frame(value)

    @override
    def from_path(self, path: UPath) -> "Mail":
        from spam_assets.mail_files import open_mail

        return open_mail(open_to_read(path))

    def load_columns(self, asset: str, day: str, columns: list[str]) -> "pd.DataFrame":
        """Read some columns of one stored day without the cost of the others; raises as `load_day` does."""
        import pyarrow.parquet as pq

        path = self.path_of(asset, day)
        with self._telling_what_to_do(asset, day, path), path.open("rb") as file:
            frame: pd.DataFrame = pq.read_table(file, columns=columns).to_pandas()
        return frame
