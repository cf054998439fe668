"""The command line as flags; whatever is wrong with it becomes one line."""

import difflib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import config_flags

from ncd_jax.errors import UserError
from ncd_jax.methods import METHODS, load_plugin

__all__ = ["OF_THE_TABLE", "define_flags", "flags_kept", "load_plugins", "read_flags"]

OF_THE_TABLE = (
    *("table", "label", "unlabelled", "columns", "drop", "numbers", "dates", "categories"),
    *("circular", "missing", "encoding", "decimal", "max_gb", "sheet", "id", "keep", "use"),
    *("group", "data_dir"),
)
"""Flags that say which table it is and how it is read."""
_LARGEST = 1 << 20
"""Bytes of a configuration in JSON."""


def define_flags(argv: Sequence[str] = ()) -> flags.FlagValues:
    """The flags, by themselves: whoever imports the package may have others of these names.

    Args:
        argv: what will be parsed; values inside a configuration become flags of their own.
    """
    values = flags.FlagValues()

    def text(name: str, help_text: str) -> None:
        flags.DEFINE_string(name, None, help_text, flag_values=values)

    def number(name: str, help_text: str) -> None:
        flags.DEFINE_integer(name, None, help_text, flag_values=values)

    def names(name: str, help_text: str) -> None:
        flags.DEFINE_list(name, None, help_text, flag_values=values)

    flags.DEFINE_string("mode", "discover", "What to do.", flag_values=values)
    config_flags.DEFINE_config_file(
        "config",
        None,
        f"Configuration: {', '.join(_configs())}, or the path of a file of your own: Python,"
        " which is run, or JSON, which is data alone.",
        flag_values=values,
        sys_argv=list(argv),
    )
    text("table", "Table of your own: CSV, Parquet, Excel, ...; new rows, a folder of such too.")
    text("label", "Its column with class names; empty where a row is unlabelled.")
    text("unlabelled", "A label that means unlabelled as well; unknown and ? do by themselves.")
    names("columns", "Columns to use, with commas between them [those that say something].")
    names("drop", "Columns to leave out.")
    names("numbers", "Columns that are numbers; what spells none in them is a gap.")
    names(
        "dates", "Columns that are dates; NAME:dmy or NAME:mdy says whether day or month is first."
    )
    names("categories", "Columns that are categories, such as numbers that are codes.")
    names("circular", "Columns that begin again, and after what: direction:360,hour:24.")
    names("missing", "Words that mean an empty cell, beside NA, ?, #N/A and the like.")
    text("encoding", "Encoding of the table [found]; utf-8, cp1252, utf-16, ...")
    text("decimal", "Mark of fractions in the table, point or comma [found].")
    flags.DEFINE_float(
        "max_gb", 8.0, "Most that a table may hold unpacked, in gigabytes.", flag_values=values
    )
    text("sheet", "Sheet of an Excel file, its name or number [the first].")
    text("id", "Column that names the rows; it goes into the answer and is no feature.")
    names("keep", "Columns that are copied into the answer.")
    names("use", "Columns to use though they tell labelled rows from unlabelled ones.")
    text("group", "Column of groups (plate, session): folds keep them whole; docs/labels.md.")
    names("names", "Names for novel classes: novel_0=Export,novel_1=Trial.")
    text("answers", "File of answers (question,answer) or of labels (row,label) for --mode=ask.")
    text("workdir", "Folder of the run [runs/NAME_OF_THE_TABLE].")
    text("against", "Folder of the run to compare --workdir with.")
    text("rerun", "Folder of a run to repeat in --workdir, and to say what differs.")
    flags.DEFINE_integer("port", 0, "Port of --mode=app; 0 for a free one.", flag_values=values)
    flags.DEFINE_boolean("browser", True, "Whether --mode=app opens one.", flag_values=values)
    names("plugin", "Files or modules that register methods or benchmark tables of your own.")
    text("data_dir", "Folder where benchmark tables are cached.")
    text("compilation_cache", "Folder where compiled programs are kept, or off.")
    text("coordinator", "HOST:PORT of process 0, where several processes make one run.")
    number("processes", "How many there are.")
    number("process", "Which of them this one is, from 0.")
    return values


def read_flags(argv: Sequence[str]) -> flags.FlagValues:
    """Parses the command line.

    Args:
        argv: the name of the program, and what it was given.

    Raises:
        UserError: an unknown flag or config key, a value of the wrong type, a configuration
            that cannot be read.
    """
    for arg in argv:
        if any("\ud800" <= sign <= "\udfff" for sign in arg):
            raise UserError(f"{arg!r} is not text in UTF-8; write it so, or rename the file")
        name, _, value = arg.partition("=")
        is_flagfile = name in ("-flagfile", "--flagfile")
        if is_flagfile and os.path.exists(value) and not os.path.isfile(value):
            raise UserError(f"{value} is no file; check --flagfile")  # a device may never end
    # Plugins are first, as their hyperparameters are keys of a configuration; that is next,
    # wherever it stood, as its keys are flags only once it is read.
    names, rest = _taken_out("config", load_plugins(argv[1:]))
    name, data = names[-1] if names else "default", list[str]()
    if name.endswith(".json"):
        is_benchmark = _taken_out("mode", rest)[0][-1:] == ["benchmark"]
        file, name = Path(name), "benchmark" if is_benchmark else "default"
        data = _flags_in(file, _keys_of(_config_path(name)))
    path = _config_path(name)
    argv = [argv[0], f"--config={path}", *data, *rest]
    try:
        values = define_flags(argv)
        positional = values(argv)[1:]
        if values.config is None:
            raise UserError("get_config in the config file returns nothing; return a ConfigDict")
        values.config.keys()  # a file that could not be read says so only when it is used
    except UserError:
        raise
    except flags.UnrecognizedFlagError as error:
        raise UserError(_no_such_flag(error.flagname, argv, _keys_of(path))) from error
    except OSError as error:
        raise UserError(f"config file {path!r} cannot be read; check --config") from error
    except (AttributeError, KeyError) as error:
        raise UserError(_no_such_key(path, argv, error)) from error
    except Exception as error:  # a config file is the user's code and may raise anything
        raise UserError(str(error)) from error
    if positional:
        raise UserError(f"{positional[0]!r} is not a flag; flags are written --name=value")
    return values


def flags_kept(given: flags.FlagValues) -> list[str]:
    """What was said of the table, to be kept with a run; paths are those of this machine."""
    kept = []
    for name in OF_THE_TABLE:
        if given[name].present:
            is_path = name in ("table", "data_dir")
            absolute = f"--{name}={Path(str(given[name].value)).absolute()}" if is_path else ""
            kept.append(absolute or given[name].serialize())
    return kept


def load_plugins(args: Sequence[str]) -> list[str]:
    """Loads what `--plugin` names, and returns the other arguments.

    Raises:
        UserError: one is not there or fails, or its record lacks something.
    """
    given, others = _taken_out("plugin", args)
    for place in ",".join(given).split(",") if given else ():
        load_plugin(place)
    return others


def _configs() -> dict[str, Path]:
    """Those of the package: inside it where it is installed, beside it in a checkout."""
    package = Path(__file__).parent
    folders = (package / "configs", package.parent / "configs")
    return {path.stem: path for path in sorted(next(filter(Path.is_dir, folders)).glob("[!_]*.py"))}


def _taken_out(name: str, args: Sequence[str]) -> tuple[list[str], list[str]]:
    """What a flag was given, each time that it was, and the other arguments."""
    values, others = [], []
    rest = iter(args)
    for arg in rest:
        flag, equals, value = arg.partition("=")
        if flag in (f"--{name}", f"-{name}"):
            values.append(value if equals else next(rest, ""))
        else:
            others.append(arg)
    return values, others


def _config_path(name: str) -> str:
    """The path of a configuration.

    That of the default one too: a default of the flag itself would be read, and fail, before there
    is anybody to catch it.
    """
    if name and not re.fullmatch(r"\w+", name):
        if os.path.exists(name) and not os.path.isfile(name):  # a device has no end
            raise UserError(f"{name} is no file; check --config")
        return name
    configs = _configs()
    if name not in configs:
        raise UserError(
            f"there is no config {name!r}; give one of {', '.join(configs)}, or the path of a file"
        )
    return str(configs[name])


def _flags_in(file: Path, keys: Sequence[str]) -> list[str]:
    """The flags that a configuration in JSON stands for; those of the command line come later.

    Args:
        file: of groups in groups, or of keys with dots, or `config.json` of a run. Where there is
            null the default stays.
        keys: that there are.

    Raises:
        UserError: it cannot be read as such, or has another key.
    """
    if not file.is_file():  # whoever opens a pipe waits
        raise UserError(f"{file} is no file; check --config")
    try:
        with file.open("rb") as opened:
            found = json.loads(opened.read(_LARGEST))
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}); check --config") from None
    except (ValueError, RecursionError):
        raise UserError(f"{file} is not valid JSON; check --config") from None
    if isinstance(found, dict) and isinstance(found.get("run"), dict):
        found = found["run"].get("config")
    if not isinstance(found, dict):
        raise UserError(f"{file} has no keys of a configuration; check --config")
    meant = []
    for key, value in _leaves(found):
        if key not in keys:
            close = difflib.get_close_matches(key, keys, 1, cutoff=0.0)
            raise UserError(f"{file}: {key!r} is no config key; did you mean {close[0]}?")
        if not isinstance(value, str | int | float | None):
            raise UserError(f"{file}: {key} is {json.dumps(value)[:40]}; give a text or a number")
        if value is not None:
            text = value if isinstance(value, str) else json.dumps(value)
            meant.append(f"--config.{key}={text}")
    return meant


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _keys_of(path: str) -> list[str]:
    """The keys of a configuration as its file has them; none where it cannot be read."""
    argv = ["", f"--config={path}"]
    try:
        values = define_flags(argv)
        values(argv)
        return [key for key, _ in _leaves(values.config.to_dict())]
    except OSError:
        return []


def _no_such_key(path: str, argv: Sequence[str], error: Exception) -> str:
    """Says what is wrong with a key, on the command line or in the file itself."""
    try:
        keys = _keys_of(path)
    except (AttributeError, KeyError) as in_file:
        error, keys = in_file, []
    for name in re.findall(r"^--?(config\.[\w.]+)", "\n".join(argv), re.MULTILINE):
        if keys and not any(f"config.{key}.".startswith(f"{name}.") for key in keys):
            return _no_such_flag(name, argv, keys)
    reason = error.args[0]
    reason = reason.args[0] if isinstance(reason, KeyError) else reason
    return f"there is no such config key: {reason}"


def _no_such_flag(flag: str, argv: Sequence[str], keys: Sequence[str]) -> str:
    """Says which flag, or which key of the configuration, an unknown flag may be."""
    name = flag.removeprefix("config.")
    if meant := [key for key in keys if f".{key}".endswith(f".{name}")]:
        key, value = min(meant, key=len), _value(flag, argv)
        remedy = f"write --config.{key}={value}"
        if key == "method" and value not in (*METHODS, "auto"):
            remedy += f", but {value!r} {METHODS.unknown(value)}"
    elif group := [f"--config.{key}" for key in keys if key.startswith(f"{name}.")]:
        remedy = f"write one of {', '.join(group)}"
    else:
        known = {key: f"--config.{key}" for key in keys}
        known |= {key.rpartition(".")[2]: f"--config.{key}" for key in keys}
        known |= {name: f"--{name}" for name in define_flags()}
        close = difflib.get_close_matches(name, known, 5)
        close.sort(key=lambda key: sorted(key) != sorted(name))  # two letters that changed places
        remedy = f"did you mean {known[close[0]]}?" if close else "--help shows what there is"
    return f"there is no flag --{flag}; {remedy}"


def _value(flag: str, argv: Sequence[str]) -> str:
    """What a flag was given: `--flag=value` or `--flag value`."""
    for arg, following in zip(argv, [*argv[1:], "-"], strict=True):
        name, equals, value = arg.partition("=")
        if name.lstrip("-") == flag and name != flag:
            return value if equals else "VALUE" if following.startswith("-") else following
    return "VALUE"
