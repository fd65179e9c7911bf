"""MLflow's client for a registered model that is no prompt. A module of its own, as it imports MLflow."""

from mlflow import MlflowClient
from typing_extensions import override


class ModelClient(MlflowClient):
    """MLflow's client, which otherwise reads the registered model, with all its tags, before it changes anything of it.

    It does so to refuse prompts, which it keeps among the models. The tags here are the whole history of the aliases.
    """

    @override
    def _raise_if_prompt(self, name: str) -> None:
        """Refuse nothing."""
