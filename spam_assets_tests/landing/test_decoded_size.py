"""A few bytes that stand for very many are refused while they are decoded, in one sentence that names the setting."""

import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spam_assets.landing.errors import LandingError
from spam_assets.landing.zone import LandingZone

DAY = "2002-08-01"
MEGABYTE = 1024**2


def write_parquet(body: pa.Array, **options: object) -> bytes:
    output = io.BytesIO()
    table = pa.table({"body": body, "label": repeat("ham", len(body))})
    pq.write_table(table, output, **options)
    return output.getvalue()


def repeat(value: object, count: int, kind: pa.DataType | None = None) -> pa.Array:
    """One value so many times, in the memory of one."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array([value], kind))


def assert_refused(folder: Path, name: str, content: bytes, max_day_bytes: int = 20 * MEGABYTE) -> str:
    (folder / name).write_bytes(content)
    with pytest.raises(LandingError) as caught:
        LandingZone(str(folder), max_day_bytes).read(DAY)
    sentence = str(caught.value)
    assert name in sentence
    assert "SPAM_ASSETS_MAX_DAY_MEGABYTES" in sentence
    assert sentence.endswith("trust what wrote it.")
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize(
    "content",
    [
        write_parquet(repeat("0" * MEGABYTE, 20_000), store_schema=False),  # 20 GB
        write_parquet(repeat(b"0" * MEGABYTE, 20_000), store_schema=False),
        write_parquet(repeat("0" * MEGABYTE, 20_000)),
        write_parquet(repeat("0" * MEGABYTE, 20_000, pa.large_string())),
        write_parquet(pa.nulls(20_000, pa.string())),
    ],
    ids=["text", "bytes", "categories", "large text", "nulls"],
)
def test_a_dictionary_bomb_of_parquet_is_refused_before_it_is_decoded(folder: Path, content: bytes) -> None:
    assert len(content) < 200_000
    before = pa.total_allocated_bytes()
    assert_refused(folder, f"training-{DAY}.parquet", content, max_day_bytes=MEGABYTE)
    assert pa.total_allocated_bytes() - before < 100 * MEGABYTE


def test_a_parquet_file_that_states_less_than_it_holds_is_refused_as_well(folder: Path) -> None:
    """The sizes in its footer are what its writer chose; pages of plain text are decoded one by one."""
    text = pa.array(["0" * MEGABYTE] * 40)
    content = write_parquet(text, use_dictionary=False, compression="zstd", data_page_size=MEGABYTE)
    row_group = pq.ParquetFile(io.BytesIO(content)).metadata.row_group(0)
    for stated in (row_group.column(0).total_uncompressed_size, row_group.total_byte_size):
        assert stated > 40 * MEGABYTE
        content = content.replace(encode_varint(stated), encode_sixty_four(len(encode_varint(stated))))
    lying = pq.ParquetFile(io.BytesIO(content)).metadata.row_group(0)
    assert (lying.column(0).total_uncompressed_size, lying.total_byte_size) == (64, 64)
    assert_refused(folder, f"training-{DAY}.parquet", content)


def encode_varint(number: int) -> bytes:
    """A number as thrift's compact protocol writes it."""
    zigzag, pieces = number << 1, []
    while zigzag > 127:
        pieces.append(zigzag & 127 | 128)
        zigzag >>= 7
    return bytes([*pieces, zigzag])


def encode_sixty_four(length: int) -> bytes:
    """The number 64 in so many bytes."""
    return bytes([0x80, 0x81, *([0x80] * (length - 3)), 0])


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.string()), pa.binary(4), pa.struct([("a", pa.string())])], ids=["list", "fixed", "struct"]
)
def test_a_parquet_column_of_a_type_that_no_mail_has_is_refused(folder: Path, kind: pa.DataType) -> None:
    (folder / f"training-{DAY}.parquet").write_bytes(write_parquet(pa.nulls(3, kind)))
    with pytest.raises(LandingError, match=r"in the column body; write it as text or bytes\.$"):
        LandingZone(str(folder)).read(DAY)


def test_a_gzip_bomb_is_refused_at_the_setting(folder: Path) -> None:
    assert_refused(folder, f"training-{DAY}.csv.gz", gzip.compress(b"body,label\n" + b"0" * (30 * MEGABYTE)))


def test_a_plain_file_is_refused_by_its_size_and_by_its_rows(folder: Path) -> None:
    name = f"training-{DAY}.csv"
    assert_refused(folder, name, b"body,label\n" + b"x" * (21 * MEGABYTE) + b",ham\n")
    assert_refused(folder, name, b"a,body,label\n" + b",,\n" * 200_000)


def test_json_lines_are_refused_by_their_rows(folder: Path) -> None:
    line = json.dumps({"body": "", "label": 0}).encode() + b"\n"
    assert_refused(folder, f"training-{DAY}.jsonl", line * 200_000)


def test_a_day_within_the_setting_is_read_in_every_format(folder: Path) -> None:
    text = "0" * MEGABYTE
    for name, content in (
        ("parquet", write_parquet(pa.array([text] * 15))),
        ("parquet", write_parquet(pa.array([text] * 15).dictionary_encode())),
        ("csv", b"body,label\n" + f"{text},ham\n".encode() * 15),
        ("csv.gz", gzip.compress(b"body,label\n" + f"{text},ham\n".encode() * 15)),
        ("jsonl", (json.dumps({"body": text, "label": "ham"}) + "\n").encode() * 15),
    ):
        path = folder / f"training-{DAY}.{name}"
        path.write_bytes(content)
        frame = LandingZone(str(folder), 20 * MEGABYTE).read(DAY).frame
        assert frame["body"].tolist() == [text] * 15
        path.unlink()
