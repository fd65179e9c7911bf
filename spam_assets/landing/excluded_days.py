"""Days that a person took back: no model learns them, though their mail stays where it is.

A folder or bucket with one file for each, `{day}.json`, that a person can read. That the file is there is what counts,
so that nothing has to be read, changed and written back by two people at once.
"""

import json
import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import ClassVar, Final

from spam_assets.files import list_folder, replace_file
from spam_assets.landing.folder import Folder
from spam_assets.mail.dates import is_day

_FILE_NAME: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})\.json")


@dataclass(frozen=True)
class Exclusion:
    """A day that no model learns.

    Attributes:
        day: `YYYY-MM-DD`.
        reason: Why, in the words of who excluded it.
        since: When it was excluded, ISO 8601 in UTC.
    """

    day: str
    reason: str
    since: str


class ExcludedDays(Folder):
    """The list of excluded days; its folder is made when a day is excluded."""

    title: ClassVar[str] = "the list of excluded days"

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._last_read: dict[str, Exclusion] | None = None

    def recall(self) -> dict[str, Exclusion]:
        """Return what was last read here, and read only if nothing was; raises as `read` does."""
        return self.read() if self._last_read is None else self._last_read

    def read(self) -> dict[str, Exclusion]:
        """Return the excluded days, oldest first.

        A file that is damaged excludes its day all the same.

        Raises:
            LandingError: the folder cannot be reached, so nobody knows which days are excluded.
        """
        with self._reaching():
            try:
                names = [file.name for file in list_folder(self._fs, self._root, _FILE_NAME)]
            except FileNotFoundError:  # nothing was ever excluded
                names = []
            days = [name.removesuffix(".json") for name in names]
            self._last_read = {day: self._read_day(day) for day in days if is_day(day)}
        return self._last_read

    def exclude(self, day: str, reason: str, now: datetime) -> Exclusion:
        """Exclude a day, or give a new reason for a day that is excluded.

        Raises:
            ValueError: no reason is given.
            LandingError: the folder cannot be written.
        """
        if not reason.strip():
            raise ValueError(f"{day} needs a reason to be excluded; say in a sentence what is wrong with it")
        exclusion = Exclusion(day, " ".join(reason.split()), now.astimezone(timezone.utc).isoformat(timespec="seconds"))
        with self._reaching():
            self._fs.makedirs(self._root, exist_ok=True)
            content = json.dumps(asdict(exclusion), indent=1, ensure_ascii=False).encode()
            replace_file(self._fs, self._path_of(day), content)
        return exclusion

    def include(self, day: str) -> bool:
        """Take an exclusion back, and return whether there was one.

        Raises:
            LandingError: the folder cannot be written.
        """
        with self._reaching():
            if not self._fs.exists(self._path_of(day)):  # a bucket does not say so when it is told to remove it
                return False
            with suppress(FileNotFoundError):  # somebody was faster
                self._fs.rm_file(self._path_of(day))
        return True

    def _read_day(self, day: str) -> Exclusion:
        try:
            stored = json.loads(self._fs.cat_file(self._path_of(day)))
            return Exclusion(day, str(stored["reason"]), str(stored["since"]))
        except (ValueError, KeyError, TypeError):
            return Exclusion(day, f"{day}.json cannot be read; exclude the day again to give a reason", "")

    def _path_of(self, day: str) -> str:
        return f"{self._root}/{day}.json"
