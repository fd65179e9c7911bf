"""What can go wrong with landing files, as errors whose message is one sentence with the remedy."""

from spam_assets.mail.printing import make_printable


class LandingError(Exception):
    """A landing file or zone cannot be used; the message is one sentence with the remedy.

    It may quote the file, which is hostile, and ends in logs and on terminals, so it is made printable.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(make_printable(sentence))


class LandingZoneError(LandingError):
    """The zone itself cannot be used: it is not there, or whatever leads to it fails. No file is to blame."""


class LandingFileMissing(LandingError):  # noqa: N818
    """The zone can be read and holds no file for the day."""
