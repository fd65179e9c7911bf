"""What people look at in the Dagster UI: previews, shares, tables and pictures, as Dagster metadata."""

import base64
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from math import isnan
from typing import TYPE_CHECKING, Any

import dagster as dg

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

if TYPE_CHECKING:
    import pandas as pd

    from spam_assets.landing.corrections import Corrections
    from spam_assets.landing.zone import LandedDay
    from spam_assets.learning.dated_model import DatedModel
    from spam_assets.learning.explanation import StrongestWords
    from spam_assets.learning.features import MailFeatures
    from spam_assets.learning.label_suspects import SuspectLabel
    from spam_assets.learning.model import SpamModel
    from spam_assets.learning.reporting import DayReport
    from spam_assets.learning.succession import Judged
    from spam_assets.registry.registered_models import RegisteredVersion

BLOCKS = "\N{MIDDLE DOT}" + "".join(map(chr, range(0x2581, 0x2589)))
PREVIEW_ROWS = 8
PREVIEW_CHARACTERS = 80
SUSPECTS_SHOWN = 20


def describe_columns(names: Sequence[str]) -> dg.TableSchema:
    """Return the column list that the UI shows."""
    return dg.TableSchema([dg.TableColumn(name, COLUMN_TYPES[name], COLUMN_DESCRIPTIONS[name]) for name in names])


def describe_mail(frame: "pd.DataFrame") -> dict[str, Any]:
    """Return row count, spam share and a preview of a day's mail."""
    spam = int((frame[LABEL] == SPAM).sum())
    return {
        "dagster/partition_row_count": len(frame),
        "spam": spam,
        "spam_share": spam / len(frame) if len(frame) else 0.0,
        "preview": dg.MetadataValue.md(preview_mail(frame)),
    }


def describe_landed_day(landed: "LandedDay") -> dict[str, Any]:
    """Return where a day came from, and what it holds."""
    return {
        **describe_mail(landed.frame),
        "landing_file": dg.MetadataValue.path(landed.path),
        "landing_file_bytes": landed.size_bytes,
        "landing_file_sha256": landed.sha256,
        "notes": dg.MetadataValue.md("\n".join(f"- {note}" for note in landed.notes) or "none"),
        **describe_corrections(landed.corrections),
    }


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


def describe_removed_day(last: "pd.DataFrame", file_missing: str) -> dict[str, Any]:
    """Return what a day holds whose file is gone from the landing zone: the mail of its last run."""
    note = f"- {file_missing}\n- The mail of the day's last run stays in use."
    return {**describe_mail(last), "notes": dg.MetadataValue.md(note)}


def preview_mail(frame: "pd.DataFrame") -> str:
    """Return the first rows as a Markdown table; mail is hostile, so its text can form no markup."""
    columns = [RECEIVED_AT, LABEL, SENDER, SUBJECT, BODY]
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines.extend(
        "| " + " | ".join(escape_markdown(value) for value in row) + " |"
        for row in frame[columns].head(PREVIEW_ROWS).itertuples(index=False)
    )
    return "\n".join(lines)


def escape_markdown(value: object, characters: int = PREVIEW_CHARACTERS) -> str:
    """Return a value as one short line in which no character can start Markdown or HTML."""
    text = "" if value is None else " ".join(str(value)[: 4 * characters].split())
    if len(text) > characters:
        text = text[: characters - 1] + "\N{HORIZONTAL ELLIPSIS}"
    # `://` is broken up because Markdown turns a bare URL into a link that someone may click.
    text = text.replace("://", ":\N{ZERO WIDTH SPACE}//")
    return "".join(f"&#{ord(letter)};" if letter in "\\`*_{}[]()<>#+|!~&" else letter for letter in text)


def describe_features(features: "MailFeatures") -> dict[str, Any]:
    """Return the size of a day's features."""
    return {
        "dagster/partition_row_count": len(features),
        **{f"{name}_per_message": len(rows.indices) / max(len(rows), 1) for name, rows in features.views.items()},
    }


def describe_model(model: "SpamModel", window: Sequence[str], picture: str) -> dict[str, Any]:
    """Return a model's figures, the labels it doubts, and its picture.

    Figures of the daily protocol are of its learner, day after day, and not of the model that came of it: what that
    is worth on mail that it has not learnt is for the gate to say.
    """
    evaluation = model.evaluation
    return {
        "evaluation": picture_metadata(picture, "DET curve and score histogram"),
        "daily_protocol_one_minus_roca_percent": evaluation.one_minus_roca_percent,
        "daily_protocol_recall": evaluation.recall,
        "daily_protocol_fpr": evaluation.fpr,
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


def describe_window(landed_days: "Sequence[str]", left_out: "Mapping[str, str]") -> dict[str, Any]:
    """Return what is unusual about the window of a model: days read from the landing zone, days that it lacks."""
    return {
        "days_from_landing_zone": ", ".join(landed_days) or "none",
        "days_left_out": "\n".join(f"{day}: {reason}" for day, reason in left_out.items()) or "none",
    }


def describe_challenger(report: "DayReport", challenger: "RegisteredVersion") -> dict[str, Any]:
    """Return how a candidate that waits did on a day, beside the champion."""
    return {
        "challenger": f"version {challenger.version}, trained for {challenger.training_date}",
        "challenger_missed_spam": report.false_negatives,
        "challenger_ham_called_spam": report.false_positives,
    }


def describe_report(report: "DayReport", champion: "RegisteredVersion") -> dict[str, Any]:
    """Return a champion report's figures, which the UI plots over the days, and its score distribution."""
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
        "messages": report.messages,
        "spam": report.spam,
        "missed_spam": report.false_negatives,
        "ham_called_spam": report.false_positives,
        **{name: value for name, value in figures.items() if not isnan(value)},
        "score_distribution": dg.MetadataValue.md(bars),
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
    encoded = base64.b64encode(svg.encode()).decode()
    return dg.MetadataValue.md(f"![{title}](data:image/svg+xml;base64,{encoded})")


def describe_verdicts(judged: "Sequence[Judged]", champion: "DatedModel | None") -> dict[str, Any]:
    """Return what became of the candidates of a day and why: of the promoted one, if any, else of the newest."""
    told = next((one for one in judged if one.decision.promote), judged[0])
    others = "\n".join(
        f"- version {one.candidate.version}, trained for {one.candidate.training_date}: {one.decision.verdict}, "
        f"{escape_markdown(one.decision.reason, characters=1000)}"
        for one in judged
        if one is not told
    )
    return {
        "model_version": told.candidate.version,
        "training_date": told.candidate.training_date,
        "verdict": told.decision.verdict,
        "promoted": told.decision.promote,
        "reason": told.decision.reason,
        "champion_before": (
            f"version {champion.version}, trained for {champion.training_date}" if champion else "none"
        ),
        **({"other_candidates": dg.MetadataValue.md(others)} if others else {}),
    }
