"""What a model says about the labels that it was given, as verdicts for checks."""

from spam_assets.learning.trained_model import TrainedModel
from spam_assets.mail.verdicts import Verdict


def labels_agree_with_earlier_days(model: TrainedModel, day: str) -> Verdict:
    """The day's labels do not contradict what the days before it in the model's window taught."""
    rule = "labels_agree_with_earlier_days"
    for found in model.contradicting_days:
        if found.day == day:
            figures = {"messages": found.messages, "contradicted": found.contradicted}
            return Verdict(rule, passed=False, sentence=found.sentence, figures=figures)
    suspects = sum(suspect.day == day for suspect in model.suspects)
    sentence = f"training day {day}: the labels agree with what the days before taught; suspect labels: {suspects}."
    return Verdict(rule, passed=True, sentence=sentence, figures={"suspects": suspects})
