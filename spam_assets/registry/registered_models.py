"""The registered model `spam-classifier`: its versions, and the aliases that say which of them serves.

Not here: which model deserves an alias; that rule is `learning.gate`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spam_assets.engine.locks import hold_lock
from spam_assets.registry.logged_model import MODEL_FILE
from spam_assets.registry.model_artifacts import UnreadableModelError, parse_model
from spam_assets.registry.store import (
    DAILY_PROTOCOL,
    DATA_VERSION,
    MODEL_URI,
    TRAINING_DATE,
    TrackingError,
    is_missing,
    prepare_tracking_store,
    secret_kept,
)
from spam_assets.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

    from spam_assets.learning.dated_model import DatedModel, UnreadableModel
    from spam_assets.learning.gate import Decision
    from spam_assets.learning.model import SpamModel
    from spam_assets.learning.succession import Judged, Succession

MODEL_NAME = "spam-classifier"
CHAMPION = "champion"
PREVIOUS = "previous"
CHALLENGER = "challenger"
PROMOTED = "promoted"
"""Tag of versions that were champion at some time."""
VERDICT = "gate_verdict"
"""Tag: what the gate said last of a version, one of `learning.gate.Verdict`."""
REASON = "gate_reason"
BEST = "best_version"
"""Tag of the registered model: the best champion until now, which later candidates are held against."""
WAITS = "wait"
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


class ModelRegistry:
    """The registered model `spam-classifier`: its versions and aliases."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loaded: dict[int, SpamModel] = {}

    @cached_property
    def _client(self) -> "MlflowClient":
        import mlflow
        from mlflow import MlflowClient

        prepare_tracking_store(self._settings)
        mlflow.set_tracking_uri(self._settings.tracking_uri)  # MLflow resolves `models:/` URIs in its global store only
        return MlflowClient(self._settings.tracking_uri)

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

        with self._guard(f"reading alias {alias}"):
            try:
                version = self._client.get_model_version_by_alias(MODEL_NAME, alias)
            except MlflowException as error:
                if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise
        return _describe_version(version, {int(version.version): list(version.aliases)})

    def best(self) -> RegisteredVersion | None:
        """Return the best champion until now, or None."""
        from mlflow.exceptions import MlflowException

        with self._guard("reading the best version"):
            try:
                number = self._client.get_registered_model(MODEL_NAME).tags.get(BEST)
                return _describe_version(self._client.get_model_version(MODEL_NAME, number), {}) if number else None
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return None
                raise

    def waiting(self) -> list[RegisteredVersion]:
        """Return the candidates, not older than the champion, that are neither promoted nor refused."""
        champion = self.aliased(CHAMPION)
        with self._guard("reading the versions that wait"):
            found = self._client.search_model_versions(f"name = '{MODEL_NAME}' and tags.{VERDICT} = '{WAITS}'")
        versions = sorted((_describe_version(version, {}) for version in found), key=lambda version: version.version)
        newest = {version.training_date: version for version in versions}  # trained again, a date has one candidate
        return [version for day, version in newest.items() if champion is None or day >= champion.training_date]

    def champion_before(self, day: str) -> RegisteredVersion | None:
        """Return the champion that had learnt nothing of a day or of later ones, or None."""
        for alias in (CHAMPION, PREVIOUS):
            version = self.aliased(alias)
            if version is not None and version.training_date < day:
                return version
        earlier = [version for version in self.versions() if version.was_champion and version.training_date < day]
        return max(earlier, key=lambda version: version.training_date, default=None)

    def challenger_before(self, day: str) -> RegisteredVersion | None:
        """Return the newest candidate that waits and had learnt nothing of a day or of later ones, or None."""
        earlier = [version for version in self.waiting() if version.training_date < day]
        return max(earlier, key=lambda version: version.training_date, default=None)

    def load_model(self, version: RegisteredVersion) -> "SpamModel":
        """Read a version's weights from its artifact; no code of the artifact is run.

        Raises:
            UnreadableModelError: the artifact is missing or damaged, or reads features of another version.
        """
        if version.version in self._loaded:
            return self._loaded[version.version]
        model = parse_model(version, self._read_artifact(version))
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

    def remember(self, version: RegisteredVersion, model: "SpamModel") -> None:
        """Keep the model of a version at hand, so that `load_model` need not read it."""
        if version.version not in self._loaded and len(self._loaded) >= MODELS_IN_MEMORY:
            self._loaded.pop(next(iter(self._loaded)))
        self._loaded[version.version] = model

    def training_run_of(self, training_date: str, data_version: str) -> "Run":
        """Return the newest finished run that trained this very model.

        Raises:
            TrackingError: there is none.
        """
        with self._guard("looking for a training run"):
            client = self._client
            experiment = client.get_experiment_by_name(self._settings.experiment)
            runs = client.search_runs(
                [experiment.experiment_id] if experiment else [],
                f"tags.{TRAINING_DATE} = '{training_date}' and tags.{DATA_VERSION} = '{data_version}' "
                "and attributes.status = 'FINISHED'",
                order_by=["attributes.start_time DESC"],
                max_results=1,
            )
        if not runs:
            raise TrackingError(
                f"MLflow has no finished run train-{training_date} of the stored model; "
                f"materialize trained_model of {training_date} again"
            )
        return runs[0]

    def register(self, training_date: str, data_version: str) -> RegisteredVersion:
        """Register the model of a training run as a new version; the same model is registered once.

        One whose artifact was damaged since is registered again when it was trained again.
        """
        from mlflow.exceptions import MlflowException

        run = self.training_run_of(training_date, data_version)
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
                tags={TRAINING_DATE: training_date, DATA_VERSION: data_version},
                model_id=uri.removeprefix("models:/"),  # a server refuses the URI without it
            )
            try:
                version = create()
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
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
            for name, value in ((VERDICT, decision.verdict), (REASON, decision.reason)):
                self._client.set_model_version_tag(MODEL_NAME, str(version), name, value)

    def note_best(self, version: int) -> None:
        """Note that later candidates are held against this version."""
        with self._guard("noting the best version"):
            self._client.set_registered_model_tag(MODEL_NAME, BEST, str(version))

    def load_dated(self, version: RegisteredVersion) -> "DatedModel":
        """Return a version's model, read from where it is stored, with its date and number."""
        from spam_assets.learning.dated_model import DatedModel

        return DatedModel(version.training_date, self.load_model(version), version.version)

    def load_succession(self) -> "Succession":
        """Return the models that the gate knows: the champion, the best one, and those that wait.

        One that cannot be read is there with the reason. Where its store cannot be reached, nobody knows, and that is
        an error.
        """
        from spam_assets.learning.dated_model import DatedModel, UnreadableModel
        from spam_assets.learning.succession import Succession

        champion, best = (
            self.load_or_explain(version) if version else None for version in (self.aliased(CHAMPION), self.best())
        )
        is_another = best is not None and (champion is None or best.version != champion.version)
        waiting = [self.load_or_explain(version) for version in self.waiting()]
        return Succession(
            champion if isinstance(champion, DatedModel) else None,
            best if isinstance(best, DatedModel) else None,
            tuple(one for one in waiting if isinstance(one, DatedModel)),
            champion if isinstance(champion, UnreadableModel) else None,
            best if isinstance(best, UnreadableModel) and is_another else None,
            tuple(one for one in waiting if isinstance(one, UnreadableModel)),
        )

    def carry_out_verdicts(self, before: "Succession", after: "Succession", judged: "Sequence[Judged]") -> None:
        """Note what the gate said of each candidate, and move the aliases as it decided.

        A promoted candidate becomes champion and the old one `previous`; the newest of the others becomes
        `challenger` if it is not older than the champion.
        """
        from spam_assets.learning.gate import Decision

        served, champion = before.serving, after.serving
        for lost in before.unreadable_waiting:
            self.note_verdict(lost.version, Decision("refuse", f"it waited in vain: {lost.told}"))
        for one in judged:
            is_not_newer = served is not None and one.candidate.training_date <= served.training_date
            self.note_verdict(_number(one.candidate), one.decision, is_first_only=is_not_newer)
        if champion is not None and (served is None or champion.version != served.version):
            self._succeed(_number(champion), _number(served) if served else None)
        if after.best is not None and (before.best is None or after.best.version != before.best.version):
            self.note_best(_number(after.best))
        others = [one.candidate for one in judged if not one.decision.promote]
        newest = max(others, key=lambda dated: dated.training_date, default=None)
        if newest is not None and (champion is None or newest.training_date >= champion.training_date):
            self.point(CHALLENGER, _number(newest))

    def carry_out(self, candidate: RegisteredVersion, champion: RegisteredVersion | None, *, promote: bool) -> None:
        """Move the aliases as decided.

        A promoted candidate becomes champion and the old one `previous`; one that is not, and is newer than the
        champion, becomes `challenger`.
        """
        if champion is not None and candidate.version == champion.version:
            return
        if promote:
            self._succeed(candidate.version, champion.version if champion else None)
            self.note_best(candidate.version)  # a person says what later candidates are held against
        elif champion is None or candidate.training_date > champion.training_date:
            self.point(CHALLENGER, candidate.version)

    def _succeed(self, version: int, old: int | None) -> None:
        """Make a version the champion, and the old one, if there is one, `previous`."""
        if old is not None:
            self.point(PREVIOUS, old)
        with self._guard("noting a champion"):
            self._client.set_model_version_tag(MODEL_NAME, str(version), PROMOTED, "true")
        self.point(CHAMPION, version)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Keep other processes of this home folder from changing versions and aliases meanwhile."""
        with hold_lock(self._settings, "registry"):
            yield

    def point(self, alias: str, version: int) -> None:
        """Point an alias to a version."""
        with self._guard(f"moving alias {alias}"):
            self._client.set_registered_model_alias(MODEL_NAME, alias, str(version))

    def daily_protocol_of(self, run_id: str) -> dict[str, float]:
        """Return the daily protocol's figures of a training run, by the names of `learning.evaluation.Evaluation`."""
        with self._guard("reading metrics"):
            metrics = self._client.get_run(run_id).data.metrics
        return {name.removeprefix(DAILY_PROTOCOL): value for name, value in metrics.items()}

    def _guard(self, doing: str) -> Any:
        return secret_kept(self._settings.tracking_uri, doing)


def _number(dated: "DatedModel | UnreadableModel") -> int:
    if dated.version is None:
        raise ValueError(f"the model trained for {dated.training_date} is not registered; register it first")
    return dated.version


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
    )
