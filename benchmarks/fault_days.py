"""Days of mail with something wrong, as they would land, and what must become of each: see `benchmarks.faults`."""

import gzip
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

HAM_WORDS = "meeting agenda minutes patch compile kernel lunch report review thanks schedule draft budget train".split()
SPAM_WORDS = "winner prize viagra mortgage click free offer credit casino pills unsubscribe guarantee cash loan".split()
COMMON_WORDS = "the a to and of please today we you is on for with this that have your from will can".split()
MEGABYTE = 1024**2
MARK = "<fault@example.com>"
"""The id of a message that must reach no model."""


class Outcome(str, Enum):
    """What must become of a faulty day."""

    FAILS = "fails alone, in one sentence, and makes nothing that a model could read"
    REFUSED_BY_LEARNING = "fails alone, in one sentence, and is learnt by no model"
    PUT_ASIDE = "is learnt without the faulty messages, which are listed"
    LEARNT = "is learnt, and nothing of it forms markup, links or control characters"
    TOLD = "is told, is left out, and stops nothing"


@dataclass(frozen=True)
class FaultyDay:
    """A day with something wrong.

    Attributes:
        name: what is wrong.
        build: makes the files of a day, by name.
        outcome: what must become of it.
        words: what the sentence must say.
        put_aside: how many messages must be listed as put aside.
        messages: how many of the day must be learnt, where it is.
        day: a day of its own, YYYY-MM-DD; else it is given one.
    """

    name: str
    build: Callable[[str], Mapping[str, bytes]]
    outcome: Outcome = Outcome.FAILS
    words: str = ""
    put_aside: int = 0
    messages: int = 100
    day: str | None = None


def make_mail(day: str, messages: int = 100, spam_share: float = 0.4) -> pd.DataFrame:
    """Return mail of one day whose classes differ by some of their words, in the columns of a landing file."""
    draw = np.random.default_rng(int(day.replace("-", "")))
    midnight = datetime.fromisoformat(day).replace(tzinfo=timezone.utc)
    rows = []
    for number in range(messages):
        is_spam = number < round(messages * spam_share)
        words = draw.choice(SPAM_WORDS if is_spam else HAM_WORDS, 8).tolist() + draw.choice(COMMON_WORDS, 20).tolist()
        draw.shuffle(words)
        rows.append(
            {
                "message_id": f"<{day}-{number}@example.com>",
                "received_at": (midnight + timedelta(seconds=60 * number)).isoformat(),
                "sender": f"{'promo' if is_spam else 'colleague'}{draw.integers(5)}@example.com",
                "recipients": "me@example.com",
                "subject": " ".join(words[:4]),
                "body": " ".join(words),
                "label": "spam" if is_spam else "ham",
            }
        )
    return pd.DataFrame(rows)


def to_csv(mail: pd.DataFrame) -> bytes:
    """Return mail as a landing file."""
    return mail.to_csv(index=False).encode()


def _csv(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[str], Mapping[str, bytes]]:
    return lambda day: {f"training-{day}.csv": to_csv(change(make_mail(day)))}


def _bytes(change: Callable[[bytes], bytes], ending: str = "csv") -> Callable[[str], Mapping[str, bytes]]:
    return lambda day: {f"training-{day}.{ending}": change(to_csv(make_mail(day)))}


def _with_corrections(content: bytes) -> Callable[[str], Mapping[str, bytes]]:
    return lambda day: {f"training-{day}.csv": to_csv(make_mail(day)), f"corrections-{day}.csv": content}


def _set(mail: pd.DataFrame, count: int, **cells: Any) -> pd.DataFrame:
    """Return mail whose last messages have other cells."""
    changed = mail.astype(object)
    for name, value in cells.items():
        changed.loc[changed.index[len(mail) - count :], name] = value
    return changed


def _exchange_labels(mail: pd.DataFrame) -> pd.DataFrame:
    return mail.assign(label=["ham" if label == "spam" else "spam" for label in mail["label"]])


def _to_parquet(mail: pd.DataFrame) -> bytes:
    output = io.BytesIO()
    mail.to_parquet(output)
    return output.getvalue()


def _parquet_bomb(_: bytes) -> bytes:
    output = io.BytesIO()
    table = {
        name: pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), pa.array([value]))
        for name, value in (("body", "0" * MEGABYTE), ("label", "ham"))
    }
    pq.write_table(pa.table(table), output, store_schema=False)
    return output.getvalue()


def _append(mail: pd.DataFrame, *rows: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([mail, *rows], ignore_index=True)


def _raw(day: str, body: bytes) -> Mapping[str, bytes]:
    """A day of 100 messages, of which one is a hostile raw message."""
    mail = make_mail(day).assign(raw=None)
    head = b"Received: from x by y; " + datetime.fromisoformat(day).strftime("%a, %d %b %Y 10:00:00 +0000").encode()
    mail.loc[99, "raw"] = (head + b"\n" + body).decode("latin-1")
    return {f"training-{day}.csv": to_csv(mail)}


def _nested(day: str) -> Mapping[str, bytes]:
    return _raw(day, b"".join(b"Content-Type: multipart/mixed; boundary=N%d\n\n--N%d\n" % (n, n) for n in range(5000)))


def _html(day: str) -> Mapping[str, bytes]:
    return _raw(day, b"Content-Type: text/html\n\n" + b"<div " * 100_000 + b"&#99999999999;" * 10_000)


def _json_lines(day: str) -> Mapping[str, bytes]:
    lines = [json.dumps(row) for row in make_mail(day).to_dict("records")]
    return {f"training-{day}.jsonl": "\n".join([*lines[:50], lines[50][:40], *lines[51:]]).encode()}


def _two_files(day: str) -> Mapping[str, bytes]:
    mail = make_mail(day)
    return {f"training-{day}.csv": to_csv(mail), f"training-{day}.parquet": _to_parquet(mail)}


def _truncate_parquet(day: str) -> Mapping[str, bytes]:
    content = _to_parquet(make_mail(day))
    return {f"training-{day}.parquet": content[: len(content) // 2]}


def _repeat_with_other_label(mail: pd.DataFrame) -> pd.DataFrame:
    return _append(mail, _set(mail[:1], 1, message_id=MARK), _set(mail[:1], 1, message_id=MARK, label="ham"))


HOSTILE_CELLS = {"subject": "![x](http://evil.example/a.png) <script>alert(1)</script> \x1b[31m", "message_id": "<a|b>"}
F = FaultyDay
DATA_FAULTS: tuple[FaultyDay, ...] = (
    F("6 % of labels are missing", _csv(lambda mail: _set(mail, 6, label=None)), words="6.0% missing"),
    F("10 % of bodies are null", lambda day: {
        f"training-{day}.parquet": _to_parquet(_set(make_mail(day), 10, body=None))}, words="10.0% missing"),
    F("an unknown label", _csv(lambda mail: _set(mail, 1, label="phishing")), words="neither ham nor spam"),
    F("an empty file", _bytes(lambda _: b""), words="is empty"),
    F("a header and no message", _csv(lambda mail: mail[:0]), words="there are no messages"),
    F("a header with other names", _bytes(lambda csv: csv.replace(b"body,label", b"content,class", 1)),
      words="lacks the column label"),
    F("a column twice", _bytes(lambda csv: csv.replace(b"sender,recipients", b"sender,sender", 1)), words="twice"),
    F("a row with too many cells", _bytes(lambda csv: csv + b"a,b,c,d,e,f,g,h,i,j\n"), words="10 cells"),
    F("a quoted cell without an end", _bytes(lambda csv: csv + b'"never'), words="broken CSV"),
    F("a NUL byte", _bytes(lambda csv: csv[:3000] + b"\0" + csv[3000:]), words="NUL"),
    F("bytes that are no UTF-8", _bytes(lambda csv: csv[:3000] + b"\xff" + csv[3000:]), words="not UTF-8"),
    F("a line of broken JSON", _json_lines, words="broken JSON in line 51"),
    F("a file cut off: Parquet", _truncate_parquet, words="not a sound Parquet file"),
    F("a file cut off: gzip", _bytes(lambda csv: gzip.compress(csv)[:-200], "csv.gz"), words="cut off"),
    F("a .csv.gz that is no gzip", _bytes(lambda csv: csv, "csv.gz"), words="not sound gzip"),
    F("two files for one day", _two_files, words="2 files for"),
    F("a fifth of the rows twice", _csv(lambda mail: _append(mail, mail[:20])), words="more than once"),
    F("10 % of the messages of another day", _csv(lambda mail: _set(mail, 10, received_at="2023-12-31T10:00:00")),
      words="10 of 100 messages were not received on the day"),
    F("a raw message that is no base64", _csv(lambda mail: _set(mail, 1, raw="base64:####")), words="no base64"),
    F("ham and spam exchanged", _csv(_exchange_labels), Outcome.REFUSED_BY_LEARNING, "labels contradict"),
    F("corrections without a header", _with_corrections(b"<1>,ham\n"), words="needs a header"),
    F("corrections with two labels for a message", _with_corrections(b"message_id,label\n<1>,ham\n<1>,spam\n"),
      words="remove the line that is wrong"),
    F("hostile: a dictionary bomb of Parquet, 20 GB", _bytes(_parquet_bomb, "parquet"), words="decodes to more than"),
    F("hostile: a gzip bomb, 200 MB", _bytes(lambda _: gzip.compress(b"0" * 200 * MEGABYTE), "csv.gz"),
      words="decompression bomb"),
    F("hostile: more bytes than a day may have", _bytes(lambda csv: csv + b"x" * 70 * MEGABYTE),
      words="decodes to more than"),
    F("hostile: a million rows of nothing", _bytes(lambda _: b"body,label\n" + b",\n" * 1_000_000),
      words="decodes to more than"),
    F("hostile: control characters in the header", _bytes(lambda csv: csv.replace(b"label", b"\x1b[31mlab\x07el", 1)),
      words="lacks the column label"),
    F("hostile: one forged date", _csv(lambda mail: _append(mail, _set(
        mail[:1], 1, message_id=MARK, received_at="2038-01-19T03:14:07"))), Outcome.PUT_ASIDE, put_aside=1),
    F("hostile: a message_id that other messages have", _csv(lambda mail: _set(mail, 30, message_id="<same@x>")),
      Outcome.LEARNT),
    F("a row that repeats another", _csv(lambda mail: _append(mail, mail[:1])), Outcome.PUT_ASIDE, put_aside=1),
    F("a message that is called ham and spam", _csv(_repeat_with_other_label), Outcome.PUT_ASIDE, put_aside=2),
    F("hostile: markup in subjects and ids", _csv(lambda mail: _set(mail, 1, **HOSTILE_CELLS)), Outcome.LEARNT),
    F("hostile: markup in the names of columns",
      _csv(lambda mail: mail.assign(**{"![x](http://evil.example)": "y"})), Outcome.LEARNT),
    F("hostile: 5,000 nested MIME parts", _nested, Outcome.LEARNT),
    F("hostile: half a megabyte of open tags", _html, Outcome.LEARNT),
    F("empty subjects and bodies", _csv(lambda mail: _set(mail, 50, subject="")), Outcome.LEARNT),
    F("4 % of labels are missing", _csv(lambda mail: _set(mail, 4, label=None)), Outcome.LEARNT, messages=96),
    F("a stray file of 2038", _bytes(lambda csv: csv), Outcome.TOLD, "2038-01-19", day="2038-01-19"),
    F("a stray file of 1970", _bytes(lambda csv: csv), Outcome.TOLD, "1970-01-01", day="1970-01-01"),
)  # fmt: skip
