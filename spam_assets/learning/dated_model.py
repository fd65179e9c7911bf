"""A trained model among others: when it was trained, and its number in the registry."""

from dataclasses import dataclass

from spam_assets.learning.model import SpamModel


@dataclass(frozen=True)
class DatedModel:
    """A model, the date it was trained for, and its version where it is registered."""

    training_date: str
    model: SpamModel
    version: int | None = None
