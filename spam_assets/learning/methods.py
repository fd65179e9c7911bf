"""Whose method trains: ours, or somebody else's scikit-learn estimator, named `module:function`.

Nothing is imported before a method builds its estimator, so that a module that cannot be imported harms nothing but
the training that wants it.
"""

from __future__ import annotations

import importlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spam_assets.learning.estimator_errors import EstimatorError, tell_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spam_assets.learning.features import MailFeatures
    from spam_assets.learning.trained_model import TrainedModel
    from spam_assets.learning.training import TrainingSettings

REFERENCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
OURS_NAME = "ours"
MUST_RETURN = (
    "it must return an unfitted scikit-learn estimator or Pipeline whose fit(X, y) takes a frame of mail (message_id, "
    "received_at, sender, recipients, subject, body, raw) and labels (1 is spam), and which has predict_proba or "
    "decision_function"
)


@dataclass(frozen=True)
class Method:
    """A way to train a model.

    Attributes:
        reference: `module:function`, which builds an unfitted estimator; empty for our own method.
        trusted_types: Types, by full name, that its stored estimator may have beside those known to be safe.
    """

    reference: str = ""
    trusted_types: frozenset[str] = frozenset()

    @property
    def is_ours(self) -> bool:
        """Whether it is our own method."""
        return not self.reference

    @property
    def name(self) -> str:
        """How people call it: ``ours``, or the reference."""
        return self.reference or OURS_NAME

    def build(self) -> Any:
        """Build an unfitted estimator of somebody else's method.

        A `random_state` of None becomes 0, so that the same mail gives the same model.

        Raises:
            EstimatorError: The module cannot be imported, the function fails, or returns something else.
        """
        from spam_assets.learning.estimator_scores import is_scoring

        function = self._import()
        try:
            estimator = function()
        except Exception as error:
            raise EstimatorError(f"{self.reference} fails ({tell_error(error)}); {MUST_RETURN}") from error
        if isinstance(estimator, type) or not hasattr(estimator, "fit") or not is_scoring(estimator):
            raise EstimatorError(f"{self.reference} returned {_name_value(estimator)}; {MUST_RETURN}")
        return _fix_random_states(estimator)

    def train(self, window: Mapping[str, MailFeatures], settings: TrainingSettings) -> TrainedModel:
        """Learn a window of days by this method.

        Args:
            window: Day (``YYYY-MM-DD``) -> its features, with the mail behind them (``MailFeatures.mail``) where the
                method is not ours.
            settings: See ``TrainingSettings``.

        Raises:
            NotEnoughMailError: If the window has too few messages of ham or of spam.
            EstimatorError: If somebody else's code fails.
        """
        if self.is_ours:
            from spam_assets.learning.training import train_model

            return train_model(window, settings)
        from spam_assets.learning.estimator_training import train_estimator

        return train_estimator(window, self, settings)

    def _import(self) -> Any:
        module, _, name = self.reference.partition(":")
        here = str(Path.cwd())
        if here not in sys.path:  # as `python -m` has it, which an installed command has not
            sys.path.append(here)
        try:
            found = importlib.import_module(module)
        except Exception as error:
            raise EstimatorError(
                f"{self.reference}: module {module} cannot be imported ({tell_error(error)}); put it into the folder "
                f"where this runs ({here}) or on PYTHONPATH, or install it"
            ) from error
        function = getattr(found, name, None)
        if not callable(function):
            raise EstimatorError(f"{self.reference}: module {module} has no function {name}; {MUST_RETURN}")
        return function


OURS = Method()


def parse_method(reference: str | None, trusted_types: frozenset[str] = frozenset()) -> Method:
    """The method that a setting names; empty is ours. Nothing is imported.

    Raises:
        EstimatorError: It is not of the form `module:function`.
    """
    reference = (reference or "").strip()
    if reference in ("", OURS_NAME):
        return OURS
    if not REFERENCE.fullmatch(reference):
        raise EstimatorError(f"{reference!r} names no estimator; write module:function, as my_models:build_pipeline")
    return Method(reference, trusted_types)


def _name_value(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__} itself"
    return "nothing" if value is None else f"something of type {type(value).__name__}"


def _fix_random_states(estimator: Any) -> Any:
    if hasattr(estimator, "get_params") and hasattr(estimator, "set_params"):
        free = {
            name: 0
            for name, value in estimator.get_params(deep=True).items()
            if name.rpartition("__")[2] == "random_state" and value is None
        }
        if free:
            estimator.set_params(**free)
    return estimator
