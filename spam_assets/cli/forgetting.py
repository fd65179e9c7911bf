"""One message deleted everywhere that this project keeps mail; docs/privacy.md says what is where."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg

from spam_assets.engine.event_texts import compact_databases, erase_texts
from spam_assets.engine.run_days import run_days
from spam_assets.files import Content
from spam_assets.io_managers.daily_files import StorageError, take_out_of_day
from spam_assets.jobs import mail_job, score_job
from spam_assets.landing.corrections import complete_ids
from spam_assets.landing.errors import LandingError
from spam_assets.landing.zone import LandingZone
from spam_assets.mail.columns import MESSAGE_ID
from spam_assets.mail.verdicts import quote_cell
from spam_assets.partitions import DAYS
from spam_assets.resources import Stores, open_stores, open_text_vectors
from spam_assets.settings import Settings
from spam_assets.views.metadata import NOTE_CHARACTERS, SHOWS_MAIL, escape_markdown

FRAMES_OF_MAIL = ("raw_mail", "validated_mail", "scored_mail")
_ORDINAL = re.compile(r"#[0-9]+$")


def name_message(message_id: str) -> Callable[[str], bool]:
    """Return whether an id is the message's: with or without angle brackets, and with the `#2` that made it unique.

    Messages that share an id cannot be told apart by it, and are all meant.
    """
    meant = _strip_id(message_id)
    return lambda other: _strip_id(other) == meant


def _strip_id(message_id: str) -> str:
    return _ORDINAL.sub("", message_id.strip()).removeprefix("<").removesuffix(">")


def find_days(
    zones: Sequence[LandingZone],
    stores: Stores,
    is_meant: Callable[[str], bool],
    days: Sequence[str],
    tell_unreadable: Callable[[str], None],
) -> Iterator[str]:
    """Yield those of some days that hold the message, landed or stored.

    Args:
        zones: where mail lands, labelled and without labels.
        stores: where it is stored.
        is_meant: see `name_message`.
        days: the days to search.
        tell_unreadable: called with a sentence for each day of which not all can be read, so that nobody knows.

    Raises:
        LandingError: the landing zone cannot be reached.
    """
    landed = [(zone, set(zone.days())) for zone in zones]
    for day in days:
        ids: set[str] = set()
        for zone, days_of_zone in landed:
            if day in days_of_zone:
                ids |= _read_or_tell(partial(_read_landed_ids, zone, day), day, tell_unreadable)
        ids |= _read_or_tell(partial(_read_stored_ids, stores, day), day, tell_unreadable)
        if any(is_meant(message_id) for message_id in ids):
            yield day


def _read_or_tell(read: Callable[[], set[str]], day: str, tell_unreadable: Callable[[str], None]) -> set[str]:
    try:
        return read()
    except (LandingError, StorageError) as error:
        tell_unreadable(f"{day} cannot be searched: {getattr(error, 'description', None) or error}")
        return set()


def _read_landed_ids(zone: LandingZone, day: str) -> set[str]:
    return {*complete_ids(zone.read(day).frame), *zone.read_corrections(day)}


def _read_stored_ids(stores: Stores, day: str) -> set[str]:
    ids: set[str] = set()
    for asset in FRAMES_OF_MAIL:
        if stores.frames.has_day(asset, day):
            ids |= set(stores.frames.load_columns(asset, day, [MESSAGE_ID])[MESSAGE_ID].dropna().astype(str))
    if stores.features.has_day("mail_features", day):
        ids |= set(stores.features.load_day("mail_features", day).message_ids.tolist())
    return ids


def forget_message(
    settings: Settings, instance: dg.DagsterInstance, zones: Sequence[LandingZone], message_id: str, day: str
) -> Iterator[str]:
    """Delete a message of a day everywhere, and yield a sentence on each place.

    The day is made again from what is left, so that Dagster's records fit what is stored.

    Raises:
        LandingError, StorageError: a file cannot be read or written; what was deleted before stays deleted.
    """
    stores = open_stores(settings)
    is_meant = name_message(message_id)
    was_scored = stores.frames.has_day("scored_mail", day)
    count = sum(zone.remove_messages(day, is_meant) for zone in zones)
    yield f"landing zone: {count} messages deleted from the files of {day}"
    yield from _delete_from_storage(settings, stores, is_meant, day)
    yield from _delete_from_models(settings, stores, is_meant)
    shown = _list_ways_to_show(message_id)
    yield f"Dagster: {erase_texts(instance, shown, day, SHOWS_MAIL)} events changed; previews of {day} are gone"
    if DAYS.has_partition_key(day):
        for job in (mail_job.name, *([score_job.name] if was_scored else [])):
            yield from _make_again(instance, job, day)
    yield from compact_databases(settings.dagster_home)


def _delete_from_storage(
    settings: Settings, stores: Stores, is_meant: Callable[[str], bool], day: str
) -> Iterator[str]:
    for asset in FRAMES_OF_MAIL:
        if stores.frames.has_day(asset, day):
            path = stores.frames.path_of(asset, day)
            if count := take_out_of_day(path, partial(_take_from_frame, stores, asset, day, is_meant)):
                yield f"storage: {count} messages deleted from {asset} of {day}"
    vectors = list(open_text_vectors(settings).files_of(day))
    for path in vectors:
        path.unlink()
    if vectors:
        yield f"storage: vectorised text of {day} deleted, {len(vectors)} files; it is made again when it is needed"
    if stores.features.has_day("mail_features", day):
        path = stores.features.path_of("mail_features", day)
        if count := take_out_of_day(path, partial(_take_from_features, stores, day, is_meant)):
            yield f"storage: {count} messages deleted from mail_features of {day}"


def _take_from_frame(stores: Stores, asset: str, day: str, is_meant: Callable[[str], bool]) -> tuple[Content, int]:
    from spam_assets.mail.mail_batches import collect_like, iterate_frames

    mail = stores.frames.load_day(asset, day)
    # Ids that raw mail lacks are those of validated mail; the day is made again in any case.
    stays = (
        frame[[cell is None or not is_meant(str(cell)) for cell in frame[MESSAGE_ID]]].reset_index(drop=True)
        for frame in iterate_frames(mail)
    )
    left = collect_like(mail, stays)
    count = len(mail) - len(left)
    return stores.frames.to_content(left) if count else b"", count


def _take_from_features(stores: Stores, day: str, is_meant: Callable[[str], bool]) -> tuple[Content, int]:
    import numpy as np

    from spam_assets.learning.day_parts import select_messages

    features = stores.features.load_day("mail_features", day)
    stays = np.array([not is_meant(known) for known in features.message_ids.tolist()], dtype=np.bool_)
    count = int((~stays).sum())
    return stores.features.to_content(select_messages(features, stays)) if count else b"", count


def _delete_from_models(settings: Settings, stores: Stores, is_meant: Callable[[str], bool]) -> Iterator[str]:
    """Take the message off the lists of suspect labels; nothing else of a model names messages."""
    from spam_assets.learning.model_files import dump_model, load_model

    def take(asset: str, day: str) -> tuple[bytes, int]:
        model = stores.models.load_day(asset, day)
        left = tuple(suspect for suspect in model.suspects if not is_meant(suspect.message_id))
        count = len(model.suspects) - len(left)
        return dump_model(replace(model, suspects=left)) if count else b"", count

    stored = [(asset, day) for asset in stores.models.stored_assets() for day in stores.models.stored_days(asset)]
    changed = [take_out_of_day(stores.models.path_of(asset, day), partial(take, asset, day)) for asset, day in stored]
    yield f"storage: taken off the suspects of {sum(map(bool, changed))} models"
    # Models that older versions logged list their suspects as well.
    if not settings.has_tracking_server and settings.artifact_folder.exists():
        for path in settings.artifact_folder.rglob("model.npz"):
            logged = _load_logged(path, load_model)
            if logged is not None and any(is_meant(suspect.message_id) for suspect in logged.suspects):
                path.write_bytes(dump_model(replace(logged, suspects=())))
                yield f"MLflow: taken off the suspects in {path}"


def _load_logged(path: Path, load_model: Callable[[bytes], Any]) -> Any:
    try:
        return load_model(path.read_bytes())
    except (ValueError, KeyError):  # of a version that this code does not read
        return None


def _make_again(instance: dg.DagsterInstance, job: str, day: str) -> Iterator[str]:
    (outcome,) = run_days(instance, job, day, day)
    if outcome.failure:
        yield f"{day} could not be made again, what is stored is without the message: {outcome.failure}"
    else:
        yield f"{day} was made again without it"


def _list_ways_to_show(message_id: str) -> list[str]:
    """Return the message's id in all the ways in which events show it."""
    bare = _strip_id(message_id)
    ways: list[str] = []
    for text in (f"<{bare}>", bare):
        ways += [text, escape_markdown(text), escape_markdown(text, NOTE_CHARACTERS), quote_cell(text)[1:-1]]
    return list(dict.fromkeys(ways))
