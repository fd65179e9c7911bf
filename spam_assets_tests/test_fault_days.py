"""The days that `benchmarks.faults` injects, without Dagster: each is refused, put aside or learnt as it says."""

from pathlib import Path

import pytest

from benchmarks.fault_days import DATA_FAULTS, MARK, FaultyDay, Outcome
from benchmarks.faults import plan_days
from spam_assets.landing.errors import LandingError
from spam_assets.landing.zone import LandingZone
from spam_assets.mail.quarantine import find_quarantined
from spam_assets.mail.validation import QualityError, validate_day

DAY = "2024-01-05"
OF_A_DAY = [fault for fault in DATA_FAULTS if fault.day is None and fault.outcome is not Outcome.REFUSED_BY_LEARNING]


def test_every_fault_has_a_day_and_good_days_lie_between() -> None:
    faulty, good = plan_days(DATA_FAULTS)
    assert len(faulty) == len(DATA_FAULTS) > 35
    assert not {*faulty} & {*good}
    assert good[0] < min(day for day in faulty if day > "2000")
    assert max(good) > max(day for day in faulty if day < "2030")


@pytest.mark.slow
@pytest.mark.parametrize("fault", OF_A_DAY, ids=lambda fault: fault.name)
def test_a_faulty_day_becomes_what_the_benchmark_expects(tmp_path: Path, fault: FaultyDay) -> None:
    for name, content in fault.build(DAY).items():
        (tmp_path / name).write_bytes(content)
    zone = LandingZone(str(tmp_path), 64 * 1024**2)
    if fault.outcome is Outcome.FAILS:
        with pytest.raises((LandingError, QualityError)) as caught:
            validate_day(zone.read(DAY).frame, DAY)
        assert fault.words in str(caught.value)
        assert str(caught.value).isprintable()
        return
    frame = zone.read(DAY).frame
    valid = validate_day(frame, DAY)
    assert len(valid) == fault.messages
    assert len(find_quarantined(frame, DAY)) == fault.put_aside
    assert not [message_id for message_id in valid["message_id"] if message_id.startswith(MARK)]
