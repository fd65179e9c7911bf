"""`spam-assets` as a person uses it: landing, running, models and classifying, in one home folder for all of it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from spam_assets.cli import console
from spam_assets.cli.app import app, main
from spam_assets.engine.code_location import DEFINITIONS
from spam_assets.landing.importers import spamassassin
from spam_assets.landing.zone import LandingZone
from spam_assets.settings import Settings
from spam_assets_tests.conftest import PROJECT, day_text, make_mail
from spam_assets_tests.landing.importers.test_spamassassin import make_corpus_name, pack
from spam_assets_tests.servers import SECRET, run_mail_server, run_webhook

Done = subprocess.CompletedProcess[str]
Call = Callable[..., Done]

CSV_DAYS = [day_text(0), day_text(2)]
MBOX_DAYS = [day_text(3), day_text(4)]
EMPTY_DAY = day_text(1)
MAILDIR_DAY = day_text(5)
TREC_DAY = day_text(6)
RUN_ORDER = [TREC_DAY, *CSV_DAYS, *MBOX_DAYS, MAILDIR_DAY]
PASSWORD = "hunter2"
UNREACHABLE = f"http://user:{PASSWORD}@127.0.0.1:9"


def to_message(row: pd.Series) -> bytes:
    """The RFC 5322 message of a row of `make_mail`."""
    delivered = format_datetime(datetime.fromisoformat(row["received_at"]))
    return (
        f"Received: from mx.example.com by mail.example.com; {delivered}\n"
        f"Message-ID: {row['message_id']}\nFrom: {row['sender']}\nTo: {row['recipients']}\n"
        f"Subject: {row['subject']}\n\n{row['body']}\n"
    ).encode()


def to_mbox(row: pd.Series) -> bytes:
    delivered = datetime.fromisoformat(row["received_at"]).ctime()
    return f"From {row['sender']} {delivered}\n".encode() + to_message(row) + b"\n"


class Desk:
    """A working directory with a home folder, and mail in every form that can be landed."""

    def __init__(self, folder: Path, prepared_mlflow: Path) -> None:
        self.folder = folder
        self.home = folder / ".spam_assets"
        self.home.mkdir()
        shutil.copy(prepared_mlflow, self.home / "mlflow.db")
        self.outputs: dict[str, Done] = {}

    def run(self, *arguments: str, stdin: bytes | None = None, **environment: str) -> Done:
        """In a process of its own, with no setting but those given."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("SPAM_ASSETS_", "MLFLOW_T"))}
        done = subprocess.run(
            [sys.executable, "-m", "spam_assets", *arguments], cwd=self.folder, input=stdin, capture_output=True,
            timeout=120, env={**clean, "PYTHONPATH": str(PROJECT), "COLUMNS": "200", **environment},
        )  # fmt: skip
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    def write_mail(self) -> None:
        pd.concat([make_mail(day) for day in CSV_DAYS]).to_csv(self.folder / "reports.csv", index=False)
        for label in ("ham", "spam"):
            days = {day: make_mail(day) for day in (*MBOX_DAYS, MAILDIR_DAY, TREC_DAY)}
            mail = {day: frame[frame["label"] == label] for day, frame in days.items()}
            with (self.folder / f"{label}.mbox").open("wb") as mbox:
                mbox.writelines(to_mbox(row) for day in MBOX_DAYS for _, row in mail[day].iterrows())
            box = self.folder / label / "cur"
            box.mkdir(parents=True)
            for number, row in mail[MAILDIR_DAY].iterrows():
                (box / f"{number}.host:2,S").write_bytes(to_message(row))
            data = self.folder / "trec" / "data"
            (self.folder / "trec" / "full").mkdir(parents=True, exist_ok=True)
            data.mkdir(exist_ok=True)
            with (self.folder / "trec" / "full" / "index").open("a") as index:
                for number, row in mail[TREC_DAY].iterrows():
                    (data / f"inmail.{number}").write_bytes(to_message(row))
                    index.write(f"{label} ../data/inmail.{number}\n")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, prepared_mlflow: Path) -> Desk:
    """Mail of every kind has landed and been run: some days, one date, then what was missing."""
    desk = Desk(tmp_path_factory.mktemp("desk"), prepared_mlflow)
    desk.write_mail()
    for name, arguments in {
        "csv": ("land", "csv", "reports.csv", "--date-column", "received_at"),
        "mbox": ("land", "mbox", "--ham", "ham.mbox", "--spam", "spam.mbox", "--format", "parquet"),
        "maildir": ("land", "maildir", "--ham", "ham", "--spam", "spam", "--format", "jsonl"),
        "trec": ("land", "trec", "trec", "--format", "csv.gz"),
        "run": ("run", "--date", TREC_DAY),
        "first backfill": ("backfill", "--to", MBOX_DAYS[-1]),
        "second backfill": ("backfill",),
    }.items():
        desk.outputs[name] = desk.run(*arguments)
    return desk


@pytest.fixture
def call(desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run the command in this process: the same `main`, without the seconds that imports take."""
    monkeypatch.chdir(desk.folder)
    monkeypatch.setenv("SPAM_ASSETS_HOME", str(desk.home))
    for name in ("SPAM_ASSETS_START_DATE", "SPAM_ASSETS_END_DATE"):
        monkeypatch.delenv(name)

    def run(*arguments: str, **environment: str) -> Done:
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # MLflow exports the one that was used last
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(console.out, "width", int(environment.get("COLUMNS", 200)))  # read once, at its import
        monkeypatch.setattr(sys, "argv", ["spam-assets", *arguments])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        printed = capsys.readouterr()
        return subprocess.CompletedProcess(sys.argv, code, printed.out, printed.err)

    return run


def assert_fails_with(done: Done, *words: str) -> None:
    """Exit code 1 and one sentence."""
    assert done.returncode == 1, done
    assert "Traceback" not in done.stdout + done.stderr
    *_, sentence = done.stderr.strip().splitlines()
    assert sentence.startswith("error: ")
    for word in words:
        assert word in sentence


# --- help ---------------------------------------------------------------------------------------------------------


def commands(group: Any = None, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in (group or typer.main.get_command(app)).commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*prefix, name))
        else:
            yield (*prefix, name)


@pytest.mark.parametrize("command", list(commands()), ids=" ".join)
def test_every_command_has_help_with_an_example(command: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert f"Example: spam-assets {' '.join(command)}" in shown.output or f"spam-assets {command[-1]}" in shown.output


def test_the_command_lists_its_commands(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "spam_assets", "--help"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(PROJECT)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0
    for name in ("demo", "land", "run", "backfill", "classify", "models", "promote", "rollback", "replay", "ui"):
        assert name in done.stdout


# --- landing and running ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "days", "ending"),
    [
        ("csv", CSV_DAYS, "csv"),
        ("mbox", MBOX_DAYS, "parquet"),
        ("maildir", [MAILDIR_DAY], "jsonl"),
        ("trec", [TREC_DAY], "csv.gz"),
    ],
)
def test_mail_of_every_kind_lands_one_file_a_day(desk: Desk, source: str, days: list[str], ending: str) -> None:
    done = desk.outputs[source]
    assert done.returncode == 0, done.stderr
    messages = 40 * len(days)
    landed = f"landed {messages} messages ({messages * 2 // 5} spam) of {len(days)} days, {days[0]} to {days[-1]}, in "
    assert f"{landed}{desk.home / 'landing'}\n" in done.stdout
    for day in days:
        assert (desk.home / "landing" / f"training-{day}.{ending}").is_file()


def test_a_second_backfill_runs_only_what_is_missing(desk: Desk) -> None:
    first, second = desk.outputs["first backfill"], desk.outputs["second backfill"]
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "4 days run: 4 with a registered model, 0 failed" in first.stdout
    assert "1 days run: 1 with a registered model, 0 failed" in second.stdout
    assert "Warning" not in first.stderr + second.stderr


def test_a_backfill_makes_reports_that_failed_and_its_runs_are_of_the_code_location(desk: Desk) -> None:
    report = dg.AssetKey("champion_report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(desk.home / "dagster"))
        with dg.DagsterInstance.get() as instance:
            before = instance.get_materialized_partitions(report)
            instance.wipe_assets([report])
            done = desk.run("backfill")
            assert done.returncode == 0, done.stderr
            assert "0 days run: 0 with a registered model, 0 failed" in done.stdout
            assert instance.get_materialized_partitions(report) == before - {EMPTY_DAY}
            assert {run.tags["dagster/code_location"] for run in instance.get_runs()} == {DEFINITIONS}
            assert {run.tags[".dagster/repository"] for run in instance.get_runs()} == {f"__repository__@{DEFINITIONS}"}


def test_a_changed_dagster_yaml_is_kept_and_what_it_lacks_is_told(call: Call, desk: Desk) -> None:
    path = desk.home / "dagster" / "dagster.yaml"
    ours = path.read_text()
    assert "note:" not in call("verify").stderr
    changed = ours.replace("freshness:\n  enabled: true\n", "")
    path.write_text(changed)
    done = call("verify")
    assert path.read_text() == changed
    path.write_text(ours)
    assert done.returncode == 0
    assert f"note: {path} was changed, so it is left as it is, and lacks freshness of today's" in done.stderr


def test_models_lists_a_version_for_every_landed_day(call: Call) -> None:
    done = call("models")  # as another program reads it
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) > 80, "what another program reads is not cut for a terminal"
    rows = re.findall(r"│ (\d+) +│ (\S+) +│ (\S+) +│ (\S+) +│ (\S+) +│ (\S+) +│ \S+ +│ ([\w, ]*)│", done.stdout)
    assert [(version, day) for version, day, *_ in rows] == [(str(i + 1), day) for i, day in enumerate(RUN_ORDER)]
    assert sum("champion" in row[-1] for row in rows) == 1


def test_one_date_goes_through_all_assets(desk: Desk) -> None:
    done = desk.outputs["run"]
    assert done.returncode == 0, done.stderr
    assert f"{TREC_DAY} done: raw_mail, validated_mail, mail_features, trained_model, registered_model" in done.stdout
    assert len(list((desk.home / "storage").rglob(f"{TREC_DAY}.*"))) == 4


def test_a_day_on_which_nothing_landed_fails_nothing_and_is_one_clear_sentence(desk: Desk) -> None:
    done = desk.run("run", "--date", EMPTY_DAY)
    assert done.returncode == 0, done.stderr
    (sentence,) = done.stdout.splitlines()
    assert sentence.startswith(f"{EMPTY_DAY} skipped: ")
    assert f"has no file for {EMPTY_DAY}; land one" in sentence


def test_a_day_outside_of_the_partitions_is_one_clear_sentence(call: Call, tmp_path: Path) -> None:
    done = call("run", "--date", "2031-01-01", DAGSTER_HOME=str(tmp_path))
    assert_fails_with(done, "2031-01-01 is not one of the partitions", "SPAM_ASSETS_END_DATE")


# --- replaying the corpus -----------------------------------------------------------------------------------------

CORPUS_DAYS = ["2002-08-01", "2002-08-02", "2002-08-05", "2002-08-06"]


@pytest.fixture
def replaying(settings: Settings, desk: Desk) -> Settings:
    """A fresh home whose cache holds a corpus of four days."""
    corpus = LandingZone(str(settings.home / "cache" / "corpus-days"))
    for number, day in enumerate(CORPUS_DAYS):
        corpus.write(day, read_landed(make_mail(day, messages=10 + number)))
    return settings


def read_landed(mail: pd.DataFrame) -> pd.DataFrame:
    return mail.assign(received_at=pd.to_datetime(mail["received_at"], utc=True))


def test_replay_lands_the_next_days_of_the_corpus_oldest_first(
    call: Call, replaying: Settings, land_day: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = {"SPAM_ASSETS_HOME": str(replaying.home)}
    zone = LandingZone(replaying.landing_url)
    land_day(CORPUS_DAYS[1], make_mail(CORPUS_DAYS[1]))  # has landed already, and stays as it is
    own = (replaying.home / "landing" / f"training-{CORPUS_DAYS[1]}.csv").read_bytes()
    done = call("replay", "--days", "2", "--every", "0", **home)
    assert done.returncode == 0, done.stderr
    covered, *lines = done.stdout.splitlines()
    assert covered.startswith(f"the partitions now cover {CORPUS_DAYS[0]} to {CORPUS_DAYS[-1]}; if dagster dev")
    assert lines == [
        "2002-08-01 landed: 10 messages, 4 spam",
        "2002-08-05 landed: 12 messages, 5 spam",
        "1 days of the corpus are left; the same command goes on with 2002-08-06",
    ]
    assert zone.days() == CORPUS_DAYS[:3]
    assert (replaying.home / "landing" / f"training-{CORPUS_DAYS[1]}.csv").read_bytes() == own
    corpus = LandingZone(str(replaying.home / "cache" / "corpus-days"))
    assert zone.read(CORPUS_DAYS[0]).sha256 == corpus.read(CORPUS_DAYS[0]).sha256

    done = call("replay", "--every", "0", **home)
    *lines, end = done.stdout.splitlines()
    assert lines == ["2002-08-06 landed: 13 messages, 5 spam"]
    assert end.startswith("no day of the corpus is left: all 4 have landed in ")
    done = call("replay", **home)
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    assert "no day of the corpus is left" in done.stdout


def test_replay_waits_between_two_days_and_ctrl_c_ends_it_in_order(desk: Desk, replaying: Settings) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SPAM_ASSETS_", "MLFLOW_T"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "spam_assets", "replay", "--every", "100"], cwd=desk.folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**clean, "PYTHONPATH": str(PROJECT), "SPAM_ASSETS_HOME": str(replaying.home), "COLUMNS": "200"},
    )  # fmt: skip
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(2)]
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert lines[1] == "2002-08-01 landed: 10 messages, 4 spam\n"
    assert (output, errors) == ("stopped after 1 days; the same command goes on\n", "")
    assert process.returncode == 130
    assert LandingZone(replaying.landing_url).days() == CORPUS_DAYS[:1]


def test_replay_refuses_to_land_days_that_no_partition_covers(call: Call, replaying: Settings) -> None:
    done = call("replay", SPAM_ASSETS_HOME=str(replaying.home), SPAM_ASSETS_START_DATE="2002-08-03")
    assert_fails_with(done, "SPAM_ASSETS_START_DATE", "take both out")
    assert LandingZone(replaying.landing_url).days() == []


def test_replay_sorts_the_archives_of_the_cache_into_days_once(
    call: Call, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spamassassin, "_MIN_CORPUS_MESSAGES", 20)
    cache = settings.home / "cache"
    cache.mkdir()
    for name in spamassassin._APACHE_FILES:
        inside = name.partition("_")[2].partition(".")[0]
        mail = [to_mbox(row) for day in CORPUS_DAYS for _, row in make_mail(f"{day}", messages=2).iterrows()]
        raws = [raw.replace(b"Subject: ", f"Subject: {inside} ".encode()) for raw in mail]
        pack(cache / name, {make_corpus_name(inside, number, raw): raw for number, raw in enumerate(raws)})
    home = {"SPAM_ASSETS_HOME": str(settings.home)}
    done = call("replay", "--days", "1", "--every", "0", **home)
    assert "2002-08-01 landed: 10 messages, 4 spam" in done.stdout, done.stderr
    assert sorted(path.name for path in cache.iterdir()) == sorted([*spamassassin._APACHE_FILES, "corpus-days"])
    for name in spamassassin._APACHE_FILES:
        (cache / name).unlink()
    assert "2002-08-02 landed" in call("replay", "--days", "1", **home).stdout


# --- alerts -------------------------------------------------------------------------------------------------------


def test_a_test_alert_goes_to_every_channel_and_their_names_are_printed(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with run_webhook() as webhook, run_mail_server() as mail_server:
        environment = {
            "SPAM_ASSETS_ALERT_WEBHOOK": webhook.url,
            "SPAM_ASSETS_ALERT_EMAIL_TO": "ops@example.com",
            "SPAM_ASSETS_ALERT_EMAIL_FROM": "spam-assets@example.org",
            "SPAM_ASSETS_ALERT_SMTP": mail_server.url(),
        }
        done = call("test-alerts", **environment)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "sent to the webhook\nsent to the e-mail server 127.0.0.1\n"
        assert (len(webhook.requests), len(mail_server.mails)) == (1, 1)
        webhook.answers = [(404, {})]
        done = call("test-alerts", **environment)
        assert_fails_with(done, "the webhook answers HTTP 404")
        assert SECRET not in done.stdout + done.stderr


def test_a_test_alert_goes_to_services_by_their_urls(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with run_webhook() as one, run_webhook() as other:
        urls = " ".join(f"json://127.0.0.1:{server.port}/{SECRET}" for server in (one, other))
        done = call("test-alerts", SPAM_ASSETS_ALERT_URLS=urls)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "".join(f"sent to JSON (entry {entry} of SPAM_ASSETS_ALERT_URLS)\n" for entry in (1, 2))
        other.answers = [(404, {})]
        done = call("test-alerts", SPAM_ASSETS_ALERT_URLS=urls)
        assert_fails_with(done, "JSON (entry 2 of SPAM_ASSETS_ALERT_URLS) answers HTTP 404")
        assert SECRET not in done.stdout + done.stderr
        assert (len(one.requests), len(other.requests)) == (2, 2)


def test_a_test_alert_without_a_channel_says_what_to_set(call: Call) -> None:
    assert_fails_with(
        call("test-alerts"), "no alerts are configured", "SPAM_ASSETS_ALERT_WEBHOOK", "SPAM_ASSETS_ALERT_URLS"
    )


# --- errors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--date", "2024-13-01"), "--date '2024-13-01' is not a date; write it as YYYY-MM-DD"),
        (("run", "--date", "yesterday"), "--date 'yesterday' is not a date"),
        (("backfill", "--from", "01.02.2024"), "--from '01.02.2024' is not a date"),
        (("backfill", "--from", "2024-02-01", "--to", "2024-01-01"), "--from 2024-02-01 is after --to 2024-01-01"),
        (("classify", "nowhere.eml"), "nowhere.eml is not a file"),
        (("promote", "99"), "there is no version 99 of spam-classifier"),
        (("land", "csv", "nowhere.csv"), "nowhere.csv"),
        (("land", "csv", "reports.csv", "--date-column", "when"), "has no column 'when'"),
        (("land", "csv", "reports.csv", "--format", "xlsx"), "'xlsx' is no format of landing files"),
        (("land", "mbox", "--ham", "reports.csv", "--spam", "spam.mbox"), "reports.csv is no mbox"),
        (("land", "maildir", "--ham", "nowhere", "--spam", "spam"), "nowhere is no folder"),
        (("land", "trec", "ham"), "cannot be read; name the folder that holds full/"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_an_error_is_one_sentence(call: Call, arguments: tuple[str, ...], words: str) -> None:
    done = call(*arguments)
    assert_fails_with(done, words)
    assert len(done.stderr.strip().splitlines()) == 1


def test_debug_shows_where_an_error_comes_from(desk: Desk) -> None:
    done = desk.run("--debug", "run", "--date", "yesterday")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "is not a date" in done.stderr


def test_without_a_champion_models_classify_and_rollback_say_what_to_do(
    call: Call, settings: Settings, desk: Desk
) -> None:
    """The home of `settings` is fresh."""
    (desk.folder / "note.txt").write_text("hello")
    for arguments, words in (
        (("models",), "no model is registered yet; run spam-assets demo"),
        (("classify", "note.txt"), "there is no champion yet; run spam-assets demo"),
        (("rollback",), "there is no previous champion"),
    ):
        assert_fails_with(call(*arguments, SPAM_ASSETS_HOME=str(settings.home)), words)


def test_a_backfill_before_anything_landed_says_so(call: Call, settings: Settings, tmp_path: Path) -> None:
    done = call("backfill", SPAM_ASSETS_HOME=str(settings.home), DAGSTER_HOME=str(tmp_path))
    assert_fails_with(done, "nothing has landed", "land mail first")


def test_a_setting_that_cannot_be_used_is_one_sentence_that_names_it(call: Call) -> None:
    assert_fails_with(call("models", SPAM_ASSETS_WINDOW_DAYS="many"), "window_days")


# --- classifying --------------------------------------------------------------------------------------------------


def verdicts(done: Done) -> list[tuple[str, float, str]]:
    assert done.returncode == 0, done.stderr
    lines = [re.fullmatch(r"(spam|ham) +(\d\.\d{4})  (.*)", line) for line in done.stdout.splitlines()]
    return [(found[1], float(found[2]), found[3]) for found in lines if found]


def test_classify_tells_ham_from_spam_in_every_form(call: Call, desk: Desk) -> None:
    mail = make_mail(day_text(40), messages=8, spam_share=0.5)
    expected = [(row["label"], row["subject"]) for _, row in mail.iterrows()]
    (desk.folder / "new.mbox").write_bytes(b"".join(to_mbox(row) for _, row in mail.iterrows()))
    mail.drop(columns="label").to_csv(desk.folder / "new.csv", index=False)
    for name in ("new.mbox", "new.csv"):
        found = verdicts(call("classify", name))
        assert [(label, subject) for label, _, subject in found] == expected, name

    for (_, row), (label, subject) in zip(mail.iterrows(), expected, strict=True):
        (desk.folder / "new.eml").write_bytes(to_message(row))
        ((found, _, shown),) = verdicts(call("classify", "new.eml"))
        assert (found, shown) == (label, subject)
    (desk.folder / "new.txt").write_text(mail["body"].iloc[0] + " winner viagra casino prize")
    assert [label for label, *_ in verdicts(call("classify", "new.txt"))] == ["spam"]


def test_classify_reads_standard_input(desk: Desk) -> None:
    row = make_mail(day_text(40)).iloc[0]
    done = desk.run("classify", "-", stdin=to_message(row))
    assert [(label, subject) for label, _, subject in verdicts(done)] == [("spam", row["subject"])]
    assert done.stderr == ""


def test_classify_gives_programs_a_json_object_a_message_that_moves_no_cursor(call: Call, desk: Desk) -> None:
    columns = {
        "message_id": ["<1>", "<2>"],
        "subject": ["hi\x1b[31m\n", "gr\u00fc\u00df"],
        "body": ["winner prize", "meeting"],
    }
    pd.DataFrame(columns).to_csv(desk.folder / "odd.csv", index=False)
    plain, explained = (call("classify", "odd.csv", "--json", *more) for more in ((), ("--explain",)))
    answers = [json.loads(line) for line in plain.stdout.splitlines()]
    assert [(answer["message_id"], answer["subject"]) for answer in answers] == [
        ("<1>", "hi\x1b[31m\n"),
        ("<2>", "gr\u00fc\u00df"),
    ]
    assert all(0 <= answer["spam_probability"] <= 1 and answer["is_spam"] in (True, False) for answer in answers)
    assert plain.stdout.isascii()
    assert "\x1b" not in plain.stdout
    for answer, line in zip(answers, explained.stdout.splitlines(), strict=True):
        found = json.loads(line)
        assert found.pop("explanation")
        assert found == answer


def test_classify_shows_hostile_subjects_as_plain_text(call: Call, desk: Desk) -> None:
    subject = "\x1b[31m[bold]x[/bold]\x07[link=http://evil.example]y"
    pd.DataFrame({"subject": [subject], "body": ["hello"]}).to_csv(desk.folder / "hostile.csv", index=False)
    done = call("classify", "hostile.csv")
    ((_, _, shown),) = verdicts(done)
    assert "[bold]x[/bold]" in shown
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.eml", b" \n", "empty.eml is empty"),
        ("empty.csv", b"\n\n", "empty.csv is empty"),
        ("wrong.csv", b"a,b\n1,2\n", "mail needs one of the columns raw, body or text; found a, b"),
        ("latin.csv", b"text\nf\xfcr\n", "latin.csv cannot be read as CSV"),
        ("rows.csv", b"text\n", "rows.csv has no row below its header"),
        ("commas.csv", b"text\nhello, you\n", "commas.csv has rows with more cells than its header"),
    ],
)
def test_classify_explains_a_file_it_cannot_read(call: Call, desk: Desk, name: str, content: bytes, words: str) -> None:
    (desk.folder / name).write_bytes(content)
    assert_fails_with(call("classify", name), words)


# --- the champion -------------------------------------------------------------------------------------------------


def test_promote_and_rollback_move_the_champion_and_back(call: Call) -> None:
    def aliases() -> dict[str, int]:
        rows = re.findall(r"│ (\d+) .*│ ([\w, ]+) *│$", call("models", COLUMNS="200").stdout, re.MULTILINE)
        return {alias: int(version) for version, cell in rows for alias in cell.replace(",", " ").split()}

    champion = aliases()["champion"]
    other = 2 if champion != 2 else 3
    done = call("promote", str(other))
    assert done.returncode == 0
    assert f"champion is now version {other}, trained for {RUN_ORDER[other - 1]}" in done.stdout
    assert (aliases()["champion"], aliases()["previous"]) == (other, champion)
    for expected in (champion, other, champion):
        assert f"version {expected}" in call("rollback").stdout
        assert aliases()["champion"] == expected


def test_history_tells_who_served_and_why_and_pins_and_bars_are_shown(call: Call) -> None:
    for arguments in (("promote", "2"), ("promote", "1", "--reason", "a person [knows] better"), ("rollback",)):
        assert call(*arguments).returncode == 0
    history = call("models", "--history", COLUMNS="300").stdout
    assert re.search(r"│ champion none to 1.* │ gate +│", history)
    assert re.search(r"│ champion 2 to 1, .*pinned +│ person +│ a person \[knows\] better +│", history)
    assert re.search(r"│ champion 1 to 2, .*pinned +│ rollback +│ rolled back by hand, no reason was given", history)
    numbers = [int(number) for number in re.findall(r"^│ (\d+) ", history, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
    served = call("models", "--on", datetime.now(timezone.utc).date().isoformat()).stdout
    assert len(re.findall(r"^version \d, trained for 2024-01-\d\d, served from", served, re.MULTILINE)) >= 4
    assert_fails_with(call("models", "--on", "2001-01-01"), "no version served on 2001-01-01")

    shown = call("models", COLUMNS="300").stdout
    assert re.search(r"│ champion.*, pinned +│$", shown, re.MULTILINE)
    assert "The champion is pinned since" in shown
    champion = re.search(r"^│ (\d+) .*champion", shown, re.MULTILINE)
    assert champion is not None
    assert_fails_with(call("bar", champion[1]), f"version {champion[1]} serves")
    assert_fails_with(call("rollback", "--to", "99"), "there is no version 99")
    barred = "1" if champion[1] != "1" else "2"
    assert call("bar", barred, "--reason", "a broken export").returncode == 0
    assert f"version {barred} is barred: a broken export" in call("models", COLUMNS="300").stdout
    assert_fails_with(call("promote", barred), f"version {barred} is barred (a broken export)")
    assert call("unbar", barred).returncode == 0
    assert_fails_with(call("unbar", barred), f"version {barred} is not barred")
    assert "no longer pinned" in call("unpin").stdout
    assert_fails_with(call("unpin"), "the champion is not pinned")
    assert "pinned since" not in call("models", COLUMNS="300").stdout


# --- secrets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [("models",), ("--debug", "models"), ("--debug", "classify", "reports.csv"), ("--debug", "rollback")],
    ids=" ".join,
)  # fmt: skip
def test_a_password_in_the_tracking_uri_is_never_printed(call: Call, arguments: tuple[str, ...]) -> None:
    environment = {"MLFLOW_TRACKING_URI": UNREACHABLE, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    if "--debug" in arguments:
        with pytest.raises(Exception, match="MLFLOW_TRACKING_URI") as raised:
            call(*arguments, **environment)
        import traceback

        printed = "".join(traceback.format_exception(raised.value))
        assert "TrackingError" in printed
    else:
        done = call(*arguments, **environment)
        assert_fails_with(done, "MLFLOW_TRACKING_URI", "server answers")
        printed = done.stdout + done.stderr
    assert PASSWORD not in printed


@pytest.mark.slow
def test_a_run_without_its_mlflow_server_fails_and_hides_the_password_everywhere(desk: Desk, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "landing").mkdir(parents=True)
    make_mail(day_text(0)).to_csv(home / "landing" / f"training-{day_text(0)}.csv", index=False)
    done = desk.run(
        "--debug", "backfill", SPAM_ASSETS_HOME=str(home), SPAM_ASSETS_START_DATE=day_text(0),
        MLFLOW_TRACKING_URI=UNREACHABLE, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0",
    )  # fmt: skip
    assert done.returncode == 1
    assert f"{day_text(0)} failed: MLflow failed while opening the experiment" in done.stdout
    assert "1 failed" in done.stdout
    assert PASSWORD not in done.stdout + done.stderr
    assert not [path for path in home.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]


def test_output_into_a_closed_pipe_ends_quietly(desk: Desk) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "spam_assets", "--help"], cwd=desk.folder, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.close()
    _, errors = process.communicate(timeout=60)
    assert b"Traceback" not in errors
