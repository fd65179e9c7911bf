"""Text of strangers on a terminal or in a log: it moves no cursor, rings no bell and reverses no writing."""


def make_printable(text: str, keep: str = "") -> str:
    r"""Return the text with every character that does not print as its escape, such as `\x1b`.

    Args:
        text: any text.
        keep: characters that stay as they are, such as a line break.
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter in keep else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )
