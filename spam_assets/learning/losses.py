"""What a candidate is worse at than another model on the same mail.

Ham that it loses, spam that it misses, and the ranking are losses that can be shown. That ham and spam are less far
apart is a sign of losses to come: a model can lose much of its strength before a message at hand changes sides, and
mail to come is less like what was learnt.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import comb

import numpy as np

from spam_assets.learning.evaluation import compare_scores, one_minus_roca_percent
from spam_assets.learning.evidence import Examination, Pair
from spam_assets.learning.gate_settings import GateSettings


@dataclass(frozen=True)
class Loss:
    """Something at which the candidate is worse by more than the margin.

    Attributes:
        sentence: What, with its numbers.
        is_shown: Whether chance is out of the question.
    """

    sentence: str
    is_shown: bool


def find_losses(pair: Pair, rival: str, settings: GateSettings, *, unlearnt_fpr: float) -> Iterator[Loss]:
    """Where the candidate is worse than a rival by more than the margins.

    Ham that is lost on mail that both have learnt counts only beyond the share that the rival itself called spam before
    it was learnt, up to a limit: that is where wrong labels are, and of those a model forgets some every day.

    Args:
        pair: The candidate and the rival.
        rival: As sentences call it.
        settings: See ``GateSettings``.
        unlearnt_fpr: Share of ham that the rival called spam before it was learnt; NaN if unknown.
    """
    wrong_labels = np.fmax(min(unlearnt_fpr, settings.most_wrong_labels), settings.ham_margin)
    yield from _find_wrong_calls(pair.learnt, rival, "both have learnt", float(wrong_labels), settings)
    yield from _find_wrong_calls(pair.unlearnt, rival, "neither has learnt", settings.ham_margin, settings)
    yield from _find_worse_ranking(pair.unlearnt, rival, settings)


def _find_wrong_calls(pair: Pair, rival: str, where: str, ham_margin: float, settings: GateSettings) -> Iterator[Loss]:
    ours, theirs, is_ham = pair.ours.called, pair.theirs.called, pair.ours.is_ham
    lost, saved = int((is_ham & ours & ~theirs).sum()), int((is_ham & ~ours & theirs).sum())
    if lost - saved >= max(settings.least_lost_ham, ham_margin * pair.ours.ham):
        what = f"calls {lost} ham spam that {rival} lets pass"
        yield _weigh_loss(what, lost, saved, f"{pair.ours.ham} ham that {where}", settings)
    missed, won = int((~is_ham & ~ours & theirs).sum()), int((~is_ham & ours & ~theirs).sum())
    if missed - won >= max(settings.least_missed_spam, settings.spam_margin * pair.ours.spam):
        what = f"misses {missed} spam that {rival} catches"
        yield _weigh_loss(what, missed, won, f"{pair.ours.spam} spam that {where}", settings)


def _weigh_loss(what: str, worse: int, better: int, of: str, settings: GateSettings) -> Loss:
    """Weigh messages that only the rival gets right against those that only the candidate does.

    McNemar's test (1947), exact and one-sided.
    """
    p_value = _tail_of_coin(worse, worse + better)
    sentence = f"{what}, against {better} the other way round, of {of} (p = {p_value:.2g})"
    return Loss(sentence, p_value <= settings.p_value)


def _find_worse_ranking(unlearnt: Pair, rival: str, settings: GateSettings) -> Iterator[Loss]:
    """The ranking, by the paired bootstrap of (1-ROCA)% (Efron & Tibshirani 1993)."""
    labels, scores, others = unlearnt.ours.labels, unlearnt.ours.scores, unlearnt.theirs.scores
    area, other_area = one_minus_roca_percent(labels, scores), one_minus_roca_percent(labels, others)
    if not area - other_area > settings.area_margin_percent:  # nor where it is NaN, without ham or without spam
        return
    p_value = 1 - compare_scores(labels, scores, others).share_above_zero
    if p_value > settings.doubt_p_value:
        return
    sentence = (
        f"ranks worse than {rival}: (1-ROCA)% {area:.3f} against {other_area:.3f} on {len(labels)} messages that "
        f"neither has learnt (p = {p_value:.2g})"
    )
    yield Loss(sentence, p_value <= settings.p_value)


def find_less_separation(pair: Pair, rival: str, settings: GateSettings) -> Iterator[Loss]:
    """Whether ham and spam are less far apart, wherever the threshold is; never shown either."""
    ours, theirs = (_measure_separation(side) for side in _on_equal_terms(pair))
    if theirs > 0 and ours < settings.least_separation * theirs:
        sentence = (
            f"separates ham and spam less: half of one is {ours:.2f} from half of the other, against {theirs:.2f} of "
            f"{rival}, on {len(pair.on_equal_terms.ours.labels)} messages; at least {settings.least_separation:.0%} of "
            "that is asked for"
        )
        yield Loss(sentence, is_shown=False)


def is_behind(pair: Pair, *, in_separation: bool, in_calls: bool) -> bool:
    """Whether the candidate is behind in anything, by however little.

    Args:
        pair: The candidate and the other model.
        in_separation: Whether separation counts.
        in_calls: Whether ham lost, spam caught and the ranking count.
    """
    ours, theirs = _on_equal_terms(pair)
    if in_separation and _measure_separation(ours) < _measure_separation(theirs):
        return True
    unlearnt = pair.unlearnt
    area, other_area = (one_minus_roca_percent(side.labels, side.scores) for side in (unlearnt.ours, unlearnt.theirs))
    return in_calls and (
        area > other_area
        or any(
            some.ours.lost_ham > some.theirs.lost_ham or some.ours.caught_spam < some.theirs.caught_spam
            for some in (unlearnt, pair.learnt)
        )
    )


def _on_equal_terms(pair: Pair) -> tuple[Examination, Examination]:
    return pair.on_equal_terms.ours, pair.on_equal_terms.theirs


def _measure_separation(side: Examination) -> float:
    """Median margin of spam minus median margin of ham; NaN where one is absent."""
    if not side.ham or not side.spam:
        return float("nan")
    return float(np.median(side.margins[~side.is_ham]) - np.median(side.margins[side.is_ham]))


def _tail_of_coin(heads: int, throws: int) -> float:
    """Probability of at least so many heads of a fair coin; for this alone every run would import `scipy.stats`."""
    return float(sum(comb(throws, count) for count in range(heads, throws + 1)) / 2**throws)
