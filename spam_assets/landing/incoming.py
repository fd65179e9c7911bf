"""Mail without labels: `incoming-{day}.csv` (or .csv.gz, .parquet, .jsonl) in the landing zone, to be scored.

No model learns it: `landing.zone` does not see these files, nor does this module see labelled ones.
"""

import csv
import io
from typing import ClassVar

import pandas as pd

from spam_assets.landing.zone import LandingZone


class IncomingZone(LandingZone):
    """The landing zone as scoring sees it. A column `label` is not used; its days have no corrections."""

    stem: ClassVar[str] = "incoming"
    has_labels: ClassVar[bool] = False
    _file_name: ClassVar[str] = r"incoming-(DAY)\.(?:csv|csv\.gz|parquet|jsonl)"

    def write_scores(self, day: str, scores: pd.DataFrame) -> str:
        """Store the scores of a day as `scored-{day}.csv` beside its file, in UTF-8; readers never see half of it.

        Message ids are hostile text and stand as they are, so that they can be compared: see `file_formats` about
        spreadsheets.

        Returns:
            Path or URL of the file.

        Raises:
            LandingError: the zone cannot be written.
        """
        output = io.StringIO(newline="")
        writer = csv.writer(output, lineterminator="\r\n")
        writer.writerow(scores.columns)
        writer.writerows(
            ["" if pd.isna(cell) else cell for cell in row] for row in scores.itertuples(index=False, name=None)
        )
        name = f"scored-{day}.csv"
        self._replace_file(name, output.getvalue().encode("utf-8"))
        return self._display(name)
