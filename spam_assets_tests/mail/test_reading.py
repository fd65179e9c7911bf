"""Mail to classify: whatever a file holds becomes messages, or one clear sentence."""

import io
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spam_assets.mail.columns import BODY, LABEL, MAIL_COLUMNS, RAW, RECEIVED_AT, SENDER, SUBJECT
from spam_assets.mail.errors import MailError
from spam_assets.mail.mbox import split_mbox
from spam_assets.mail.reading import read_mail

COLUMNS = [name for name in MAIL_COLUMNS if name not in (RECEIVED_AT, LABEL, RAW)] + [RAW]
EML = b"From: Ann <ann@example.com>\r\nTo: me@example.com\r\nSubject: lunch\r\n\r\nat noon\r\n"
MBOX = (
    b"From ann@example.com Mon Jan  1 10:20:30 2024\nFrom: ann@example.com\nSubject: one\n\nfirst\n"
    b"From here on it is text, at 10:20\n\n"
    b"From bob@example.com Mon Jan  1 10:21:30 2024\nFrom: bob@example.com\nSubject: two\n\nsecond\n"
)


def test_an_eml_is_one_message_with_its_headers() -> None:
    (message,) = read_mail(EML, "x.eml").to_dict("records")
    assert list(read_mail(EML, "x.eml").columns) == COLUMNS
    assert (message[SUBJECT], message[BODY].strip()) == ("lunch", "at noon")
    assert "ann@example.com" in message[SENDER]
    assert message[RAW] == EML


@pytest.mark.parametrize(
    "first_header",
    [b"DKIM-Signature: v=1", b"ARC-Seal: i=1", b"Content-Type: text/plain", b"Reply-To: x@example.com", b"Cc: x"],
)
def test_a_message_may_begin_with_any_header(first_header: bytes) -> None:
    (message,) = read_mail(first_header + b"\r\n" + EML, "x.eml").to_dict("records")
    assert message[SUBJECT] == "lunch"


@pytest.mark.parametrize(
    "text", [b"buy milk", b"Note: buy milk", b"Dear Ann,\nFrom: now on\n", b"https://example.com/\n", b"\xff\xfe\x00"]
)
def test_what_has_no_headers_is_plain_text(text: bytes) -> None:
    (message,) = read_mail(text, "x.eml").to_dict("records")
    assert message[BODY] == text.decode("utf-8", "replace")
    assert (message[SUBJECT], message[RAW]) == ("", None)


@pytest.mark.parametrize("content", [MBOX, MBOX.replace(b"\n", b"\r\n")], ids=["LF", "CRLF"])
def test_an_mbox_is_as_many_messages_as_it_has_envelopes(content: bytes) -> None:
    mail = read_mail(content, "x.mbox")
    assert mail[SUBJECT].tolist() == ["one", "two"]
    assert "From here on it is text" in mail[BODY][0]


def test_splitting_an_mbox_loses_nothing() -> None:
    assert b"".join(message for _, message in split_mbox(io.BytesIO(MBOX))) == MBOX


def test_a_csv_is_a_message_a_row_and_empty_cells_are_empty_text() -> None:
    mail = read_mail(b'subject,body\nhello,"a, b"\n,NA\n', "x.CSV")
    assert mail[SUBJECT].tolist() == ["hello", ""]
    assert mail[BODY].tolist() == ["a, b", "NA"]


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (b"", "x.eml", "x.eml is empty"),
        (b" \r\n\t", "x.csv", "x.csv is empty"),
        (b"text\n", "x.csv", "x.csv has no row below its header"),
        (b"text\na, b\n", "x.csv", "x.csv has rows with more cells than its header"),
        (b"subject\na\n", "x.csv", "mail needs one of the columns raw, body or text; found subject"),
        (b"text\n\xff\n", "x.csv", "x.csv cannot be read as CSV"),
        (b'text\n"a\n', "x.csv", "x.csv cannot be read as CSV"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(content: bytes, name: str, words: str) -> None:
    with pytest.raises(MailError) as raised:
        read_mail(content, name)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


ANY_BYTES = st.one_of(
    st.binary(max_size=400),
    st.lists(
        st.sampled_from([b"From x 10:20\n", b"From: a\n", b"Subject: ", b"\n", b"\r\n", b"\0", b'"', b",", b"text"])
        | st.binary(max_size=20),
        max_size=30,
    ).map(b"".join),
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(content=ANY_BYTES, name=st.sampled_from(["x.eml", "x.mbox", "x.csv", "x"]))
def test_arbitrary_bytes_are_mail_or_one_sentence(content: bytes, name: str) -> None:
    try:
        mail = read_mail(content, name)
    except MailError:
        return
    assert len(mail) >= 1
    assert list(mail.columns) == COLUMNS
    for column in COLUMNS[:-1]:
        assert all(isinstance(cell, str) for cell in mail[column])


@pytest.mark.parametrize(
    "content",
    [
        b"From " + b"a" * 2_000_000,
        b"From a " + b"1" * 2_000_000,
        b"From a 10:20\n\n" + (b"From " + b"a" * 50_000 + b"\n\n") * 40,
        b"a:" * 1_000_000,
        b"From a 10:20\n\n" * 20_000,
    ],
    ids=["long envelope", "long digits", "long lines", "colons", "many envelopes"],
)
def test_no_file_takes_long(content: bytes) -> None:
    started = time.process_time()
    read_mail(content, "x")
    assert time.process_time() - started < 5
