"""The one exception that speaks to the user."""

__all__ = ["UserError"]


class UserError(Exception):
    """A mistake that the user can mend.

    Its message is one line that names the thing and the remedy; the program prints it
    and ends with exit status 2. Raise it before anything is written.
    """
