"""A trained model among others: when it was trained, its number in the registry, whether it may serve."""

from dataclasses import dataclass

from spam_assets.learning.model import SpamModel


@dataclass(frozen=True)
class DatedModel:
    """A model, the date it was trained for, its version where it is registered, and why it is barred, if it is."""

    training_date: str
    model: SpamModel
    version: int | None = None
    barred: str = ""
