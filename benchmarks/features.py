"""Speed of mail to features: hashing against scikit-learn's HashingVectorizer, parsing, and the whole path.

    python -m benchmarks.features [--landing DIR] [--json FILE]

**Hashing**: both get the same bytes of the same documents, the headers and the start of the body that ours reads,
and make binary byte 4-grams in 2^20 columns; ours makes its words besides. Runs of white space are one space
beforehand, because scikit-learn would make them so; it gets text already decoded, one character a byte. One
process is measured in CPU seconds, two in elapsed time: they start together, and the slower one counts.

**A day of 1,000,000 messages of 4 kB**: 100,000 are parsed and hashed by two processes, and the time is
multiplied by ten. They are drawn from the mail, each cut to 4 kB or its body repeated up to that.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.quality import land_corpus, whole_messages
from spam_assets.landing.zone import LandingZone
from spam_assets.learning.features import (
    FOUR_GRAM,
    PATTERN_BITS,
    concatenate_documents,
    cut_documents,
    featurize_mail,
    hash_documents,
)
from spam_assets.mail.columns import RAW
from spam_assets.mail.completion import complete_mail
from spam_assets.mail.parsing import parse_message
from spam_assets.mail.validation import select_valid_mail

ROUNDS = 3
PASSES = {"ours": 10}  # over the documents, so that a round takes about a second at least
CHUNK_DOCUMENTS = 512
CHUNK_MESSAGES = 5000
MESSAGE_BYTES = 4096
MEASURED_MESSAGES = 100_000
EXTRAPOLATED_MESSAGES = 1_000_000

_RUNS_OF_WHITE_SPACE = re.compile(r"\s\s+")
_END_OF_HEADERS = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True)
class Timing:
    """What one process took."""

    cpu_seconds: float
    elapsed_seconds: float


def load_mail(landing: str) -> pd.DataFrame:
    """All mail of a landing zone."""
    zone = LandingZone(landing)
    mail = pd.concat([select_valid_mail(zone.read(day).frame) for day in zone.days()], ignore_index=True)
    return mail.assign(**{RAW: list(whole_messages(mail))})


def prepare_documents(mail: pd.DataFrame) -> list[bytes]:
    """What ours reads of each message, runs of white space made one space."""
    texts = ((headers + body).decode("latin-1") for documents in cut_documents(mail) for headers, body in documents)
    return [_RUNS_OF_WHITE_SPACE.sub(" ", text).encode("latin-1") for text in texts]


def prepare_messages(mail: pd.DataFrame) -> list[bytes]:
    """The raw messages, each ``MESSAGE_BYTES`` long."""
    messages = []
    for raw in mail[RAW]:
        end = _END_OF_HEADERS.search(raw)
        body = raw[end.end() :] if end else b""
        missing = max(MESSAGE_BYTES - len(raw), 0)
        filling = (body or b"\n") * (missing // max(len(body), 1) + 1)
        messages.append((raw + filling[:missing])[:MESSAGE_BYTES])
    return messages


def _prepare_ours(documents: list[bytes]) -> Callable[[], Any]:
    chunks = [
        concatenate_documents([(b"", document) for document in documents[start : start + CHUNK_DOCUMENTS]])
        for start in range(0, len(documents), CHUNK_DOCUMENTS)
    ]
    hash_documents(*chunks[0], is_locating=False)  # compiles
    return lambda: [hash_documents(*chunk, is_locating=False) for chunk in chunks]


def _build_vectorizer() -> Any:
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(
        analyzer="char",
        ngram_range=(4, 4),
        n_features=1 << PATTERN_BITS,
        lowercase=False,
        binary=True,
        norm=None,
        alternate_sign=False,
    )


def _prepare_sklearn(documents: list[bytes]) -> Callable[[], Any]:
    vectorizer = _build_vectorizer()
    texts = [document.decode("latin-1") for document in documents]
    return lambda: vectorizer.transform(texts)


def _prepare_parsing(messages: list[bytes]) -> Callable[[], Any]:
    return lambda: [parse_message(message) for message in messages]


def _prepare_whole_path(messages: list[bytes]) -> Callable[[], Any]:
    def run() -> None:
        for start in range(0, len(messages), CHUNK_MESSAGES):
            featurize_mail(complete_mail(pd.DataFrame({RAW: messages[start : start + CHUNK_MESSAGES]})))

    featurize_mail(complete_mail(pd.DataFrame({RAW: messages[:2]})))  # compiles
    return run


TASKS = {
    "ours": _prepare_ours,
    "sklearn": _prepare_sklearn,
    "parsing": _prepare_parsing,
    "whole_path": _prepare_whole_path,
}


def _run(connection: Any, barrier: Any, task: str, inputs: list[bytes], chosen: npt.NDArray[np.intp]) -> None:
    run = TASKS[task]([inputs[index] for index in chosen])
    barrier.wait()
    started, cpu = time.monotonic(), time.process_time()
    passes = PASSES.get(task, 1)
    for _ in range(passes):
        run()
    connection.send(Timing((time.process_time() - cpu) / passes, (time.monotonic() - started) / passes))


def measure(task: str, inputs: list[bytes], chosen: npt.NDArray[np.intp], processes: int) -> list[Timing]:
    """Run a task on some of the inputs, shared among fresh processes that start at the same moment."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes)
    receivers, children = [], []
    for share in np.array_split(chosen, processes):
        receiver, sender = context.Pipe(duplex=False)
        children.append(context.Process(target=_run, args=(sender, barrier, task, inputs, share), daemon=True))
        children[-1].start()
        sender.close()
        receivers.append(receiver)
    try:
        timings = [receiver.recv() for receiver in receivers]
    except EOFError:
        raise SystemExit(f"{task}: a process ended without a result") from None
    for child in children:
        child.join()
    return timings


def _elapsed_seconds(timings: Sequence[Timing]) -> float:
    return max(timing.elapsed_seconds for timing in timings)


def count_four_grams(documents: list[bytes]) -> tuple[int, int, int]:
    """Distinct 4-grams of each document, summed: true, ours, scikit-learn's; hashes that collide are one."""
    true = sum(len({text[at : at + 4] for at in range(len(text) - 3)}) for text in documents)
    *_, places = hash_documents(*concatenate_documents([(b"", document) for document in documents]), is_locating=True)
    texts = [document.decode("latin-1") for document in documents]
    return true, int(np.sum(places[:, 2] == FOUR_GRAM)), int(_build_vectorizer().transform(texts).nnz)


def measure_everything(mail: pd.DataFrame) -> dict[str, float]:
    """All figures."""
    documents, messages = prepare_documents(mail), prepare_messages(mail)
    everything = np.arange(len(documents))
    megabytes = sum(map(len, documents)) / 1e6
    true, ours, sklearn = count_four_grams(documents[:500])
    results: dict[str, float] = {
        "documents": len(documents),
        "megabytes": megabytes,
        "four_grams_of_500_documents": true,
        "ours_four_grams_of_500_documents": ours,
        "sklearn_four_grams_of_500_documents": sklearn,
    }
    for task in ("ours", "sklearn"):
        for processes in (1, 2):
            print(f"hashing: {task}, {processes} process(es)", file=sys.stderr, flush=True)
            rounds = [measure(task, documents, everything, processes) for _ in range(ROUNDS)]
            seconds = statistics.median(
                timings[0].cpu_seconds if processes == 1 else _elapsed_seconds(timings) for timings in rounds
            )
            suffix = "" if processes == 1 else f"_{processes}_processes"
            results[f"{task}_mb_per_second{suffix}"] = megabytes / seconds
            results[f"{task}_messages_per_second{suffix}"] = len(documents) / seconds
    for suffix in ("", "_2_processes"):
        results[f"ratio{suffix}"] = results[f"ours_mb_per_second{suffix}"] / results[f"sklearn_mb_per_second{suffix}"]
    print("parsing", file=sys.stderr, flush=True)
    raw = list(mail[RAW])
    seconds = statistics.median(measure("parsing", raw, everything, 1)[0].cpu_seconds for _ in range(ROUNDS))
    results["parsing_messages_per_second"] = len(raw) / seconds
    results["parsing_mb_per_second"] = sum(map(len, raw)) / 1e6 / seconds
    print(f"parsing and hashing {MEASURED_MESSAGES:,} messages, 2 processes", file=sys.stderr, flush=True)
    drawn = np.random.default_rng(0).integers(0, len(messages), MEASURED_MESSAGES)
    timings = measure("whole_path", messages, drawn, 2)
    elapsed = _elapsed_seconds(timings)
    results["whole_path_messages"] = MEASURED_MESSAGES
    results["whole_path_seconds_2_processes"] = elapsed
    results["whole_path_cpu_seconds"] = sum(timing.cpu_seconds for timing in timings)
    results["whole_path_messages_per_second_2_processes"] = MEASURED_MESSAGES / elapsed
    results["million_messages_seconds"] = elapsed * EXTRAPOLATED_MESSAGES / MEASURED_MESSAGES
    return results


def print_results(results: dict[str, float]) -> None:
    """The figures as text."""
    print(
        f"{results['documents']:.0f} documents, {results['megabytes']:.1f} MB; distinct 4-grams of the first 500: "
        f"{results['four_grams_of_500_documents']:.0f}, ours finds {results['ours_four_grams_of_500_documents']:.0f}, "
        f"scikit-learn {results['sklearn_four_grams_of_500_documents']:.0f}"
    )
    for suffix, title in (("", "1 process, CPU time"), ("_2_processes", "2 processes, elapsed time")):
        print(f"hashing, {title}:")
        for task in ("ours", "sklearn"):
            print(
                f"  {task:8} {results[f'{task}_mb_per_second{suffix}']:8.1f} MB/s "
                f"{results[f'{task}_messages_per_second{suffix}']:10,.0f} messages/s"
            )
        print(f"  ratio    {results[f'ratio{suffix}']:8.1f}")
    print(
        f"parsing raw mail, 1 process: {results['parsing_messages_per_second']:,.0f} messages/s, "
        f"{results['parsing_mb_per_second']:.1f} MB/s"
    )
    print(
        f"parsing and hashing {results['whole_path_messages']:,.0f} messages of {MESSAGE_BYTES} bytes, 2 processes: "
        f"{results['whole_path_seconds_2_processes']:.1f} s elapsed ({results['whole_path_cpu_seconds']:.1f} CPU s), "
        f"{results['whole_path_messages_per_second_2_processes']:,.0f} messages/s; "
        f"1,000,000 would take {results['million_messages_seconds']:.0f} s"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.features", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--landing", help="landing zone (default: the SpamAssassin corpus, downloaded)")
    parser.add_argument("--cache", type=Path, help="keep the downloaded corpus in this folder")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory(prefix="features-") as scratch:
        folder = Path(scratch)
        landing = options.landing or land_corpus(options.cache or folder / "cache", folder / "landing")
        results = measure_everything(load_mail(landing))
    print_results(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
