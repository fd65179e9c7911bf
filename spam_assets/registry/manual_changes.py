"""What a person decides about who serves: promote, roll back, unpin, bar, unbar. Every one is in the history.

A version that is to serve is loaded and asked first; where that fails, nothing has moved. A person's choice pins the
champion: the gate goes on judging, and moves nothing until somebody unpins.
"""

from collections.abc import Iterator

from spam_assets.registry.alias_changes import CHAMPION, PREVIOUS, Change, list_services
from spam_assets.registry.model_artifacts import UnreadableModelError
from spam_assets.registry.registered_models import ModelRegistry, RegisteredVersion
from spam_assets.registry.store import TrackingError

NO_REASON = "no reason was given"
TRIAL_MESSAGE = "Subject: Minutes of Monday\n\nDear all, these are the minutes of Monday's meeting.\n"


class ManualChangeError(Exception):
    """A person asked for what cannot be; the message says why and what to do. Nothing was changed."""


def promote_version(registry: ModelRegistry, number: int, reason: str = "") -> RegisteredVersion:
    """Make a version the champion and pin it, whatever the gate says; the champion so far becomes `previous`.

    Raises:
        ManualChangeError: there is no such version, it is barred, or its model cannot be used.
    """
    with registry.changing():
        version = _find_version(registry, number)
        _check_that_it_can_serve(registry, version)
        why = reason or f"promoted by hand, {NO_REASON}"
        registry.carry_out(version, registry.aliased(CHAMPION), promote=True, who="person", why=why, pins=True)
    return version


def roll_back(registry: ModelRegistry, to: int | None = None, reason: str = "") -> RegisteredVersion:
    """Put an earlier champion back and pin it: the version `to`, else the previous champion.

    Twice in a row it returns to where it was, unless that version was barred meanwhile.

    Raises:
        ManualChangeError: there is no such version, it never served or is barred, or its model cannot be used.
    """
    with registry.changing():
        champion = registry.aliased(CHAMPION)
        if to is None:
            version = _find_previous(registry, champion)
        else:
            version = _find_version(registry, to)
            if not version.was_champion:
                raise ManualChangeError(
                    f"version {to} never was the champion; spam-assets promote {to} makes it one all the same"
                )
        _check_that_it_can_serve(registry, version)
        why = reason or f"rolled back by hand, {NO_REASON}"
        registry.carry_out(version, champion, promote=True, who="rollback", why=why, pins=True)
    return version


def unpin_champion(registry: ModelRegistry, reason: str = "") -> Change:
    """Let the gate move the champion again, and return the change that had pinned it.

    Raises:
        ManualChangeError: the champion is not pinned.
    """
    with registry.changing():
        pin = registry.standing().pin
        if pin is None:
            raise ManualChangeError("the champion is not pinned: the gate decides who serves")
        registry.change("person", reason or f"unpinned by hand, {NO_REASON}", {}, pins=False)
    return pin


def bar_version(registry: ModelRegistry, number: int, reason: str = "") -> RegisteredVersion:
    """Keep a version from ever serving: the gate refuses it, and nobody can promote it or roll back to it.

    Raises:
        ManualChangeError: there is no such version, or it serves.
    """
    with registry.changing():
        version = _find_version(registry, number)
        champion, best = registry.aliased(CHAMPION), registry.best()
        if champion is not None and champion.version == number:
            raise ManualChangeError(
                f"version {number} serves; put another one in its place first, with spam-assets rollback or promote"
            )
        # What may not serve is no standard either.
        is_best = best is not None and best.version == number and champion is not None
        new_best = champion.version if is_best and champion is not None else None
        why = reason or f"barred by hand, {NO_REASON}"
        registry.change("person", why, {}, bars=number, best=new_best)
    return version


def unbar_version(registry: ModelRegistry, number: int, reason: str = "") -> RegisteredVersion:
    """Let a version serve again if the gate or a person wants it.

    Raises:
        ManualChangeError: there is no such version, or it is not barred.
    """
    with registry.changing():
        version = _find_version(registry, number)
        if not version.barred:
            raise ManualChangeError(f"version {number} is not barred")
        registry.change("person", reason or f"unbarred by hand, {NO_REASON}", {}, unbars=number)
    return version


def _find_version(registry: ModelRegistry, number: int) -> RegisteredVersion:
    for version in registry.versions():
        if version.version == number:
            return version
    raise ManualChangeError(f"there is no version {number} of spam-classifier; spam-assets models lists them")


def _find_previous(registry: ModelRegistry, champion: RegisteredVersion | None) -> RegisteredVersion:
    """The champion before this one: the alias `previous`, else the last in the history that may serve."""
    known = {version.version: version for version in registry.versions()}
    for number in _list_earlier_champions(registry):
        version = known.get(number)
        if version is not None and not version.barred and (champion is None or number != champion.version):
            return version
    raise ManualChangeError("there is no previous champion to go back to; spam-assets promote VERSION names one")


def _list_earlier_champions(registry: ModelRegistry) -> Iterator[int]:
    previous = registry.aliased(PREVIOUS)
    if previous is not None:
        yield previous.version
    for service in reversed(list_services(registry.standing().changes)):
        yield service.version


def _check_that_it_can_serve(registry: ModelRegistry, version: RegisteredVersion) -> None:
    """Load the very artifact and let it score a message, before anything moves."""
    import pandas as pd

    from spam_assets.learning.served_model import SPAM_PROBABILITY
    from spam_assets.learning.serving import score_mail

    if version.barred:
        raise ManualChangeError(
            f"version {version.version} is barred ({version.barred}); spam-assets unbar {version.version} lifts it"
        )
    nothing = "nothing was changed; name another version"
    try:
        model = registry.load_model(version)
        (probability,) = score_mail(model, pd.DataFrame({"text": [TRIAL_MESSAGE]}))[SPAM_PROBABILITY]
    except UnreadableModelError as error:
        raise ManualChangeError(f"version {version.version} cannot serve, {error.why}; {nothing}") from error
    except TrackingError:  # that MLflow does not answer says nothing of the version
        raise
    except Exception as error:
        raise ManualChangeError(
            f"version {version.version} cannot serve, its model cannot be used ({type(error).__name__}); {nothing}"
        ) from error
    if not 0 <= probability <= 1:
        raise ManualChangeError(
            f"version {version.version} cannot serve, it scores {probability} for a mail; {nothing}"
        )
