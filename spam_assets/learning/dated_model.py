"""A trained model among others: when it was trained, its number in the registry, whether it may serve or be read."""

from dataclasses import dataclass

from spam_assets.learning.trained_model import TrainedModel


@dataclass(frozen=True)
class DatedModel:
    """A model, the date it was trained for, its version where it is registered, and why it is barred, if it is."""

    training_date: str
    model: TrainedModel
    version: int | None = None
    barred: str = ""


@dataclass(frozen=True)
class UnreadableModel:
    """A registered model that cannot score mail here.

    Attributes:
        training_date: The date it was trained for.
        version: Its number in the registry.
        why: Why it cannot, as part of a sentence.
    """

    training_date: str
    version: int
    why: str

    @property
    def told(self) -> str:
        """Which one it is and why it cannot be scored, as part of a sentence."""
        return f"version {self.version} of {self.training_date} cannot score mail here: {self.why}"
