"""What the artifact of a registered model holds, or why it cannot be read here."""

from typing import TYPE_CHECKING

from spam_assets.io_managers.fingerprints import fingerprint_stored_model
from spam_assets.registry.store import TrackingError

if TYPE_CHECKING:
    from collections.abc import Collection

    from spam_assets.learning.trained_model import TrainedModel
    from spam_assets.registry.registered_models import RegisteredVersion


class UnreadableModelError(TrackingError):
    """A registered model is there, but cannot score mail here; the description names the remedy.

    Attributes:
        why: Why it cannot, as part of a sentence.
        is_outdated: Whether it is whole, and was made by another version of the code.
    """

    def __init__(self, version: "RegisteredVersion", why: str, remedy: str, *, is_outdated: bool = False) -> None:
        super().__init__(
            f"version {version.version}, trained for {version.training_date}, cannot score mail here: {why}; {remedy}"
        )
        self.why = why
        self.is_outdated = is_outdated


def parse_model(
    version: "RegisteredVersion", content: bytes | None, trusted_types: "Collection[str]" = ()
) -> "TrainedModel":
    """Return the model in the bytes of a version's artifact; None stands for an artifact that is not there.

    Raises:
        UnreadableModelError: it is missing, damaged or another one's, reads features of another version, or has types
            that are neither known to be safe nor among `trusted_types`.
    """
    from spam_assets.learning.code_versions import OtherVersionError
    from spam_assets.learning.estimator_errors import EstimatorError
    from spam_assets.learning.model_files import load_model

    again = f"spam-assets run --date {version.training_date} registers it again, spam-assets promote names another one"
    if content is None:
        raise UnreadableModelError(version, "its artifact is missing", again)
    try:
        data_version = fingerprint_stored_model(content)
        model = load_model(content, trusted_types)
    except OtherVersionError as error:
        remedy = "MLflow serves it with the code that it carries; spam-assets backfill trains its successor"
        raise UnreadableModelError(version, str(error).partition(";")[0], remedy, is_outdated=True) from None
    except Exception as error:
        raise UnreadableModelError(version, f"its artifact is damaged ({type(error).__name__})", again) from error
    if version.data_version and data_version != version.data_version:
        raise UnreadableModelError(version, "its artifact is not what was registered", again)
    try:
        model.check_usable()
    except EstimatorError as error:
        raise UnreadableModelError(version, str(error), again) from error
    return model
