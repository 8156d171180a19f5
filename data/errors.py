"""The one exception that is meant for the person at the keyboard."""


class UserError(ValueError):
    """A mistake of the user's: one line that names the cause and the mend.

    The command line prints the line and exits with status 2. Anything else that is raised is a bug of ours.
    """
