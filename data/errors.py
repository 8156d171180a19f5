"""The one exception that is meant for the user."""

LONGEST = 500  # characters of a message


class UserError(ValueError):
    """A mistake of the user's: one line that names the cause and the fix.

    The command line prints the line and exits with status 2. Any other exception is a bug of this project.
    """

    def __init__(self, message: str):
        super().__init__(one_line(message))


def one_line(message) -> str:
    """The message without line breaks, and without its middle if it is long: it may quote anything."""
    line = printable(" ".join(str(message).split()))
    return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}"


def printable(text: str) -> str:
    """The text with escape codes and other characters that a terminal would act on written out, as in "\\x1b"."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
