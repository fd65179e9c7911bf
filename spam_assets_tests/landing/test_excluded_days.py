"""The list of excluded days: in a folder, in a bucket, damaged, out of reach."""

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from uuid import uuid4

import pytest
from upath import UPath

from spam_assets.landing.errors import LandingError
from spam_assets.landing.excluded_days import ExcludedDays, Exclusion
from spam_assets_tests.s3_server import DISK_AND_S3, make_place

NOW = datetime(2024, 1, 9, 12, 30, tzinfo=timezone(timedelta(hours=2)))


@pytest.fixture(params=["memory", *DISK_AND_S3])
def excluded(request: pytest.FixtureRequest) -> ExcludedDays:
    if request.param == "memory":
        return ExcludedDays(f"memory://{uuid4()}/list")
    return ExcludedDays(str(make_place(request.param, request) / "list"))


def test_a_day_is_excluded_until_it_is_included_again(excluded: ExcludedDays) -> None:
    assert excluded.read() == {}
    excluded.exclude("2024-01-05", "labels of\na broken  export", NOW)
    excluded.exclude("2024-01-02", "twice the same mail", NOW)
    assert list(excluded.read().items()) == [
        ("2024-01-02", Exclusion("2024-01-02", "twice the same mail", "2024-01-09T10:30:00+00:00")),
        ("2024-01-05", Exclusion("2024-01-05", "labels of a broken export", "2024-01-09T10:30:00+00:00")),
    ]
    excluded.exclude("2024-01-02", "another reason", NOW)
    assert excluded.read()["2024-01-02"].reason == "another reason"

    assert excluded.include("2024-01-02")
    assert list(excluded.read()) == ["2024-01-05"]
    assert not excluded.include("2024-01-02")


def test_a_person_can_read_the_file(place: UPath) -> None:
    ExcludedDays(str(place)).exclude("2024-01-05", "Müll", NOW)
    text = (place / "2024-01-05.json").read_text("utf-8")
    assert json.loads(text) == {"day": "2024-01-05", "reason": "Müll", "since": "2024-01-09T10:30:00+00:00"}
    assert "Müll" in text


def test_a_day_needs_a_reason(excluded: ExcludedDays) -> None:
    with pytest.raises(ValueError, match="2024-01-05 needs a reason"):
        excluded.exclude("2024-01-05", " \n", NOW)
    assert excluded.read() == {}


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"day": "2024-01-05"}', b"\xff"])
def test_a_damaged_file_excludes_its_day_all_the_same(place: UPath, content: bytes) -> None:
    (place / "2024-01-05.json").write_bytes(content)
    (place / "2024-99-05.json").write_bytes(b"{}")
    (place / "notes.txt").write_bytes(b"")
    found = ExcludedDays(str(place)).read()
    assert list(found) == ["2024-01-05"]
    assert "exclude the day again" in found["2024-01-05"].reason


def test_a_list_that_cannot_be_reached_is_no_empty_list(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("a file where a folder should be")
    with pytest.raises(LandingError, match=r"list of excluded days .* cannot be used"):
        ExcludedDays(str(tmp_path / "list")).read()
