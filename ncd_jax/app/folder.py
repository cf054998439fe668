"""The folder of runs: which there are, how far each is, and what the page keeps beside them.

A run lies in `FOLDER/NAME`, as the command line would have made it. What the page needs of its own
lies in `FOLDER/.app/NAME`: the table that was brought, the plan, the console of the run and files
of new rows. Nothing outside of the folder is read or written.
"""

import csv
import dataclasses
import io
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ml_collections

from ncd_jax.config import parse
from ncd_jax.errors import UserError
from ncd_jax.flags import read_flags
from ncd_jax.report.headline import headline
from ncd_jax.store.records import read_metrics
from ncd_jax.store.workdir import Workdir

__all__ = ["Folder", "Plan", "Run", "from_here", "read_facts", "safe_name", "write_facts"]

_OWN, _PLAN, _STATUS, CONSOLE = ".app", "plan.json", "status.json", "console.txt"


def safe_name(name: str) -> str:
    """The last part of a path, as any file system takes it: letters, digits, `.`, `-`, `_`."""
    last = re.sub(r"[^\w.-]+", "_", re.split(r"[\\/]", name)[-1]).lstrip(".-")
    return last[-80:] or "table"


@dataclass(frozen=True)
class Plan:
    """What a run is told: the flags of one command, as a record that forms can change.

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

    def flags(self, table: Path, workdir: Path) -> list[str]:
        """The flags of the command that does it."""
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
        flags = [f"--config.{key}={value}" for key, value in self.settings.items()]
        config = read_flags(["ncd-jax", *flags]).config
        parse(config)
        return config


@dataclass(frozen=True)
class Run:
    """A run, or the plan of one: its working directory, and what is the page's own of it."""

    name: str
    root: Path
    own: Path

    @property
    def workdir(self) -> Workdir:
        """Its working directory, for reading."""
        return Workdir(self.root)

    @property
    def plan(self) -> Plan | None:
        """What it is told; none of a run that was made on the command line."""
        facts = read_facts(self.own / _PLAN)
        return Plan(**facts) if facts else None

    @property
    def table(self) -> Path | None:
        """The file of the table, if it was brought here."""
        plan = self.plan
        return self.own / plan.file if plan else None

    @property
    def is_begun(self) -> bool:
        """Whether its folder belongs to a run by now, so that the plan must stay."""
        return (self.root / "config.json").is_file()

    @property
    def is_done(self) -> bool:
        """Whether it came to its end."""
        return self.is_begun and self.workdir.is_complete

    @property
    def status(self) -> int | None:
        """The exit status of its last process; none where none has ended."""
        status = read_facts(self.own / _STATUS).get("status")
        return status if isinstance(status, int) else None

    @property
    def console(self) -> str:
        """What its last process has said."""
        try:
            text = (self.own / CONSOLE).read_bytes()[-(1 << 18) :]
        except OSError:
            return ""
        return text.decode("utf-8", errors="replace")

    @property
    def headline(self) -> str:
        """What it found, in a line; empty where it is not at its end."""
        if not self.is_done:
            return ""
        try:
            return headline(read_metrics(self.workdir))
        except UserError as error:
            return str(error)

    def flags(self) -> list[str]:
        """Those of the command that makes it, with paths as they are seen from here.

        Raises:
            UserError: it was made on the command line.
        """
        plan, table = self.plan, self.table
        if plan is None or table is None:
            raise UserError(f"{self.name} was made on the command line; go on with it there")
        return plan.flags(from_here(table), from_here(self.root))

    def save(self, plan: Plan) -> None:
        """Keeps another plan."""
        write_facts(self.own / _PLAN, dataclasses.asdict(plan))

    def forget(self) -> None:
        """Deletes what the page keeps of a plan that nobody has begun to run.

        Raises:
            UserError: somebody has.
        """
        if self.is_begun:
            raise UserError(f"{self.name} is begun; delete its folder {self.root} yourself")
        shutil.rmtree(self.own, ignore_errors=True)

    def say_status(self, status: int | None) -> None:
        """Keeps how the last process ended; none while one is on its way."""
        write_facts(self.own / _STATUS, {"status": status})


class Folder:
    """Runs side by side in `root`."""

    def __init__(self, root: Path) -> None:
        """Makes it where it does not exist.

        Raises:
            UserError: it cannot be written.
        """
        try:
            (root / _OWN).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"the folder {root} cannot be written ({error.strerror}); choose another --workdir"
            ) from None
        self.root = root

    def runs(self) -> list[Run]:
        """All runs and plans, the one that was changed last first."""
        names = {path.parent.name for path in self.root.glob("*/config.json")}
        names |= {path.parent.name for path in (self.root / _OWN).glob(f"*/{_PLAN}")}
        found = [run for name in names if (run := self.find(name)) is not None]
        return sorted(found, key=lambda run: (-_changed(run), run.name))

    def find(self, name: str) -> Run | None:
        """The run of this name; none where there is none, or it is outside of the folder."""
        if not name or name.startswith(".") or re.search(r"[\\/\0]", name):
            return None
        run = self._run(name)
        for path in (run.root, run.own):
            if path.exists() and path.resolve().parent != path.parent.resolve():
                return None
        return run if run.is_begun or run.plan is not None else None

    def new(self, file: str) -> Run:
        """A place for a run on a file of this name."""
        stem = safe_name(file).split(".")[0] or "table"
        return self._run(self._free(stem))

    def sibling(self, run: Run) -> Run:
        """A place for another run on the same table, which is there too."""
        plan, table = run.plan, run.table
        if plan is None or table is None or not table.is_file():
            raise UserError(f"the table of {run.name} is not here; bring it again")
        other = self._run(self._free(re.sub(r"-\d+$", "", run.name)))
        other.own.mkdir(parents=True)
        try:
            (other.own / plan.file).hardlink_to(table)
        except OSError:
            shutil.copyfile(table, other.own / plan.file)
        other.save(plan)
        return other

    def _run(self, name: str) -> Run:
        return Run(name, self.root / name, self.root / _OWN / name)

    def _free(self, stem: str) -> str:
        name, i = stem, 1
        while (self.root / name).exists() or (self.root / _OWN / name).exists():
            i += 1
            name = f"{stem}-{i}"
        return name


def from_here(path: Path) -> Path:
    """The path as somebody writes it in the folder that the program was started in."""
    path, here = path.absolute(), Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _changed(run: Run) -> float:
    times = [run.root / "metrics.json", run.root / "config.json", run.own / _PLAN]
    return max((path.stat().st_mtime for path in times if path.exists()), default=0.0)


def read_facts(path: Path) -> dict[str, Any]:
    """What `write_facts` has kept; nothing where nothing was."""
    try:
        facts = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def write_facts(path: Path, facts: Any) -> None:
    """Keeps something of the page's own as JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(facts, ensure_ascii=False, indent=2), encoding="utf-8")
    part.replace(path)


def _listed(names: list[str]) -> str:
    """Names as a flag takes them: with commas, in quotes where they hold some."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(names)
    return line.getvalue()
