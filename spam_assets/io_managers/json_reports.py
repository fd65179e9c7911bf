"""Champion reports: `DayReport` as JSON."""

import json
from typing import TYPE_CHECKING

from typing_extensions import override
from upath import UPath

from spam_assets.io_managers.daily_files import DailyFileIOManager, read_file
from spam_assets.io_managers.fingerprints import fingerprint_report

if TYPE_CHECKING:
    from spam_assets.learning.reporting import DayReport


class ReportIOManager(DailyFileIOManager):
    """`DayReport` as JSON."""

    extension = ".json"

    @override
    def to_bytes(self, value: "DayReport") -> bytes:
        return json.dumps(value.to_dict(), indent=1).encode()

    @override
    def fingerprint(self, value: "DayReport") -> str:
        return fingerprint_report(value)

    @override
    def from_path(self, path: UPath) -> "DayReport":
        from spam_assets.learning.reporting import DayReport

        return DayReport.from_dict(json.loads(read_file(path)))
