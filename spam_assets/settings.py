"""Every setting of the project, typed, from the environment and `.env`.

Order of precedence: environment, `.env` in the working directory, `settings.env` in the home folder (written
by `spam-assets land`, so that the partitions fit the mail that landed), the defaults below.
"""

import os
import re
from datetime import date
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from typing_extensions import Self

from spam_assets.urls import hide_credentials

ENV_FILE = Path(".env")
POSTGRES = "postgresql+psycopg2://"
READ_BY_DAGSTER = ("postgres_url", "celery_url", "celery_results_url")
"""Settings that `dagster.yaml` names, and Dagster reads from the environment."""
ALERT_KINDS = ("run_failed", "champion_promoted", "champion_refused", "no_mail", "landing_problem")
"""What alerts can be about."""
DAY = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")
ESTIMATOR = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
OURS = "ours"
TYPE_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
MAIL_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+")
"""A bare address, as HTML's `<input type=email>` takes it; no name and no comment round it."""
SERVICE_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[!-~]+")
BETWEEN_SERVICE_URLS = re.compile(r"[\s,]+(?=[A-Za-z][A-Za-z0-9+.-]*://)")
"""Commas or spaces, and a URL after them: there are commas within URLs as well."""
FIXED_PARAMETERS = ("verify", "redirect", "retry", "wait", "rto", "cto", "optional")
"""What a URL for Apprise may not ask for, because alerts promise something about it."""


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
    vouched_days: str | None = None
    estimator: str | None = None
    challengers: str | None = None
    challenger_minutes: float = Field(default=30, gt=0)
    trusted_types: str | None = None
    max_day_megabytes: int = Field(default=2048, ge=1)
    days_per_run: int | None = Field(default=None, ge=1)
    previews: bool = True
    scores_csv: bool = False
    owner: str = "team:mail"
    experiment: str = "spam-classifier"
    mlflow_tracking_uri: SecretStr | None = Field(default=None, validation_alias="MLFLOW_TRACKING_URI")
    ui_port: int = Field(default=3000, ge=1, le=65535)
    mlflow_ui_port: int = Field(default=5000, ge=1, le=65535)
    ui_url: str | None = None
    automate: bool = False
    sensor_seconds: int = Field(default=30, ge=1)
    retrain_max_age_days: int = Field(default=14, ge=1)
    retrain_new_messages: int = Field(default=1000, ge=1)
    retrain_cool_down_days: int = Field(default=1, ge=0)
    postgres_url: SecretStr | None = None
    celery_url: SecretStr | None = None
    celery_results_url: SecretStr | None = None
    alert_webhook: SecretStr | None = None
    alert_email_to: str | None = None
    alert_email_from: str | None = None
    alert_smtp: SecretStr | None = None
    alert_urls: SecretStr | None = None
    alert_on: str | None = None

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

    @field_validator("postgres_url")
    @classmethod
    def _check_that_the_database_is_postgresql(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not _is_database(url.get_secret_value()):
            raise ValueError(
                f"SPAM_ASSETS_POSTGRES_URL must be {POSTGRES}user:password@host:5432/database: SQLAlchemy takes plain "
                "postgresql:// for psycopg 3, which is not what Dagster installs; what is special in a URL is written "
                "as %40 (@), %2F (/), %3A (:), %23 (#)"
            )
        return url

    @field_validator("celery_url")
    @classmethod
    def _check_that_the_broker_is_a_url(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not _is_service(url.get_secret_value()):
            raise ValueError(
                "SPAM_ASSETS_CELERY_URL must be the URL of Celery's broker, redis://:password@host:6379/0 or the like"
            )
        return url

    @field_validator("celery_results_url")
    @classmethod
    def _check_that_results_are_kept(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not _keeps_results(url.get_secret_value()):
            raise ValueError(
                "SPAM_ASSETS_CELERY_RESULTS_URL must name what keeps a result until it is asked for, "
                f"redis://:password@host:6379/0 or db+{POSTGRES}user:password@host/database; rpc:// and amqp:// do not"
            )
        return url

    @field_validator("alert_webhook")
    @classmethod
    def _check_that_the_webhook_is_a_url(cls, webhook: SecretStr | None) -> SecretStr | None:
        if webhook is not None and not _is_webhook(webhook.get_secret_value()):
            raise ValueError(
                "SPAM_ASSETS_ALERT_WEBHOOK must be the whole URL that the chat gave for the webhook, https://... "
                "(or http://...), without user:password@"
            )
        return webhook

    @field_validator("alert_smtp")
    @classmethod
    def _check_that_the_mail_server_is_a_url(cls, smtp: SecretStr | None) -> SecretStr | None:
        if smtp is not None and not _is_mail_server(smtp.get_secret_value()):
            raise ValueError(
                "SPAM_ASSETS_ALERT_SMTP must be smtp://user:password@host:587, smtps://user:password@host or the like "
                "without user:password@; what is special in a URL is written as %40 (@), %2F (/), %3A (:), %23 (#)"
            )
        return smtp

    @field_validator("alert_email_to")
    @classmethod
    def _check_that_recipients_are_addresses(cls, addresses: str | None) -> str | None:
        for position, address in enumerate(_split_list(addresses), start=1):
            if not MAIL_ADDRESS.fullmatch(address):
                raise ValueError(
                    f"entry {position} of SPAM_ASSETS_ALERT_EMAIL_TO is no address; "
                    "write name@example.com, several with commas between them"
                )
        return addresses

    @field_validator("alert_email_from")
    @classmethod
    def _check_that_the_sender_is_an_address(cls, address: str | None) -> str | None:
        if address is not None and not MAIL_ADDRESS.fullmatch(address):
            raise ValueError("SPAM_ASSETS_ALERT_EMAIL_FROM must be one address such as spam-assets@example.com")
        return address

    @field_validator("alert_urls")
    @classmethod
    def _check_that_services_are_urls(cls, urls: SecretStr | None) -> SecretStr | None:
        for position, url in enumerate(_split_service_urls(urls), start=1):
            trouble = _find_trouble_of_service(url)
            if trouble is not None:
                raise ValueError(f"entry {position} of SPAM_ASSETS_ALERT_URLS {trouble}")
        return urls

    @field_validator("alert_on")
    @classmethod
    def _check_that_the_kinds_are_known(cls, kinds: str | None) -> str | None:
        for position, kind in enumerate(_split_list(kinds), start=1):
            if kind not in ALERT_KINDS:
                raise ValueError(f"entry {position} of SPAM_ASSETS_ALERT_ON is none of {', '.join(ALERT_KINDS)}")
        return kinds

    @field_validator("vouched_days")
    @classmethod
    def _check_that_vouched_days_are_days(cls, days: str | None) -> str | None:
        for position, day in enumerate(_split_list(days), start=1):
            if not DAY.fullmatch(day):
                raise ValueError(
                    f"entry {position} of SPAM_ASSETS_VOUCHED_DAYS is no day; write YYYY-MM-DD, several with commas "
                    "between them"
                )
        return days

    @field_validator("estimator")
    @classmethod
    def _check_that_the_estimator_has_a_name(cls, estimator: str | None) -> str | None:
        if estimator is not None and not ESTIMATOR.fullmatch(estimator):
            raise ValueError("SPAM_ASSETS_ESTIMATOR must be module:function, as my_models:build_pipeline")
        return estimator

    @model_validator(mode="after")
    def _check_that_challengers_have_names(self) -> Self:
        methods = [self.estimator or OURS, *self.challenger_methods]
        for position, name in enumerate(self.challenger_methods, start=1):
            if name != OURS and not ESTIMATOR.fullmatch(name):
                raise ValueError(
                    f"entry {position} of SPAM_ASSETS_CHALLENGERS names no estimator; write module:function, as "
                    "my_models:build_pipeline, or ours, several with commas between them"
                )
            if methods.index(name) < position:
                raise ValueError(
                    f"entry {position} of SPAM_ASSETS_CHALLENGERS is what SPAM_ASSETS_ESTIMATOR trains already"
                )
        return self

    @field_validator("trusted_types")
    @classmethod
    def _check_that_trusted_types_are_types(cls, types: str | None) -> str | None:
        for position, name in enumerate(_split_list(types), start=1):
            if not TYPE_NAME.fullmatch(name):
                raise ValueError(
                    f"entry {position} of SPAM_ASSETS_TRUSTED_TYPES is no type; write module.Type, several with commas "
                    "between them"
                )
        return types

    @model_validator(mode="after")
    def _check_that_email_is_complete(self) -> Self:
        needed = {
            "SPAM_ASSETS_ALERT_EMAIL_TO": self.alert_recipients,
            "SPAM_ASSETS_ALERT_EMAIL_FROM": self.alert_email_from,
            "SPAM_ASSETS_ALERT_SMTP": self.alert_smtp,
        }
        missing = [name for name, value in needed.items() if not value]
        if missing and len(missing) < len(needed):
            present = [name for name in needed if name not in missing]
            raise ValueError(
                f"{' and '.join(present)} {'is' if len(present) == 1 else 'are'} set but {' and '.join(missing)} "
                f"{'is' if len(missing) == 1 else 'are'} not; alerts by e-mail need all three"
            )
        return self

    @property
    def vouched(self) -> frozenset[str]:
        """The days that are learnt even if their labels contradict everything before them."""
        return frozenset(_split_list(self.vouched_days))

    @property
    def challenger_methods(self) -> tuple[str, ...]:
        """The methods that are trained beside the main one: `module:function`, or `ours`."""
        return _split_list(self.challengers)

    @property
    def trusted(self) -> frozenset[str]:
        """The types, by full name, that stored estimators may have beside those that are known to be safe."""
        return frozenset(_split_list(self.trusted_types))

    @property
    def landing_url(self) -> str:
        """Folder or fsspec URL of the landing zone."""
        return self.landing or str(self.home / "landing")

    @property
    def max_day_bytes(self) -> int:
        """The most that a landed day may be, stored and decoded."""
        return self.max_day_megabytes * 1024**2

    @property
    def shown_landing(self) -> str:
        """The landing zone as people may see it."""
        return hide_credentials(self.landing_url)

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
        """Where people find the Dagster UI, for links; by default where `spam-assets ui` serves it."""
        return self.ui_url or f"http://127.0.0.1:{self.ui_port}"

    @property
    def mlflow_url(self) -> str:
        """Where MLflow's UI is, without credentials."""
        if self.has_tracking_server:
            own = urlsplit(self.tracking_uri)
            return urlunsplit((own.scheme, own.netloc.rpartition("@")[2], own.path.rstrip("/"), "", ""))
        return f"http://127.0.0.1:{self.mlflow_ui_port}"

    @property
    def has_tracking_server(self) -> bool:
        """Whether MLFLOW_TRACKING_URI names a server, which keeps artifacts and serves its UI by itself."""
        return urlsplit(self.tracking_uri).scheme in ("http", "https")

    @property
    def alert_recipients(self) -> tuple[str, ...]:
        """Who gets alerts by e-mail; nobody when e-mail is not configured."""
        return _split_list(self.alert_email_to)

    @property
    def alert_services(self) -> tuple[SecretStr, ...]:
        """The Apprise URLs that alerts go to, each a secret."""
        return tuple(SecretStr(url) for url in _split_service_urls(self.alert_urls))

    @property
    def has_alert_channel(self) -> bool:
        """Whether alerts go anywhere."""
        return self.alert_webhook is not None or self.alert_smtp is not None or bool(self.alert_services)

    @property
    def alert_kinds(self) -> frozenset[str]:
        """What alerts are sent about."""
        return frozenset(_split_list(self.alert_on) or ALERT_KINDS)

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


def _split_list(text: str | None) -> tuple[str, ...]:
    """Return the entries of a comma-separated list in order, each once."""
    return tuple(dict.fromkeys(entry.strip() for entry in (text or "").split(",") if entry.strip()))


def _is_database(text: str) -> bool:
    """Whether a text is the URL of a PostgreSQL database, for the driver that is installed."""
    return text.startswith(POSTGRES) and _is_service(text) and len(urlsplit(text).path) > 1


def _keeps_results(text: str) -> bool:
    """Whether a text is the URL of a result backend of Celery that persists; a database needs its driver named."""
    scheme = text.partition("://")[0].lower()
    lost = scheme.startswith(("rpc", "amqp", "pyamqp", "cache+memory"))
    return not lost and scheme not in ("db+postgresql", "db+postgres") and (scheme == "db+sqlite" or _is_service(text))


def _is_service(text: str) -> bool:
    """Whether a text is a URL with a host that can be used as it is, in one line and without quotes."""
    try:
        url = urlsplit(text)
        is_complete = bool(url.scheme) and bool(url.hostname) and url.port != 0
    except ValueError:  # quotes the secret
        return False
    return is_complete and _is_plain(text) and not set(text) & set(" '\"\\")


def _is_webhook(text: str) -> bool:
    """Whether a text is a URL that can be posted to as it is."""
    try:
        url = urlsplit(text)
        is_complete = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:  # quotes the secret
        return False
    return is_complete and "@" not in url.netloc and not url.fragment and _is_plain(text) and " " not in text


def _is_mail_server(text: str) -> bool:
    """Whether a text is an SMTP URL, with both user and password or neither."""
    try:
        url = urlsplit(text)
        is_complete = url.scheme in ("smtp", "smtps") and bool(url.hostname) and url.port != 0
    except ValueError:  # quotes the secret
        return False
    login = (unquote(url.username or ""), unquote(url.password or ""))
    has_login = "@" in url.netloc
    is_bare = url.path in ("", "/") and not url.query and not url.fragment and " " not in text
    return is_complete and is_bare and all(login) == has_login and all(map(_is_plain, (text, *login)))


def _split_service_urls(urls: SecretStr | None) -> tuple[str, ...]:
    """Return Apprise URLs in order, each once."""
    text = urls.get_secret_value().strip(" \t\r\n,") if urls is not None else ""
    return tuple(dict.fromkeys(BETWEEN_SERVICE_URLS.split(text))) if text else ()


def _find_trouble_of_service(url: str) -> str | None:
    """Return why an Apprise URL cannot be taken, without quoting it; None if it can. Apprise itself may know more."""
    if not SERVICE_URL.fullmatch(url):
        return "is no URL as Apprise takes it, such as tgram://..., without spaces; https://appriseit.com lists them"
    if url.partition("://")[0].lower() in ("mailto", "mailtos"):
        return "is e-mail, which has settings of its own: SPAM_ASSETS_ALERT_SMTP, _EMAIL_TO and _EMAIL_FROM"
    parameters = {unquote(name).strip().lower() for name in re.findall(r"[?&;]([^?&;=]*)", url)}
    fixed = [name for name in FIXED_PARAMETERS if name in parameters]
    if fixed:
        return f"may not set {fixed[0]}=; how alerts are sent is the same for all services"
    return None


def _is_plain(text: str) -> bool:
    """Whether a text is printable ASCII, which is what the protocols of webhooks and e-mail take."""
    return text.isascii() and text.isprintable()


def load_settings() -> Settings:
    """Return the settings in force now, and put those that Dagster reads by itself into the environment.

    Raises:
        pydantic.ValidationError: a setting has a value that cannot be used; the message names it.
    """
    home = _Home().home.expanduser().absolute()
    settings = Settings(_env_file=(home / "settings.env", ENV_FILE), home=home)  # type: ignore[call-arg]
    for name in READ_BY_DAGSTER:
        value = getattr(settings, name)
        if value is not None:
            os.environ[f"SPAM_ASSETS_{name.upper()}"] = value.get_secret_value()
    return settings
