"""Maildirs and folders: every message is read, once, with the label of its folder."""

from pathlib import Path

import pytest

from spam_assets.landing.importers.labelled_messages import MailImportError
from spam_assets.landing.importers.maildir import maildir_messages
from spam_assets_tests.landing.importers import fill


def test_a_maildir_is_read_from_cur_and_new(tmp_path: Path) -> None:
    ham = fill(tmp_path / "ham", "cur/1:2,S", "new/2", "tmp/3", ".hidden", "dovecot.index")
    spam = fill(tmp_path / "spam", "cur/1")
    messages = list(maildir_messages(ham, spam))
    assert [(message.label, Path(message.source).name) for message in messages] == [
        ("ham", "1:2,S"),
        ("ham", "2"),
        ("spam", "1"),
    ]


def test_a_plain_folder_is_read_by_its_eml_files_or_else_by_all_its_files(tmp_path: Path) -> None:
    ham = fill(tmp_path / "ham", "a.eml", "deep/b.eml", "notes.txt")
    spam = fill(tmp_path / "spam", "00001.abc", "00002.def")
    assert [Path(message.source).name for message in maildir_messages(ham, spam)] == [
        "a.eml",
        "b.eml",
        "00001.abc",
        "00002.def",
    ]


def test_a_folder_that_is_absent_or_empty_is_an_error_at_once(tmp_path: Path) -> None:
    ham = fill(tmp_path / "ham", "a.eml")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MailImportError, match="empty holds no mail"):
        maildir_messages(ham, tmp_path / "empty")
    with pytest.raises(MailImportError, match="gone is no folder"):
        maildir_messages(ham, tmp_path / "gone")
