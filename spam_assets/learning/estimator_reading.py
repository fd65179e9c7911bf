"""How an estimator reads mail: as frames, or as what its first steps make of each message whatever they learnt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import numpy.typing as npt

from spam_assets.learning.estimator_errors import EstimatorError
from spam_assets.learning.estimator_scores import compute_margins, split_stateless
from spam_assets.learning.features import MailFeatures
from spam_assets.learning.mail_text import MailText
from spam_assets.learning.stored_estimators import name_unfitted

Blame = Callable[[str], AbstractContextManager[None]]
"""Turns the errors of somebody else's code into ``EstimatorError``, given what it was doing."""


class EstimatorReading:
    """An estimator in two parts: stateless first steps, whose work is done once for each day, and the rest.

    Args:
        estimator: Fitted or not.
        blame: For errors of its code.

    Attributes:
        rest: What learns: the last step of a Pipeline of which all others are stateless, else the whole.
    """

    def __init__(self, estimator: Any, blame: Blame) -> None:
        self._blame = blame
        with blame("taking its steps apart"):
            self._first, self.rest = split_stateless(estimator)
            self._key = name_unfitted(self._first) if self._first is not None else ""

    @property
    def is_split(self) -> bool:
        """Whether there are stateless first steps."""
        return self._first is not None

    def get_ready(self, features: MailFeatures) -> None:
        """Fit the first steps to some mail, which teaches them nothing but that they were fitted, and its columns."""
        if self._first is not None:
            mail = _find_mail(features).read()
            with self._blame("fit"):
                self._first.fit(mail)

    def read(self, features: MailFeatures) -> Any:
        """What the rest is given: n rows of a matrix, or of a frame.

        Raises:
            EstimatorError: The mail itself is not there, or the first steps fail.
        """
        mail = _find_mail(features)
        return mail.read() if self._first is None else mail.vectorise(self._key, self._transform)

    def compute_margins(self, features: MailFeatures) -> npt.NDArray[np.float64]:
        """See ``estimator_scores.compute_margins``; raises ``EstimatorError``."""
        mail = self.read(features)
        with self._blame("scoring"):
            return compute_margins(self.rest, mail)

    def compute_margins_of(self, days: Sequence[MailFeatures]) -> npt.NDArray[np.float64]:
        """The same for several days at once, none of them empty."""
        mail = stack([self.read(features) for features in days])
        with self._blame("scoring"):
            return compute_margins(self.rest, mail)

    def _transform(self, mail: Any) -> Any:
        with self._blame("transform"):
            return self._first.transform(mail)


def _find_mail(features: MailFeatures) -> MailText:
    if features.mail is None:
        raise EstimatorError("an estimator reads mail, and of this day only hashed features are at hand")
    return features.mail


def stack(parts: list[Any]) -> Any:
    """Days of mail as one: frames, or sparse or dense matrices."""
    if len(parts) == 1:
        return parts[0]
    import pandas as pd
    from scipy import sparse

    if all(isinstance(part, pd.DataFrame) for part in parts):
        return pd.concat(parts, ignore_index=True)
    if any(sparse.issparse(part) for part in parts):
        return sparse.vstack(parts, format="csr")
    return np.concatenate([np.asarray(part) for part in parts])
