"""A day of mail without labels keeps every rule but those about labels."""

from typing import Any

import pytest

from spam_assets.mail.incoming_rules import INCOMING_RULES, judge_incoming_day
from spam_assets.mail.validation import complete_incoming_mail, select_valid_mail
from spam_assets_tests.mail import DAY, MIDNIGHT, make_frame


def unlabelled(count: int = 20, **columns: Any) -> Any:
    frame = make_frame(count=count, spam=0, **columns)
    frame["label"] = None
    return frame


def test_a_good_day_passes_every_rule_once_without_a_label() -> None:
    verdicts = judge_incoming_day(unlabelled(), DAY)
    assert [verdict.rule for verdict in verdicts] == [rule.__name__ for rule in INCOMING_RULES]  # type: ignore[attr-defined]
    assert all(verdict.passed for verdict in verdicts)
    assert all(verdict.sentence.startswith(f"incoming day {DAY}: ") for verdict in verdicts)


@pytest.mark.parametrize(
    ("rule", "cells"),
    [
        ("columns_are_present", {"body": [None] * 2 + ["text"] * 18}),
        ("message_ids_are_unique", {"message_id": ["<same>"] * 20}),
        ("dates_are_inside_partition", {"received_at": [MIDNIGHT.replace(year=1999)] * 20}),
    ],
)
def test_a_day_that_breaks_a_rule_is_told_so(rule: str, cells: dict[str, list[Any]]) -> None:
    from spam_assets.mail.dates import read_dates

    if "received_at" in cells:
        frame = unlabelled().assign(received_at=read_dates(cells["received_at"]))
    else:
        frame = unlabelled(**cells)
    broken = [verdict for verdict in judge_incoming_day(frame, DAY) if not verdict.passed]
    assert [verdict.rule for verdict in broken] == [rule]
    assert broken[0].sentence.startswith(f"incoming day {DAY}: ")


def test_a_day_without_messages_and_one_that_is_no_mail_fail() -> None:
    assert "day_has_messages" in {v.rule for v in judge_incoming_day(unlabelled()[:0], DAY) if not v.passed}
    assert "frame_has_mail_schema" in {
        v.rule for v in judge_incoming_day(unlabelled().drop(columns="subject"), DAY) if not v.passed
    }


def test_every_message_is_kept_in_order_and_has_the_id_that_it_will_have_with_a_label() -> None:
    frame = unlabelled(5, message_id=["<z>", None, None, "<a>", "<5>"], body=["b", "same", "same", "b", None])
    kept = complete_incoming_mail(frame)
    assert len(kept) == 5
    assert kept["message_id"].tolist()[0::3] == ["<z>", "<a>"]
    assert kept["message_id"].is_unique
    labelled = select_valid_mail(frame.assign(label="ham"))
    assert set(labelled["message_id"]) == set(kept["message_id"]) - {"<5>"}
