"""The folders that faults happen to."""

import shutil
from pathlib import Path

import pytest
from launching import call
from modes import MODES, Mode, outcome, recorded, write_answers, write_inputs
from moments import Moments

from ncd_jax.methods import METHODS
from ncd_jax.report import page
from ncd_jax.report.templating import pack
from ncd_jax.tuning import storage


@pytest.fixture(scope="module", autouse=True)
def _in_a_moment(simple_maps):
    """What takes time and is no state of a folder: t-SNE, dead locks, Plotly's script."""
    nothing = pack("")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "packed_plotly", lambda: nothing)
        patch.setattr(storage, "GRACE", 0.05)
        patch.setattr(METHODS, "_others", {})  # what a plugin adds is forgotten again
        yield


class Stage:
    """Folders in which a command can be given, as often as it takes.

    Args:
        root: where they are.
    """

    def __init__(self, root: Path):
        self._root, self._n = root, 0
        self._moments: dict[str, Moments] = {}
        self._outcomes: dict[str, dict] = {}
        (root / "inputs").mkdir()
        write_inputs(root / "inputs")

    def folder(self, mode: Mode) -> Path:
        """A new folder in which the command has all that it needs."""
        self._n += 1
        folder = self._root / str(self._n) / "here"
        folder.mkdir(parents=True)
        for path in (self._root / "inputs").iterdir():
            (folder / path.name).symlink_to(path)
        if mode.needs:
            shutil.copytree(self.run("run, rca"), folder / "work")
            write_answers(folder)
        if mode.needs == "two runs":
            (folder / "other").symlink_to(self.run("run, other"))
        return folder

    def undisturbed(self, name: str) -> Moments:
        """The moments of the command where nothing happens; it is given once."""
        if name not in self._moments:
            folder = self.folder(MODES[name])
            self._moments[name] = recorded(MODES[name], folder)
            self._outcomes[name] = outcome(folder / "work")
        return self._moments[name]

    def run(self, name: str) -> Path:
        """The working directory of a finished run."""
        return self.undisturbed(name).root

    def outcome(self, name: str) -> dict:
        """What the undisturbed command comes to."""
        self.undisturbed(name)
        return self._outcomes[name]

    def difference(self, name: str, folder: Path) -> list[str]:
        """Gives the command again, and says in which files it comes to something else.

        What it says on stderr is there too where it fails.
        """
        ended = call(*MODES[name].flags, cwd=folder)
        expected, found = self.outcome(name), outcome(folder / "work")
        differ = [path for path in {**expected, **found} if expected.get(path) != found.get(path)]
        return [*differ, ended.stderr[-300:]] if ended.returncode else differ


@pytest.fixture(scope="session")
def stage(tmp_path_factory):
    return Stage(tmp_path_factory.mktemp("faults"))
