"""What can go wrong with landing files, as errors whose message is one sentence with the remedy."""


class LandingError(Exception):
    """A landing file or zone cannot be used; the message is one sentence with the remedy."""


class LandingZoneError(LandingError):
    """The zone itself cannot be used: it is not there, or whatever leads to it fails. No file is to blame."""


class LandingFileMissing(LandingError):  # noqa: N818
    """The zone can be read and holds no file for the day."""
