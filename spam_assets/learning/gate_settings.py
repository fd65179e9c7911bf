"""The settings of the gate; see ``gate``.

All were chosen by days 11 to 45 of the SpamAssassin corpus: what successive daily models did there, with a margin.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GateSettings:
    """How the gate judges.

    Attributes:
        p_value: A candidate is shown to be worse by a difference that is less likely than this by chance. It is judged
            at most ``longest_wait_days + 1`` times, so that by Bonferroni's inequality one that is not worse is
            refused for a measure with a probability of at most 4 %, however the looks depend on each other (Armitage,
            McPherson & Rowe 1969, "Repeated Significance Tests on Accumulating Data").
        method_p_value: That one method learns better than another is shown by a difference that is less likely than
            this by chance; the question is asked anew with every date.
        doubt_p_value: A worse ranking that is less likely than this by chance is in doubt, though not shown.
        ham_margin: So great a share of ham more may be called spam.
        spam_margin: So great a share of spam less may be caught.
        most_wrong_labels: On learnt mail the share of ham that the rival called spam before it learnt it is allowed as
            well, up to this: with 5 % of labels wrong 1.4 % of what is called ham is spam.
        area_margin_percent: So many points of (1-ROCA)% more are allowed.
        least_lost_ham: A candidate that calls so many more messages of ham spam seems worse, shown or not.
        least_missed_spam: The same of spam that it misses.
        least_separation: A candidate whose median ham and spam are not even this share as far apart as the rival's
            seems worse. Of daily models on days 11 to 45 of the corpus the newer one always had at least 0.989, however
            young they were, and 0.983 with 10 % of the labels wrong.
        least_ham: Fewer messages of ham that neither has learnt are too little evidence.
        least_spam: The same for spam.
        mature_messages: A champion that has learnt fewer of ham or of spam says nothing of a day's labels.
        settled_messages: While a champion has learnt fewer of ham or of spam its threshold still moves and more mail
            counts more than caution: nothing waits for evidence beside it, and a best model like that is a standard
            for separation only.
        longest_wait_days: So many days after its training date a candidate that was not shown to be worse is promoted.
        best_of_days: The best champion counts for so long after its training date.
        least_own_recall: A candidate must catch this share of the spam that it has learnt itself,
        most_own_fpr: and may call so much of the ham that it has learnt spam: wrong labels make some of it.
        most_changed_labels: More labels than this share, other than those that the champion learnt, are in doubt.
        most_contradicted_labels: A new day is in doubt when the champion contradicts more of its labels,
        least_contradicted_messages: if it has so many messages.
        first_area_percent: A first champion may have so much (1-ROCA)% on mail that was scored before it was learnt.
            Wrong labels alone make some: with 5 % of them a perfect filter has 8.6 where 22 % is spam, and 25 where 5 %
            is.
        first_messages: It is judged by at least so many messages, of both classes.
    """

    p_value: float = 0.01
    method_p_value: float = 0.001
    doubt_p_value: float = 0.05
    ham_margin: float = 0.001
    spam_margin: float = 0.03
    most_wrong_labels: float = 0.02
    area_margin_percent: float = 0.2
    least_lost_ham: int = 1
    least_missed_spam: int = 2
    least_separation: float = 0.97
    least_ham: int = 10
    least_spam: int = 5
    mature_messages: int = 50
    settled_messages: int = 300
    longest_wait_days: int = 3
    best_of_days: int = 365
    least_own_recall: float = 0.3
    most_own_fpr: float = 0.1
    most_changed_labels: float = 0.1
    most_contradicted_labels: float = 0.5
    least_contradicted_messages: int = 10
    first_area_percent: float = 30.0
    first_messages: int = 50
