"""Why a model takes a message for ham or spam, and which words it knows best.

Features are hashes, and hashes cannot be turned back. So the message is hashed once more by the same code,
which this time notes where in the text each feature stands.

Texts come from mail and are hostile: what is returned is printable, on one line and short. It may still hold
the mark-up of a terminal library, Markdown or HTML; who shows it escapes it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt
import pandas as pd

from spam_assets.learning.estimator_model import EstimatorModel
from spam_assets.learning.explanation_parts import Explanation, Reason, make_printable, sum_up_reasons
from spam_assets.learning.features import (
    FOUR_GRAM,
    NO_HEADER,
    PATTERNS,
    WORDS,
    LocatedFeatures,
    featurize_mail,
    locate_features,
)
from spam_assets.learning.model import EVIDENCE_PRIOR, EVIDENCE_SHARE, SpamModel
from spam_assets.learning.trained_model import TrainedModel
from spam_assets.mail.columns import MESSAGE_ID
from spam_assets.mail.mail_batches import Mail, iterate_frames

_LONGEST_HEADER_NAME = 40
_PREVIEW = 10
SAMPLED_MESSAGES = 50_000
"""Of a day with more, the words of the first ones are told."""


@dataclass(frozen=True)
class KnownWord:
    """A word that a model knows.

    Attributes:
        text: The word, printable.
        log_odds: Smoothed log-odds of spam against ham; above 0 speaks for spam.
        messages: In how many of the given messages it stands.
    """

    text: str
    log_odds: float
    messages: int


@dataclass(frozen=True)
class StrongestWords:
    """The words that speak most clearly for spam and for ham, strongest first."""

    for_spam: tuple[KnownWord, ...]
    for_ham: tuple[KnownWord, ...]


def explain_mail(model: TrainedModel, mail: pd.DataFrame, count: int = _PREVIEW) -> Iterator[Explanation]:
    """Explain each message of a frame that has the mail columns, in its order.

    Args:
        model: The model that judges.
        mail: n messages, as ``featurize_mail`` takes them.
        count: At most so many reasons on each side.
    """
    if isinstance(model, EstimatorModel):
        from spam_assets.learning.estimator_explanation import explain_by_estimator

        yield from explain_by_estimator(model, mail, count)
        return
    if not isinstance(model, SpamModel):
        raise TypeError(f"nobody knows how a {type(model).__name__} comes to its verdicts")
    message_ids = iter(mail[MESSAGE_ID])
    for located in locate_features(mail):
        for row in range(len(located.views[WORDS])):
            yield _explain_row(model, str(next(message_ids)), located, row, count)


def describe_explanation(explanation: Explanation) -> list[str]:
    """The explanation as lines of text, the strongest reasons first."""
    verdict = "spam" if explanation.probability >= explanation.threshold else "ham"
    lines = [
        f"{verdict}: probability {explanation.probability:.4f} (threshold {explanation.threshold:.4f}), "
        f"margin {explanation.margin:+.3f}"
    ]
    for title, reasons in (("for spam", explanation.for_spam), ("for ham", explanation.for_ham)):
        lines.append(f"{title}:" if reasons else f"{title}: nothing")
        lines += [f"  {reason.contribution:+.4f}  {reason}" for reason in reasons]
    lines.append(f"everything else: {explanation.rest:+.4f}")
    return lines


def tell_strongest_words(model: TrainedModel, mail: Mail, count: int = _PREVIEW) -> StrongestWords:
    """The strongest words of the mail that a model learnt, among those that stand in some mail.

    A model holds no texts, so only words of the given mail can be told. Equally strong words are ordered by
    how many of the messages they stand in.

    Args:
        model: The model.
        mail: Messages, as ``featurize_mail`` takes them; a day or a sample will do.
        count: At most so many words on each side.
    """
    messages = np.zeros(len(model.log_odds), np.int64)
    for frame in _take_sample(mail):
        np.add.at(messages, featurize_mail(frame).views[WORDS].indices, 1)
    present = np.flatnonzero((messages > 0) & (model.log_odds != 0))
    odds = model.log_odds[present]
    order = present[np.lexsort((present, -messages[present], -np.abs(odds)))]
    chosen = [side[:count] for side in (order[model.log_odds[order] > 0], order[model.log_odds[order] < 0])]
    texts = _find_texts(mail, np.concatenate(chosen))
    sides = [
        tuple(KnownWord(texts[word], float(model.log_odds[word]), int(messages[word])) for word in side)
        for side in chosen
    ]
    return StrongestWords(*sides)


def _take_sample(mail: Mail) -> Iterator[pd.DataFrame]:
    """The first batches of a day, with messages enough."""
    taken = 0
    for frame in iterate_frames(mail):
        if taken >= SAMPLED_MESSAGES:
            return
        yield frame
        taken += len(frame)


def _find_texts(mail: Mail, wanted: npt.NDArray[np.int64]) -> dict[int, str]:
    """The text of each wanted word where it first stands in the mail."""
    texts: dict[int, str] = {}
    for located in chain.from_iterable(map(locate_features, _take_sample(mail))):
        if len(texts) == len(wanted):
            break
        hashes = located.views[WORDS].indices
        for at in np.flatnonzero(np.isin(hashes, wanted)):
            if int(hashes[at]) not in texts:
                start, stop, _ = located.places[WORDS][at]
                texts[int(hashes[at])] = make_printable(located.text[start:stop])
    return texts


def _explain_row(model: SpamModel, message_id: str, located: LocatedFeatures, row: int, count: int) -> Explanation:
    hashes, places = {}, {}
    for view in (WORDS, PATTERNS):
        start, stop = located.views[view].offsets[row : row + 2]
        hashes[view] = located.views[view].indices[start:stop]
        places[view] = located.places[view][start:stop]
    contributions = {
        WORDS: _weigh_words(model.log_odds[hashes[WORDS]].astype(np.float64)),
        PATTERNS: model.weights[hashes[PATTERNS]] / np.sqrt(max(len(hashes[PATTERNS]), 1)),
    }
    places[PATTERNS] = _move_into_words(places)

    members: dict[tuple[int, ...], list[tuple[str, int]]] = defaultdict(list)
    for view in (WORDS, PATTERNS):
        for at in np.flatnonzero(contributions[view]):
            members[tuple(places[view][at].tolist())].append((view, int(at)))
    reasons = [
        Reason(
            text=make_printable(located.text[start:stop]),
            header=_name_header(located.text, header),
            is_word=header != FOUR_GRAM,
            contribution=float(sum(contributions[view][at] for view, at in found)),
            features=tuple((view, int(hashes[view][at])) for view, at in found),
        )
        for (start, stop, header), found in members.items()
    ]
    margin = float(sum(values.sum(dtype=np.float64) for values in contributions.values()))
    return sum_up_reasons(model, message_id, margin, reasons, count)


def _weigh_words(log_odds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """What each word of one message adds to its margin; the terms of ``model.score_words``."""
    weights = np.tanh(0.5 * log_odds) ** 8
    return np.asarray(EVIDENCE_SHARE * weights * log_odds / (EVIDENCE_PRIOR + weights.sum()), np.float64)


def _move_into_words(places: dict[str, npt.NDArray[np.int32]]) -> npt.NDArray[np.int32]:
    """The places of the patterns; a 4-gram that lies inside a word gets the place of the word."""
    moved = places[PATTERNS].copy()
    is_four_gram = moved[:, 2] == FOUR_GRAM
    words = np.unique(np.concatenate([places[WORDS], moved[~is_four_gram]]), axis=0)  # in order of start
    if len(words):
        last_begun = np.searchsorted(words[:, 0], moved[:, 0], "right") - 1
        is_inside = is_four_gram & (last_begun >= 0) & (moved[:, 1] <= words[last_begun, 1])
        moved[is_inside] = words[last_begun[is_inside]]
    return moved


def _name_header(text: bytes, start: int) -> str:
    if start in (NO_HEADER, FOUR_GRAM):
        return ""
    return make_printable(text[start : start + _LONGEST_HEADER_NAME].partition(b":")[0].lower())
