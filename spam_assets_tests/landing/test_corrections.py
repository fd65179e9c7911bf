"""Corrections: late labels replace those of the landing file, and whatever is unclear is refused."""

import hashlib
import random
from pathlib import Path
from uuid import uuid4

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upath import UPath

from spam_assets.landing import zone as landing
from spam_assets.landing.corrections import NO_CORRECTIONS, Corrections, read_corrections
from spam_assets.landing.errors import LandingError, LandingFileMissing
from spam_assets.landing.file_formats import FILE_FORMATS
from spam_assets.landing.zone import LandedDay, LandingZone
from spam_assets.mail.validation import select_valid_mail

DAY = "2002-08-01"
MAIL = "message_id,subject,body,label\n<1>,a,hello,ham\n<2>,b,win,spam\n<3>,c,free,ham\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "landing"
    path.mkdir()
    return path


def read_corrected(folder: Path, corrections: str | bytes, mail: str = MAIL) -> LandedDay:
    (folder / f"training-{DAY}.csv").write_text(mail, encoding="utf-8", newline="")
    content = corrections if isinstance(corrections, bytes) else corrections.encode()
    (folder / f"corrections-{DAY}.csv").write_bytes(content)
    return LandingZone(str(folder)).read(DAY)


def test_named_messages_get_the_label_and_the_rest_of_the_day_stays(place: UPath) -> None:
    content = "message_id,label\n<3>,spam\n<2>,spam\n<9>,ham\n"
    landed = read_corrected(place, content)
    assert landed.frame["label"].tolist() == ["ham", "spam", "spam"]
    path = str(place / f"corrections-{DAY}.csv")
    assert landed.corrections == Corrections(path, applied=1, unchanged=1, unknown=1, unknown_ids=("<9>",))
    assert landed.corrections_sha256 == hashlib.sha256(content.encode()).hexdigest()
    assert landed.notes == (
        f"labels replaced by corrections-{DAY}.csv: 1",
        f"message ids in corrections-{DAY}.csv that the day does not have: 1",
    )
    assert (landed.sha256, landed.size_bytes) == (hashlib.sha256(MAIL.encode()).hexdigest(), len(MAIL))

    (place / f"corrections-{DAY}.csv").unlink()
    plain = LandingZone(str(place)).read(DAY)
    assert (plain.corrections, plain.corrections_sha256, plain.notes) == (NO_CORRECTIONS, None, ())
    assert plain.frame["label"].tolist() == ["ham", "spam", "ham"]
    pd.testing.assert_frame_equal(landed.frame.drop(columns="label"), plain.frame.drop(columns="label"))
    assert landed.frame["label"].dtype == plain.frame["label"].dtype == object


@pytest.mark.parametrize("file_format", FILE_FORMATS)
def test_every_format_can_be_corrected_and_replacing_the_day_keeps_the_corrections(
    place: UPath, file_format: str
) -> None:
    mail = read_corrected(place, "message_id,label\n<1>,1\n").frame
    mail["label"] = ["ham", "spam", "ham"]
    zone = LandingZone(str(place))
    zone.write(DAY, mail, file_format)
    assert sorted(path.name for path in place.iterdir()) == [f"corrections-{DAY}.csv", f"training-{DAY}.{file_format}"]
    assert zone.read(DAY).frame["label"].tolist() == ["spam", "spam", "ham"]


def test_a_zone_in_memory_is_corrected_too() -> None:
    zone = LandingZone(f"memory://zone-{uuid4()}/landing")
    zone.write(DAY, pd.DataFrame({"message_id": ["<1>"], "body": ["x"], "label": ["ham"]}))
    zone._fs.pipe_file(f"{zone._root}/corrections-{DAY}.csv", b"message_id,label\n<1>,spam\n")
    landed = zone.read(DAY)
    assert landed.frame["label"].tolist() == ["spam"]
    assert str(landed.corrections.path).startswith("memory://")


def test_corrections_without_a_landing_file_are_no_day(place: UPath) -> None:
    (place / f"corrections-{DAY}.csv").write_text("message_id,label\n")
    zone = LandingZone(str(place))
    assert zone.days() == []
    assert DAY not in zone.days()
    assert zone.list_files() == {}
    with pytest.raises(LandingFileMissing):
        zone.read(DAY)


def test_corrections_that_are_not_csv_are_left_alone(place: UPath) -> None:
    read_corrected(place, "message_id,label\n<1>,spam\n")
    (place / f"corrections-{DAY}.csv").rename(place / f"corrections-{DAY}.jsonl")
    assert LandingZone(str(place)).read(DAY).corrections == NO_CORRECTIONS


@pytest.mark.parametrize(
    "content",
    [
        "message_id,label\n",
        "\ufeffmessage_id,label\r\n\r\n<1>,ham\r\n",
        " label , message_id \nham,<1>\n",
        "message_id,label,comment\n<1>,ham,seen by Ann\n",
        "message_id,label\n<1>,ham\n<1>,0\n<1>,False\n",
        "message_id,label\n<1>,ham",
    ],
)
def test_other_spellings_of_a_sound_file_are_read(folder: Path, content: str) -> None:
    landed = read_corrected(folder, content)
    assert landed.frame["label"].tolist() == ["ham", "spam", "ham"]
    assert landed.corrections.applied == landed.corrections.unknown == 0
    assert landed.notes == ()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ["is empty", "message_id,label"]),
        ("\n\n", ["line 1", "columns found: none"]),
        ("<1>,spam\n", ["needs a header", "line 1", "'<1>', 'spam'"]),
        ("message_id\n<1>\n", ["needs a header", "one column label"]),
        ("message_id,label,label\n<1>,ham,ham\n", ["one column label"]),
        ("message_id,label\n<1>,ham\n<2>,junk\n", ["'junk' in line 3", "write ham or spam"]),
        ("message_id,label\n<1>,\n", ["the label '' in line 2"]),
        ("message_id,label\n,ham\n", ["no message_id in line 2"]),
        (
            'message_id,label\n<1>,ham\n"<\n2>",ham\n<1>,spam\n',
            ["'<1>' ham in line 2 and spam in line 5", "remove the line"],
        ),
        ("message_id,label\n<1>,ham,spam\n", ["3 cells", "line 2"]),
        ('message_id,label\n"<1>,ham\n', ["broken CSV", "line 2"]),
        (b"message_id,label\n<\xff>,ham\n", ["not UTF-8 in line 2"]),
        (b"message_id,label\n<\0>,ham\n", ["NUL byte in line 2"]),
    ],
)
def test_a_malformed_file_is_refused_in_one_sentence(folder: Path, content: str | bytes, words: list[str]) -> None:
    with pytest.raises(LandingError) as caught:
        read_corrected(folder, content)
    sentence = str(caught.value)
    assert f"corrections-{DAY}.csv" in sentence
    assert "\n" not in sentence
    for word in words:
        assert word in sentence


def test_a_file_beyond_the_limit_is_refused(place: UPath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landing, "MAX_CORRECTIONS_BYTES", 20)
    read_corrected(place, b"message_id,label\n".ljust(20, b"\n"))
    with pytest.raises(LandingError, match="more than 20 bytes; land only the labels that changed"):
        read_corrected(place, b"message_id,label\n".ljust(21, b"\n"))


def test_labels_that_were_missing_or_unknown_are_put_right(folder: Path) -> None:
    mail = "message_id,body,label\n<1>,a,\n<2>,b,junk\n<3>,c,\n"
    landed = read_corrected(folder, "message_id,label\n<1>,ham\n<2>,spam\n", mail)
    assert landed.frame["label"].tolist() == ["ham", "spam", None]
    assert landed.corrections.applied == 2


def test_messages_that_share_an_id_all_get_the_label(folder: Path) -> None:
    mail = "message_id,body,label\n<1>,a,ham\n<1>,b,spam\n,c,ham\n"
    landed = read_corrected(folder, "message_id,label\n<1>,spam\n", mail)
    assert landed.frame["label"].tolist() == ["spam", "spam", "ham"]
    assert (landed.corrections.applied, landed.corrections.unchanged) == (1, 1)


@pytest.mark.parametrize(
    "mail",
    [
        "text,label\nhi,0\nhi,0\nwin,0\n",  # the whole column is derived when the file is read
        "message_id,text,label\n,hi,0\n,hi,0\n<1>,win,0\n",  # single ids are derived when the mail is selected
        "message_id,subject,text,raw,label\n,s,hi,x,0\n,s,hi,x,0\n,,win,,0\n",
    ],
)
def test_a_message_without_an_id_goes_by_the_one_that_validated_mail_shows(folder: Path, mail: str) -> None:
    selected = select_valid_mail(read_corrected(folder, "message_id,label\n", mail).frame)
    assert selected["message_id"].is_unique
    for message_id, body in zip(selected["message_id"], selected["body"], strict=True):
        landed = read_corrected(folder, f"message_id,label\n{message_id},spam\n", mail)
        assert (landed.corrections.applied, landed.corrections.unknown) == (1, 0)
        again = select_valid_mail(landed.frame).set_index("message_id")
        assert again.loc[message_id, ["label", "body"]].tolist() == ["spam", body]


def test_a_message_without_an_id_and_a_subject_goes_by_the_one_that_validated_mail_shows(folder: Path) -> None:
    mail = {"message_id": [None, "<2>"], "subject": [None, "s"], "body": ["a", "b"], "label": ["ham", "ham"]}
    zone = LandingZone(str(folder))
    zone.write(DAY, pd.DataFrame(mail), "jsonl")
    (message_id,) = set(select_valid_mail(zone.read(DAY).frame)["message_id"]) - {"<2>"}
    (folder / f"corrections-{DAY}.csv").write_text(f"message_id,label\n{message_id},spam\n")
    assert zone.read(DAY).frame["label"].tolist() == ["spam", "ham"]


def test_unknown_ids_are_counted_and_the_first_twenty_kept_short(folder: Path) -> None:
    ids = ["x" * 5000, *(f"<no-{number}>" for number in range(100, 140))]
    landed = read_corrected(folder, "message_id,label\n" + "".join(f"{name},spam\n" for name in ids))
    assert landed.corrections.unknown == 41
    assert landed.corrections.unknown_ids == ("x" * 998, *ids[1:20])


def test_hostile_ids_match_to_the_letter_and_stay_out_of_notes(folder: Path) -> None:
    hostile = ['=cmd("x")', "![x](http://evil)", "<a\nb>", " <1> ", "\u202e", "<script>", "-1", "NaN", "1\r\n2"]
    cells = ['"' + name.replace('"', '""') + '"' for name in hostile]
    mail = "message_id,body,label\r\n" + "".join(f"{cell},b,ham\r\n" for cell in cells)
    landed = read_corrected(folder, "message_id,label\n" + "".join(f"{cell},1\n" for cell in [*cells, "<1>"]), mail)
    assert landed.frame["label"].tolist() == ["spam"] * len(hostile)
    assert landed.corrections.unknown_ids == ("<1>",)
    unknown = read_corrected(folder, "message_id,label\n" + "".join(f"{cell},1\n" for cell in cells))
    assert unknown.corrections.unknown_ids == tuple(hostile)
    assert not any(name in note for name in hostile[1:4] for note in unknown.notes)


def test_the_order_of_the_lines_does_not_matter(folder: Path) -> None:
    mail = "message_id,body,label\n" + "".join(f"<{n}>,b,ham\n" for n in range(200))
    lines = [f"<{n}>,{'spam' if n % 3 else 'ham'}\n" for n in range(0, 200, 2)]
    first = read_corrected(folder, "message_id,label\n" + "".join(lines), mail)
    random.Random(0).shuffle(lines)
    second = read_corrected(folder, "message_id,label\n" + "".join(lines), mail)
    pd.testing.assert_frame_equal(first.frame, second.frame)
    assert first.corrections == second.corrections


@settings(max_examples=150, deadline=None)
@given(st.tuples(st.sampled_from([b"", b"message_id,label\n"]), st.binary(max_size=60)).map(b"".join))
def test_any_bytes_give_labels_or_one_sentence(content: bytes) -> None:
    try:
        labels = read_corrections(content, "file")
    except LandingError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert set(labels.values()) <= {"ham", "spam"}
