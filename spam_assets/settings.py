"""Every setting of the project, typed, from the environment and `.env`.

Order of precedence: environment, `.env` in the working directory, `settings.env` in the home folder (written
by `spam-assets land`, so that the partitions fit the mail that landed), the defaults below.
"""

from datetime import date
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from typing_extensions import Self

ENV_FILE = Path(".env")


class _Home(BaseSettings):
    """Where state lives; read first, because it names one of the files the rest is read from."""

    model_config = SettingsConfigDict(
        env_prefix="SPAM_ASSETS_", env_file=ENV_FILE, extra="ignore", env_ignore_empty=True
    )
    home: Path = Path(".spam_assets")


class Settings(BaseSettings):
    """The settings in force. Build it with `load_settings()`."""

    model_config = SettingsConfigDict(
        env_prefix="SPAM_ASSETS_",
        extra="ignore",
        env_ignore_empty=True,
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,  # a value may hold a secret
    )

    home: Path = Path(".spam_assets")
    landing: str | None = None
    storage: str | None = None
    start_date: date = date(2002, 7, 10)
    end_date: date | None = None
    window_days: int = Field(default=90, ge=1)
    target_fpr: float = Field(default=0.001, gt=0, lt=1)
    owner: str = "team:mail"
    experiment: str = "spam-classifier"
    mlflow_tracking_uri: SecretStr | None = Field(default=None, validation_alias="MLFLOW_TRACKING_URI")
    ui_port: int = Field(default=3000, ge=1, le=65535)
    mlflow_ui_port: int = Field(default=5000, ge=1, le=65535)

    @field_validator("home")
    @classmethod
    def _make_home_absolute(cls, home: Path) -> Path:
        return home.expanduser().absolute()

    @model_validator(mode="after")
    def _check_that_the_days_are_in_order(self) -> Self:
        if self.end_date is not None and self.end_date < self.start_date:
            raise ValueError(
                f"SPAM_ASSETS_END_DATE ({self.end_date}) is before SPAM_ASSETS_START_DATE ({self.start_date}); "
                "set the end to the start or later, or leave it out"
            )
        return self

    @property
    def landing_url(self) -> str:
        """Folder or fsspec URL of the landing zone."""
        return self.landing or str(self.home / "landing")

    @property
    def storage_url(self) -> str:
        """Folder or fsspec URL where the IO managers store."""
        return self.storage or str(self.home / "storage")

    @property
    def tracking_uri(self) -> str:
        """MLflow tracking URI. It may hold a secret: never show it."""
        if self.mlflow_tracking_uri is not None:
            return self.mlflow_tracking_uri.get_secret_value()
        return f"sqlite:///{self.home / 'mlflow.db'}"

    @property
    def dagster_url(self) -> str:
        """Where `spam-assets ui` serves the Dagster UI."""
        return f"http://127.0.0.1:{self.ui_port}"

    @property
    def mlflow_url(self) -> str:
        """Where MLflow's UI is, without credentials."""
        own = urlsplit(self.tracking_uri)
        if own.scheme in ("http", "https"):
            return urlunsplit((own.scheme, own.netloc.rpartition("@")[2], own.path.rstrip("/"), "", ""))
        return f"http://127.0.0.1:{self.mlflow_ui_port}"

    @property
    def has_own_tracking_server(self) -> bool:
        """Whether MLFLOW_TRACKING_URI names the store, instead of the SQLite file in the home folder."""
        return self.mlflow_tracking_uri is not None

    @property
    def artifact_folder(self) -> Path:
        """Where the local MLflow store keeps its artifacts."""
        return self.home / "mlartifacts"

    @property
    def dagster_home(self) -> Path:
        """DAGSTER_HOME: runs, events, schedules and sensors."""
        return self.home / "dagster"

    @property
    def range_file(self) -> Path:
        """The settings file that landing mail writes: the first and last day of the partitions."""
        return self.home / "settings.env"


def load_settings() -> Settings:
    """Return the settings in force now.

    Raises:
        pydantic.ValidationError: a setting has a value that cannot be used; the message names it.
    """
    home = _Home().home.expanduser().absolute()
    return Settings(_env_file=(home / "settings.env", ENV_FILE), home=home)  # type: ignore[call-arg]
