"""What people look at in the Dagster UI: previews, shares, tables and pictures, as Dagster metadata."""

import re
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from math import isnan
from typing import TYPE_CHECKING, Any

import dagster as dg

from spam_assets.learning.methods import OURS_NAME
from spam_assets.mail.columns import (
    BODY,
    COLUMN_DESCRIPTIONS,
    COLUMN_TYPES,
    HAM,
    LABEL,
    LABELS,
    RECEIVED_AT,
    SENDER,
    SPAM,
    SUBJECT,
)
from spam_assets.views.small_pictures import INLINE_CHARACTERS, embed_svg
from spam_assets.views.sparklines import describe_last_days

if TYPE_CHECKING:
    import pandas as pd

    from spam_assets.landing.corrections import Corrections
    from spam_assets.landing.zone import LandedDay
    from spam_assets.learning.dated_model import DatedModel, UnreadableModel
    from spam_assets.learning.explanation import StrongestWords
    from spam_assets.learning.features import MailFeatures
    from spam_assets.learning.label_suspects import SuspectLabel
    from spam_assets.learning.method_choice import Judged
    from spam_assets.learning.reporting import DayReport
    from spam_assets.learning.scored_mail import Expectation
    from spam_assets.learning.trained_model import TrainedModel
    from spam_assets.mail.mail_batches import Mail
    from spam_assets.mail.quarantine import QuarantinedMessage
    from spam_assets.registry.alias_changes import Standing
    from spam_assets.registry.registered_models import RegisteredVersion
    from spam_assets.windows import WindowOfDays

BLOCKS = "\N{MIDDLE DOT}" + "".join(map(chr, range(0x2581, 0x2589)))
PREVIEW_ROWS = 8
PREVIEW_CHARACTERS = 80
NOTE_CHARACTERS = 1000
_ZERO_WIDTH_SPACE = "\N{ZERO WIDTH SPACE}"
_STARTS_A_LINK = re.compile(r":(?=//)|www(?=\.)|@[\w-]+(?=\.)", re.IGNORECASE)
"""What Markdown as GitHub and Dagster write it makes a link of without any brackets."""
SUSPECTS_SHOWN = 20
QUARANTINED_SHOWN = 20
SHOWS_MAIL = frozenset({"preview", "quarantined_messages", "strongest_words", "suspects", "unknown_messages"})
"""Metadata that shows subjects, bodies, words or ids of mail."""
PREVIEWS_ARE_OFF = "previews are turned off (SPAM_ASSETS_PREVIEWS)"


def conceal_mail(metadata: dict[str, Any], *, previews: bool) -> dict[str, Any]:
    """Return metadata, without what shows mail where previews are turned off. Dagster keeps metadata for ever."""
    if previews:
        return metadata
    return {name: PREVIEWS_ARE_OFF if name in SHOWS_MAIL else value for name, value in metadata.items()}


def describe_columns(names: Sequence[str]) -> dg.TableSchema:
    """Return the column list that the UI shows."""
    return dg.TableSchema([dg.TableColumn(name, COLUMN_TYPES[name], COLUMN_DESCRIPTIONS[name]) for name in names])


def describe_mail(mail: "Mail") -> dict[str, Any]:
    """Return row count, spam share and a preview of a day's mail."""
    from spam_assets.mail.mail_batches import iterate_frames

    spam = sum(int((frame[LABEL] == SPAM).sum()) for frame in iterate_frames(mail, [LABEL]))
    return {
        "dagster/partition_row_count": len(mail),
        "spam": spam,
        "spam_share": spam / len(mail) if len(mail) else 0.0,
        "preview": dg.MetadataValue.md(preview_mail(mail)),
    }


def describe_landed_day(landed: "LandedDay") -> dict[str, Any]:
    """Return where a day came from, and what it holds."""
    return {
        **describe_mail(landed.mail),
        **describe_landing_file(landed),
        **describe_corrections(landed.corrections),
    }


def describe_quarantined(quarantined: "Sequence[QuarantinedMessage]") -> dict[str, Any]:
    """Return the messages of a day that are put aside, why, and in which row of the landing file they are."""
    if not quarantined:
        return {"quarantined": 0}
    lines = ["| row | why | message |", "|---:|---|---|"]
    lines.extend(
        f"| {message.row} | {message.reason} | {escape_markdown(message.message_id)} |"
        for message in quarantined[:QUARANTINED_SHOWN]
    )
    return {"quarantined": len(quarantined), "quarantined_messages": dg.MetadataValue.md("\n".join(lines))}


def describe_corrections(corrections: "Corrections") -> dict[str, Any]:
    """Return what a corrections file did to a day; nothing where there is none."""
    if corrections.path is None:
        return {}
    shown = "\n".join(f"- {escape_markdown(message_id)}" for message_id in corrections.unknown_ids)
    return {
        "corrections_file": dg.MetadataValue.path(corrections.path),
        "corrected_labels": corrections.applied,
        "corrections_of_unknown_messages": corrections.unknown,
        **({"unknown_messages": dg.MetadataValue.md(shown)} if shown else {}),
    }


def describe_removed_day(last: "Mail", file_missing: str) -> dict[str, Any]:
    """Return what a day holds whose file is gone from the landing zone: the mail of its last run."""
    notes = list_notes(
        (file_missing, "The mail of the day's last run stays in use; spam-assets exclude takes a day out.")
    )
    return {**describe_mail(last), "notes": dg.MetadataValue.md(notes)}


def list_notes(notes: Sequence[str]) -> str:
    """Return sentences as a Markdown list. They quote names of columns, which whoever wrote the file chose."""
    return "\n".join(f"- {escape_markdown(note, NOTE_CHARACTERS)}" for note in notes)


def preview_mail(mail: "Mail") -> str:
    """Return the first rows as a Markdown table; mail is hostile, so its text can form no markup."""
    from spam_assets.mail.mail_batches import read_first_rows

    columns = [RECEIVED_AT, LABEL, SENDER, SUBJECT, BODY]
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines.extend(
        "| " + " | ".join(escape_markdown(value) for value in row) + " |"
        for row in read_first_rows(mail, PREVIEW_ROWS)[columns].itertuples(index=False)
    )
    return "\n".join(lines)


def escape_markdown(value: object, characters: int = PREVIEW_CHARACTERS) -> str:
    """Return a value as one short line in which no character can start Markdown or HTML."""
    text = "" if value is None else str(value)[: 4 * characters]
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    if len(text) > characters:
        text = text[: characters - 1] + "\N{HORIZONTAL ELLIPSIS}"
    text = _STARTS_A_LINK.sub(lambda found: found[0] + _ZERO_WIDTH_SPACE, text)
    return "".join(f"&#{ord(letter)};" if letter in "\\`*_{}[]()<>#+|!~&" else letter for letter in text)


def describe_features(features: "MailFeatures") -> dict[str, Any]:
    """Return the size of a day's features."""
    return {
        "dagster/partition_row_count": len(features),
        **{f"{name}_per_message": len(rows.indices) / max(len(rows), 1) for name, rows in features.views.items()},
    }


def describe_model(model: "TrainedModel", window: Sequence[str], picture: str) -> dict[str, Any]:
    """Return a model's figures, the labels it doubts, and its picture.

    Figures of the daily protocol are of its learner, day after day, and not of the model that came of it; those on
    held-out mail, which is less and so less certain, are of this very model.
    """
    evaluation, own = model.evaluation, model.held_out
    return {
        "method": model.method or OURS_NAME,
        **({"how_it_learnt": model.learning_told} if model.learning_told else {}),
        "evaluation": picture_metadata(picture, "DET curve and score histogram"),
        "daily_protocol_one_minus_roca_percent": evaluation.one_minus_roca_percent,
        "daily_protocol_recall": evaluation.recall,
        "daily_protocol_fpr": evaluation.fpr,
        **(
            {}
            if own is None
            else {
                "held_out_spam_caught": f"{own.true_positives} of {own.spam}",
                "held_out_ham_lost": f"{own.false_positives} of {own.messages - own.spam}",
            }
        ),
        "threshold": model.threshold,
        "suspect_labels": len(model.suspects),
        "suspects": describe_suspects(model.suspects),
        "days_not_learnt": ", ".join(found.day for found in model.contradicting_days) or "none",
        "daily_protocol_confusion_matrix": dg.MetadataValue.md(
            "| | called ham | called spam |\n|---|---:|---:|\n"
            f"| **ham** | {evaluation.true_negatives} | {evaluation.false_positives} |\n"
            f"| **spam** | {evaluation.false_negatives} | {evaluation.true_positives} |"
        ),
        "scored_messages": evaluation.messages,
        "scored_days": len(evaluation.days),
        "window_days": len(window),
        "window_first_day": window[0],
        "window_last_day": window[-1],
    }


def describe_exclusion(reason: str | None) -> dict[str, Any]:
    """Return that no model learns a day, and why; nothing for other days."""
    return {} if reason is None else {"excluded": f"no model learns this day: {reason}"}


def describe_window(window: "WindowOfDays") -> dict[str, Any]:
    """Return what is unusual about the window of a model: what it leaves out and why, and where days came from."""

    def list_days(reasons: Mapping[str, str]) -> dg.MarkdownMetadataValue:
        lines = [f"- {day}: {escape_markdown(reason, NOTE_CHARACTERS)}" for day, reason in reasons.items()]
        return dg.MetadataValue.md("\n".join(lines) or "none")

    return {
        "days_excluded": list_days(window.excluded),
        "days_left_out": list_days(window.left_out),
        "days_without_landing_file": ", ".join(window.without_file) or "none",
        "days_from_landing_zone": ", ".join(window.landed_days) or "none",
    }


def describe_challenger(report: "DayReport", challenger: "RegisteredVersion") -> dict[str, Any]:
    """Return how a candidate that waits did on a day, beside the champion."""
    return {
        "challenger": f"version {challenger.version}, trained for {challenger.training_date}",
        "challenger_missed_spam": report.false_negatives,
        "challenger_ham_called_spam": report.false_positives,
    }


def describe_report(
    report: "DayReport", champion: "RegisteredVersion", earlier: "Mapping[str, DayReport] | None" = None
) -> dict[str, Any]:
    """Return a champion report's figures, those of the earlier days beside them, and its score distribution."""
    figures: dict[str, float] = {
        "recall": report.recall,
        "recall_low": report.recall_interval[0],
        "recall_high": report.recall_interval[1],
        "fpr": report.fpr,
        "fpr_low": report.fpr_interval[0],
        "fpr_high": report.fpr_interval[1],
        "one_minus_roca_percent": report.one_minus_roca_percent,
        "one_minus_roca_percent_low": report.one_minus_roca_percent_interval[0],
        "one_minus_roca_percent_high": report.one_minus_roca_percent_interval[1],
        "brier": report.brier,
        "calibration_error": report.calibration_error,
        "spam_share": report.spam_share,
        "unknown_words_share": report.unknown_words_share,
    }
    bars = "| class | scores from 0 to 1 | messages |\n|---|---|---:|\n" + "\n".join(
        f"| {name} | {draw_bars(counts)} | {sum(counts)} |"
        for name, counts in ((HAM, report.ham_scores), (SPAM, report.spam_scores))
    )
    return {
        "champion": f"version {champion.version}, trained for {champion.training_date}",
        **describe_last_days({**(earlier or {}), report.day: report}, report.day),
        "messages": report.messages,
        "spam": report.spam,
        "missed_spam": report.false_negatives,
        "ham_called_spam": report.false_positives,
        **{name: value for name, value in figures.items() if not isnan(value)},
        "score_distribution": dg.MetadataValue.md(bars),
    }


def describe_scores(
    landed: "LandedDay",
    scores: "pd.DataFrame",
    expectation: "Expectation",
    champion: "RegisteredVersion",
    challenger: "RegisteredVersion | None",
    csv_file: str | None,
) -> dict[str, Any]:
    """Return where mail without labels came from, what was said of it, and what that lets one expect."""
    described: dict[str, Any] = {
        "dagster/partition_row_count": len(scores),
        "champion": f"version {champion.version}, trained for {champion.training_date}",
        "called_spam": expectation.called_spam,
        "expected_spam": round(expectation.spam, 2),
        "expected_spam_caught": round(expectation.caught_spam, 2),
        "expected_ham_lost": round(expectation.lost_ham, 2),
    }
    if challenger is not None:
        described |= {
            "challenger": f"version {challenger.version}, trained for {challenger.training_date}",
            "challenger_called_spam": int((scores["challenger_verdict"] == SPAM).sum()),
            "challenger_disagrees": int((scores["challenger_verdict"] != scores["verdict"]).sum()),
        }
    if csv_file is not None:
        described["scores_file"] = dg.MetadataValue.path(csv_file)
    return {**described, **describe_landing_file(landed)}


def describe_landing_file(landed: "LandedDay") -> dict[str, Any]:
    """Return the file that a day was read from, and what is worth knowing of it."""
    return {
        "landing_file": dg.MetadataValue.path(landed.path),
        "landing_file_bytes": landed.size_bytes,
        "landing_file_sha256": landed.sha256,
        "notes": dg.MetadataValue.md(list_notes(landed.notes) or "none"),
    }


def draw_bars(counts: Sequence[int]) -> str:
    """Return a histogram as one line of block characters; any count above zero is visible."""
    tallest = max(counts, default=0)
    return "".join(BLOCKS[-(-count * (len(BLOCKS) - 1) // tallest)] if count else BLOCKS[0] for count in counts)


def describe_words(words: "StrongestWords") -> dg.MarkdownMetadataValue:
    """Return the words of the day's mail that speak most clearly for spam and for ham, as a table."""
    lines = ["| for spam | log-odds | for ham | log-odds |", "|---|---:|---|---:|"]
    for spam, ham in zip_longest(words.for_spam, words.for_ham):
        cells = [(escape_markdown(word.text), f"{word.log_odds:+.1f}") if word else ("", "") for word in (spam, ham)]
        lines.append("| " + " | ".join(cell for pair in cells for cell in pair) + " |")
    return dg.MetadataValue.md("\n".join(lines))


def describe_suspects(suspects: "Sequence[SuspectLabel]") -> dg.MarkdownMetadataValue:
    """Return the labels that are most probably wrong, as a table; `spam-assets labels` lists them all."""
    if not suspects:
        return dg.MetadataValue.md("none")
    lines = ["| day | message | called | spam probability |", "|---|---|---|---:|"]
    lines.extend(
        f"| {suspect.day} | {escape_markdown(suspect.message_id)} | {LABELS[suspect.label]} | {suspect.score:.3f} |"
        for suspect in suspects[:SUSPECTS_SHOWN]
    )
    return dg.MetadataValue.md("\n".join(lines))


def picture_metadata(svg: str, title: str) -> dg.MarkdownMetadataValue:
    """Return an SVG as metadata that the UI shows inline."""
    return dg.MetadataValue.md(embed_svg(svg, title))


def describe_verdicts(judged: "Sequence[Judged]", champion: "DatedModel | UnreadableModel | None") -> dict[str, Any]:
    """Return what became of the candidates of a day and why: of the promoted one, if any, else of the newest.

    One that would be promoted if the champion were not pinned counts as promoted here.
    """
    told = next(
        (one for one in judged if one.decision.verdict in ("promote", "hold")),
        next((one for one in judged if one.decision.verdict != "trail"), judged[0]),
    )
    others = "\n".join(
        f"- version {one.candidate.version} ({one.candidate.model.method or OURS_NAME}), trained for "
        f"{one.candidate.training_date}: {one.decision.verdict}, "
        f"{escape_markdown(one.decision.reason, NOTE_CHARACTERS)}"
        for one in judged
        if one is not told
    )
    return {
        "model_version": told.candidate.version,
        "training_date": told.candidate.training_date,
        "method": told.candidate.model.method or OURS_NAME,
        "verdict": told.decision.verdict,
        "promoted": told.decision.promote,
        "reason": told.decision.reason,
        "champion_before": (
            f"version {champion.version}, trained for {champion.training_date}" if champion else "none"
        ),
        **({"other_candidates": dg.MetadataValue.md(others)} if others else {}),
    }


def describe_left_out(challengers: Mapping[str, str]) -> dict[str, Any]:
    """Return which challengers' models of the day could not be judged, and why."""
    lines = [f"- {name}: {escape_markdown(why, NOTE_CHARACTERS)}" for name, why in challengers.items()]
    return {"challengers_left_out": dg.MetadataValue.md("\n".join(lines))} if lines else {}


def describe_history(standing: "Standing") -> dict[str, Any]:
    """Return the last changes of who serves as a table, newest first, and the pin if there is one.

    The table holds as many as the UI shows without a click; `spam-assets models --history` has all.
    """
    from spam_assets.registry.alias_changes import tell_change

    lines = ["| when (UTC) | what | who | why |", "|---|---|---|---|"]
    for change in reversed(standing.changes):
        when = change.at[:16].replace("T", " ")
        line = f"| {when} | {tell_change(change)} | {change.who} | {escape_markdown(change.why)} |"
        if len("\n".join([*lines, line])) > INLINE_CHARACTERS:
            break
        lines.append(line)
    pin = standing.pin
    return {
        "history": dg.MetadataValue.md("\n".join(lines)),
        "last_manual_change": standing.last_manual_number,
        **({"pinned": f"since {pin.at}: {pin.why}"} if pin is not None else {}),
    }
