"""The exceptions that end the program in its own way, and what nobody may say or show."""

import re

__all__ = ["Dismissed", "UserError", "printable", "without_password"]

_UNPRINTABLE = (
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters, and marks that turn the direction of writing."""


class UserError(Exception):
    """A mistake that the user can mend.

    Its message is one line that names the thing and the remedy; the program prints it
    and ends with exit status 2. Raise it before anything is written.
    """


class Dismissed(Exception):  # noqa: N818 - no error
    """Process 0 of several has ended, and so do the others.

    Attributes:
        status: its exit status.
    """

    def __init__(self, status: int):
        super().__init__(f"process 0 ended with status {status}")
        self.status = status


def without_password(text: str) -> str:
    """The text with three asterisks for every password in a URL.

    A password may hold blanks and signs of an address that nobody has escaped, so what might still
    belong to it goes too.
    """
    text = re.sub(r"(://[^:/@\s]*):(?!\*{3}@).*@", r"\1:***@", text)
    text = re.sub(
        r"((?:^|[\s=])[\w.%+-]+):(?!\s|//|\*{3}@).*@(?=[\w.-]+(:\d+)?/)", r"\1:***@", text
    )
    secret = r"([?&;]\s*\w*(?:password|passwd|pwd)\s*=\s*)(?!\s|\*{3})[^&]*"
    return re.sub(secret, r"\1***", text, flags=re.IGNORECASE)


def printable(text: str) -> str:
    """The text as a terminal may have it: no sign moves its cursor or turns its writing.

    Control characters and marks of direction are written as Python escapes them; line
    breaks and tabs stay.
    """

    def written(found: re.Match[str]) -> str:
        return found[0].encode("unicode_escape").decode("ascii")

    return re.sub(_UNPRINTABLE, written, text)
