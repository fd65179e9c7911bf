"""One big table: every row lands on the day of its date, or is counted as left out."""

import gzip
from pathlib import Path

import pandas as pd
import pytest

from spam_assets.landing.errors import LandingError
from spam_assets.landing.importers import table
from spam_assets.landing.importers.labelled_messages import MailImportError
from spam_assets.landing.importers.table import land_table
from spam_assets.landing.zone import LandingZone


def test_a_table_is_split_into_its_days(tmp_path: Path, zone: LandingZone) -> None:
    path = tmp_path / "all.csv"
    path.write_text(
        "when,text,label\n2002-08-02 10:00,b,1\n2002-08-01 23:30-01:00,a,0\nnever,c,1\n2002-08-01,d,junk\n,e,0\n",
        encoding="utf-8",
    )
    summary = land_table(path, "when", zone)
    assert summary.days == ("2002-08-01", "2002-08-02")
    assert (summary.messages, summary.spam, sum(summary.skipped.values())) == (3, 1, 2)
    assert f"{path}:4" in next(iter(summary.skipped))
    frame = zone.read("2002-08-02").frame
    assert frame["body"].tolist() == ["a", "b"]
    assert frame["received_at"].tolist() == [
        pd.Timestamp("2002-08-02 00:30", tz="UTC"),
        pd.Timestamp("2002-08-02 10:00", tz="UTC"),
    ]
    assert zone.read("2002-08-01").frame["label"].tolist() == ["junk"]


def test_rows_of_one_moment_stay_in_their_order_also_beyond_a_chunk(tmp_path: Path, zone: LandingZone) -> None:
    count = table._CHUNK_ROWS + 100
    path = tmp_path / "all.csv.gz"
    path.write_bytes(
        gzip.compress(("received_at,body,label\n" + "".join(f"2002-08-01,{n},ham\n" for n in range(count))).encode())
    )
    assert land_table(path, "received_at", zone).messages == count
    assert zone.read("2002-08-01").frame["body"].tolist() == [str(n) for n in range(count)]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"when,text\n2002-08-01,a\n", "lacks the column label"),
        (b"date,text,label\n2002-08-01,a,1\n", "no column 'when'"),
        (b"", "no column 'when'"),
        (b"when,text,label\n2002-08-01,a\n", "line 2"),
        (b"when,text,label\n2002-08-01,a\0,1\n", "NUL"),
        (b"when,text,label\n2002-08-01,\xff,1\n", "not UTF-8"),
    ],
)
def test_a_broken_table_is_refused_and_nothing_lands(
    tmp_path: Path, zone: LandingZone, content: bytes, words: str
) -> None:
    path = tmp_path / "all.csv"
    path.write_bytes(content)
    with pytest.raises((MailImportError, LandingError), match=words) as caught:
        land_table(path, "when", zone)
    assert str(path) in str(caught.value)
    assert not Path(zone.url).exists()


def test_a_table_that_is_absent_or_no_gzip_is_refused(tmp_path: Path, zone: LandingZone) -> None:
    (tmp_path / "bad.csv.gz").write_bytes(b"when,text")
    for name in ("gone.csv", "bad.csv.gz"):
        with pytest.raises(MailImportError, match=f"{name} cannot be read"):
            land_table(tmp_path / name, "when", zone)


def test_a_raw_message_that_cannot_be_decoded_is_refused_as_in_any_landing_file(
    tmp_path: Path, zone: LandingZone
) -> None:
    path = tmp_path / "all.csv"
    path.write_text("when,raw,label\n2002-08-01,base64:####,ham\n")
    with pytest.raises(LandingError, match=r"the mail of 2002-08-01 has a raw message in row 1 .* is no base64"):
        land_table(path, "when", zone)
