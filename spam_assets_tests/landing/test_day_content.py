"""The content of a day's files: every byte counts, and half a file is told from a whole one."""

import gzip
import hashlib
import io
import os
from pathlib import Path
from uuid import uuid4

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spam_assets.files import LandedFile
from spam_assets.landing import file_formats
from spam_assets.landing.day_content import FileState, digest_day, read_day_state
from spam_assets.landing.errors import LandingFileMissing
from spam_assets.landing.zone import LandingZone
from spam_assets_tests.landing import DAY, HEADER
from spam_assets_tests.s3_server import DISK_AND_S3, make_place


def to_parquet() -> bytes:
    output = io.BytesIO()
    pd.DataFrame({"body": ["a"] * 5, "label": ["ham"] * 5}).to_parquet(output)
    return output.getvalue()


CSV = HEADER.encode() + b'<1>,"a ""quoted"" word",ham\n'
GZIP = gzip.compress(CSV, mtime=0)
JSONL = b'{"body": "a", "label": "ham"}\n{"body": "b", "label": "spam"}'


def make_zone(kind: str, request: pytest.FixtureRequest) -> LandingZone:
    return LandingZone(f"memory://zone-{uuid4()}" if kind == "memory" else str(make_place(kind, request)))


@pytest.mark.parametrize(
    ("suffix", "content", "flaw"),
    [
        ("csv", CSV, ""),
        ("csv", CSV.replace(b"\n", b"\r\n"), ""),
        ("csv", b"", "is empty"),
        ("csv", CSV[:-1], "does not end with a line break"),
        ("csv", CSV[:-8] + b"\n", "ends inside a quoted cell"),
        ("csv", CSV + b"\0" * 4096, "does not end with a line break"),
        ("csv.gz", GZIP, ""),
        ("csv.gz", GZIP + GZIP + b"\0\0", ""),
        ("csv.gz", GZIP[:-1], "is cut off in the middle of its gzip data"),
        ("csv.gz", GZIP[:5], "is cut off in the middle of its gzip data"),
        ("csv.gz", GZIP + GZIP[:-1], "is cut off in the middle of its gzip data"),
        ("csv.gz", gzip.compress(CSV[:-1], mtime=0), "does not end with a line break"),
        ("csv.gz", gzip.compress(b"", mtime=0), "does not end with a line break"),
        ("csv.gz", CSV, "is not sound gzip data"),
        ("csv.gz", GZIP + b"garbage", "is not sound gzip data"),
        ("csv.gz", GZIP[:12] + b"\xff\xff" + GZIP[14:], "is not sound gzip data"),
        ("csv.gz", gzip.compress(b"\n" * 2_000_000, mtime=0), "decompresses to more than 1,048,576 bytes"),
        ("parquet", to_parquet(), ""),
        ("parquet", to_parquet()[:-1], "does not begin and end with PAR1"),
        ("parquet", b"x" + to_parquet(), "does not begin and end with PAR1"),
        ("parquet", b"PAR1", "does not begin and end with PAR1"),
        ("jsonl", JSONL, ""),
        ("jsonl", JSONL + b"\n\n  \n", ""),
        ("jsonl", JSONL[:-1], "ends with a line that is no JSON"),
        ("jsonl", b"\xef\xbb\xbf" + JSONL[:29], ""),
        ("jsonl", b"\n\n", "ends with a line that is no JSON"),
        ("jsonl", JSONL[:-3] + b'\xe2"}', "ends with a line that is no JSON"),
        ("jsonl", b"[" * 100_000, "ends with a line that is no JSON"),
    ],
)
@pytest.mark.parametrize("kind", ["memory", *DISK_AND_S3])
def test_a_file_looks_whole_or_it_is_said_why_not(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, kind: str, suffix: str, content: bytes, flaw: str
) -> None:
    monkeypatch.setattr(file_formats, "MIN_SUSPICIOUS_BYTES", 1024**2)
    zone = make_zone(kind, request)
    zone._fs.makedirs(zone._root, exist_ok=True)
    name = f"training-{DAY}.{suffix}"
    zone._fs.pipe_file(f"{zone._root}/{name}", content)
    state = read_day_state(zone, zone.list_files()[DAY])
    assert state.flaw == (f"{name} {flaw}" if flaw else "")
    # However early the rule knew, the digest is of the whole content.
    assert state.digest == digest_day({name: hashlib.sha256(content).hexdigest()})


@pytest.mark.parametrize("kind", ["memory", *DISK_AND_S3])
def test_a_file_larger_than_a_block_is_read_to_its_end(request: pytest.FixtureRequest, kind: str) -> None:
    zone = make_zone(kind, request)
    zone._fs.makedirs(zone._root, exist_ok=True)
    body = os.urandom(9_000_000).hex().encode()
    for suffix, content in {
        "csv": HEADER.encode() + b'<1>,"' + body + b'",ham\n',
        "csv.gz": gzip.compress(HEADER.encode() + b"<1>," + body + b",ham\n", compresslevel=1),
        "parquet": b"PAR1" + body + b"PAR1",
        "jsonl": b'{"body": "' + body + b'"}\n{"body": "a"}\n',
    }.items():
        zone._fs.pipe_file(f"{zone._root}/training-{DAY}.{suffix}", content)
        (file,) = (file for file in zone.list_files()[DAY] if file.name.endswith(f".{suffix}"))
        digest = digest_day({file.name: hashlib.sha256(content).hexdigest()})
        assert read_day_state(zone, [file]) == FileState(digest)
    broken = b"no gzip" + body
    zone._fs.pipe_file(f"{zone._root}/training-{DAY}.csv.gz", broken)
    digest = digest_day({f"training-{DAY}.csv.gz": hashlib.sha256(broken).hexdigest()})
    gzipped = LandedFile(f"training-{DAY}.csv.gz", len(broken), "")
    assert read_day_state(zone, [gzipped]) == FileState(digest, f"training-{DAY}.csv.gz is not sound gzip data")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80), st.sampled_from(["csv", "csv.gz", "parquet", "jsonl"]), st.booleans())
def test_any_bytes_are_judged(content: bytes, suffix: str, is_compressed: bool) -> None:
    zone = LandingZone("memory://any-bytes")
    content = gzip.compress(content, mtime=0) if is_compressed else content
    zone._fs.makedirs(zone._root, exist_ok=True)
    zone._fs.pipe_file(f"{zone._root}/training-{DAY}.{suffix}", content)
    file = LandedFile(f"training-{DAY}.{suffix}", len(content), "")
    assert read_day_state(zone, [file]).digest == digest_day({file.name: hashlib.sha256(content).hexdigest()})


def test_the_digest_of_a_day_tells_names_and_contents_apart() -> None:
    digests = [
        digest_day({"training-x.csv": "1"}),
        digest_day({"training-x.csv": "2"}),
        digest_day({"training-x.jsonl": "1"}),
        digest_day({"training-x.csv": "1", "corrections-x.csv": "1"}),
    ]
    assert len(set(digests)) == 4
    assert digest_day({"b": "1", "a": "2"}) == digest_day({"a": "2", "b": "1"})


def test_a_file_that_goes_between_listing_and_reading_is_no_trouble_of_the_zone(folder: Path) -> None:
    for zone in (LandingZone(str(folder)), LandingZone(f"memory://zone-{uuid4()}")):
        zone.write(DAY, pd.DataFrame({"body": ["a"], "label": ["ham"]}))
        files = zone.list_files()[DAY]
        zone._fs.rm_file(f"{zone._root}/{files[0].name}")
        with pytest.raises(LandingFileMissing, match="is gone since the zone was listed"):
            read_day_state(zone, files)
