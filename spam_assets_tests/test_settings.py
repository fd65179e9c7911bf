"""Settings: where they come from, what wins, and that secrets are shown nowhere."""

import copy
import pickle
import traceback
from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from spam_assets.settings import ALERT_KINDS, Settings, load_settings
from spam_assets_tests.servers import SECRET, USER


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory and none of our variables in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "START_DATE", "END_DATE"):
        monkeypatch.delenv(f"SPAM_ASSETS_{name}", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def test_without_any_setting_there_are_defaults(working_directory: Path) -> None:
    settings = load_settings()
    assert settings.home == working_directory / ".spam_assets"
    assert settings.landing_url == str(settings.home / "landing")
    assert settings.storage_url == str(settings.home / "storage")
    assert settings.tracking_uri == f"sqlite:///{settings.home / 'mlflow.db'}"
    assert settings.mlflow_url == "http://127.0.0.1:5000"
    assert settings.start_date == date(2002, 7, 10)
    assert settings.end_date is None


def test_the_environment_wins_over_env_file_over_the_home_folder_over_the_default(
    working_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = working_directory / ".spam_assets"
    home.mkdir()
    assert load_settings().window_days == 90
    (home / "settings.env").write_text("SPAM_ASSETS_WINDOW_DAYS=10\n")
    assert load_settings().window_days == 10
    (working_directory / ".env").write_text("SPAM_ASSETS_WINDOW_DAYS=20\n")
    assert load_settings().window_days == 20
    monkeypatch.setenv("SPAM_ASSETS_WINDOW_DAYS", "30")
    assert load_settings().window_days == 30


def test_env_file_names_the_home_folder_whose_settings_are_then_read(working_directory: Path) -> None:
    (working_directory / "elsewhere").mkdir()
    (working_directory / "elsewhere" / "settings.env").write_text("SPAM_ASSETS_START_DATE=2020-02-29\n")
    (working_directory / ".env").write_text("SPAM_ASSETS_HOME=elsewhere\n")
    settings = load_settings()
    assert settings.home == working_directory / "elsewhere"
    assert settings.start_date == date(2020, 2, 29)


def test_an_empty_value_is_no_value(working_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (working_directory / ".env").write_text("SPAM_ASSETS_LANDING=\nSPAM_ASSETS_END_DATE=\nMLFLOW_TRACKING_URI=\n")
    monkeypatch.setenv("SPAM_ASSETS_STORAGE", "")
    monkeypatch.setenv("SPAM_ASSETS_HOME", "")
    assert load_settings() == Settings(home=working_directory / ".spam_assets")
    assert not load_settings().has_tracking_server


def test_the_example_file_as_it_is_sets_nothing_but_defaults(working_directory: Path) -> None:
    from spam_assets_tests.conftest import PROJECT

    (working_directory / ".env").write_text((PROJECT / ".env.example").read_text())
    assert load_settings() == Settings(home=working_directory / ".spam_assets")


def test_the_example_file_names_every_setting() -> None:
    from spam_assets_tests.conftest import PROJECT

    example = (PROJECT / ".env.example").read_text()
    for name, field in Settings.model_fields.items():
        assert f"{field.validation_alias or 'SPAM_ASSETS_' + name.upper()}=" in example


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SPAM_ASSETS_WINDOW_DAYS", "0", "window_days"),
        ("SPAM_ASSETS_TARGET_FPR", "1.5", "target_fpr"),
        ("SPAM_ASSETS_START_DATE", "2024-02-30", "start_date"),
        ("SPAM_ASSETS_UI_PORT", "70000", "ui_port"),
        ("SPAM_ASSETS_END_DATE", "2002-07-09", "SPAM_ASSETS_END_DATE (2002-07-09) is before SPAM_ASSETS_START_DATE"),
        (
            "SPAM_ASSETS_ESTIMATOR",
            "my_models",
            "SPAM_ASSETS_ESTIMATOR must be module:function, as my_models:build_pipeline",
        ),
        ("SPAM_ASSETS_ESTIMATOR", "my models:build", "SPAM_ASSETS_ESTIMATOR must be module:function"),
        ("SPAM_ASSETS_TRUSTED_TYPES", "a.B,c d", "entry 2 of SPAM_ASSETS_TRUSTED_TYPES is no type"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_name(
    name: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as raised:
        load_settings()
    assert words in str(raised.value)


def test_an_end_on_the_start_is_one_day(monkeypatch: pytest.MonkeyPatch) -> None:
    from spam_assets.partitions import build_daily_partitions

    monkeypatch.setenv("SPAM_ASSETS_START_DATE", "2024-02-29")
    monkeypatch.setenv("SPAM_ASSETS_END_DATE", "2024-02-29")
    assert build_daily_partitions(load_settings()).get_partition_keys() == ["2024-02-29"]


@pytest.mark.parametrize(
    "uri", [f"https://user:{SECRET}@mlflow.example.com/base", f"postgresql://user:{SECRET}@db.example.com/mlflow"]
)
def test_a_secret_is_in_no_text_of_the_settings(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    settings = load_settings()
    assert settings.tracking_uri == uri
    assert settings.has_tracking_server == uri.startswith("https:")
    for text in (
        repr(settings), str(settings), f"{settings}", str(settings.model_dump()), settings.model_dump_json(),
        repr(copy.copy(settings)), settings.mlflow_url, settings.dagster_url,
    ):  # fmt: skip
        assert SECRET not in text
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_a_secret_is_in_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"https://user:{SECRET}@mlflow.example.com")
    monkeypatch.setenv("SPAM_ASSETS_WINDOW_DAYS", SECRET)
    with pytest.raises(ValidationError) as raised:
        load_settings()
    assert "window_days" in str(raised.value)
    assert SECRET not in str(raised.value)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        load_settings().window_days = 3  # type: ignore[misc]


# --- alerts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        SECRET,
        f"ftp://example.com/{SECRET}",
        f"file:///{SECRET}",
        f"https:///{SECRET}",
        f"https://me:{SECRET}@example.com/x",
        f"https://example.com/{SECRET} x",
        f"https://example.com/{SECRET}\nx",
        f"https://example.com/{SECRET}\u00e9",
        f"https://example.com:{SECRET}/",
        f"https://[{SECRET}/",
        f"https://example.com/#{SECRET}",
    ],
)
def test_a_webhook_that_is_no_url_is_refused_without_showing_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPAM_ASSETS_ALERT_WEBHOOK", url)
    assert "SPAM_ASSETS_ALERT_WEBHOOK must be the whole URL" in refusal()


@pytest.mark.parametrize(
    "url",
    [
        SECRET,
        f"https://{USER}:{SECRET}@example.com",
        f"smtp://{USER}:{SECRET}@",
        f"smtp://{USER}:{SECRET}/x@example.com",  # a slash in the password makes it the port
        f"smtp://{USER}:1#{SECRET}@example.com",
        f"smtp://{USER}:{SECRET}@example.com:99999",
        f"smtp://{USER}:{SECRET}@example.com/path",
        f"smtp://{USER}:{SECRET}@example.com?tls=no",
        f"smtp://{SECRET}@example.com",
        f"smtp://:{SECRET}@example.com",
        f"smtp://{USER}:{SECRET}%0d%0a@example.com",
        f"smtp://{USER}:{SECRET}\u2100@example.com",
        "smtp://@example.com",
        "smtp://",
    ],
)
def test_a_mail_server_that_is_no_url_is_refused_without_showing_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_email(monkeypatch, SMTP=url)
    assert "SPAM_ASSETS_ALERT_SMTP must be smtp://user:password@host:587" in refusal()


@pytest.mark.parametrize(
    "url",
    [
        "smtp://localhost",
        "smtp://localhost:25/",
        f"smtp://{USER}:{SECRET}@example.com:587",
        f"smtps://{USER}%40example.com:{SECRET}%40%2F%23@example.com",
        "smtps://[::1]:465",
    ],
)
def test_a_mail_server_that_is_a_url_is_taken(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_email(monkeypatch, SMTP=url)
    settings = load_settings()
    assert settings.alert_smtp is not None
    assert settings.alert_smtp.get_secret_value() == url


@pytest.mark.parametrize("missing", ["EMAIL_TO", "EMAIL_FROM", "SMTP"])
def test_email_without_one_of_its_three_settings_is_refused_by_their_names(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_email(monkeypatch, **{missing: ""})
    message = refusal()
    assert f"are set but SPAM_ASSETS_ALERT_{missing} is not; alerts by e-mail need all three" in message
    assert all(f"SPAM_ASSETS_ALERT_{name}" in message for name in ("EMAIL_TO", "EMAIL_FROM", "SMTP"))


def test_email_with_one_of_its_three_settings_is_refused_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    set_email(monkeypatch, EMAIL_TO="", EMAIL_FROM="")
    assert (
        "SPAM_ASSETS_ALERT_SMTP is set but SPAM_ASSETS_ALERT_EMAIL_TO and SPAM_ASSETS_ALERT_EMAIL_FROM are not"
        in refusal()
    )


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("EMAIL_TO", "a@example.com,no address", "entry 2 of SPAM_ASSETS_ALERT_EMAIL_TO"),
        ("EMAIL_TO", "a@example.com\nBcc: b@example.com", "entry 1 of SPAM_ASSETS_ALERT_EMAIL_TO"),
        ("EMAIL_TO", "a@exämple.com", "entry 1 of SPAM_ASSETS_ALERT_EMAIL_TO"),
        ("EMAIL_FROM", "Ops <ops@example.com>", "SPAM_ASSETS_ALERT_EMAIL_FROM must be one address"),
        ("EMAIL_FROM", "a@example.com,b@example.com", "SPAM_ASSETS_ALERT_EMAIL_FROM must be one address"),
        ("ON", "run_failed,everything", "entry 2 of SPAM_ASSETS_ALERT_ON is none of run_failed, champion_promoted,"),
    ],
)
def test_a_value_for_alerts_that_cannot_be_used_is_refused_by_name(
    name: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_email(monkeypatch, **{name: value})
    assert words in refusal()


def test_every_kind_is_sent_unless_some_are_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().alert_kinds == set(ALERT_KINDS)
    monkeypatch.setenv("SPAM_ASSETS_ALERT_ON", "no_mail, run_failed,")
    assert load_settings().alert_kinds == {"no_mail", "run_failed"}


@pytest.mark.parametrize(
    ("urls", "count"),
    [
        (f"tgram://{SECRET}/1", 1),
        (f"tgram://{SECRET}/1, slack://{SECRET}/b/c/#ops", 2),
        (f"  tgram://{SECRET}/1 slack://{SECRET}\n,", 2),
        (f"tgram://{SECRET}/1,tgram://{SECRET}/1", 1),
        (f"sms://{SECRET}?to=+1,+2 slack://{SECRET}", 2),
        (f"https://hooks.slack.com/services/{SECRET}", 1),
        (" , ", 0),
    ],
)
def test_services_are_urls_with_commas_or_spaces_between_them(
    urls: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPAM_ASSETS_ALERT_URLS", urls)
    settings = load_settings()
    assert len(settings.alert_services) == count
    assert settings.has_alert_channel == (count > 0)
    for url in settings.alert_services:
        assert url.get_secret_value() in urls
    assert SECRET not in repr(settings) + repr(settings.alert_services) + settings.model_dump_json()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"tgram://{SECRET} x", "is no URL as Apprise takes it"),
        (f"tgram://{SECRET}\u00e9", "is no URL as Apprise takes it"),
        (f"mailto://{USER}:{SECRET}@example.com", "is e-mail, which has settings of its own"),
        (f"MAILTOS://{USER}:{SECRET}@example.com", "is e-mail, which has settings of its own"),
        (f"jsons://example.com/{SECRET}?verify=no", "may not set verify="),
        (f"jsons://example.com/{SECRET}?a=1&Redirect=yes", "may not set redirect="),
        (f"slack://{SECRET}/#ops?retry=3", "may not set retry="),
        (f"jsons://example.com/{SECRET}?%72to=600", "may not set rto="),
        (f"jsons://example.com/{SECRET}?optional=yes", "may not set optional="),
    ],
)
def test_a_service_that_cannot_be_used_is_refused_by_its_place_without_showing_it(
    url: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPAM_ASSETS_ALERT_URLS", f"discord://1/2, {url}")
    assert f"entry 2 of SPAM_ASSETS_ALERT_URLS {words}" in refusal()


@pytest.mark.parametrize("url", [SECRET, f"://{SECRET}", f"{SECRET}, discord://1/2", f"discord://1/2, {SECRET}"])
def test_a_service_that_is_no_url_is_refused_without_showing_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPAM_ASSETS_ALERT_URLS", url)
    assert "entry 1 of SPAM_ASSETS_ALERT_URLS is no URL as Apprise takes it" in refusal()


def set_email(monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    values = {
        "EMAIL_TO": "ops@example.com",
        "EMAIL_FROM": "spam-assets@example.com",
        "SMTP": f"smtp://{USER}:{SECRET}@mail.example.com:587",
    }
    for name, value in {**values, **changes}.items():
        monkeypatch.setenv(f"SPAM_ASSETS_ALERT_{name}", value)


def refusal() -> str:
    """The message for settings that cannot be used, which shows no secret however it is shown."""
    with pytest.raises(ValidationError) as raised:
        load_settings()
    error = raised.value
    shown = "".join(traceback.format_exception(error)) + repr(error)
    shown += str(error.errors(include_url=False, include_input=False))
    assert SECRET not in shown
    assert USER not in shown
    return str(error)


# --- estimators ---------------------------------------------------------------------------------------------------


def test_an_estimator_and_trusted_types_are_names(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().estimator is None
    assert load_settings().trusted == frozenset()
    monkeypatch.setenv("SPAM_ASSETS_ESTIMATOR", "my.models:build_pipeline")
    monkeypatch.setenv("SPAM_ASSETS_TRUSTED_TYPES", "my.models.Thing, sklearn.tree._tree.Tree")
    assert load_settings().estimator == "my.models:build_pipeline"
    assert load_settings().trusted == {"my.models.Thing", "sklearn.tree._tree.Tree"}
