"""Corrections: labels that came late, as `message_id,label` in a CSV file beside the day's landing file."""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import numpy as np
import pandas as pd

from spam_assets.landing.errors import LandingError
from spam_assets.landing.file_formats import decode_utf8, read_csv_rows
from spam_assets.mail.columns import BODY, LABEL, LABELS, MESSAGE_ID, RAW, RECIPIENTS, SENDER, SUBJECT
from spam_assets.mail.mail_batches import Mail, collect_like, iterate_frames
from spam_assets.mail.mail_frame import UniqueIds, derive_message_ids, is_missing, normalise_label

SHOWN_UNKNOWN_IDS: Final = 20
MAX_SHOWN_CHARACTERS: Final = 998
"""Of an id that is shown; the longest line that a mail header may have (RFC 5322, 2.1.1)."""


@dataclass(frozen=True)
class Corrections:
    """What the corrections file of a day did.

    Attributes:
        path: path or URL of the file; None where there is none.
        applied: number of messages whose label it changed.
        unchanged: number of messages that it names and that had the label already.
        unknown: number of ids that the day does not have.
        unknown_ids: the first 20 of them in the order of the file, each cut at 998 characters; hostile text.
    """

    path: str | None = None
    applied: int = 0
    unchanged: int = 0
    unknown: int = 0
    unknown_ids: tuple[str, ...] = ()


NO_CORRECTIONS: Final = Corrections()


def read_corrections(content: bytes, name: str) -> dict[str, str]:
    """Read the bytes of a corrections file: label by message id, in the order of the file.

    Columns other than `message_id` and `label` are left alone.

    Args:
        content: the file's bytes, CSV in UTF-8 with a header.
        name: what to call the file in errors.

    Raises:
        LandingError: the file is not sound CSV, lacks a column, an id or a label, or gives a message two labels;
            names the file, the line and the remedy.
    """
    if not content:
        raise LandingError(f"{name} is empty; land it again with the header message_id,label, or remove it.")
    rows = read_csv_rows(io.StringIO(decode_utf8(content, name), newline=""), name)
    line, cells = next(rows, (1, []))
    header = [cell.strip() for cell in cells]
    if header.count(MESSAGE_ID) != 1 or header.count(LABEL) != 1:
        found = ", ".join(ascii(cell[:40]) for cell in header[:20]) or "none"
        raise LandingError(
            f"{name} needs a header with one column message_id and one column label in line {line} (columns found: "
            f"{found}); write the header message_id,label and land the file again."
        )
    id_position, label_position = header.index(MESSAGE_ID), header.index(LABEL)
    labels: dict[str, str] = {}
    lines: dict[str, int] = {}
    for line, cells in rows:
        message_id, label = cells[id_position], normalise_label(cells[label_position])
        if not message_id:
            raise LandingError(f"{name} has no message_id in line {line}; name the message or remove the line.")
        if label not in LABELS:
            raise LandingError(
                f"{name} has the label {cells[label_position][:40]!a} in line {line}, which is neither ham nor "
                "spam; write ham or spam."
            )
        if labels.setdefault(message_id, label) != label:
            raise LandingError(
                f"{name} calls the message {message_id[:80]!a} {labels[message_id]} in line {lines[message_id]} "
                f"and {label} in line {line}; remove the line that is wrong."
            )
        lines.setdefault(message_id, line)
    return labels


def write_corrections(labels: Mapping[str, str]) -> bytes:
    """Return the bytes of a corrections file; the inverse of `read_corrections`."""
    output = io.StringIO(newline="")
    writer = csv.writer(output, lineterminator="\r\n")
    writer.writerow([MESSAGE_ID, LABEL])
    writer.writerows(labels.items())
    return output.getvalue().encode("utf-8")


def apply_corrections(mail: Mail, labels: Mapping[str, str], path: str) -> tuple[Mail, Corrections, tuple[str, ...]]:
    """Replace the labels of the named messages.

    A message without an id goes by the id that `select_valid_mail` derives from its content. Several messages of
    one id, which a later rule refuses, all get the label.

    Args:
        mail: a day of mail, see `LandedDay`.
        labels: `ham` or `spam` by message id.
        path: of the corrections file.

    Returns:
        Mail with the new labels, what was done, and notes.
    """
    known: set[str] = set()
    named = applied = 0

    def correct_frames() -> Iterator[pd.DataFrame]:
        nonlocal named, applied
        for frame, ids in zip(iterate_frames(mail), _complete_ids(mail), strict=True):
            old = frame[LABEL].tolist()
            column: Any = np.empty(len(old), dtype=object)
            column[:] = [labels.get(message_id, label) for message_id, label in zip(ids, old, strict=True)]
            applied += sum(before != after for before, after in zip(old, column, strict=True))
            named += sum(message_id in labels for message_id in ids)
            known.update(message_id for message_id in ids if message_id in labels)
            yield frame.assign(**{LABEL: column})

    corrected = collect_like(mail, correct_frames())
    unknown = [message_id for message_id in labels if message_id not in known]
    corrections = Corrections(
        path=path,
        applied=applied,
        unchanged=named - applied,
        unknown=len(unknown),
        unknown_ids=tuple(message_id[:MAX_SHOWN_CHARACTERS] for message_id in unknown[:SHOWN_UNKNOWN_IDS]),
    )
    name = path.rpartition("/")[2]
    notes = []
    if applied:
        notes.append(f"labels replaced by {name}: {applied}")
    if unknown:  # the ids themselves are hostile text and stay out of notes
        notes.append(f"message ids in {name} that the day does not have: {len(unknown)}")
    return corrected, corrections, tuple(notes)


def complete_ids(mail: Mail) -> list[str]:
    """Return the id of every row, derived from its content where the file has none."""
    return list(chain.from_iterable(_complete_ids(mail)))


def _complete_ids(mail: Mail) -> Iterator[list[str]]:
    unique_ids = UniqueIds()
    for frame in iterate_frames(mail, (MESSAGE_ID, SENDER, RECIPIENTS, SUBJECT, BODY, RAW)):
        texts = [["" if is_missing(cell) else cell for cell in frame[name]] for name in (SENDER, RECIPIENTS, SUBJECT)]
        ids = frame[MESSAGE_ID].tolist()
        content_ids = (
            derive_message_ids(*texts, frame[BODY].tolist(), frame[RAW].tolist()) if None in ids else [""] * len(ids)
        )
        wanted = [content_id if own is None else own for own, content_id in zip(ids, content_ids, strict=True)]
        unique = map(unique_ids.make_unique, wanted)
        yield [derived if own is None else own for own, derived in zip(ids, unique, strict=True)]
