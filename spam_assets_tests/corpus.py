"""The SpamAssassin corpus that `spam-assets demo` runs on, for slow tests; downloaded, and skipped where that fails."""

from pathlib import Path

import pytest

from spam_assets.landing.importers.days import land_messages
from spam_assets.landing.importers.labelled_messages import MailImportError
from spam_assets.landing.importers.spamassassin import corpus_messages, fetch_corpus
from spam_assets.landing.zone import LandingZone


def land_first_days(folder: Path, cache: Path, last_day: str, first_day: str = "") -> list[str]:
    """Land the corpus's days up to one, or those of a range, and return them."""
    try:
        archives = fetch_corpus(cache)
    except MailImportError as error:
        pytest.skip(str(error))
    folder.mkdir(parents=True, exist_ok=True)
    messages = (
        message
        for message in corpus_messages(archives)
        if message.received_at is not None and first_day <= message.received_at.date().isoformat() <= last_day
    )
    return list(land_messages(messages, LandingZone(str(folder))).days)
