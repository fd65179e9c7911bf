"""The history of the aliases: every change is written down before an alias moves, and survives a crash at any point.

MLflow moves one alias a call and remembers nothing. So a change is first written, whole and in one call, as a tag of
the registered model; that is when it is decided. Then it is carried out, call by call, each of which may be repeated;
last, a tag says which change was carried out. Who comes next finishes what a crash left, and notes what was moved
without this project. All of it is in MLflow, so everybody who uses the server shares it.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING
from uuid import uuid4

from spam_assets.registry.alias_changes import BEST, CARRIED_OUT, Change, Standing, name_change, read_number
from spam_assets.registry.store import TrackingError
from spam_assets.registry.version_notes import write_verdict

if TYPE_CHECKING:
    from mlflow import MlflowClient

PROMOTED = "promoted"
"""Tag of versions that were champion at some time."""
BARRED = "barred"
"""Tag of versions that may not serve, with the reason."""
OUTSIDE = "moved without spam-assets, or before it kept this history"


class AliasHistory:
    """The aliases of one registered model and what was written about them.

    Args:
        client: Of the store that holds the model.
        name: The registered model's.
    """

    def __init__(self, client: "MlflowClient", name: str) -> None:
        self._client = client
        self._name = name

    def read(self) -> Standing:
        """Return the aliases and the history as they are."""
        from mlflow.exceptions import MlflowException

        try:
            model = self._client.get_registered_model(self._name)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return Standing({}, (), None, ())
            raise
        aliases: Mapping[str, int] = {alias: int(version) for alias, version in model.aliases.items()}
        return Standing.read(aliases, model.tags)

    def repair(self) -> Standing:
        """Finish the change that a crash left, and write down what was moved from outside; return what stands."""
        standing = self.read()
        for key in standing.leftovers:
            self._drop_tag(key)
        if standing.unfinished is not None:
            self._carry_out(standing.unfinished)
            standing = self.read()
        moves = standing.find_outside_moves()
        if moves:
            self.make(standing, Change("outside", OUTSIDE, moves))
            standing = self.read()
        return standing

    def make(self, standing: Standing, change: Change) -> Change:
        """Write a change down and carry it out; return it with its number.

        Raises:
            TrackingError: somebody else wrote a change since `standing` was read; nothing was changed.
        """
        number = standing.last_number + 1
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        written = replace(change, number=number, at=now, key=name_change(number, uuid4().hex[:8]))
        self._client.set_registered_model_tag(self._name, written.key, written.to_tag())
        tags = self._client.get_registered_model(self._name).tags
        same_or_later = [key for key in tags if read_number(key) >= number]
        if same_or_later != [written.key]:  # of another home folder: the lock keeps those of this one apart
            self._drop_tag(written.key)
            raise TrackingError("somebody else changed the aliases at the same moment; nothing was changed, try again")
        self._carry_out(written)
        return written

    def _carry_out(self, change: Change) -> None:
        move = change.champion_move
        if move is not None and move.after is not None:
            self._tag_version(move.after, PROMOTED, "true")
            if change.who == "gate":
                write_verdict(self._client, self._name, move.after, "promote", change.why)
        if change.bars is not None:
            self._tag_version(change.bars, BARRED, change.why)
        if change.unbars is not None:
            self._tag_version(change.unbars, BARRED, None)
        if change.best is not None:
            self._client.set_registered_model_tag(self._name, BEST, str(change.best))
        for one in change.moves:
            self._point(one.alias, one.after)
        self._client.set_registered_model_tag(self._name, CARRIED_OUT, change.key)

    def _point(self, alias: str, version: int | None) -> None:
        from mlflow.exceptions import MlflowException

        if version is None:
            self._client.delete_registered_model_alias(self._name, alias)
            return
        try:
            self._client.set_registered_model_alias(self._name, alias, str(version))
        except MlflowException as error:  # somebody deleted the version: `repair` writes down where the alias is
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise

    def _tag_version(self, version: int, name: str, value: str | None) -> None:
        from mlflow.exceptions import MlflowException

        try:
            if value is None:
                self._client.delete_model_version_tag(self._name, str(version), name)
            else:
                self._client.set_model_version_tag(self._name, str(version), name, value)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise

    def _drop_tag(self, key: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.delete_registered_model_tag(self._name, key)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
