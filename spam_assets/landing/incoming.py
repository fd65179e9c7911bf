"""Mail without labels: `incoming-{day}.csv` (or .csv.gz, .parquet, .jsonl) in the landing zone, to be scored.

No model learns it: `landing.zone` does not see these files, nor does this module see labelled ones.
"""

import csv
import io
from collections.abc import Iterable
from functools import partial
from typing import ClassVar

import pandas as pd

from spam_assets.landing.removal import IsMeant
from spam_assets.landing.zone import LandingZone


class IncomingZone(LandingZone):
    """The landing zone as scoring sees it. A column `label` is not used; its days have no corrections."""

    stem: ClassVar[str] = "incoming"
    has_labels: ClassVar[bool] = False
    _file_name: ClassVar[str] = r"incoming-(DAY)\.(?:csv|csv\.gz|parquet|jsonl)"

    def remove_messages(self, day: str, is_meant: IsMeant) -> int:
        """Rewrite the day's files without the messages that are meant, `scored-{day}.csv` too; see `LandingZone`."""
        count = super().remove_messages(day, is_meant)
        name = f"scored-{day}.csv"
        with self._reaching():
            is_there = self._fs.exists(f"{self._root}/{name}")
        if is_there:
            self._remove_from_file(name, partial(_remove_from_scores, is_meant=is_meant))
        return count

    def write_scores(self, day: str, scores: pd.DataFrame) -> str:
        """Store the scores of a day as `scored-{day}.csv` beside its file, in UTF-8; readers never see half of it.

        Message ids are hostile text and stand as they are, so that they can be compared: see `file_formats` about
        spreadsheets.

        Returns:
            Path or URL of the file.

        Raises:
            LandingError: the zone cannot be written.
        """
        rows = (["" if pd.isna(cell) else cell for cell in row] for row in scores.itertuples(index=False, name=None))
        name = f"scored-{day}.csv"
        self._replace_file(name, _write_csv([scores.columns, *rows]))
        return self._display(name)


def _remove_from_scores(content: bytes, is_meant: IsMeant) -> tuple[bytes, int]:
    rows = list(csv.reader(io.StringIO(content.decode("utf-8"), newline="")))
    left = [rows[0], *(row for row in rows[1:] if not is_meant(row[0]))]
    return _write_csv(left), len(rows) - len(left)


def _write_csv(rows: Iterable[Iterable[object]]) -> bytes:
    output = io.StringIO(newline="")
    csv.writer(output, lineterminator="\r\n").writerows(rows)
    return output.getvalue().encode("utf-8")
