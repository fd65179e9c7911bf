"""Mailboxes: they are split where a message begins and nowhere else."""

from pathlib import Path

import pytest

from spam_assets.landing.importers.days import land_messages
from spam_assets.landing.importers.labelled_messages import MailImportError
from spam_assets.landing.importers.mbox_files import mbox_messages
from spam_assets.landing.zone import LandingZone


def test_an_mbox_is_split_at_envelopes_after_a_blank_line_only(tmp_path: Path) -> None:
    first = b"From a@x Thu Aug  1 10:00:00 2002\nSubject: 1\n\nFrom here on\n>From quoted\n\nFrom me, too\n\n"
    second = b"From - Fri Aug 02 10:00:00 2002\r\nSubject: 2\r\n\r\nbody\r\n"
    (tmp_path / "ham").write_bytes(first + second)
    (tmp_path / "spam").write_bytes(b"From a@x Thu Aug  1 10:00:00 2002\n\nbuy")
    messages = list(mbox_messages(tmp_path / "ham", tmp_path / "spam"))
    assert [message.raw for message in messages[:2]] == [first, second]
    assert [message.label for message in messages] == ["ham", "ham", "spam"]
    assert messages[1].source == f"{tmp_path / 'ham'}:9"


def test_mbox_messages_land_by_their_envelope(tmp_path: Path, zone: LandingZone) -> None:
    (tmp_path / "ham").write_bytes(b"From a@x Thu Aug  1 10:00:00 2002\nDate: 1 Jan 2030 00:00:00 GMT\n\nx\n")
    (tmp_path / "spam").write_bytes(b"From a@x Fri Aug  2 10:00:00 2002\n\nx\n")
    assert land_messages(mbox_messages(tmp_path / "ham", tmp_path / "spam"), zone).days == (
        "2002-08-01",
        "2002-08-02",
    )


def test_a_file_that_is_no_mbox_is_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    with pytest.raises(MailImportError, match="is no mbox"):
        mbox_messages(tmp_path / "text", tmp_path / "text")
    with pytest.raises(MailImportError, match="cannot be read"):
        mbox_messages(tmp_path / "gone", tmp_path / "text")
