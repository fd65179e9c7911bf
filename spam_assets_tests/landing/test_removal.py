"""A message is taken out of its landing file, and every other byte of mail stays."""

import pytest
from upath import UPath

from spam_assets.landing.file_formats import FILE_FORMATS
from spam_assets.landing.removal import remove_from_corrections, remove_from_table
from spam_assets.landing.zone import LandingZone
from spam_assets_tests.conftest import make_mail

DAY = "2024-01-01"


@pytest.mark.parametrize("file_format", FILE_FORMATS)
def test_a_message_goes_and_the_others_stay_as_they_are(place: UPath, file_format: str) -> None:
    zone = LandingZone(str(place))
    mail = make_mail(DAY, messages=5).assign(body=["a\r\nb", 'q"q,', "secret", "", "z"])
    zone.write(DAY, mail, file_format)
    before = zone.read(DAY).frame
    meant = before["message_id"][2]
    assert zone.remove_messages(DAY, lambda other: other == meant) == 1
    after = zone.read(DAY).frame
    assert after.equals(before.drop(index=2).reset_index(drop=True))
    assert b"secret" not in (place / f"training-{DAY}.{file_format}").read_bytes()
    content = (place / f"training-{DAY}.{file_format}").read_bytes()
    assert zone.remove_messages(DAY, lambda other: other == meant) == 0
    assert (place / f"training-{DAY}.{file_format}").read_bytes() == content


def test_what_lands_while_a_message_is_removed_stays(place: UPath) -> None:
    zone, mail = LandingZone(str(place)), make_mail(DAY, messages=3)
    zone.write(DAY, mail.head(1))
    gone = mail["message_id"][0]
    landings = [mail]

    def is_meant(message_id: str) -> bool:
        if landings:
            zone.write(DAY, landings.pop())
        return message_id == gone

    assert zone.remove_messages(DAY, is_meant) == 1
    assert zone.read(DAY).frame["message_id"].tolist() == mail["message_id"].tolist()[1:]


def test_what_the_project_does_not_read_stays_in_the_file() -> None:
    content = b'\xef\xbb\xbfmine,body,label\n"a\nb",x,ham\r\n\n"c",secret,spam\nd,y,ham\n'
    left, count = remove_from_table(content, "csv", DAY, "x", lambda other: other == find_id(content, "secret"))
    assert (left, count) == (b'\xef\xbb\xbfmine,body,label\n"a\nb",x,ham\r\n\nd,y,ham\n', 1)


def find_id(content: bytes, body: str) -> str:
    from spam_assets.landing.corrections import complete_ids
    from spam_assets.landing.table_batches import read_table

    frame = read_table(content, "csv", DAY, "x")[0]
    return complete_ids(frame)[frame["body"].tolist().index(body)]


def test_a_file_whose_only_message_goes_is_removed(place: UPath) -> None:
    zone = LandingZone(str(place))
    zone.write(DAY, make_mail(DAY, messages=1))
    assert zone.remove_messages(DAY, lambda _: True) == 1
    assert list(place.iterdir()) == []


def test_a_correction_goes_and_the_others_stay() -> None:
    content = b"message_id,label\r\n<1>,ham\r\n<2>,spam\r\n"
    assert remove_from_corrections(content, "x", lambda other: other == "<1>") == (
        b"message_id,label\r\n<2>,spam\r\n",
        1,
    )
    assert remove_from_corrections(content, "x", lambda _: True) == (None, 2)
    assert remove_from_corrections(content, "x", lambda _: False) == (content, 0)
