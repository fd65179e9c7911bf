"""A model of somebody else's method: a fitted scikit-learn estimator with our calibration, threshold and evaluation."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from spam_assets.learning.estimator_errors import EstimatorError, tell_error
from spam_assets.learning.stored_estimators import unpack_estimator
from spam_assets.learning.trained_model import TrainedModel, pack_sparse, unpack_common

if TYPE_CHECKING:
    from spam_assets.learning.estimator_reading import EstimatorReading
    from spam_assets.learning.features import MailFeatures


@dataclass(frozen=True, kw_only=True)
class EstimatorModel(TrainedModel):
    """A fitted estimator that has learnt a window of days; for the rest see ``TrainedModel``.

    Attributes:
        packed: The fitted estimator, as ``stored_estimators.pack_estimator`` stores it.
        unknown_types: Its types, by full name, that are not known to be safe; who trained it trusted them.
        fitted_days: The days after which it was fitted anew, oldest first; empty where it learnt day by day.
        trusted_types: See ``methods.Method``; of who loads it, not stored.
    """

    packed: bytes
    unknown_types: tuple[str, ...] = ()
    fitted_days: tuple[str, ...] = ()
    trusted_types: frozenset[str] = frozenset()

    @cached_property
    def estimator(self) -> Any:
        """The fitted estimator; raises ``EstimatorError`` where it cannot or may not be loaded."""
        return unpack_estimator(self.packed, self.method, self.trusted_types)

    @cached_property
    def _reading(self) -> EstimatorReading:
        from spam_assets.learning.estimator_reading import EstimatorReading

        return EstimatorReading(self.estimator, self._blame)

    def score_margins(self, features: MailFeatures) -> npt.NDArray[np.float64]:
        """See ``TrainedModel``.

        Raises:
            EstimatorError: The mail itself is not there, the estimator cannot be loaded, or it fails.
        """
        return self._reading.compute_margins(features) if len(features) else np.empty(0)

    def score_margins_of(self, days: Sequence[MailFeatures]) -> npt.NDArray[np.float64]:
        """See ``TrainedModel``; the estimator is asked once."""
        found = [features for features in days if len(features)]
        return self._reading.compute_margins_of(found) if found else np.empty(0)

    @contextmanager
    def _blame(self, doing: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise EstimatorError(f"{self.method}: {doing} failed ({tell_error(error)})") from error

    @property
    def learning_told(self) -> str:
        """See ``TrainedModel``."""
        if not self.fitted_days:
            return "it learnt day by day (partial_fit), each day scored before"
        return (
            f"it was fitted {len(self.fitted_days)} times at growing distances, after {', '.join(self.fitted_days)}; "
            "each day was scored by the fit before it"
        )

    def check_usable(self) -> None:
        """See ``TrainedModel``; raises ``EstimatorError``."""
        _ = self.estimator

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """See ``TrainedModel``."""
        return {
            "estimator": np.frombuffer(self.packed, np.uint8),
            "unknown_types": np.array(self.unknown_types, np.str_),
            "method": np.array(self.method),
            "fitted_days": np.array(self.fitted_days, np.str_),
            **pack_sparse("log_odds", self.log_odds),
            **self._common_arrays(),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]], trusted_types: Collection[str]) -> EstimatorModel:
        """Rebuild a model from the arrays of ``to_arrays``; raises as ``unpack_common``."""
        return cls(
            **unpack_common(arrays),
            packed=arrays["estimator"].tobytes(),
            unknown_types=tuple(arrays["unknown_types"].tolist()),
            method=str(arrays["method"]),
            fitted_days=tuple(arrays["fitted_days"].tolist()),
            trusted_types=frozenset(trusted_types),
        )
