"""What a day's files hold: the digest of their content, and whether they look whole or half written."""

import gzip
import hashlib
import io
import json
import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import IO, Any, Final

from spam_assets.files import LandedFile
from spam_assets.landing.file_formats import MAX_CELL_CHARACTERS, limit_decompressed_bytes
from spam_assets.landing.zone import LandedDay, LandingZone

_BLOCK_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class FileState:
    """The content of a day's files.

    Attributes:
        digest: see `digest_day`.
        flaw: what makes a file look half written; empty where all look whole.
    """

    digest: str
    flaw: str = ""


def digest_day(sha256_by_name: Mapping[str, str]) -> str:
    """Return 32 hexadecimal digits for the files of a day: of the SHA-256 of lines `{sha256}  {name}`, by name."""
    lines = "".join(f"{sha256_by_name[name]}  {name}\n" for name in sorted(sha256_by_name))
    return hashlib.sha256(lines.encode()).hexdigest()[:32]


def fingerprint_source(landed: LandedDay) -> str:
    """Return the digest of the landing files that a day was read from, as `read_day_state` finds it."""
    digests = {landed.path.rpartition("/")[2]: landed.sha256}
    if landed.corrections.path is not None and landed.corrections_sha256 is not None:
        digests[landed.corrections.path.rpartition("/")[2]] = landed.corrections_sha256
    return digest_day(digests)


def read_day_state(zone: LandingZone, files: Iterable[LandedFile]) -> FileState:
    """Read the files of a day, each once and in blocks, and say whether they look whole.

    Raises:
        LandingError: a file or the zone cannot be read.
    """
    sha256_by_name: dict[str, str] = {}
    flaws: list[str] = []
    for file in files:
        with zone.open_file(file) as opened:
            hashed = _HashedFile(opened)
            content = io.BufferedReader(hashed, _BLOCK_BYTES)
            flaw = _find_flaw(content, file, zone.max_day_bytes)
            while content.read(_BLOCK_BYTES):  # what the rule left unread
                pass
        sha256_by_name[file.name] = hashed.sha256.hexdigest()
        if flaw:
            flaws.append(f"{file.name} {flaw}")
    return FileState(digest_day(sha256_by_name), "; ".join(flaws))


class _HashedFile(io.RawIOBase):
    """Reads another file and hashes what it reads."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._file.read(len(buffer))
        buffer[: len(block)] = block
        self.sha256.update(block)
        return len(block)


def _find_flaw(content: "io.BufferedReader[Any]", file: LandedFile, max_day_bytes: int) -> str:
    """Return what makes a file look half written, as the rest of a sentence; empty where it looks whole."""
    if not content.peek(1):
        return "is empty"
    if file.name.endswith(".parquet"):
        return _find_parquet_flaw(content)
    if file.name.endswith(".jsonl"):
        return _find_jsonl_flaw(content)
    if file.name.endswith(".gz"):
        return _find_gzip_flaw(content, limit_decompressed_bytes(file.size_bytes, max_day_bytes))
    return _find_csv_flaw(content)


def _find_csv_flaw(content: IO[bytes] | gzip.GzipFile, limit_bytes: float = math.inf) -> str:
    quotes = size_bytes = 0
    last = b""
    while block := content.read(_BLOCK_BYTES):
        quotes += block.count(b'"')
        size_bytes += len(block)
        last = block[-1:]
        if size_bytes > limit_bytes:
            return f"decompresses to more than {limit_bytes:,} bytes"
    if quotes % 2:
        return "ends inside a quoted cell"
    return "" if last in (b"\n", b"\r") else "does not end with a line break"


def _find_gzip_flaw(content: "io.BufferedReader[Any]", limit_bytes: int) -> str:
    try:
        with gzip.GzipFile(fileobj=content) as decompressed:
            return _find_csv_flaw(decompressed, limit_bytes)
    except EOFError:
        return "is cut off in the middle of its gzip data"
    except (gzip.BadGzipFile, zlib.error):
        return "is not sound gzip data"


def _find_parquet_flaw(content: "io.BufferedReader[Any]") -> str:
    first = content.read(4)
    last = b""
    while block := content.read(_BLOCK_BYTES):
        last = (last + block)[-4:]
    return "" if first == last == b"PAR1" else "does not begin and end with PAR1"


def _find_jsonl_flaw(content: "io.BufferedReader[Any]") -> str:
    last = b""
    while line := content.readline(MAX_CELL_CHARACTERS):
        if line.strip():
            last = line
    try:
        json.loads(last.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return "ends with a line that is no JSON"
    return ""
