"""Candidate and champion on the same mail, which neither had learnt when it was scored."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spam_assets.learning.features import MailFeatures
from spam_assets.learning.model import SpamModel
from spam_assets.learning.promotion import Standing


@dataclass(frozen=True)
class DatedModel:
    """A model, the date it was trained for, and its version where it is registered."""

    training_date: str
    model: SpamModel
    version: int | None = None


def compare_on_unseen_days(
    candidate: DatedModel, champion: DatedModel | None, window: Mapping[str, MailFeatures]
) -> tuple[Standing, Standing | None]:
    """Return how candidate and champion stand on the newest days that the champion had not learnt.

    The candidate's scores are its progressive ones: each day was scored before it was learnt. The champion scores
    the days after its training date. Where it was trained for the candidate's date or a later one there are none,
    and its own progressive scores of the days that both evaluated are taken.

    Args:
        candidate: the model that wants to be champion.
        champion: the model that serves, if there is one.
        window: features by day, at least of the candidate's evaluated days that are still stored.
    """
    progressive = candidate.model.progressive
    if champion is None:
        return _stand(candidate, set(progressive.days)), None
    unseen = {day for day in progressive.days if day > champion.training_date and day in window}
    if not unseen:
        both = set(progressive.days) & set(champion.model.progressive.days)
        return _stand(candidate, both), _stand(champion, both)
    ours = _stand(candidate, unseen)
    scores = np.concatenate([champion.model.score(window[day]) for day in sorted(unseen)])
    return ours, Standing(champion.training_date, ours.labels, scores, champion.model.threshold)


def _stand(dated: DatedModel, days: set[str]) -> Standing:
    progressive = dated.model.progressive
    chosen = np.isin(progressive.day_indices, [i for i, day in enumerate(progressive.days) if day in days])
    return Standing(
        dated.training_date,
        progressive.labels[chosen],
        progressive.scores[chosen],
        progressive.thresholds[chosen],  # the model's own threshold was chosen with these very days
    )
