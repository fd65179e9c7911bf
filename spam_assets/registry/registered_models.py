"""The registered model `spam-classifier`: its versions, and the aliases that say which of them serves.

Not here: which model deserves an alias; that rule is `learning.gate`. Nor who changes what, `registry.gate_changes` and
`registry.manual_changes`, nor how a change is written so that none is lost, `registry.alias_history`.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spam_assets.engine.locks import hold_lock
from spam_assets.registry.alias_changes import CHALLENGER as CHALLENGER
from spam_assets.registry.alias_changes import CHAMPION as CHAMPION
from spam_assets.registry.alias_changes import PREVIOUS as PREVIOUS
from spam_assets.registry.alias_changes import AliasMove, Change, Standing, Who
from spam_assets.registry.alias_history import BARRED, PROMOTED, AliasHistory
from spam_assets.registry.logged_model import MODEL_FILE
from spam_assets.registry.model_artifacts import UnreadableModelError, parse_model
from spam_assets.registry.store import (
    DAILY_PROTOCOL,
    DATA_VERSION,
    HELD_OUT,
    MODEL_URI,
    TRAINED_ASSET,
    TRAINING_DATE,
    TrackingError,
    is_missing,
    name_run,
    prepare_tracking_store,
    secret_kept,
)
from spam_assets.registry.version_notes import (
    REASON,
    VERDICT,
    describe_lineage,
    list_lineage_tags,
    read_method,
    write_verdict,
)
from spam_assets.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.exceptions import MlflowException

    from spam_assets.learning.dated_model import DatedModel, UnreadableModel
    from spam_assets.learning.gate import Decision
    from spam_assets.learning.trained_model import TrainedModel

MODEL_NAME = "spam-classifier"
WAITS = "wait"
HELD = "hold"
REFUSED = "refuse"
MODELS_IN_MEMORY = 6


@dataclass(frozen=True)
class RegisteredVersion:
    """One version of the registered model."""

    version: int
    training_date: str
    run_id: str
    data_version: str
    aliases: tuple[str, ...]
    was_champion: bool = False
    verdict: str = ""
    reason: str = ""
    barred: str = ""
    method: str = ""


class ModelRegistry:
    """The registered model `spam-classifier`: its versions and aliases."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loaded: dict[int, TrainedModel] = {}
        self._held: Standing | None = None
        """What stands, while `changing` keeps others from changing it."""

    @cached_property
    def _client(self) -> "MlflowClient":
        import mlflow

        from spam_assets.registry.model_client import ModelClient

        prepare_tracking_store(self._settings)
        mlflow.set_tracking_uri(self._settings.tracking_uri)  # MLflow resolves `models:/` URIs in its global store only
        return ModelClient(self._settings.tracking_uri)

    @cached_property
    def _history(self) -> AliasHistory:
        return AliasHistory(self._client, MODEL_NAME)

    def versions(self) -> list[RegisteredVersion]:
        """Return all versions, oldest first, with their aliases."""
        with self._guard("reading the registered versions"):
            client = self._client
            aliases: dict[int, list[str]] = {}
            for model in client.search_registered_models(f"name = '{MODEL_NAME}'"):
                for alias, version in model.aliases.items():
                    aliases.setdefault(int(version), []).append(alias)
            found: list[RegisteredVersion] = []
            token: str | None = None
            while True:
                page = client.search_model_versions(f"name = '{MODEL_NAME}'", max_results=1000, page_token=token)
                found += [_describe_version(version, aliases) for version in page]
                token = page.token
                if not token:
                    return sorted(found, key=lambda version: version.version)

    def aliased(self, alias: str) -> RegisteredVersion | None:
        """Return the version that an alias points to, or None."""
        from mlflow.exceptions import MlflowException

        if self._held is not None:
            return self._find(self._held.aliases.get(alias))
        with self._guard(f"reading alias {alias}"):
            try:
                version = self._client.get_model_version_by_alias(MODEL_NAME, alias)
            except MlflowException as error:
                if error.error_code == "INVALID_PARAMETER_VALUE" or self._is_no_model_yet(error):
                    return None
                raise
        return _describe_version(version, {int(version.version): list(version.aliases)})

    def best(self) -> RegisteredVersion | None:
        """Return the best champion until now, or None."""
        return self._find(self.standing().best)

    def _find(self, number: int | None) -> RegisteredVersion | None:
        """Return a version by its number; None where somebody deleted it."""
        from mlflow.exceptions import MlflowException

        if number is None:
            return None
        with self._guard(f"reading version {number}"):
            try:
                version = self._client.get_model_version(MODEL_NAME, str(number))
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return None
                raise
        return _describe_version(version, {number: list(version.aliases)})

    def waiting(self) -> list[RegisteredVersion]:
        """Return the candidates, not older than the champion, that are neither promoted nor refused.

        Of those that only a pin kept from being promoted, the newest.
        """
        champion = self.aliased(CHAMPION)
        with self._guard("reading the versions that wait"):
            found = list(self._client.search_model_versions(f"name = '{MODEL_NAME}' and tags.{VERDICT} = '{WAITS}'"))
            held = self._client.search_model_versions(f"name = '{MODEL_NAME}' and tags.{VERDICT} = '{HELD}'")
        if held:
            found.append(max(held, key=lambda version: (version.tags.get(TRAINING_DATE, ""), int(version.version))))
        versions = sorted((_describe_version(version, {}) for version in found), key=lambda version: version.version)
        # Trained again, a date has one candidate of a method.
        newest = {(version.training_date, version.method): version for version in versions}
        return [version for (day, _), version in newest.items() if champion is None or day >= champion.training_date]

    def champion_before(self, day: str) -> RegisteredVersion | None:
        """Return the champion that had learnt nothing of a day or of later ones, or None."""
        for alias in (CHAMPION, PREVIOUS):
            version = self.aliased(alias)
            if version is not None and version.training_date < day:
                return version
        return self.champions_before([day])[day]  # which reads all versions, and is seldom asked

    def champions_before(self, days: Iterable[str]) -> dict[str, RegisteredVersion | None]:
        """Return what `champion_before` returns for each of many days, from one look at all versions."""
        versions = self.versions()
        by_alias = {alias: version for version in versions for alias in version.aliases}
        served = (version for version in versions if version.was_champion)
        by_date = sorted(served, key=lambda version: version.training_date, reverse=True)

        def find(day: str) -> RegisteredVersion | None:
            candidates = [by_alias.get(CHAMPION), by_alias.get(PREVIOUS), *by_date]
            return next((one for one in candidates if one is not None and one.training_date < day), None)

        return {day: find(day) for day in days}

    def challenger_before(self, day: str) -> RegisteredVersion | None:
        """Return the newest candidate that waits and had learnt nothing of a day or of later ones, or None."""
        earlier = [version for version in self.waiting() if version.training_date < day]
        return max(earlier, key=lambda version: version.training_date, default=None)

    def newest_of_methods_before(self, day: str, methods: Collection[str]) -> list[RegisteredVersion]:
        """Return of each method its newest version that had learnt nothing of a day or later, and was not refused."""
        if not methods:
            return []
        fit = [
            version
            for version in self.versions()
            if version.method in methods
            and version.training_date < day
            and not version.barred
            and version.verdict != REFUSED
        ]
        return list({version.method: version for version in sorted(fit, key=lambda one: one.training_date)}.values())

    def load_model(self, version: RegisteredVersion) -> "TrainedModel":
        """Read a version's weights from its artifact; no code of the artifact is run.

        Raises:
            UnreadableModelError: the artifact is missing or damaged, or reads features of another version.
        """
        if version.version in self._loaded:
            return self._loaded[version.version]
        model = parse_model(version, self._read_artifact(version), self._settings.trusted)
        self.remember(version, model)
        return model

    def _read_artifact(self, version: RegisteredVersion) -> bytes | None:
        """Return the bytes of a version's model file; None where it is not there."""
        from mlflow.artifacts import download_artifacts

        with self._guard(f"loading version {version.version}"):
            # Not `models:/...`, which MLflow looks up in the store of the process, whatever tracking_uri says.
            folder = self._client.get_model_version_download_uri(MODEL_NAME, str(version.version))
            try:
                path = download_artifacts(f"{folder}/data/{MODEL_FILE}", tracking_uri=self._settings.tracking_uri)
            except Exception as error:
                if is_missing(error):  # a store that cannot be reached says nothing of the model
                    return None
                raise
        return Path(path).read_bytes()

    def load_or_explain(self, version: RegisteredVersion) -> "DatedModel | UnreadableModel":
        """Return a version's model with its date and number, or why it cannot be read."""
        from spam_assets.learning.dated_model import UnreadableModel

        try:
            return self.load_dated(version)
        except UnreadableModelError as error:
            return UnreadableModel(version.training_date, version.version, error.why)

    def remember(self, version: RegisteredVersion, model: "TrainedModel") -> None:
        """Keep the model of a version at hand, so that `load_model` need not read it."""
        if version.version not in self._loaded and len(self._loaded) >= MODELS_IN_MEMORY:
            self._loaded.pop(next(iter(self._loaded)))
        self._loaded[version.version] = model

    def training_run_of(self, training_date: str, data_version: str, asset: str = TRAINED_ASSET) -> "Run":
        """Return the newest finished run that trained this very model.

        Raises:
            TrackingError: there is none.
        """
        with self._guard("looking for a training run"):
            client = self._client
            experiment = client.get_experiment_by_name(self._settings.experiment)
            found = client.search_runs(
                [experiment.experiment_id] if experiment else [],
                f"tags.{TRAINING_DATE} = '{training_date}' and tags.{DATA_VERSION} = '{data_version}' "
                "and attributes.status = 'FINISHED'",
                order_by=["attributes.start_time DESC"],
                max_results=10,
            )
        runs = [run for run in found if MODEL_URI in run.data.tags]  # one that was half logged has none
        if not runs:
            raise TrackingError(
                f"MLflow has no finished run {name_run(training_date, asset)} of the stored model; "
                f"materialize {asset} of {training_date} again"
            )
        return runs[0]

    def register(self, training_date: str, data_version: str, asset: str = TRAINED_ASSET) -> RegisteredVersion:
        """Register the model of a training run as a new version; the same model is registered once.

        One whose artifact was damaged since is registered again when it was trained again.
        """
        from mlflow.exceptions import MlflowException

        run = self.training_run_of(training_date, data_version, asset)
        with self._guard("registering a version"):
            client = self._client
            same_date = client.search_model_versions(
                f"name = '{MODEL_NAME}' and tags.{TRAINING_DATE} = '{training_date}'"
            )
            for known in same_date:
                if known.tags.get(DATA_VERSION) == data_version:
                    described = _describe_version(known, {})
                    if described.run_id == run.info.run_id or self._is_intact(described):
                        return described
            uri = run.data.tags[MODEL_URI]
            create = partial(
                client.create_model_version,
                MODEL_NAME,
                uri,
                run_id=run.info.run_id,
                tags={TRAINING_DATE: training_date, DATA_VERSION: data_version, **list_lineage_tags(run)},
                description=describe_lineage(run),
                model_id=uri.removeprefix("models:/"),  # a server refuses the URI without it
            )
            try:
                version = create()
            except MlflowException as error:
                if not self._is_no_model_yet(error):
                    raise
                self._create_model()
                version = create()
        return _describe_version(version, {})

    def _is_intact(self, version: RegisteredVersion) -> bool:
        try:
            self.load_model(version)
        except UnreadableModelError:
            return False
        return True

    def _is_no_model_yet(self, error: "MlflowException") -> bool:
        """Return whether MLflow refused because nothing is registered; a server with users denies permission then."""
        if error.error_code == "PERMISSION_DENIED":
            return not self._client.search_registered_models(f"name = '{MODEL_NAME}'")
        return str(error.error_code) == "RESOURCE_DOES_NOT_EXIST"

    def _create_model(self) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(MODEL_NAME)
        except MlflowException as error:  # another home folder that shares the server may have been faster
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def note_verdict(self, version: int, decision: "Decision", *, is_first_only: bool = False) -> None:
        """Note what the gate said of a version; if so wanted, only where it had said nothing before."""
        with self._guard("noting what the gate said"):
            if is_first_only and VERDICT in self._client.get_model_version(MODEL_NAME, str(version)).tags:
                return  # a day that runs again after newer ones were judged learns nothing new about its model
            write_verdict(self._client, MODEL_NAME, version, decision.verdict, decision.reason)

    def load_dated(self, version: RegisteredVersion) -> "DatedModel":
        """Return a version's model, read from where it is stored, with its date and number."""
        from spam_assets.learning.dated_model import DatedModel

        return DatedModel(version.training_date, self.load_model(version), version.version, version.barred)

    def carry_out(
        self,
        candidate: RegisteredVersion,
        champion: RegisteredVersion | None,
        *,
        promote: bool,
        who: Who = "person",
        why: str = "",
        pins: bool | None = None,
    ) -> Change | None:
        """Move the aliases as a person decided.

        A promoted candidate becomes champion and the old one `previous`; one that is not, and is newer than the
        champion, becomes `challenger`.
        """
        is_champion = champion is not None and candidate.version == champion.version
        if promote:
            wanted = {} if is_champion else succeed(candidate.version, champion.version if champion else None)
            best = None if is_champion and not pins else candidate.version  # a person says what later ones are held to
            return self.change(who, why, wanted, pins=pins, best=best)
        if champion is None or candidate.training_date > champion.training_date:
            return self.change(who, why, {CHALLENGER: candidate.version})
        return None

    def change(
        self,
        who: Who,
        why: str,
        wanted: Mapping[str, int],
        *,
        pins: bool | None = None,
        bars: int | None = None,
        unbars: int | None = None,
        best: int | None = None,
    ) -> Change | None:
        """Write a change into the history and carry it out; None where everything is so already.

        Args:
            who: See ``Change``, as for the rest.
            why: One sentence.
            wanted: Alias to version.
            pins: Whether the champion is pinned from now on.
            bars: Version that may not serve from now on.
            unbars: Version that may serve again.
            best: Version that later candidates are held against from now on.

        Raises:
            TrackingError: somebody else changed the aliases at the same moment.
        """
        with self._guard("moving aliases"):
            standing = self.standing()
            moves = tuple(
                AliasMove(alias, standing.aliases.get(alias), version)
                for alias, version in wanted.items()
                if standing.aliases.get(alias) != version
            )
            change = Change(who, why, moves, pins, bars, unbars, best)
            if change == Change(who, why):
                return None
            made = self._history.make(standing, change)
        if self._held is not None:
            self._held = standing.follow(made)
        return made

    def standing(self) -> Standing:
        """Return the aliases and the whole history of their changes."""
        if self._held is not None:
            return self._held
        with self._guard("reading the history"):
            return self._history.read()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Keep other processes of this home folder from changing versions and aliases meanwhile.

        First, what a crash left half done is finished, and what was moved without this project is written down. What
        stands then is not read again meanwhile: a change by somebody whom the lock does not keep out, from another home
        folder, makes the next one here fail.
        """
        with hold_lock(self._settings, "registry"):
            with self._guard("reading the history"):
                self._held = self._history.repair()
            try:
                yield
            finally:
                self._held = None

    def point(self, alias: str, version: int) -> None:
        """Point an alias to a version, as MLflow's own UI does: the history hears of it later."""
        with self._guard(f"moving alias {alias}"):
            self._client.set_registered_model_alias(MODEL_NAME, alias, str(version))

    def figures_of(self, run_id: str) -> tuple[dict[str, float], dict[str, float]]:
        """Return a training run's figures: of the daily protocol, and of the model itself on mail held out.

        Both by the names of `learning.evaluation.Evaluation`; a model of before they were kept has none of the second.
        """
        with self._guard("reading metrics"):
            metrics = self._client.get_run(run_id).data.metrics
        daily, held_out = (
            {name.removeprefix(kind): value for name, value in metrics.items() if name.startswith(kind)}
            for kind in (DAILY_PROTOCOL, HELD_OUT)
        )
        return daily, held_out

    def _guard(self, doing: str) -> Any:
        return secret_kept(self._settings.tracking_uri, doing)


def succeed(version: int, old: int | None) -> dict[str, int]:
    """Return the aliases of a new champion, and of the old one, if there is one."""
    return {**({PREVIOUS: old} if old is not None else {}), CHAMPION: version}


def _describe_version(version: "ModelVersion", aliases: Mapping[int, list[str]]) -> RegisteredVersion:
    number = int(version.version)
    return RegisteredVersion(
        number,
        version.tags.get(TRAINING_DATE, ""),
        version.run_id or "",
        version.tags.get(DATA_VERSION, ""),
        tuple(sorted(aliases.get(number, []))),
        PROMOTED in version.tags,
        version.tags.get(VERDICT, ""),
        version.tags.get(REASON, ""),
        version.tags.get(BARRED, ""),
        read_method(version.tags),
    )
