"""Mail that was broken on purpose: whether parser and features hold, and how long the slowest message takes.

    python -m benchmarks.mutations [--messages 100000] [--seed 1] [--landing FOLDER] [--json FILE]

Real messages (of a landing zone with a `raw` column, such as the corpus) and made-up ones are cut, spliced, repeated
and sown with what breaks parsers, each by a seeded draw: a message that fails can be made again from its number.
Each goes through `parse_message`, `find_delivery` and the frame of a day, and in hundreds through `featurize_mail`; CPU
seconds count, of one message alone where a hundred together take long.
"""

import argparse
import json
import random
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from spam_assets.landing.zone import LandingZone
from spam_assets.learning.features import featurize_mail
from spam_assets.mail.mail_frame import build_mail_frame
from spam_assets.mail.parsing import find_delivery, parse_message

DAY = "2002-08-01"
SLOW_SECONDS = 1.0
BATCH = 100
MAX_MESSAGE_BYTES = 2 * 1024**2
SEEDS: Sequence[bytes] = (
    b"From: a@example.com\nTo: b@example.com\nSubject: hello\nDate: Thu, 1 Aug 2002 10:00:00 +0000\n\nbody\n",
    b"Received: from x by y; Thu, 1 Aug 2002 10:00:00 +0000\nContent-Type: multipart/mixed; boundary=B\n\n--B\n"
    b"Content-Type: text/html; charset=utf-8\n\n<html><b>win</b> <a href='http://x.example/'>now</a></html>\n--B\n"
    b"Content-Type: application/zip; name=x.zip\nContent-Transfer-Encoding: base64\n\nUEsDBAoAAAAA\n--B--\n",
    b"Subject: =?iso-2022-jp?B?GyRCJUYlOSVIGyhC?=\nContent-Type: text/plain; charset=iso-2022-jp\n\n"
    b"\x1b$B%F%9%H\x1b(B\n",
    b"Content-Type: multipart/alternative; boundary=A\n\n--A\nContent-Type: multipart/related; boundary=AB\n\n--AB\n"
    b"Content-Transfer-Encoding: quoted-printable\n\n=C3=A9=\n=20x\n--AB--\n--A--\n",
    b"",
)
SOWN: Sequence[bytes] = (
    b"\0", b"\xff\xfe", b"\r", b"\r\n", b"\n\n", b"--B\n", b"--B--\n", b"=?utf-7?Q?+AGE-?=", b"=?x?B?",
    b"&#9999999999;", b"<!--", b"<script>", b"</", b"<div " * 50, b"Content-Type: multipart/mixed; boundary=B\n",
    b"From a@x Thu Aug  1 10:00:00 2002\n", b"Content-Transfer-Encoding: base64\n",
    b"Content-Type: message/rfc822\n\n", b"charset*0*=utf-8''%ff", b";" * 500,
    b"Date: Thu, 99 Foo 99999 99:99:99 +9999\n", b"\xf0\x9f\x90\x8d", b"\xed\xa0\x80", b"=" * 300, b"a" * 5000,
    b" \t" * 500, b"Subject:" + b" \n" * 200, b"http://" + b"x." * 500, b"=?utf-8?Q?" + b"=41" * 500 + b"?=",
    b"\x1b$B" * 100,
)  # fmt: skip


@dataclass(frozen=True)
class Mutations:
    """What became of the messages.

    Attributes:
        messages: how many there were.
        crashed: numbers of those that raised, with the error.
        slow: numbers of those that took more than a second.
        slowest_seconds: CPU seconds of the slowest.
        total_bytes: of all.
        cpu_seconds: for all.
    """

    messages: int
    crashed: tuple[str, ...]
    slow: tuple[int, ...]
    slowest_seconds: float
    total_bytes: int
    cpu_seconds: float


def mutate_message(number: int, seed: int, originals: Sequence[bytes]) -> bytes:
    """Return the message of a number: always the same for the same seed and originals."""
    draw = random.Random(seed * 1_000_003 + number)
    content = draw.choice(originals if draw.random() < 0.8 else SEEDS)
    for _ in range(draw.choice((1, 1, 2, 3, 5, 20))):
        content = draw.choice(MUTATIONS)(content, draw, originals)[:MAX_MESSAGE_BYTES]
    return content


def _flip(content: bytes, draw: random.Random, _: Sequence[bytes]) -> bytes:
    changed = bytearray(content)
    for _unused in range(min(len(changed), draw.choice((1, 10, 100)))):
        changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed)


def _cut(content: bytes, draw: random.Random, _: Sequence[bytes]) -> bytes:
    start, end = sorted((draw.randint(0, len(content)), draw.randint(0, len(content))))
    return content[:start] + content[end:] if draw.random() < 0.5 else content[start:end]


def _sow(content: bytes, draw: random.Random, _: Sequence[bytes]) -> bytes:
    for _unused in range(draw.choice((1, 3, 30))):
        at = draw.randint(0, min(len(content), draw.choice((300, 3000, 10**9))))
        content = content[:at] + draw.choice(SOWN) + content[at:]
    return content


def _repeat(content: bytes, draw: random.Random, _: Sequence[bytes]) -> bytes:
    start, end = sorted((draw.randint(0, len(content)), draw.randint(0, len(content))))
    piece = content[start : min(end, start + draw.choice((1, 20, 500, 5000)))]
    times = draw.choice((2, 50, 2000))
    return content[:start] + piece * min(times, MAX_MESSAGE_BYTES // max(len(piece), 1)) + content[start:]


def _splice(content: bytes, draw: random.Random, originals: Sequence[bytes]) -> bytes:
    other = draw.choice(originals)
    return content[: draw.randint(0, len(content))] + other[draw.randint(0, len(other)) :]


def _nest(content: bytes, draw: random.Random, _: Sequence[bytes]) -> bytes:
    depth = draw.choice((3, 30, 300))
    head = b"".join(b"Content-Type: multipart/mixed; boundary=N%d\n\n--N%d\n" % (n, n) for n in range(depth))
    return head + content + b"".join(b"\n--N%d--\n" % n for n in reversed(range(depth)))


def _shuffle_lines(content: bytes, draw: random.Random, _: Sequence[bytes]) -> bytes:
    lines = content.split(b"\n")
    draw.shuffle(lines)
    return b"\n".join(lines)


MUTATIONS: Sequence[Callable[[bytes, random.Random, Sequence[bytes]], bytes]] = (
    _flip, _cut, _sow, _sow, _repeat, _splice, _nest, _shuffle_lines,
)  # fmt: skip


def read_originals(landing: str, most: int = 2000) -> list[bytes]:
    """Return messages of a landing zone, spread over its days; none where it has no raw ones."""
    zone = LandingZone(landing)
    found = [raw for day in zone.days() for raw in zone.read(day).frame["raw"] if isinstance(raw, bytes)]
    return found[:: max(len(found) // most, 1)][:most]


def _read(raws: Sequence[bytes]) -> pd.DataFrame:
    frame, _ = build_mail_frame({"raw": list(raws), "label": ["spam"] * len(raws)}, DAY, "mutations")
    return frame


def _time(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def run_mutations(messages: int, seed: int, originals: Sequence[bytes], report: Callable[[int], None]) -> Mutations:
    """Put so many mutated messages through parser and features."""
    originals = [*originals, *SEEDS]
    featurize_mail(_read(SEEDS))  # compiled or loaded before anything is timed
    crashed: list[str] = []
    slow: list[int] = []
    slowest = total_seconds = 0.0
    total_bytes = 0

    def try_one(number: int, work: Callable[[], object]) -> float:
        nonlocal slowest
        try:
            seconds = _time(work)
        except Exception:  # noqa: BLE001 - what is looked for
            crashed.append(f"{number}: {traceback.format_exc(limit=-1).strip()}")
            return 0.0
        slowest = max(slowest, seconds)
        if seconds > SLOW_SECONDS:
            slow.append(number)
        return seconds

    for first in range(0, messages, BATCH):
        numbers = range(first, min(first + BATCH, messages))
        raws = [mutate_message(number, seed, originals) for number in numbers]
        total_bytes += sum(map(len, raws))
        for number, raw in zip(numbers, raws, strict=True):
            total_seconds += try_one(number, lambda raw=raw: (parse_message(raw), find_delivery(raw)))  # type: ignore[misc]
        try:
            seconds = _time(lambda raws=raws: featurize_mail(_read(raws)))  # type: ignore[misc]
            total_seconds += seconds
        except Exception:  # noqa: BLE001 - found again one by one
            seconds = float("inf")
        if seconds > SLOW_SECONDS:
            for number, raw in zip(numbers, raws, strict=True):
                try_one(number, lambda raw=raw: featurize_mail(_read([raw])))  # type: ignore[misc]
        report(numbers[-1] + 1)
    return Mutations(messages, tuple(crashed), tuple(slow), slowest, total_bytes, total_seconds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what became of them; 1 if a message crashed or took more than a second."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--landing", help="a landing zone with a raw column (default: made-up messages only)")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    options = parser.parse_args(arguments)

    def report(done: int) -> None:
        if done % 10_000 == 0:
            print(f"{done:,} of {options.messages:,}", file=sys.stderr, flush=True)

    originals = read_originals(options.landing) if options.landing else []
    found = run_mutations(options.messages, options.seed, originals, report)
    print(
        f"{found.messages:,} mutated messages ({found.total_bytes / 1e6:,.0f} MB): {len(found.crashed)} crashed, "
        f"{len(found.slow)} took over {SLOW_SECONDS:.0f} s; the slowest {found.slowest_seconds:.3f} CPU s, "
        f"all {found.cpu_seconds:,.0f} CPU s"
    )
    for line in found.crashed[:10]:
        print(line)
    if options.json:
        options.json.write_text(json.dumps(asdict(found), indent=2) + "\n")
    return 1 if found.crashed or found.slow else 0


if __name__ == "__main__":
    sys.exit(main())
