"""The methods by name: those of the package, and those of others.

A method of somebody else's becomes one by `register`, by an entry point of the group
`ncd_jax.methods` in a package that is installed, or by `load_plugin` from a file. Each is checked:
its record when it is registered, the functions that its factory makes when they are made, for the
shapes of the table at hand and without computing anything.
"""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from types import ModuleType

from ncd_jax.errors import UserError
from ncd_jax.methods.checks import checked, problems, said
from ncd_jax.methods.spaces import SPACES
from ncd_jax.methods.spec import MethodInfo
from ncd_jax.types import Interval

__all__ = ["METHODS", "Registry", "load_plugin", "register"]

GROUP = "ncd_jax.methods"


class Registry(Mapping[str, MethodInfo]):
    """Methods by name, in the order of tables: those of the package, then others as they came.

    The files of the package's own are loaded one by one when they are asked for, entry points all
    together. What cannot be loaded is no method, and `failures` says why.
    """

    def __init__(self, own: Mapping[str, Callable[[int], dict[str, Interval]]]) -> None:
        self._own = dict(own)
        self._others: dict[str, tuple[MethodInfo, MethodInfo]] = {}  # as given, and checked
        self._failures: dict[str, str] = {}
        self._loaded = False

    def __getitem__(self, name: str) -> MethodInfo:
        if name in self._own:
            info: MethodInfo = importlib.import_module(f"ncd_jax.methods.{name}").INFO
            return info
        self._load()
        return self._others[name][1]

    def __iter__(self) -> Iterator[str]:
        self._load()
        return iter((*self._own, *self._others))

    def __len__(self) -> int:
        self._load()
        return len(self._own) + len(self._others)

    @property
    def spaces(self) -> Mapping[str, Callable[[int], dict[str, Interval]]]:
        """The hyperparameters of each method, for which its file is not loaded."""
        self._load()
        return self._own | {name: info.space for name, (_, info) in self._others.items()}

    @property
    def failures(self) -> Mapping[str, str]:
        """Why entry points could not be loaded, by name."""
        self._load()
        return self._failures

    def add(self, name: str, info: MethodInfo) -> None:
        """Checks a record and adds it; see `register`."""
        if name in self._others and self._others[name][0] == info:
            return
        if not name.isidentifier() or name == "auto":
            raise UserError(f"{name!r} is no name for a method; give letters, digits and _")
        if name in self._own or name in self._others:
            raise UserError(f"there is another method {name!r} already; give this one another name")
        if problem := next(problems(info, self.spaces), ""):
            raise UserError(f"method {name!r}: {problem}")
        self._others[name] = info, replace(info, make=checked(name, info))

    def holds(self, info: MethodInfo) -> bool:
        """Whether this record has a name already."""
        given = [*map(self.__getitem__, self._own), *(given for given, _ in self._others.values())]
        return any(info is each for each in given)

    def unknown(self, name: str) -> str:
        """What to say of a name that is no method's: why it is none, and what there is."""
        if name in self.failures:
            return f"cannot be used: {self.failures[name]}"
        return f"is unknown; choose {' or '.join((*self, 'auto'))}"

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True  # first, as what is loaded may ask for methods itself
        for point in metadata.entry_points(group=GROUP):
            try:
                self.add(point.name, point.load())
            except Exception as error:
                self._failures[point.name] = f"{point.value} fails ({said(error)})"


def register(info: MethodInfo, name: str | None = None) -> None:
    """Makes a method known: to the command line, the estimator and the benchmark, from now on.

    Args:
        info: the record.
        name: what it is called by; the name of its factory by default.

    Raises:
        UserError: the record lacks something, or there is another method of this name.
    """
    METHODS.add(
        getattr(getattr(info, "make", None), "__name__", "") if name is None else name, info
    )


def load_plugin(place: str) -> None:
    """Runs a file, or imports a module, that registers methods or benchmark tables of one's own.

    An `INFO` in it is registered where it has not done so itself.

    Args:
        place: path of a Python file, or name of a module.

    Raises:
        UserError: it is not there or fails, or its record lacks something.
    """
    is_file = place.endswith(".py") or "/" in place or "\\" in place
    if is_file and not Path(place).is_file():
        raise UserError(f"--plugin={place} is not there; give a Python file, or a module's name")
    try:
        module = _run_file(Path(place)) if is_file else importlib.import_module(place)
    except UserError:
        raise
    except Exception as error:
        remedy = "" if is_file else "; the path of a file ends with .py"
        raise UserError(f"--plugin={place} cannot be loaded ({said(error)}){remedy}") from error
    info = getattr(module, "INFO", None)
    if isinstance(info, MethodInfo) and not METHODS.holds(info):
        register(info)


def _run_file(path: Path) -> ModuleType:
    name = f"ncd_jax_plugin_{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError("it is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


METHODS = Registry(SPACES)
"""All methods that there are."""
