"""Labels that the rest of the window contradicts: of single messages, and of whole days."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from spam_assets.learning.calibration import PRIOR_SLOPE, Calibration

DISBELIEF = 1.0
"""A label is contradicted by a margin on the other side of 0 that is larger than this."""

LABELS_A_WRONG_ONE = 50.0
"""What is assumed of people before any label was judged: 1 wrong label in 50."""

MOST_SUSPECTS = 1000
"""So many are kept with a model, the strongest; a person reviews no more in one sitting."""

CONTRADICTED_SHARE = 1 / 3
"""Of a day's messages. On the corpus the most on a good day were 6 %, the least on an inverted one 65 %."""

LEAST_CONTRADICTED = 10
"""A day with fewer contradicted messages is learnt: so few may be a new newsletter, or chance."""


@dataclass(frozen=True)
class SuspectLabel:
    """A message whose label is probably wrong.

    Attributes:
        message_id: Its id, unique within the day; hostile text.
        day: The day it is of.
        label: 1 if it is called spam, 0 if ham.
        score: Spam probability, by a learner that had not learnt it or with its own part taken out.
        strength: How far its margin lies on the other side; above ``DISBELIEF``.
    """

    message_id: str
    day: str
    label: int
    score: float
    strength: float


@dataclass(frozen=True)
class ContradictingDay:
    """A day that no model learns, because its labels contradict the days before it.

    Attributes:
        day: ``YYYY-MM-DD``.
        messages: Its messages.
        contradicted: How many of them have a label that what was learnt before contradicts.
    """

    day: str
    messages: int
    contradicted: int

    @property
    def sentence(self) -> str:
        """What was found, and what to do."""
        return (
            f"training day {self.day}: {self.contradicted} of {self.messages} labels contradict what the days before "
            "taught, as in an export with ham and spam exchanged; no model learns the day; correct its labels and land "
            "it again, or vouch for the day if they are right."
        )


def contradict_labels(labels: npt.NDArray[np.int8], margins: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How far each margin lies on the other side of its label, shape (n,); below 0 where it agrees."""
    return np.where(labels == 1, -margins, margins)


def choose_disbelief(contradicted: int, judged: int) -> float:
    """How far a margin must lie on the other side of a label for the label to be more likely wrong than right.

    By Bayes' rule, with the calibration's slope before any mail is known and the share of wrong labels that the mail
    so far bears out. Where labels are mostly right, what a message contradicts is the learner: it is of a new kind.

    Args:
        contradicted: So many labels were contradicted by more than ``DISBELIEF``.
        judged: Of so many.

    Returns:
        The strength (see ``contradict_labels``), 1.3 before anything was judged.
    """
    wrong = (contradicted + 1.0) / (judged + LABELS_A_WRONG_ONE)
    return float(np.log((1.0 - wrong) / wrong) / PRIOR_SLOPE)


def suspect_labels(
    day: str,
    message_ids: npt.NDArray[np.object_],
    labels: npt.NDArray[np.int8],
    margins: npt.NDArray[np.float64],
    calibration: Calibration,
) -> list[SuspectLabel]:
    """Suspect labels among n messages of a day, whose margins do not come from their own labels."""
    strengths, scores = contradict_labels(labels, margins), calibration.apply(margins)
    return [
        SuspectLabel(str(message_ids[at]), day, int(labels[at]), float(scores[at]), float(strengths[at]))
        for at in np.flatnonzero(strengths > DISBELIEF)
    ]


def find_contradicting_day(day: str, strengths: npt.NDArray[np.float64]) -> ContradictingDay | None:
    """Judge a day by how far the margins that it got before it was learnt contradict its labels.

    Source of the idea: rejecting a batch on its negative impact (Nelson et al. 2008, "Exploiting Machine Learning to
    Subvert Your Spam Filter", RONI); here the labels are held against the learner instead of training it twice.
    """
    contradicted = int(np.sum(strengths > DISBELIEF))
    if contradicted < max(LEAST_CONTRADICTED, CONTRADICTED_SHARE * len(strengths)):
        return None
    return ContradictingDay(day, len(strengths), contradicted)


def rank_suspects(suspects: Iterable[SuspectLabel]) -> tuple[SuspectLabel, ...]:
    """The strongest ``MOST_SUSPECTS``, strongest first; equally strong ones by day and id."""
    ranked = sorted(suspects, key=lambda suspect: (-suspect.strength, suspect.day, suspect.message_id))
    return tuple(ranked[:MOST_SUSPECTS])


def pack_records(records: Iterable[SuspectLabel] | Iterable[ContradictingDay]) -> npt.NDArray[np.uint8]:
    """Records as the bytes of a JSON list; an array of strings would be as wide as the longest id."""
    return np.frombuffer(json.dumps([asdict(record) for record in records]).encode("ascii"), np.uint8)


def unpack_suspects(content: npt.NDArray[np.uint8]) -> tuple[SuspectLabel, ...]:
    """Undo ``pack_records``."""
    return tuple(SuspectLabel(**record) for record in json.loads(content.tobytes()))


def unpack_contradicting_days(content: npt.NDArray[np.uint8]) -> tuple[ContradictingDay, ...]:
    """Undo ``pack_records``."""
    return tuple(ContradictingDay(**record) for record in json.loads(content.tobytes()))
