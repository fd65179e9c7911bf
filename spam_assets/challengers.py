"""The methods that are trained beside the main one: what their assets are called, and how one is trained apart.

A challenger is somebody else's code beside a training that people rely on. So it has a step of its own and learns in a
process of its own: where it fails, crashes, takes all memory or does not come to an end, it does so alone.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import dagster as dg

from spam_assets.engine.child_process import ChildDiedError, ChildTookTooLongError, run_in_child
from spam_assets.engine.transient_faults import is_transient
from spam_assets.io_managers.npz_models import ModelIOManager
from spam_assets.learning.estimator_errors import EstimatorError
from spam_assets.learning.methods import Method, parse_method
from spam_assets.registry.registered_models import ModelRegistry
from spam_assets.resources import build_training_settings, open_training_windows
from spam_assets.settings import Settings

if TYPE_CHECKING:
    from spam_assets.learning.dated_model import DatedModel
    from spam_assets.learning.trained_model import TrainedModel

PREFIX_OF_ASSETS = "challenger_"
"""Before the names of their assets."""


def name_challengers(settings: Settings) -> dict[str, Method]:
    """Return the challengers of the settings by the names of their assets, in their order.

    An asset is named by the function; where two functions have one name, by module and function.
    """
    methods = [parse_method(reference, settings.trusted) for reference in settings.challenger_methods]

    def name(method: Method) -> str:
        function = _name_function(method)
        return PREFIX_OF_ASSETS + (function if functions[function] == 1 else re.sub(r"\W", "_", method.name))

    functions = Counter(_name_function(method) for method in methods)
    return {name(method): method for method in methods}


def train_apart(settings: Settings, day: str, method: Method) -> "tuple[TrainedModel, dict[str, str]]":
    """Train a challenger for a date in a process of its own.

    Returns:
        The model, and the days of its window, each with the data version that was read.

    Raises:
        NotEnoughMailError: see `Method.train`.
        EstimatorError: its code failed, did not come to an end in time, or ended its process.
    """
    from spam_assets.learning.model_files import load_model

    minutes = settings.challenger_minutes
    try:
        content, versions = run_in_child(60 * minutes, _train, settings, day, method)
    except ChildTookTooLongError:
        raise EstimatorError(
            f"{method.name} did not learn the window of {day} within {minutes:g} minutes and was stopped; make it "
            "faster, or give it longer with SPAM_ASSETS_CHALLENGER_MINUTES"
        ) from None
    except ChildDiedError:
        raise EstimatorError(
            f"{method.name} ended its process while it learnt the window of {day}: it crashed, or there was no memory "
            "left for it"
        ) from None
    return load_model(content, method.trusted_types), versions


def enter_challengers(
    registry: ModelRegistry, models: ModelIOManager, names: Iterable[str], day: str
) -> "tuple[list[DatedModel], dict[str, str]]":
    """Register what challengers have learnt for a day, so that the gate can judge it.

    Args:
        registry: Where versions are registered.
        models: Where trained models are stored.
        names: Names of the challengers' assets; one that has trained nothing for the day is passed over.
        day: The date.

    Returns:
        The registered models, and by the names of the others why they cannot be judged.
    """
    entered: list[DatedModel] = []
    left_out: dict[str, str] = {}
    for name in names:
        found = _enter(registry, models, name, day)
        if isinstance(found, str):
            left_out[name] = found
        elif found is not None:
            entered.append(found)
    return entered, left_out


def _enter(registry: ModelRegistry, models: ModelIOManager, name: str, day: str) -> "DatedModel | str | None":
    try:
        data_version = models.find_usable(name, day)
        return registry.load_dated(registry.register(day, data_version, name)) if data_version is not None else None
    except dg.Failure as failure:  # a damaged file, an artifact that is gone, a type that is no longer trusted
        if is_transient(failure):
            raise
        return str(failure)


def _train(settings: Settings, day: str, method: Method) -> tuple[bytes, dict[str, str]]:
    from spam_assets.learning.model_files import dump_model

    window = open_training_windows(settings).ending(day)
    model = method.train(window, build_training_settings(settings))
    return dump_model(model), window.data_versions()


def _name_function(method: Method) -> str:
    return method.name.rpartition(":")[2]
