"""The tutorial, followed from nothing: its commands in order, and the record that it reads line by line."""

import json
import re
from pathlib import Path

import pytest

from spam_assets_tests.corpus import land_first_days
from spam_assets_tests.documents import read_blocks, read_document
from spam_assets_tests.reader import TUTORIAL, Reader

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_a_reader_who_follows_the_tutorial_gets_where_it_leads(tmp_path: Path) -> None:
    land_first_days(tmp_path / "landing", tmp_path / "cache", "2002-07-10")  # fills the cache, or skips
    reader = Reader(tmp_path / "checkout", tmp_path / "prepared", tmp_path / "cache")
    reader.start_anew(is_new_here=True)
    reader.follow(read_blocks(read_document(TUTORIAL)), {})

    home = reader.folder / ".spam_assets"
    record = json.loads((home / "verification.json").read_text())
    named = set(re.findall(r"`(\w+)`", read_document(TUTORIAL)))
    assert set(record) | set(record["environment"]) <= named
    assert set(record["models"]) == {"1", "2"}  # one model of each day, whichever process trained it
    assert (record["result"], record["faults"], record["notes"]) == ("as recorded", [], [])
