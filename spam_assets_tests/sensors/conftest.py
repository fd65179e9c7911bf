"""Fixtures of the sensors: settings that they watch, a home with a champion, channels that are told."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from spam_assets.alerts import delivery
from spam_assets.registry.registered_models import CHAMPION, ModelRegistry
from spam_assets.settings import Settings
from spam_assets_tests.conftest import FIRST_DAY, day_text, make_mail, open_instance
from spam_assets_tests.pipeline import run_days
from spam_assets_tests.sensors.ticks import use_settings
from spam_assets_tests.servers import MailServer, WebhookServer, run_mail_server, run_webhook


@pytest.fixture
def watched(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of the test are those of the sensors."""
    use_settings(monkeypatch, settings)
    return settings


@dataclass(frozen=True)
class Trained:
    """A home folder where four days have run, the last of which gave the champion, and its instance."""

    settings: Settings
    instance: dg.DagsterInstance


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, prepared_mlflow: Path) -> Iterator[Trained]:
    folder = tmp_path_factory.mktemp("trained")
    home = folder / "home"
    (home / "landing").mkdir(parents=True)
    shutil.copy(prepared_mlflow, home / "mlflow.db")
    for offset in range(4):
        make_mail(day_text(offset)).to_csv(home / "landing" / f"training-{day_text(offset)}.csv", index=False)
    with pytest.MonkeyPatch.context() as patch, open_instance(folder) as instance:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        settings = Settings(home=home, start_date=FIRST_DAY, end_date=date(2024, 3, 31))
        assert run_days(settings, instance, day_text(0), day_text(3)).is_success
        champion = ModelRegistry(settings).aliased(CHAMPION)
        assert champion is not None
        assert champion.training_date == day_text(3)
        yield Trained(settings, instance)


@dataclass(frozen=True)
class Told:
    """Both channels and the settings that name them."""

    webhook: WebhookServer
    mail: MailServer
    settings: Settings

    @property
    def texts(self) -> list[str]:
        """What was told; both channels were told the same."""
        assert len(self.mail.mails) == len(self.webhook.requests)
        return self.webhook.texts


@pytest.fixture
def told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(delivery, "WAIT_SECONDS", 0.01)
    monkeypatch.setattr(delivery, "TIMEOUT_SECONDS", 0.3)
    with run_webhook() as webhook, run_mail_server() as mail:
        configured = Settings(
            home=settings.home,
            start_date=settings.start_date,
            end_date=settings.end_date,
            alert_webhook=webhook.url,
            alert_email_to="ops@example.com",
            alert_email_from="spam-assets@example.org",
            alert_smtp=mail.url(),
        )
        use_settings(monkeypatch, configured)
        yield Told(webhook, mail, configured)
