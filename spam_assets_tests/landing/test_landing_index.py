"""The index of the landing zone: it survives its bytes, and damage is noticed."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spam_assets.landing.landing_index import DayEntry, DayState, LandingIndex
from spam_assets_tests.landing import make_index


def test_an_index_survives_its_bytes_and_equal_ones_have_equal_bytes() -> None:
    index = make_index()
    assert LandingIndex.from_bytes(index.to_bytes()) == index
    assert LandingIndex.from_bytes(LandingIndex().to_bytes()) == LandingIndex()
    backwards = LandingIndex(dict(reversed(list(index.items()))))
    assert backwards.to_bytes() == index.to_bytes()
    assert backwards.fingerprint() == index.fingerprint()
    assert make_index(1).fingerprint() != index.fingerprint()
    assert len(index.fingerprint()) == 32


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"null",
        b"[]",
        b"{}",
        b"[" * 100_000,
        make_index().to_bytes()[:-5],
        b'{"version":1,"days":[]}',
        b'{"version":1,"days":{"2024-01-01":[]}}',
        b'{"version":1,"days":{"2024-01-01":null}}',
        b'{"version":1,"days":{"2024-02-30":["settled","",[]]}}',
        b'{"version":1,"days":{"2024-01-01":["lost","",[]]}}',
        b'{"version":1,"days":{"2024-01-01":["settled",1,[]]}}',
        b'{"version":1,"days":{"2024-01-01":["settled","",[["a","b","c"]]]}}',
        b'{"version":1,"days":{"2024-01-01":["waiting","",[],null,null]}}',
        b'{"version":1,"days":{"2024-01-01":["waiting","",[],1.0,["a"]]}}',
    ],
)
def test_a_damaged_index_is_refused_in_one_sentence(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"the landing index is damaged .* has to be built anew") as caught:
        LandingIndex.from_bytes(content)
    assert "\n" not in str(caught.value)


def test_an_index_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="has version '2' and not 1; it has to be built anew"):
        LandingIndex.from_bytes(b'{"version":2,"pages":[]}')


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=3))
def test_any_damage_is_refused_or_gives_an_index(position: int, noise: bytes) -> None:
    content = bytearray(make_index().to_bytes())
    position %= len(content)
    content[position : position + len(noise)] = noise
    try:
        LandingIndex.from_bytes(bytes(content))
    except ValueError as error:
        assert "landing index" in str(error)  # noqa: PT017


def test_the_json_of_an_index_is_compact() -> None:
    days = {f"20{year:02}-01-{day:02}": "a" * 64 for year in range(100) for day in range(1, 29)}
    files = (("training-2024-01-01.csv", 123_456, "1716000000123456789"),)
    index = LandingIndex({day: DayEntry(DayState.SETTLED, digest, files) for day, digest in days.items()})
    assert len(index.to_bytes()) / len(index) < 200
    assert json.loads(index.to_bytes())["version"] == 1
