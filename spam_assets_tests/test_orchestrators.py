"""What `benchmarks.orchestrators` measures with and compares, without servers; what its page names is there."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import psutil
import pytest
from upath import UPath

from benchmarks.orchestrators import WAYS, Row, format_row, prepare_bench
from benchmarks.plain_storage import PlainStorage
from benchmarks.process_trees import TreeMeter, run_command
from spam_assets.io_managers.arrow_features import FeaturesIOManager
from spam_assets.io_managers.fingerprints import fingerprint_features
from spam_assets.landing.zone import LandingZone
from spam_assets.learning.features import featurize_mail
from spam_assets.mail.validation import validate_day
from spam_assets_tests.conftest import PROJECT, LandDays

PAGE = PROJECT / "docs" / "comparison.md"
BUSY = "import subprocess, sys, time; a = bytearray(60_000_000); [i * i for i in range(3_000_000)]; time.sleep(0.5)"
STOPPED = """
import sys, time
from pathlib import Path
from benchmarks.process_trees import keep_running, told_when_stopped
sleep = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
child = [sys.executable, "-c", sleep]
with told_when_stopped(), keep_running(child, {}, Path.cwd(), Path(sys.argv[1])) as process:
    time.sleep(0.5)
    print(process.pid, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_whoever_stops_the_benchmark_is_told_that_all_its_processes_have_ended(
    number: signal.Signals, tmp_path: Path
) -> None:
    stopped = subprocess.Popen(
        [sys.executable, "-c", STOPPED, str(tmp_path / "log")],
        cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert stopped.stdout is not None
    child = psutil.Process(int(stopped.stdout.readline()))
    below = child.children(recursive=True)
    assert below
    stopped.send_signal(number)
    _, errors = stopped.communicate(timeout=60)
    assert stopped.returncode == 130
    assert errors.strip() == "stopped: all processes that were started have ended"
    assert [process for process in [child, *below] if process.is_running()] == []


def test_what_a_tree_of_processes_takes_is_measured_with_what_has_ended_meanwhile(tmp_path: Path) -> None:
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}])"
    with TreeMeter() as idle:
        pass
    with TreeMeter() as meter:
        run_command([sys.executable, "-c", nested], {}, tmp_path)
    assert idle.cpu_seconds < 0.05
    assert meter.cpu_seconds > 0.1
    assert meter.wall_seconds > 0.5
    assert meter.peak_memory_mb > 60


def test_a_command_that_fails_is_told_with_its_output(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="ended with 3: it broke"):
        run_command([sys.executable, "-c", "print('it broke'); raise SystemExit(3)"], {}, tmp_path)


def test_days_are_stored_without_dagster_as_the_assets_store_them(tmp_path: Path, land_days: LandDays) -> None:
    (day,) = land_days(1)
    mail = validate_day(LandingZone(str(tmp_path / "home" / "landing")).read(day).frame, day)
    features, theirs = featurize_mail(mail), FeaturesIOManager(UPath(tmp_path / "storage"))
    ours = PlainStorage(tmp_path / "storage")
    ours.write_mail(day, mail)
    ours.write_features(day, features, fingerprint_features(features))
    stored = theirs.load_with_version("mail_features", day)
    assert stored.data_version == fingerprint_features(stored.features) == fingerprint_features(features)
    again, version = ours.read_features(day)
    assert version == fingerprint_features(again) == stored.data_version
    assert ours.read_window(day)[1] == {day: version}
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "storage" / "validated_mail" / f"{day}.parquet"), mail)


def test_more_dates_than_have_landed_are_refused(tmp_path: Path, landing: Path, land_days: LandDays) -> None:
    land_days(3)
    with pytest.raises(SystemExit, match="3 days have landed; --dates 2 needs 4"):
        prepare_bench(tmp_path / "bench", str(landing), 2, Path("python"))


def test_the_table_of_the_page_has_each_way_with_equal_models() -> None:
    columns = ("way", "polling", "dates", "wall", "CPU", "peak memory", "start lag", "equal model")
    lines = PAGE.read_text().splitlines()
    start = lines.index(f"| {' | '.join(columns)} |") + 2
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[start : lines.index("", start)]]
    shown = [tuple(row[:3]) for row in rows]
    assert len(shown) == len(set(shown))
    assert {row[2] for row in rows} > {"1"}
    assert {row[:2] for row in shown if row[2] == "1"} == {(way, polling or "-") for way, polling, _ in WAYS}
    assert {row[-1] for row in rows} == {"yes"}
    example = format_row(Row("plain script", "", 1, 2.04, 3, 400.4, 1, equal_model=False))
    assert example == "| plain script | - | 1 | 2.0 s | 3.0 s | 400 MB | 1.0 s | NO |"


def test_every_test_that_the_page_names_is_there() -> None:
    named = re.findall(r"`(test_\w+\.py)(?:::(test_\w+))?`", PAGE.read_text())
    assert len({file for file, _ in named}) > 5
    for file, name in named:
        (path,) = (PROJECT / "spam_assets_tests").rglob(file)
        assert f"def {name}(" in path.read_text() if name else True, f"{file} has no {name}"
