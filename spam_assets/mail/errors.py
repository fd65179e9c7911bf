"""What can be wrong with mail, as an error whose message is one sentence with the remedy."""


class MailError(ValueError):
    """A file or frame holds no mail that can be read; the message says what to do."""
