"""Faults that are injected, run for real: what was expected of each, what was seen, and whether it held.

    python -m benchmarks.faults [--landing FOLDER] [--json FILE]

- Data and hostile input: the days of `fault_days` land between good ones, and `spam-assets backfill` runs them all.
- Processes, disks and the network: commands are killed, run against each other, against files that are damaged, a disk
  that is full, and servers that do not answer.
- Clean days: `spam-assets backfill` runs the days of a landing zone (the corpus, downloaded without --landing); a
  day that a blocking check or the labels' check fails is a false alarm.

Totals: faults that held; faulty days or messages that reached a model; good days that were lost; days that were made or
registered twice; false alarms.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from benchmarks.fault_days import DATA_FAULTS, MARK, FaultyDay, Outcome, make_mail, to_csv

PROJECT = Path(__file__).parent.parent
FIRST_DAY = date(2024, 1, 1)
GOOD_DAYS_FIRST = 8
PATIENCE_SECONDS = 900
PASSWORD = "s3cr3t-w0rd"
MADE = ("validated_mail", "mail_features", "trained_model")


@dataclass(frozen=True)
class Fault:
    """What was injected, and what came of it."""

    name: str
    expected: str
    seen: str
    held: bool


@dataclass
class Totals:
    """What must not happen, whatever the fault."""

    reached_a_model: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)


class Home:
    """A home folder, and the commands that a person gives it."""

    def __init__(self, folder: Path, last_day: date, **settings: str) -> None:
        self.folder = folder
        self.landing = Path(settings.get("SPAM_ASSETS_LANDING", folder / "landing"))
        folder.mkdir(parents=True)
        self.landing.mkdir(exist_ok=True)
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("SPAM_ASSETS_") and name not in ("MLFLOW_TRACKING_URI", "DAGSTER_HOME")
        }
        self.environment = {
            **inherited,
            "SPAM_ASSETS_HOME": str(folder),
            "SPAM_ASSETS_START_DATE": FIRST_DAY.isoformat(),
            "SPAM_ASSETS_END_DATE": last_day.isoformat(),
            "DAGSTER_HOME": str(folder / "dagster"),
            "PYTHONPATH": str(PROJECT),
            "COLUMNS": "200",
            **settings,
        }

    def land(self, days: Sequence[str]) -> None:
        """Land good days."""
        for day in days:
            (self.landing / f"training-{day}.csv").write_bytes(to_csv(make_mail(day)))

    def start(self, *arguments: str, **settings: str) -> "subprocess.Popen[str]":
        """Start `spam-assets`."""
        return subprocess.Popen(
            [sys.executable, "-m", "spam_assets", *arguments], cwd=self.folder, env={**self.environment, **settings},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def run(self, *arguments: str, **settings: str) -> "Done":
        """Run `spam-assets`."""
        return finish(self.start(*arguments, **settings))

    def stored(self, asset: str) -> list[str]:
        """Return the days of an asset that are stored."""
        storage = Path(self.environment.get("SPAM_ASSETS_STORAGE", self.folder / "storage"))
        return sorted(path.stem for path in (storage / asset).glob("[!.]*"))

    def path_of(self, asset: str, day: str) -> Path:
        """Return the file of a stored day."""
        storage = Path(self.environment.get("SPAM_ASSETS_STORAGE", self.folder / "storage"))
        return next((storage / asset).glob(f"{day}.*"))

    def registered(self) -> list[str]:
        """Return the training date of every registered version."""
        from mlflow import MlflowClient

        client = MlflowClient(f"sqlite:///{self.folder / 'mlflow.db'}")
        return [str(client.get_run(str(version.run_id)).data.tags["training_date"])
                for version in client.search_model_versions("name='spam-classifier'")]  # fmt: skip

    def metadata(self, asset: str, day: str) -> dict[str, Any]:
        """Return what Dagster's UI shows of a day."""
        import dagster as dg

        os.environ["DAGSTER_HOME"] = self.environment["DAGSTER_HOME"]
        with dg.DagsterInstance.from_config(self.environment["DAGSTER_HOME"]) as instance:
            filters = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[day])
            records = instance.fetch_materializations(filters, limit=1).records
            if not records or records[0].asset_materialization is None:
                return {}
            return {name: value.value for name, value in records[0].asset_materialization.metadata.items()}

    def check_complete(self, days: Sequence[str], totals: Totals) -> str:
        """Return what is lost or there twice, and note it; empty where every day is there once."""
        lost = sorted({*days} - {*self.stored("trained_model")} | {*days} - {*self.registered()})
        twice = sorted(day for day, count in Counter(self.registered()).items() if count > 1)
        totals.lost += lost
        totals.twice += twice
        verified = self.run("verify")
        found = [f"lost: {lost}"] * bool(lost) + [f"twice: {twice}"] * bool(twice)
        return "; ".join(found + [verified.said] * bool(verified.code))


@dataclass(frozen=True)
class Done:
    """What a command that is over said."""

    code: int
    said: str

    @property
    def is_clear(self) -> bool:
        """Whether a person can read it: no traceback, nothing that a terminal obeys, no password."""
        return "Traceback" not in self.said and "\x1b" not in self.said and PASSWORD not in self.said


def finish(process: "subprocess.Popen[str]") -> Done:
    """Wait for a command."""
    output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    return Done(process.returncode, output + errors)


def wait_for(find: Callable[[], object], process: "subprocess.Popen[str]") -> None:
    """Wait until something is there, or the process is over."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not find() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)


def list_days(count: int) -> list[str]:
    """Return so many days from the first on."""
    return [(FIRST_DAY + timedelta(days=offset)).isoformat() for offset in range(count)]


def last_sentence(done: Done) -> str:
    """Return the last line that a command said, in brief."""
    lines = [line for line in done.said.splitlines() if line.strip()]
    return f"exit {done.code}: {lines[-1][:300]}" if lines else f"exit {done.code}"


# --- data and hostile input -------------------------------------------------------------------------------------


def plan_days(faults: Sequence[FaultyDay]) -> tuple[dict[str, FaultyDay], list[str]]:
    """Return the faulty days by day and the good days: some first, then one after every third faulty one."""
    faulty: dict[str, FaultyDay] = {fault.day: fault for fault in faults if fault.day}
    days = iter(list_days(200))
    good = [next(days) for _ in range(GOOD_DAYS_FIRST)]
    for number, fault in enumerate((fault for fault in faults if not fault.day), start=1):
        faulty[next(days)] = fault
        if number % 3 == 0:
            good.append(next(days))
    good.append(next(days))
    return faulty, good


def run_data_faults(folder: Path, totals: Totals) -> Iterator[Fault]:
    """Land every faulty day between good ones, run them in one backfill, and judge each."""
    faulty, good = plan_days(DATA_FAULTS)
    home = Home(folder / "data", date.fromisoformat(good[-1]), SPAM_ASSETS_MAX_DAY_MEGABYTES="64")
    home.land(good)
    for day, fault in faulty.items():
        for name, content in fault.build(day).items():
            (home.landing / name).write_bytes(content)
    done = home.run("backfill")
    failures = dict(re.findall(r"^(\d{4}-\d\d-\d\d) failed: (.*)$", done.said, re.MULTILINE))
    learnt = read_learnt_days(home, good[-1])
    ids = read_ids(home)
    for day, fault in faulty.items():
        yield judge_day(home, done, day, fault, failures.get(day), learnt, ids.get(day, ()), totals)
    lost = [day for day in good if day in failures or day not in home.stored("trained_model")]
    totals.lost += lost
    totals.twice += [day for day, count in Counter(home.registered()).items() if count > 1]
    yield Fault(
        "all of these days in one backfill",
        "every good day between them is complete, exit 1, and a sentence for each day that failed",
        f"{len(good) - len(lost)} of {len(good)} good days complete, {len(failures)} failed, {last_sentence(done)}",
        not lost and done.code == 1 and done.is_clear,
    )
    again = home.run("backfill")
    refused = {day for day, fault in faulty.items() if fault.outcome is Outcome.REFUSED_BY_LEARNING}
    failed_again = dict(re.findall(r"^(\d{4}-\d\d-\d\d) failed: (.*)$", again.said, re.MULTILINE))
    yield Fault(
        "the same backfill again",
        "only the days that failed run again, and fail as before; one that learning refused is complete",
        last_sentence(again),
        failed_again.keys() == failures.keys() - refused and f"{len(failed_again)} days run" in again.said,
    )


def read_learnt_days(home: Home, day: str) -> set[str]:
    """Return the days that the model of the last day has learnt."""
    from spam_assets.learning.model_files import load_model

    return set(load_model(home.path_of("trained_model", day).read_bytes()).days)


def read_ids(home: Home) -> dict[str, tuple[str, ...]]:
    """Return the ids of the messages that models may read, by day."""
    from upath import UPath

    from spam_assets.io_managers.arrow_features import FeaturesIOManager

    features = FeaturesIOManager(UPath(home.folder / "storage"))
    return {day: tuple(features.load_day("mail_features", day).message_ids) for day in home.stored("mail_features")}


def judge_day(
    home: Home, done: Done, day: str, fault: FaultyDay, failure: str | None, learnt: set[str], ids: Sequence[str],
    totals: Totals,
) -> Fault:  # fmt: skip
    """Return what became of a faulty day."""
    made = [asset for asset in MADE if day in home.stored(asset)]
    seen = f"failed: {failure[:200]}" if failure else f"made {', '.join(made) or 'nothing'}"
    is_clear = failure is None or (failure.isprintable() and fault.words in failure and "Traceback" not in failure)
    if fault.outcome is Outcome.FAILS:
        reached = bool(made) or day in learnt
        held = failure is not None and is_clear and not reached
    elif fault.outcome is Outcome.REFUSED_BY_LEARNING:
        reached = day in learnt
        held = failure is not None and is_clear and not reached
    elif fault.outcome is Outcome.TOLD:
        reached = bool(made) or day in learnt
        seen = next((line for line in done.said.splitlines() if fault.words in line), "nothing was said")[:200]
        held = "outside of the partitions" in seen and not reached
    else:
        metadata = home.metadata("raw_mail", day)
        reached = any(message_id.startswith(MARK) for message_id in ids)
        shown = " ".join(str(metadata.get(name, "")) for name in ("preview", "notes", "quarantined_messages"))
        has_markup = re.search(r"!\[|<\w|://|\x1b", shown) is not None
        seen = f"{len(ids)} messages learnt, {metadata.get('quarantined')} put aside" + (", with markup" * has_markup)
        held = (
            failure is None and day in learnt and not reached and not has_markup
            and len(ids) == fault.messages and metadata.get("quarantined") == fault.put_aside
        )  # fmt: skip
    if reached:
        totals.reached_a_model.append(fault.name)
    return Fault(fault.name, fault.outcome.value, seen, held)


# --- processes and files ----------------------------------------------------------------------------------------


def run_process_faults(folder: Path, totals: Totals) -> Iterator[Fault]:
    """Kill and race commands, take the landing zone away, damage what is stored."""
    days = list_days(8)
    last = date.fromisoformat(days[-1])
    whole = "a repeat completes every day, each once, as verify says"

    home = Home(folder / "killed", last)
    home.land(days)
    backfill = home.start("backfill")
    wait_for(lambda: len(home.stored("trained_model")) >= 3, backfill)
    os.killpg(backfill.pid, signal.SIGKILL)
    finish(backfill)
    before = len(home.stored("trained_model"))
    for half in ("raw_mail/.2024-01-08.parquet.0.partial", "trained_model/.2024-01-08.npz.0.partial"):
        (home.folder / "storage" / half).write_bytes(b"half a file, as the blow may leave it")
    again = home.run("backfill")
    trouble = home.check_complete(days, totals)
    yield Fault("process: backfill killed with -9 in the middle", whole,
                f"{before} of {len(days)} days were there; then {last_sentence(again)} {trouble}",
                again.code == 0 and not trouble)  # fmt: skip

    two = Home(folder / "two", last)
    two.land(days)
    both = [two.start("backfill"), two.start("backfill")]
    codes = [finish(process) for process in both]
    trouble = two.check_complete(days, totals)
    yield Fault("process: two backfills of the same days at once", "every day is there once, as verify says",
                f"exits {codes[0].code} and {codes[1].code} {trouble}",
                [done.code for done in codes] == [0, 0] and not trouble)  # fmt: skip

    zone = Home(folder / "zone", last, SPAM_ASSETS_LANDING=str(folder / "zone-landing"))
    zone.land(days)
    backfill = zone.start("backfill")
    wait_for(lambda: len(zone.stored("trained_model")) >= 2, backfill)
    zone.landing.rename(folder / "away")
    gone = finish(backfill)
    (folder / "away").rename(zone.landing)
    again = zone.run("backfill")
    trouble = zone.check_complete(days, totals)
    yield Fault("disk: the landing zone vanishes during a backfill", f"it says so in sentences; {whole}",
                f"{last_sentence(gone)}; then {last_sentence(again)} {trouble}",
                gone.code == 1 and gone.is_clear and "does not exist" in gone.said and again.code == 0
                and not trouble)  # fmt: skip

    yield from damage_files(home, days, totals)
    yield from fill_disk(folder, days, totals)

    path = home.landing / f"training-{days[-1]}.csv"
    path.write_bytes(path.read_bytes())
    done = home.run("backfill")
    yield Fault("process: a day lands again with the same content", "nothing runs", last_sentence(done),
                done.code == 0 and done.said.startswith("0 days run"))  # fmt: skip
    open_to_others = [path for name in ("storage", "dagster", "mlartifacts") for path in (home.folder / name).rglob("*")
                      if path.stat().st_mode & 0o77 and not path.name.startswith(".")]  # fmt: skip
    yield Fault("hostile: another user of the machine", "may read nothing of the home folder",
                f"home folder {home.folder.stat().st_mode & 0o777:o}, open to others in it: {len(open_to_others)}",
                not home.folder.stat().st_mode & 0o77 and not open_to_others)  # fmt: skip


def damage_files(home: Home, days: Sequence[str], totals: Totals) -> Iterator[Fault]:
    """Damage stored files of a whole home, one after the other."""
    expected = "verify names it, exit 1; running the day again mends it"
    for what, asset, damage in (
        ("flipped bytes in", "mail_features", lambda content: content[:900] + b"\xff" * 64 + content[964:]),
        ("the second half is gone of", "trained_model", lambda content: content[: len(content) // 2]),
        ("flipped bytes in", "validated_mail", lambda content: content[:500] + b"\xff" * 64 + content[564:]),
        ("nothing is left of", "raw_mail", lambda _: b""),
    ):
        path = home.path_of(asset, days[4])
        path.write_bytes(damage(path.read_bytes()))
        named = home.run("verify")
        mended = home.run("run", "--date", days[4])
        trouble = home.check_complete(days, totals)
        yield Fault(f"disk: {what} {asset}", expected,
                    f"{last_sentence(named)}; then {last_sentence(mended)} {trouble}",
                    named.code == 1 and f"{asset} of {days[4]}" in named.said and named.is_clear
                    and mended.code == 0 and not trouble)  # fmt: skip
    path = home.path_of("validated_mail", days[2])
    path.unlink()
    named = home.run("verify")
    mended = home.run("run", "--date", days[2])
    trouble = home.check_complete(days, totals)
    yield Fault("disk: validated_mail is removed", expected,
                f"{last_sentence(named)}; then {last_sentence(mended)} {trouble}",
                named.code == 1 and "is not in storage" in named.said and mended.code == 0 and not trouble)  # fmt: skip


def fill_disk(folder: Path, days: Sequence[str], totals: Totals) -> Iterator[Fault]:
    """Store on a small disk, which needs the right to mount one."""
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        print("left out: a full and a read-only disk, because mounting one is not permitted here", file=sys.stderr)
        return
    home = Home(folder / "full", date.fromisoformat(days[-1]), SPAM_ASSETS_STORAGE=str(disk))
    home.land(days)
    try:
        full = home.run("backfill")
        remount(disk, "size=50m,ro")
        refused = home.run("run", "--date", days[0])
        remount(disk, "rw")
        again = home.run("backfill")
        trouble = home.check_complete(days, totals)
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=False)
    yield Fault("disk: the storage is full", "it is named, nothing half is left, a repeat completes every day",
                f"{last_sentence(full)}; then {last_sentence(again)} {trouble}",
                full.code == 1 and "No space left" in full.said and full.is_clear and again.code == 0
                and not trouble)  # fmt: skip
    yield Fault("disk: the storage is read-only", "it is named, and what was stored stays", last_sentence(refused),
                refused.code == 1 and "Read-only file system" in refused.said and refused.is_clear)  # fmt: skip


def remount(disk: Path, options: str) -> None:
    """Change a mounted disk."""
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)


# --- the network ------------------------------------------------------------------------------------------------


class _Refuses(BaseHTTPRequestHandler):
    """Answers 503 to everything."""

    def _answer(self) -> None:
        self.send_response(503)
        self.end_headers()

    do_GET = do_POST = do_PUT = _answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serve_refusals() -> Iterator[str]:
    """Serve 503 on this machine, and yield where."""
    server = HTTPServer(("127.0.0.1", 0), _Refuses)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()


def run_network_faults(folder: Path) -> Iterator[Fault]:
    """Name servers that are not there or answer 503, with passwords that nobody may see."""
    day = list_days(1)[0]
    home = Home(folder / "network", FIRST_DAY)
    home.land([day])
    expected = "one sentence or two, exit 1, no password, nothing registered"
    closed = f"http://me:{PASSWORD}@127.0.0.1:1"

    def judge(name: str, done: Done, *words: str) -> Fault:
        held = done.code == 1 and done.is_clear and all(word in done.said for word in words)
        return Fault(f"network: {name}", expected, last_sentence(done), held)

    with serve_refusals() as refusing:
        yield judge("MLflow does not answer", home.run("backfill", MLFLOW_TRACKING_URI=closed), "MLflow")
        yield judge("MLflow answers 503",
                    home.run("backfill", MLFLOW_TRACKING_URI=f"http://me:{PASSWORD}@{refusing}"), "MLflow")  # fmt: skip
        yield judge("the landing zone's server does not answer",
                    home.run("backfill", SPAM_ASSETS_LANDING=f"ftp://me:a@{PASSWORD}@127.0.0.1:1/mail"),
                    "cannot be used", "ftp://127.0.0.1:1/mail")  # fmt: skip
        yield judge("the signed URL of a landing zone answers 503",
                    home.run("backfill", SPAM_ASSETS_LANDING=f"http://{refusing}/mail?sig={PASSWORD}"),
                    "sig=***")  # fmt: skip
        yield judge("the chat's webhook answers 503",
                    home.run("test-alerts", SPAM_ASSETS_ALERT_WEBHOOK=f"http://{refusing}/{PASSWORD}"))  # fmt: skip
        yield judge("the mail server does not answer", home.run(
            "test-alerts", SPAM_ASSETS_ALERT_SMTP=f"smtp://me:{PASSWORD}@127.0.0.1:1",
            SPAM_ASSETS_ALERT_EMAIL_TO="a@example.com", SPAM_ASSETS_ALERT_EMAIL_FROM="b@example.com"))  # fmt: skip
    done = home.run("backfill")
    yield Fault(
        "network: all of it answers again", "the same command completes the day", last_sentence(done), done.code == 0
    )


# --- importers --------------------------------------------------------------------------------------------------


def run_importer_faults(folder: Path) -> Iterator[Fault]:
    """Import what strangers sent."""
    home = Home(folder / "importers", FIRST_DAY + timedelta(days=30))
    delivered = "".join(
        f"From a@x Mon Jan  {n} 10:00:00 2024\nReceived: from x by y; Mon, {n} Jan 2024 10:00:00 +0000\n"
        f"Subject: s{n}\n\nb\n\n"
        for n in range(1, 9)
    ).encode()
    forged = b"From - \nDate: Tue, 19 Jan 2038 03:14:07 +0000\n\nb\n\n"
    ham, spam = home.folder / "ham.mbox", home.folder / "spam.mbox"
    ham.write_bytes(delivered)
    spam.write_bytes(forged)
    done = home.run("land", "mbox", "--ham", str(ham), "--spam", str(spam))
    yield Fault("hostile: a message of 2038 in an mbox", "it is left out, counted and told; no day is made of it",
                last_sentence(done), done.code == 0 and "left out 1:" in done.said
                and not list(home.landing.glob("*2038*")))  # fmt: skip
    spam.write_bytes(b"From a@x Mon Jan  1 10:00:00 2024\n\n" + b"x" * (80 * 1024**2))
    done = home.run("land", "mbox", "--ham", str(ham), "--spam", str(spam))
    yield Fault("hostile: a message of 80 MB on one line", "it is left out, counted and told", last_sentence(done),
                done.code == 0 and "longer than" in done.said)  # fmt: skip
    spam.write_bytes(b"no mbox")
    done = home.run("land", "mbox", "--ham", str(ham), "--spam", str(spam))
    yield Fault("a file that is no mbox", "one sentence, exit 1, nothing lands", last_sentence(done),
                done.code == 1 and done.is_clear and "is no mbox" in done.said)  # fmt: skip


# --- clean days -------------------------------------------------------------------------------------------------


def count_false_alarms(folder: Path, landing: Path) -> tuple[int, list[str]]:
    """Run the days of a landing zone, and return how many they are and which failed."""
    days = sorted(path.name[9:19] for path in landing.glob("training-*"))
    home = Home(folder / "clean", date.fromisoformat(days[-1]), SPAM_ASSETS_START_DATE=days[0])
    for path in landing.glob("training-*"):
        shutil.copy(path, home.landing)
    done = home.run("backfill")
    return len(days), re.findall(r"^(\d{4}-\d\d-\d\d failed: .*)$", done.said, re.MULTILINE)


def land_corpus(folder: Path) -> Path:
    """Download the corpus and land it."""
    home = Home(folder / "corpus", FIRST_DAY)
    done = home.run("land", "corpus")
    if done.code:
        raise SystemExit(done.said)
    return home.landing


def run_all(folder: Path, landing: Path | None, report: Callable[[Fault], None]) -> Mapping[str, Any]:
    """Run every fault and the clean days, and return what `--json` writes."""
    totals = Totals()
    faults: list[Fault] = []
    for found in (run_data_faults(folder, totals), run_importer_faults(folder), run_network_faults(folder),
                  run_process_faults(folder, totals)):  # fmt: skip
        for fault in found:
            faults.append(fault)
            report(fault)
    clean_days, alarms = count_false_alarms(folder, landing or land_corpus(folder))
    return {
        "faults": [asdict(fault) for fault in faults],
        "caught": sum(fault.held for fault in faults),
        "reached_a_model": len(totals.reached_a_model),
        "lost": len(set(totals.lost)),
        "twice": len(set(totals.twice)),
        "which": {name: sorted(set(days)) for name, days in asdict(totals).items()},
        "clean_days": clean_days,
        "false_alarms": len(alarms),
        "false_alarm_days": alarms,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print each fault and the totals; 1 if one did not hold or there was more than one false alarm."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--landing", type=Path, help="clean days, one file a day (default: the corpus, downloaded)")
    parser.add_argument("--json", type=Path, help="also write what was found there")
    options = parser.parse_args(arguments)

    def report(fault: Fault) -> None:
        print(f"{'held    ' if fault.held else 'NOT HELD'} {fault.name}\n         expected: {fault.expected}\n"
              f"         seen: {fault.seen}", flush=True)  # fmt: skip

    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        found = run_all(Path(folder), options.landing, report)
    print(
        f"{len(found['faults'])} faults, {found['caught']} held; reached a model: {found['reached_a_model']}; "
        f"good days lost: {found['lost']}; twice: {found['twice']}; "
        f"false alarms: {found['false_alarms']} in {found['clean_days']} clean days"
    )
    for line in found["false_alarm_days"]:
        print(line)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0 if found["caught"] == len(found["faults"]) and found["false_alarms"] <= 1 else 1


if __name__ == "__main__":
    sys.exit(main())
