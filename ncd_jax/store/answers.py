"""Answers of a person as files: `question,answer`, or `row,label` for single rows."""

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import NamedTuple

from ncd_jax.ask.state import ANSWERS
from ncd_jax.errors import UserError
from ncd_jax.store.workdir import as_it_was

__all__ = ["KNOWN", "Answers", "is_answer", "read_answers"]

KNOWN = "known:"
"""What stands before the name of a class in the answer *it is the known class X*."""


class Answers(NamedTuple):
    """What a person has said.

    Attributes:
        answers: from question, with its fingerprint, to answer: `yes`, `no`, `mixed`, `unknown`, or
            `known:` and the name of a known class.
        labels: from row number to the name of a class.
    """

    answers: dict[str, str]
    labels: dict[int, str]

    def __len__(self) -> int:
        """How many answers there are."""
        return len(self.answers) + len(self.labels)

    @property
    def mark(self) -> str:
        """Sixteen signs that stand for them, in whatever order they were given."""
        said = [sorted(self.answers.items()), sorted(self.labels.items())]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def is_answer(answer: str) -> bool:
    """Whether a question may have this answer; whether there is such a class is not looked at."""
    return answer in ANSWERS or (len(answer) > len(KNOWN) and answer.startswith(KNOWN))


def read_answers(path: Path) -> Answers:
    """Reads a file of answers: `question,answer`, or `row,label` for single rows.

    Raises:
        UserError: it cannot be read, is of neither shape, or says two things of one question.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        lines = [[cell.strip() for cell in line] for line in csv.reader(io.StringIO(text))]
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; give --answers=FILE") from None
    except (OSError, ValueError, csv.Error):
        raise UserError(f"{path} cannot be read as CSV in UTF-8; check --answers") from None
    header, said = lines[0] if lines else [], Answers({}, {})
    if header[:2] not in (["question", "answer"], ["row", "label"]):
        raise UserError(f"{path} has no header question,answer or row,label; write one")
    for number, line in enumerate(lines[1:], start=2):
        if not any(line):
            continue
        key, value = (as_it_was(cell) for cell in (*line, "", "")[:2])
        where = f"{path}, line {number}"
        if header[0] == "question":
            start, colon, name = value.partition(":")
            value = f"{start.strip().lower()}{colon}{name.strip()}"
            if not is_answer(value):
                raise UserError(
                    f"{where}: {value!r} is no answer; write {', '.join(ANSWERS)} or {KNOWN}CLASS"
                )
            if said.answers.setdefault(key, value) != value:
                raise UserError(f"{where}: {key} has two answers; leave one")
        else:
            if not key.isascii() or not key.isdigit() or not value:
                raise UserError(f"{where}: write a row number and the name of a class")
            if said.labels.setdefault(int(key), value) != value:
                raise UserError(f"{where}: row {key} has two labels; leave one")
    return said
