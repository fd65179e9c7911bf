"""The champion's last days as pictures that the UI shows at once."""

import random
from dataclasses import replace
from math import nan
from xml.etree import ElementTree as ET

import pytest

from spam_assets.learning.reporting import DayReport
from spam_assets.views.sparklines import describe_last_days, draw_line
from spam_assets_tests.conftest import day_text
from spam_assets_tests.learning import day_reports


def read_path(svg: str) -> str:
    return ET.fromstring(svg)[1].get("d") or ""


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ([1.0, 1.0, 0.0], "M0 0H2V20H3"),
        ([0.5, nan, nan, 1.0], "M0 10H1M3 0H4"),
        ([0.0, nan], "M0 20H1"),
        ([nan], ""),
        ([2.0], "M0 0H1"),
    ],
)
def test_a_line_steps_from_value_to_value_and_has_gaps(values: list[float], path: str) -> None:
    assert read_path(draw_line(values, 1.0)) == path


def test_values_that_are_all_zero_lie_at_the_bottom() -> None:
    assert read_path(draw_line([0.0, 0.0], 0.0)) == "M0 20H2"


def report(offset: int, recall: float, fpr: float, age: int) -> DayReport:
    """A report of a day by a champion of such an age."""
    made = day_reports.report(0, champion=day_text(offset - age))
    return replace(made, day=day_text(offset), recall=recall, fpr=fpr)


def test_the_last_sixty_days_are_shown_with_the_newest_figure() -> None:
    reports = {day_text(offset): report(offset, 0.9, 0.01, 1 + offset % 5) for offset in range(5, 90, 2)}
    shown = {name: str(value.value) for name, value in describe_last_days(reports, day_text(89)).items()}
    assert list(shown) == ["recall_of_60_days", "fpr_of_60_days", "champion_age_of_60_days"]
    assert shown["recall_of_60_days"].endswith(f"90.00% on {day_text(89)}; the top is 100.00%")
    assert shown["fpr_of_60_days"].endswith(f"1.00% on {day_text(89)}; the top is 1.00%")
    assert shown["champion_age_of_60_days"].endswith(f"5 days on {day_text(89)}; the top is 5 days")


def test_a_day_that_lacks_a_class_has_no_figure() -> None:
    shown = describe_last_days({day_text(9): report(9, nan, 0.0, 2)}, day_text(9))
    assert str(shown["recall_of_60_days"].value).endswith(f"no figure on {day_text(9)}; the top is 100.00%")


def test_pictures_are_short_however_wild_the_days_are() -> None:
    for seed in range(20):
        wild = random.Random(seed)
        reports = {
            day_text(offset): report(offset, wild.random(), wild.random(), wild.randint(1, 400)) for offset in range(60)
        }
        for value in describe_last_days(reports, day_text(59)).values():
            assert len(str(value.value)) < 1000
