"""Time of a day of mail without labels, from its landing file to its scores: the whole process of `spam-assets score`.

    python -m benchmarks.scored_mail [--landing DIR] [--messages N] [--format F] [--json FILE]

The champion has learnt the corpus's first days. The messages are drawn from the corpus, whole and with ids of their
own, and land as raw messages only, so that each has to be parsed: other columns would only save time.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.quality import land_corpus
from spam_assets.landing.file_formats import FILE_FORMATS
from spam_assets.landing.incoming import IncomingZone
from spam_assets.landing.zone import LandingZone
from spam_assets.mail.columns import RAW
from spam_assets.mail.validation import select_valid_mail

LEARNT_DAYS = 14


@dataclass(frozen=True)
class Timing:
    """What scoring one day took, in one process of its own and in seconds."""

    messages: int
    landing_file_bytes: int
    wall_seconds: float
    cpu_seconds: float
    peak_megabytes: float
    called_spam: int


def run_command(home: Path, *arguments: str) -> str:
    """Run `spam-assets` and return what it printed."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("SPAM_ASSETS_", "MLFLOW_T"))},
        "SPAM_ASSETS_HOME": str(home),
        "DAGSTER_HOME": str(home / "dagster"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "spam_assets", *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"spam-assets {' '.join(arguments)} failed: {done.stdout[-1000:]}{done.stderr[-1000:]}")
    return done.stdout


def make_champion(landing: str, home: Path) -> str:
    """Run the corpus's first days in a home folder, and return the day after the last."""
    (home / "landing").mkdir(parents=True)
    days = LandingZone(landing).days()[:LEARNT_DAYS]
    for day in days:
        (file,) = Path(landing).glob(f"training-{day}.*")
        shutil.copy(file, home / "landing")
    after = (date.fromisoformat(days[-1]) + timedelta(days=1)).isoformat()
    (home / "settings.env").write_text(f"SPAM_ASSETS_START_DATE={days[0]}\nSPAM_ASSETS_END_DATE={after}\n")
    run_command(home, "backfill")
    return after


def land_incoming(landing: str, home: Path, day: str, messages: int, file_format: str) -> Path:
    """Land so many messages of the corpus, drawn with replacement, as raw messages of a day."""
    zone = LandingZone(landing)
    mail = pd.concat([select_valid_mail(zone.read(found).frame) for found in zone.days()], ignore_index=True)
    raw = mail[RAW].to_numpy()[np.random.default_rng(0).integers(0, len(mail), messages)]
    frame = pd.DataFrame(
        {
            "message_id": [f"<{number}@example.com>" for number in range(messages)],
            "received_at": f"{day} 12:00",
            RAW: raw,
        }
    )
    return Path(IncomingZone(str(home / "landing")).write(day, frame, file_format))


def measure(landing: str, messages: int, file_format: str) -> Timing:
    """Score a day of so many messages."""
    with tempfile.TemporaryDirectory(prefix="scored-mail-") as scratch:
        home = Path(scratch) / "home"
        print("a champion", file=sys.stderr, flush=True)
        day = make_champion(landing, home)
        print("landing", file=sys.stderr, flush=True)
        file = land_incoming(landing, home, day, messages, file_format)
        print("scoring", file=sys.stderr, flush=True)
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        printed = run_command(home, "score")
        elapsed, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        scores = pd.read_parquet(home / "storage" / "scored_mail" / f"{day}.parquet")
        if len(scores) != messages:
            raise SystemExit(f"{len(scores)} of {messages} messages were scored: {printed}")
        return Timing(
            messages=messages,
            landing_file_bytes=file.stat().st_size,
            wall_seconds=elapsed,
            cpu_seconds=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
            peak_megabytes=after.ru_maxrss / 1024,
            called_spam=int((scores["verdict"] == "spam").sum()),
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scored_mail", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--landing", help="landing zone (default: the SpamAssassin corpus, downloaded)")
    parser.add_argument("--cache", type=Path, help="keep the downloaded corpus in this folder")
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--format", choices=FILE_FORMATS, default="parquet", help="of the landing file")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="scored-mail-corpus-") as scratch:
        folder = Path(scratch)
        landing = options.landing or land_corpus(options.cache or folder / "cache", folder / "landing")
        timing = measure(landing, options.messages, options.format)
    print(
        f"{timing.messages:,} messages in a {options.format} file of {timing.landing_file_bytes / 1e6:.0f} MB: "
        f"{timing.wall_seconds:.1f} s wall, {timing.cpu_seconds:.1f} CPU s, {timing.peak_megabytes:,.0f} MB at most; "
        f"{timing.called_spam:,} called spam"
    )
    if options.json:
        options.json.write_text(json.dumps(asdict(timing), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
