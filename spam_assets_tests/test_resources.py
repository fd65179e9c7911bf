"""What assets are given: what earlier runs stored, read once and again when it changes."""

import os
from dataclasses import replace
from pathlib import Path

import pandas as pd
from upath import UPath

from spam_assets.io_managers.daily_files import write_day
from spam_assets.io_managers.json_reports import ReportIOManager
from spam_assets.io_managers.parquet_frames import FrameIOManager
from spam_assets.learning.features import featurize_mail
from spam_assets.resources import MailHistory, ReportHistory
from spam_assets_tests.conftest import day_text, make_mail
from spam_assets_tests.learning.day_reports import report

DAYS = [day_text(offset) for offset in range(3)]


def store(frames: FrameIOManager, day: str, mail: pd.DataFrame, written: float) -> None:
    path = frames.path_of("validated_mail", day)
    write_day(path, frames.to_bytes(mail))
    os.utime(str(path), (written, written))


def test_days_for_a_model_card_are_those_that_are_stored_and_are_read_anew_when_they_change(tmp_path: Path) -> None:
    frames = FrameIOManager(UPath(tmp_path))
    mail = {day: make_mail(day).assign(raw=None) for day in DAYS}
    features = {day: featurize_mail(frame) for day, frame in mail.items()}
    history = MailHistory(frames)
    for day in DAYS[:2]:
        store(frames, day, mail[day], 1000)
    first = history.describe_days(features, DAYS)
    assert sorted(first) == DAYS[:2]  # the third landed and was never run
    assert len(first[DAYS[0]].labels) + len(first[DAYS[0]].held_out) == 40
    again = history.describe_days(features, DAYS)
    assert again[DAYS[0]] is first[DAYS[0]]
    changed = mail[DAYS[0]].assign(sender="someone@hotmail.com")
    store(frames, DAYS[0], changed, 2000)
    assert set(history.describe_days(features, DAYS)[DAYS[0]].sender_kinds) == {"free-mail address"}
    store(frames, DAYS[0], changed.iloc[::-1], 3000)
    assert sorted(history.describe_days(features, DAYS)) == [DAYS[1]]  # other messages than the features are of
    frames.path_of("validated_mail", DAYS[1]).write_bytes(b"damaged")
    assert history.describe_days(features, DAYS) == {}  # no reason to lose a model
    history.describe_days(features, DAYS[2:])
    assert history._card_days == {}


def test_reports_of_the_calendar_days_before_a_day_are_read_once(tmp_path: Path) -> None:
    reports = ReportIOManager(UPath(tmp_path))
    history = ReportHistory(reports)

    def put(offset: int, messages: int, written: float) -> None:
        path = reports.path_of("champion_report", day_text(offset))
        write_day(path, reports.to_bytes(replace(report(0), day=day_text(offset), messages=messages)))
        os.utime(str(path), (written, written))

    assert history.days_before(day_text(5), 10) == {}
    for offset in (0, 2, 3, 5):
        put(offset, 10, 1000)
    found = history.days_before(day_text(5), 3)
    assert list(found) == [day_text(2), day_text(3)]
    assert history.days_before(day_text(5), 3)[day_text(2)] is found[day_text(2)]
    put(3, 99, 2000)
    assert history.days_before(day_text(5), 3)[day_text(3)].messages == 99
