"""What a landing file turns into, counted while it is decoded: a few bytes of it can stand for any number."""

from typing import Final

from spam_assets.landing.errors import LandingError

MAX_DAY_BYTES: Final = 2 * 1024**3
"""Of one day, decoded. A day of a quarter of a million mails is about this much."""
ROW_BYTES: Final = 100
CELL_BYTES: Final = 60
"""What Python takes for a row and for a cell, however little they hold."""


class DecodedSize:
    """Counts what a file was decoded to, and refuses to go on beyond a limit.

    Args:
        name: what to call the file in the error.
        limit_bytes: the most that it may be.
    """

    def __init__(self, name: str, limit_bytes: int = MAX_DAY_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self._name = name
        self._spent_bytes = 0

    def add(self, size_bytes: int) -> None:
        """Count bytes.

        Raises:
            LandingError: they are more than a day may be.
        """
        self._spent_bytes += size_bytes
        if self._spent_bytes > self.limit_bytes:
            raise LandingError(
                f"{self._name} decodes to more than {self.limit_bytes:,} bytes, which may be a decompression bomb; "
                "split the day, or raise SPAM_ASSETS_MAX_DAY_MEGABYTES if you trust what wrote it."
            )

    def add_row(self, cells: int) -> None:
        """Count what a row of so many cells takes beside their text; raises as `add` does."""
        self.add(ROW_BYTES + CELL_BYTES * cells)
