"""The first and last day of the partitions: the same for every process that shares Dagster's storage.

`settings.env` of the home folder has the days that landed. Where several machines share a database, the database has
them, and the file of each home folder is a copy.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from spam_assets.files import replace_local_file
from spam_assets.settings import Settings, load_settings
from spam_assets.shared.place import Place, find_place

NAME = "day_range"


def load_shared_settings() -> Settings:
    """Return the settings in force, with the days that all processes have.

    Raises:
        pydantic.ValidationError: as `load_settings` does.
    """
    settings = load_settings()
    place = find_place(settings)
    if place.is_shared and _copy(place, settings):
        settings = load_settings()
    return settings


@contextmanager
def changing_day_range(settings: Settings) -> Iterator[None]:
    """Let the block read and change the range file of the home folder: nobody else does meanwhile, and all get it."""
    place = find_place(settings)
    if not place.is_shared:
        yield
        return
    lock = place.lock(NAME)
    lock.acquire()
    try:
        _copy(place, settings)
        yield
        if settings.range_file.exists():
            place.write_note(NAME, settings.range_file.read_text(encoding="utf-8"))
    finally:
        lock.release()


def _copy(place: Place, settings: Settings) -> bool:
    """Copy what all have to the home folder, or to all what only this home has; return whether the folder changed."""
    path = settings.range_file
    here = path.read_text(encoding="utf-8") if path.exists() else None
    shared = place.read_note(NAME)
    if shared is None:
        if here is not None:
            place.write_note(NAME, here)
        return False
    if shared.text == here:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_local_file(path, shared.text.encode())
    return True
