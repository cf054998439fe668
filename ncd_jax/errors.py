"""The one exception that speaks to the user, and what nobody may say."""

import re

__all__ = ["UserError", "without_password"]


class UserError(Exception):
    """A mistake that the user can mend.

    Its message is one line that names the thing and the remedy; the program prints it
    and ends with exit status 2. Raise it before anything is written.
    """


def without_password(text: str) -> str:
    """The text with three asterisks for every password in a URL."""
    text = re.sub(r"(://[^:/@\s]*):\S*@", r"\1:***@", text)
    return re.sub(r"([?&]\w*password=)[^&\s]*", r"\1***", text)
