"""The answer to `--help`."""

import importlib.util
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping
from importlib.abc import InspectLoader
from operator import attrgetter

from ncd_jax import config as run_config
from ncd_jax.flags import define_flags
from ncd_jax.methods import METHODS

__all__ = ["usage"]

_KEYS = {
    "method": "one of those above, or auto: each is tuned, the best one answers",
    "seed": "source of all randomness",
    "search.candidates": "hyperparameter candidates to try",
    "search.folds": "times some known classes are hidden",
    "search.k_known": "whether the number of novel classes is given",
    "train.epochs": "passes over all rows",
    "train.batch_size": "rows in a step",
    "k.index": "what chooses the number of novel classes",
    "k.max": "largest number considered",
}
_EXAMPLES = """\
{program}
{program} --config=pendigits --workdir=runs/pendigits --config.search.candidates=64
{program} --table=customers.csv --label=segment --workdir=runs/customers"""


def usage(program: str, modes: Mapping[str, str]) -> str:
    """What the program can be told, by the name it was called by; modes with what they do."""
    defaults = run_config.default_config()
    methods = {name: _first_line(name) for name in METHODS}
    methods |= {name: METHODS.unknown(name) for name in METHODS.failures}
    keys = {f"{key}={_default(attrgetter(key)(defaults))}": text for key, text in _KEYS.items()}
    keys["hparams.NAME"] = f"fixed instead of tuned: {', '.join(defaults.hparams)}"
    flags = define_flags()
    return "\n".join(
        [
            "Finds novel classes in a table: how many, and which row belongs to which.",
            "",
            f"{program} [--flag=value ...] [--config.key=value ...]",
            *_section("modes, --mode=", modes.items()),
            *_section("methods, --config.method=", methods.items()),
            *_section("keys that everyone meets, --config.", keys.items()),
            *_section("flags, --", [(name, flags[name].help) for name in flags]),
            *_section("also", [("help", "This text."), ("version", "The version.")]),
            "",
            "examples",
            textwrap.indent(_EXAMPLES.format(program=program), "  "),
        ]
    )


def _section(title: str, lines: Iterable[tuple[str, str]]) -> list[str]:
    lines = list(lines)
    width = max(len(name) for name, _ in lines) + 4
    columns = min(100, shutil.get_terminal_size().columns)
    texts = [
        textwrap.fill(
            text,
            max(columns, width + 20),
            initial_indent=f"  {name}".ljust(width),
            subsequent_indent=" " * width,
        )
        for name, text in lines
    ]
    return ["", title, *texts]


def _first_line(name: str) -> str:
    """Of the file that a method is in; those of the package are read, as running them takes JAX."""
    spec = importlib.util.find_spec(f"ncd_jax.methods.{name}")
    if spec and isinstance(spec.loader, InspectLoader):
        source = spec.loader.get_source(spec.name) or ""
        return source.partition("\n")[0].strip('"')
    info = METHODS[name]
    module = sys.modules.get(getattr(info.make, "__module__", ""))
    return ((module and module.__doc__) or info.title).splitlines()[0]


def _default(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
