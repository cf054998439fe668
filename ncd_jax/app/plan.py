"""What a run of the page is told: the flags of one command, as a record that forms can change."""

import csv
import dataclasses
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ml_collections

from ncd_jax.config import parse
from ncd_jax.errors import UserError
from ncd_jax.flags import read_flags
from ncd_jax.read.options import ReadOptions

__all__ = ["Plan"]

_FIELDS = {each.name for each in dataclasses.fields(ReadOptions)}


@dataclass(frozen=True)
class Plan:
    """Table, reading and settings.

    Attributes:
        file: name of the table's file.
        label: its column of classes; empty where nobody has chosen it yet.
        unlabelled: the word that means unlabelled too; none for those that do by themselves.
        reading: fields of `ReadOptions` that somebody has set.
        settings: keys of the configuration that somebody has set, and what to.
    """

    file: str
    label: str = ""
    unlabelled: str | None = None
    reading: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> "Plan":
        """From what `dataclasses.asdict` makes of one, by way of JSON."""
        return cls(**facts)

    def options(self) -> ReadOptions:
        """How the table is to be read.

        Raises:
            UserError: a wish makes no sense.
        """
        return ReadOptions(**{name: self.reading[name] for name in self.reading if name in _FIELDS})

    def flags(self, table: Path, workdir: Path) -> list[str]:
        """The flags of the command that does it.

        Args:
            table: the file.
            workdir: of the run.
        """
        said = [f"--table={table}", f"--label={self.label}"]
        if self.unlabelled is not None:
            said.append(f"--unlabelled={self.unlabelled}")
        for name, value in self.reading.items():
            said.append(f"--{name}={value if isinstance(value, str) else _listed(value)}")
        said += [f"--config.{key}={value}" for key, value in self.settings.items()]
        return [*said, f"--workdir={workdir}"]

    def config(self) -> ml_collections.ConfigDict:
        """The configuration, as the command would take it.

        Raises:
            UserError: there is no such key, or it cannot have this value.
        """
        for key in self.settings:
            if not key or "=" in key:
                raise UserError(f"--config.{key}= is no setting; write --config.KEY=VALUE")
        flags = [f"--config.{key}={value}" for key, value in self.settings.items()]
        config = read_flags(["ncd-jax", *flags]).config
        parse(config)
        return config


def _listed(names: list[str]) -> str:
    """Names as a flag takes them: with commas, in quotes where they hold some."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(names)
    return line.getvalue()
