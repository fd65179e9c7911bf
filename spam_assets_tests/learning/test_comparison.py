"""Who wins a comparison of methods, in words."""

import numpy as np

from spam_assets.learning.comparison import say_who_wins
from spam_assets.learning.replayed_days import ScoredMail


def score_mail(noise: float, *, spam_share: float = 0.5, seed: int = 0) -> ScoredMail:
    """Twenty days of forty messages, whose scores follow the labels but for noise."""
    random = np.random.default_rng(seed)
    labels = (np.arange(800) % 40 < 40 * spam_share).astype(np.int8)
    scores = labels + noise * random.standard_normal(800)
    return ScoredMail(labels, scores, np.full(800, 0.5), np.repeat(np.arange(20, dtype=np.int32), 40))


def test_a_method_that_ranks_better_on_every_day_is_proven_better_whoever_stands_first() -> None:
    runs = {"weak": score_mail(1.0), "strong": score_mail(0.3)}
    said = say_who_wins(runs)
    assert said.startswith("strong ranks best")
    assert said.endswith("that strong is better is proven")
    assert said.split(";")[0] == say_who_wins(dict(reversed(runs.items()))).split(";")[0]


def test_two_methods_that_differ_by_chance_are_not_proven_to_differ() -> None:
    said = say_who_wins({"one": score_mail(0.5, seed=1), "other": score_mail(0.5, seed=2)})
    assert "is not proven, for the interval holds 0" in said


def test_nobody_wins_on_mail_of_one_class_or_alone() -> None:
    assert say_who_wins({"one": score_mail(1, spam_share=0), "other": score_mail(1, spam_share=0)}) == (
        "nobody wins: the mail is of one class"
    )
    assert say_who_wins({"one": score_mail(0.5)}).endswith("there is nobody to compare it with")
