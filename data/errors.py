"""The one exception that is meant for the person at the keyboard."""

LONGEST = 500  # characters of a message


class UserError(ValueError):
    """A mistake of the user's: one line that names the cause and the mend.

    The command line prints the line and exits with status 2. Anything else that is raised is a bug of ours.
    """

    def __init__(self, message):
        super().__init__(one_line(message))


def one_line(message):
    """The message without line ends, and without its middle when it is long: what it quotes may be anything."""
    line = " ".join(str(message).split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}"
