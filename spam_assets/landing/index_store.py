"""Where landing indexes are kept: a folder or bucket with one file for each, named by its fingerprint."""

import re
from contextlib import suppress
from typing import ClassVar, Final

from spam_assets.files import list_folder, replace_file
from spam_assets.landing.errors import LandingError
from spam_assets.landing.folder import Folder
from spam_assets.landing.landing_index import LandingIndex

KEPT_FILES: Final = 3
_FINGERPRINT = re.compile(r"[0-9a-f]{32}")
_FILE_NAME = re.compile(r"landing-index-[0-9a-f]{32}\.json")


class IndexMissing(LandingError):  # noqa: N818
    """The index is not there or damaged, and what was known of the landing zone has to be found anew."""


class IndexStore(Folder):
    """A folder or bucket with landing indexes; it is made when something is saved."""

    title: ClassVar[str] = "the folder of landing indexes"

    def load(self, fingerprint: str) -> LandingIndex:
        """Return the index that was saved with this fingerprint.

        Raises:
            IndexMissing: it is not there, or damaged.
            LandingError: the folder cannot be reached, which does not mean that nothing is known.
        """
        if not _FINGERPRINT.fullmatch(fingerprint):
            raise IndexMissing(f"{fingerprint[:40]!r} is no fingerprint of a landing index; build the index anew.")
        content = self._read(fingerprint)
        if content is None:
            raise IndexMissing(f"the landing index {fingerprint} is not in {self._display()}; build the index anew.")
        try:
            index = LandingIndex.from_bytes(content)
        except ValueError as error:
            raise IndexMissing(f"{self._display(_name_file(fingerprint))}: {error}") from error
        if index.fingerprint() != fingerprint:
            raise IndexMissing(
                f"{self._display(_name_file(fingerprint))}: the landing index is damaged (its content is another "
                "one's); it has to be built anew."
            )
        return index

    def save(self, index: LandingIndex, keep: str = "") -> str:
        """Store an index, unless it is there, and remove all but the newest three.

        Args:
            index: what to store.
            keep: fingerprint of an index that stays however old it is: the one that the cursor names until the new
                one takes its place.

        Returns:
            The index's fingerprint.

        Raises:
            LandingError: the folder cannot be written.
        """
        fingerprint = index.fingerprint()
        content = index.to_bytes()
        if self._read(fingerprint) != content:
            with self._reaching():
                self._fs.makedirs(self._root, exist_ok=True)
                replace_file(self._fs, f"{self._root}/{_name_file(fingerprint)}", content)
                self._remove_old({_name_file(fingerprint), _name_file(keep)})
        return fingerprint

    def _remove_old(self, kept: set[str]) -> None:
        files = list_folder(self._fs, self._root, _FILE_NAME)
        kept_count = sum(file.name in kept for file in files)
        others = [file for file in files if file.name not in kept]
        # Where the storage tells no times there is no oldest one, and all stay.
        dated = [(file.modified_seconds, file.name) for file in others if file.modified_seconds is not None]
        for _, name in sorted(dated, reverse=True)[max(KEPT_FILES - kept_count, 0) :]:
            with suppress(FileNotFoundError):
                self._fs.rm_file(f"{self._root}/{name}")

    def _read(self, fingerprint: str) -> bytes | None:
        with self._reaching():
            try:
                content: bytes = self._fs.cat_file(f"{self._root}/{_name_file(fingerprint)}")
            except FileNotFoundError:
                return None
        return content


def _name_file(fingerprint: str) -> str:
    return f"landing-index-{fingerprint}.json"
