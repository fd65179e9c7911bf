"""What processes that work on the same days must have in common, and what they say when they do not.

A worker with another window or another release would make other models of the same mail, and nobody would see why.
So every process that loads the project notes what it has for as long as it lives, and a run that finds another one
with something else does not start.
"""

import atexit
import json
import os
import socket
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from importlib.metadata import version
from uuid import uuid4

from dotenv import dotenv_values

from spam_assets.learning.code_versions import FEATURES_VERSION, MODEL_VERSION
from spam_assets.settings import ENV_FILE, Settings
from spam_assets.shared.place import Place, find_place
from spam_assets.urls import hide_credentials

BEGINNING = "agreement-"
PACKAGES = ("spam-assets", "dagster", "mlflow", "numpy", "scikit-learn")
SETTINGS_THAT_MATTER = (
    "window_days", "target_fpr", "vouched_days", "estimator", "challengers", "trusted_types",
    "max_day_megabytes", "experiment",
)  # fmt: skip
DATES = ("SPAM_ASSETS_START_DATE", "SPAM_ASSETS_END_DATE")


class DisagreementError(Exception):
    """Another process that works on the same days has other settings or versions; the message says which."""


_joined: dict[int, str] = {}
"""The note of this process, by its id: one that was forked has not joined."""


def describe_this_process(settings: Settings) -> dict[str, str]:
    """Return what must be the same everywhere, by names that a person knows; without secrets."""
    by_a_person = {**dotenv_values(ENV_FILE), **os.environ}
    # What landed is known to all, and a process that lives need not have heard of the newest day.
    dates = {name: by_a_person.get(name) or "as mail landed" for name in DATES}
    chosen = {f"SPAM_ASSETS_{name.upper()}": str(getattr(settings, name)) for name in SETTINGS_THAT_MATTER}
    places = {
        "SPAM_ASSETS_LANDING": settings.shown_landing,
        "SPAM_ASSETS_STORAGE": hide_credentials(settings.storage_url),
        "MLFLOW_TRACKING_URI": hide_credentials(settings.tracking_uri),
    }
    versions = {package: version(package) for package in PACKAGES}
    return {**dates, **chosen, **places, **versions, "features": FEATURES_VERSION, "models": MODEL_VERSION}


def join_others(settings: Settings) -> None:
    """Note what this process has, for as long as it lives, where processes of other machines share the storage."""
    place = find_place(settings)
    if not place.is_shared or os.getpid() in _joined:
        return
    name = f"{BEGINNING}{uuid4()}"
    lock = place.lock(name)
    lock.acquire()
    said = {"who": f"process {os.getpid()} on {socket.gethostname()}", "has": describe_this_process(settings)}
    place.write_note(name, json.dumps(said))
    leaving = ExitStack()
    leaving.callback(lock.release, for_good=True)
    leaving.callback(place.remove_note, name)
    leaving.enter_context(place.keep(lock, name))
    atexit.register(_leave, leaving)
    _joined[os.getpid()] = name


def _leave(leaving: ExitStack) -> None:
    with suppress(Exception):  # a process that cannot say that it ends is found dead by the next one that looks
        leaving.close()


def check_agreement(settings: Settings) -> None:
    """See that every process that lives has the same as this one.

    Raises:
        DisagreementError: one has not.
    """
    place = find_place(settings)
    if not place.is_shared:
        return
    mine = describe_this_process(settings)
    for name in place.list_notes(BEGINNING):
        if name == _joined.get(os.getpid()):
            continue
        said = _read_if_alive(place, name)
        if said is not None and (different := _tell_difference(mine, said["has"])):
            raise DisagreementError(
                f"{different}: there is {said['who']}, which shares Dagster's storage with process {os.getpid()} on "
                f"{socket.gethostname()} here; give both the same, and start again the one that was wrong"
            )


def _read_if_alive(place: Place, name: str) -> "dict[str, dict[str, str]] | None":
    note = place.read_note(name)
    if note is None:
        return None
    lock = place.lock(name)
    if not lock.acquire(0):
        return dict(json.loads(note.text))
    try:
        if note.age_seconds > place.grace_seconds:
            place.remove_note(name)
    finally:
        lock.release(for_good=True)
    return None


def _tell_difference(mine: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    names = sorted(name for name in {*mine, *theirs} if mine.get(name) != theirs.get(name))
    return ", ".join(
        f"{name} is {mine.get(name, 'unknown')} here and {theirs.get(name, 'unknown')} there" for name in names
    )
