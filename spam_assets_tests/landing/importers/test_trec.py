"""TREC corpora: the index is followed, and never out of its folder."""

from pathlib import Path

import pytest

from spam_assets.landing.importers.labelled_messages import MailImportError
from spam_assets.landing.importers.trec import trec_messages
from spam_assets_tests.landing.importers import fill, make_mail


def make_trec(root: Path, index: str) -> Path:
    (root / "full").mkdir(parents=True)
    (root / "full" / "index").write_text(index)
    return fill(root, "data/inmail.1", "data/inmail.2")


def test_a_trec_corpus_is_read_by_its_index(tmp_path: Path) -> None:
    root = make_trec(tmp_path / "trec", "spam ../data/inmail.1\nHAM ../data/inmail.2\n\n")
    assert [(message.label, message.raw) for message in trec_messages(root)] == [
        ("spam", make_mail(body="data/inmail.1")),
        ("ham", make_mail(body="data/inmail.2")),
    ]


@pytest.mark.parametrize("name", ["../../secret", "/etc/hostname", "../data/../../secret", "../data/link"])
def test_a_path_out_of_a_trec_corpus_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("secret")
    root = make_trec(tmp_path / "trec", f"spam {name}\n")
    (root / "data" / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(MailImportError, match="line 1 names a file outside"):
        list(trec_messages(root))


@pytest.mark.parametrize("line", ["junk ../data/inmail.1", "spam", "spam a\0b"])
def test_a_broken_trec_index_is_refused(tmp_path: Path, line: str) -> None:
    root = make_trec(tmp_path / "trec", f"ham ../data/inmail.2\n{line}\n")
    with pytest.raises(MailImportError, match="line 2"):
        list(trec_messages(root))


def test_a_trec_corpus_without_index_or_message_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MailImportError, match="index cannot be read"):
        trec_messages(tmp_path)
    with pytest.raises(MailImportError, match=r"inmail\.9 cannot be read"):
        list(trec_messages(make_trec(tmp_path / "trec", "ham ../data/inmail.9\n")))
