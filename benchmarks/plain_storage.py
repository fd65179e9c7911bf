"""Days of validated mail and features in the files that the assets store, read and written without Dagster."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from spam_assets.learning.code_versions import FEATURES_VERSION

if TYPE_CHECKING:
    import pandas as pd

    from spam_assets.learning.features import MailFeatures
    from spam_assets.mail.day_summary import DaySummary

WINDOW_DAYS = 90
"""Of all that is compared."""


def first_day_of_window(day: str) -> str:
    """Return the first day of the window that ends with `day`."""
    return (date.fromisoformat(day) - timedelta(days=WINDOW_DAYS - 1)).isoformat()


class PlainStorage:
    """Reads and writes days below a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def list_days(self, *, before: str) -> list[str]:
        """Return the days before one whose features are stored, oldest first."""
        return sorted(path.stem for path in self._folder.glob("mail_features/*.arrow") if path.stem < before)

    def summarize(self, days: Sequence[str]) -> "list[DaySummary]":
        """Return what the warning rules want to know of the newest of some stored days."""
        import pandas as pd

        from spam_assets.mail.day_summary import SUMMARY_COLUMNS, summarize_day
        from spam_assets.mail.warning_rules import TRAILING_DAYS

        return [
            summarize_day(pd.read_parquet(self._place("validated_mail", day), columns=list(SUMMARY_COLUMNS)), day)
            for day in days[-TRAILING_DAYS:]
        ]

    def write_mail(self, day: str, mail: "pd.DataFrame") -> None:
        """Store a day of validated mail."""
        mail.to_parquet(self._place("validated_mail", day), index=False, compression="zstd")

    def read_features(self, day: str) -> "tuple[MailFeatures, str]":
        """Return the features of a stored day, mapped from its file, and their data version."""
        import pyarrow as pa

        from spam_assets.learning.features import MailFeatures, SparseRows

        batch = pa.ipc.open_file(pa.memory_map(str(self._place("mail_features", day)))).get_batch(0)
        columns = {name: batch.column(name) for name in batch.schema.names}
        features = MailFeatures(
            message_ids=columns.pop("message_id").to_numpy(zero_copy_only=False),
            labels=columns.pop("label").to_numpy(),
            views={
                name.removeprefix("view:"): SparseRows(lists.values.to_numpy(), lists.offsets.to_numpy())
                for name, lists in columns.items()
            },
        )
        return features, str(batch.schema.metadata[b"data_version"], "ascii")

    def write_features(self, day: str, features: "MailFeatures", data_version: str) -> None:
        """Store the features of a day."""
        import pyarrow as pa

        views = {
            f"view:{name}": pa.LargeListArray.from_arrays(rows.offsets, rows.indices)
            for name, rows in features.views.items()
        }
        table = pa.table({"message_id": features.message_ids, "label": features.labels, **views})
        table = table.replace_schema_metadata({"data_version": data_version, "features_version": FEATURES_VERSION})
        path = self._place("mail_features", day)
        unfinished = path.with_suffix(".tmp")
        with pa.ipc.new_file(str(unfinished), table.schema) as writer:
            writer.write_table(table.combine_chunks())
        unfinished.replace(path)  # a worker that is killed leaves no half of a day to the windows of others

    def read_window(self, day: str) -> "tuple[dict[str, MailFeatures], dict[str, str]]":
        """Return the stored days of the window that ends with one, and their data versions."""
        stored = [*self.list_days(before=day), *self._list_stored([day])]
        read = {earlier: self.read_features(earlier) for earlier in stored if earlier >= first_day_of_window(day)}
        return {one: found for one, (found, _) in read.items()}, {one: version for one, (_, version) in read.items()}

    def _list_stored(self, days: Iterable[str]) -> list[str]:
        return [day for day in days if self._place("mail_features", day).exists()]

    def _place(self, asset: str, day: str) -> Path:
        path = self._folder / asset / f"{day}{'.arrow' if asset == 'mail_features' else '.parquet'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path
