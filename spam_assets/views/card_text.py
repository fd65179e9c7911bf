"""A model card as Markdown: whole for MLflow, short for Dagster's UI."""

from collections.abc import Iterable, Mapping
from math import isnan
from typing import TYPE_CHECKING, Any

import dagster as dg

from spam_assets.learning.code_versions import FEATURES_VERSION, MODEL_VERSION
from spam_assets.learning.model_card import ModelCard, Part
from spam_assets.views.small_pictures import INLINE_CHARACTERS, draw_calibration, draw_small_det, embed_svg

if TYPE_CHECKING:
    from spam_assets.learning.trained_model import TrainedModel
    from spam_assets.learning.training import TrainingSettings

TABLE_HEAD = (
    "| | ham | lost | FPR, 95 % interval | spam | caught | recall, 95 % interval |\n|---|---:|---:|---|---:|---:|---|"
)


def write_card(card: ModelCard, made_from: Mapping[str, object], data_version: str) -> str:
    """Return the whole card.

    Args:
        card: What is told.
        made_from: Settings of the training by name, to make the model again.
        data_version: Of the model; what is made again has the same.
    """
    settings = "\n".join(f"- `{name}`: {value}" for name, value in made_from.items())
    return f"""# Spam classifier trained for {card.training_date}

## What it learnt

{_say_days(card)}

{_say_counts(card)}

Threshold: mail is called spam from a probability of {card.threshold:.4f} on.

## How it does

Each message of the newest {len(card.by_day)} days was scored before its day was learnt, at the threshold of that day.
(1-ROCA)% = {_say_range(card.one_minus_roca_percent, card.one_minus_roca_percent_interval, "{:.3f}")}.

{_write_table([card.overall, *card.by_sender, *card.by_length, *card.by_headers])}

{_say_unknown(card)}The model as it serves, on mail of those days that it has not learnt:

{_write_table(card.unlearnt)}

## Weak spots

{_list(card.weak_spots) or "None that is more than chance."}

It knows the kinds of mail in its window and no other. Headers are the sender's to write.

## Calibration

{embed_svg(draw_calibration(card.calibration), "share of spam over the probability that was given")}

## By day

{_write_table(card.by_day)}

## How to make it again

With what has landed for the days of `window.json` (their data versions are there), the settings below, the packages of
the run's parameters, and `spam-assets run --date {card.training_date}`; the same inputs give data version
`{data_version}`.

{settings}
"""


def write_card_files(
    card: ModelCard, settings: "TrainingSettings", window_days: int, data_version: str, method: str = ""
) -> dict[str, str]:
    """Return the card and its picture by file name, for MLflow; `method` is empty for ours."""
    made_from = {
        **({"SPAM_ASSETS_ESTIMATOR": method} if method else {}),
        "SPAM_ASSETS_WINDOW_DAYS": window_days,
        "SPAM_ASSETS_TARGET_FPR": settings.target_fpr,
        "SPAM_ASSETS_VOUCHED_DAYS": ",".join(sorted(settings.vouched_days)) or "none",
        "features version": FEATURES_VERSION,
        "model version": MODEL_VERSION,
    }
    return {
        "model_card.md": write_card(card, made_from, data_version),
        "calibration.svg": draw_calibration(card.calibration),
    }


def describe_card(card: ModelCard, model: "TrainedModel") -> dict[str, Any]:
    """Return the card in short and the DET curve, as metadata that the UI shows without a click."""
    return {
        "det": dg.MetadataValue.md(draw_small_det(model)),
        "model_card": dg.MetadataValue.md(summarize_card(card)),
    }


def summarize_card(card: ModelCard) -> str:
    """Return the card in so few characters that the UI shows it at once; what there is no room for is left out."""
    text = f"{_say_days(card, most=3)}\n\n{_say_counts(card)} Threshold {card.threshold:.4f}.\n\n"
    text += "| | ham lost | spam caught |\n|---|---:|---:|"
    ending = f"\n\nWeak: {'; '.join(card.weak_spots[:2]) or 'nothing that is more than chance'}."
    for part in (card.overall, *card.by_sender, *card.by_length, *card.unlearnt):
        row = f"\n| {part.name} | {part.lost_ham} of {part.ham} | {part.caught_spam} of {part.spam} |"
        if part.ham + part.spam and len(text + row + ending) <= INLINE_CHARACTERS:
            text += row
    return (text + ending)[:INLINE_CHARACTERS]


def _say_days(card: ModelCard, most: int = 100) -> str:
    if not card.days_learnt:
        return "No day."
    said = f"{len(card.days_learnt)} days, {card.days_learnt[0]} to {card.days_learnt[-1]}."
    for days, why in (
        (card.days_contradicting, "Not learnt, because labels contradict the days before"),
        (card.days_without_mail, "Without usable mail (none landed, refused by a rule, or excluded)"),
    ):
        if days:
            more = f" and {len(days) - most} more" if len(days) > most else ""
            said += f" {why}: {', '.join(days[:most])}{more}."
    return said


def _say_counts(card: ModelCard) -> str:
    return (
        f"{card.ham:,} ham and {card.spam:,} spam; {card.held_out_share:.0%} of mail is learnt by no model; "
        f"suspect labels: {card.suspect_labels}."
    )


def _say_unknown(card: ModelCard) -> str:
    if not card.unknown_messages:
        return ""
    return f"The mail of {card.unknown_messages} messages was not at hand: they are in no part but the first.\n\n"


def _write_table(parts: Iterable[Part]) -> str:
    rows = [
        f"| {part.name} | {part.ham} | {part.lost_ham} | {_say_range(part.fpr, part.fpr_interval)} "
        f"| {part.spam} | {part.caught_spam} | {_say_range(part.recall, part.recall_interval)} |"
        for part in parts
    ]
    return "\n".join([TABLE_HEAD, *rows])


def _say_range(value: float, interval: tuple[float, float], form: str = "{:.2%}") -> str:
    if isnan(value):
        return "-"
    return f"{form.format(value)} ({form.format(interval[0])} to {form.format(interval[1])})"


def _list(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)
