"""A folder or bucket at a path or URL; what fails there is said in one sentence that names it."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, ClassVar

from spam_assets.files import open_folder
from spam_assets.landing.errors import LandingError
from spam_assets.urls import hide_credentials


class Folder:
    """What the kinds of folders have in common.

    Args:
        url: a path, or a URL that fsspec understands.
    """

    title: ClassVar[str]
    """What errors call it."""
    fault: ClassVar[type[LandingError]] = LandingError
    """What is raised when it cannot be reached."""

    def __init__(self, url: str) -> None:
        self.url = url

    @cached_property
    def _fs_and_root(self) -> tuple[Any, str]:
        with self._reaching():
            return open_folder(self.url)

    @property
    def _fs(self) -> Any:
        return self._fs_and_root[0]

    @property
    def _root(self) -> str:
        return self._fs_and_root[1]

    def _display(self, name: str = "") -> str:
        """Return the URL of the folder or of a file in it, without a password."""
        url = hide_credentials(self.url).rstrip("/")
        return f"{url}/{name}" if name else url

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """Say in one sentence which folder cannot be reached; storages raise whatever they like."""
        try:
            yield
        except LandingError:
            raise
        except Exception as error:
            reason = hide_credentials(" ".join(str(error).split()))[:200]
            raise self.fault(
                f"{self.title} {self._display()} cannot be used ({type(error).__name__}: {reason}); "
                "check that it can be reached and that you may read and write there."
            ) from error
