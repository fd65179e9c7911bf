"""Made-up mail for the tests of this room."""

import numpy as np
import pandas as pd

from spam_assets.learning.features import MailFeatures, featurize_mail
from spam_assets.mail.columns import HAM, MAIL_COLUMNS, SPAM

_SHARED = ["meeting", "please", "today", "order", "list", "offer", "code", "price", "the", "and", "with"]
_OF_HAM = ["kernel", "patch", "thanks", "wrote", "regards", "branch", "review", "compile", "lunch"]
_OF_SPAM = ["winner", "viagra", "million", "guarantee", "click", "unsubscribe", "loan", "casino", "xxx"]


def make_mail(day: str, *, ham: int, spam: int) -> pd.DataFrame:
    """A day of mail, the same for the same arguments: half of the words tell the class, half do not."""
    generator = np.random.default_rng([int(day.replace("-", "")), ham, spam])
    rows = []
    for number, label in enumerate([HAM] * ham + [SPAM] * spam):
        telling = _OF_SPAM if label == SPAM else _OF_HAM
        words = [*generator.choice(_SHARED, 12), *generator.choice(telling, 3)]
        generator.shuffle(words)
        sender = f"{generator.choice(telling)}@example.org"
        row = (f"{day}-{number}", pd.Timestamp(day, tz="UTC"), sender, "me@example.org", " ".join(words[:3]))
        rows.append((*row, " ".join(words[3:]), None, label))
    return pd.DataFrame(rows, columns=list(MAIL_COLUMNS))


def make_window(days: int, *, ham: int = 20, spam: int = 8) -> dict[str, MailFeatures]:
    """Features of consecutive days."""
    names = [str(day.date()) for day in pd.date_range("2030-01-01", periods=days)]
    return {day: featurize_mail(make_mail(day, ham=ham, spam=spam)) for day in names}
