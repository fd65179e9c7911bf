"""Champion reports made by hand, and what the retraining rule says of them."""

from datetime import date, timedelta
from math import nan

from spam_assets.learning.reporting import BINS, DayReport
from spam_assets.learning.retraining_rule import ChampionRecord, RetrainingSettings, decide_retraining

TRAINED = "2030-03-01"
CHAMPION = ChampionRecord(TRAINED, learnt_messages=3000, ham=2000, spam=500, fpr=0.001, recall=0.94)
QUIET = RetrainingSettings(max_age_days=1000, least_new_of_a_class=10**9, cool_down_days=0)
"""Neither age nor new mail is a reason."""


def day_after(number: int) -> str:
    return str(date.fromisoformat(TRAINED) + timedelta(days=number))


def spread(messages: int, low_share: float = 0.05, low: int = 2, high: int = 19) -> tuple[int, ...]:
    """So many messages in two bins."""
    counts = [0] * BINS
    counts[low] = round(low_share * messages)
    counts[high] = messages - counts[low]
    return tuple(counts)


def report(
    number: int,
    *,
    ham: int = 40,
    spam: int = 20,
    missed: int = 1,
    called: int = 0,
    champion: str = TRAINED,
    **histograms: tuple[int, ...],
) -> DayReport:
    """The report of the day so many days after the training; figures that the rule does not read are NaN."""
    counted = {
        "ham_scores": spread(ham, 1.0),
        "spam_scores": spread(spam),
        "ham_unknown_words": spread(ham, 0.5, 10, 12),
        "spam_unknown_words": spread(spam, 0.5, 10, 12),
    }
    return DayReport(
        day=day_after(number),
        champion_training_date=champion,
        messages=ham + spam,
        ham=ham,
        spam=spam,
        false_positives=called,
        false_negatives=missed,
        fpr=nan,
        fpr_interval=(nan, nan),
        recall=nan,
        recall_interval=(nan, nan),
        one_minus_roca_percent=nan,
        one_minus_roca_percent_interval=(nan, nan),
        brier=nan,
        spam_share=nan,
        calibration_error=nan,
        unknown_words_share=nan,
        **{**counted, **histograms},
    )


def decide(reports, settings=QUIET, champion=CHAMPION, newest=None, **others):
    newest = newest or max(found.day for found in reports)
    return decide_retraining(reports, champion, newest, settings, **others)


def kinds_of(decision) -> list[str]:
    return [reason.kind for reason in decision.reasons]


OLD = [report(-number, champion="2030-02-01") for number in range(1, 15)]
"""Two quiet weeks before the champion's training date, scored by the one before it."""
