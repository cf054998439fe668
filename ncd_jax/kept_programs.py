"""Programs that a later process neither traces nor lowers again.

JAX keeps what it has compiled, but traces and lowers a program before it can know which one it
needs, and of a run of a thousand rows that is half. Here a program is known by what it is made of:
the function and its static arguments down to what their closures hold, the shapes of the others,
versions, settings, and the source of this package. Its exported form lies beside what JAX keeps,
and is data: StableHLO and the names of tuples, no pickle. What cannot be told apart like this, a
method that somebody else wrote, say, is traced as always.
"""

import contextlib
import dataclasses
import functools
import hashlib
import importlib
import inspect
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from types import FunctionType
from typing import Any, Generic, TypeVar

import jax
import numpy as np
from jax import export

__all__ = ["KeptJit", "keep_traced_programs", "kept", "kept_jit"]

R = TypeVar("R")
_OURS = "ncd_jax"
_LIBRARIES = ("jax", "jaxlib", "flax", "optax")
"""Whose functions are known by name and version, and whose tuples may be made from a file."""
_QUICKLY = {"xla_cpu_use_fusion_emitters": False, "xla_backend_optimization_level": 1}
"""For XLA on CPUs. Measured on the cut of rows: compiled in half of the time, to the same bits, and
as fast on 600 and on 4000 rows."""
_folder: Path | None = None


def keep_traced_programs(folder: Path | None) -> None:
    """Where programs are kept from now on; none, and they are traced by every process.

    Args:
        folder: it has to be there, and its files may be deleted at any time.
    """
    global _folder
    _folder = folder


def kept(name: str, make: Callable[[], tuple[Any, bytes]]) -> tuple[Any, bytes]:
    """What takes long to make and is the same for all runs, from where programs are kept.

    Args:
        name: what it is, its version included.
        make: gives what JSON can say, and bytes.
    """
    if _folder is None:
        return make()
    with contextlib.suppress(OSError, ValueError):
        return _unpacked((_folder / name).read_bytes())
    said, data = make()
    with contextlib.suppress(OSError):  # a full disk costs time and nothing else
        _write(_folder / name, _packed(said, data))
    return said, data


class KeptJit(Generic[R]):
    """A function that is compiled as `jax.jit` does, and whose traced form is kept."""

    def __init__(
        self, function: Callable[..., R], static_argnames: Sequence[str], quickly: bool
    ) -> None:
        """Nothing is traced yet; see `kept_jit`."""
        functools.update_wrapper(self, function)
        self._function, self._static = function, frozenset(static_argnames)
        self._signature, self._quickly = inspect.signature(function), quickly
        self._programs: dict[Any, Callable[..., Any]] = {}

    @functools.cached_property
    def _jitted(self) -> Callable[..., R]:
        return self._jit(self._function, static_argnames=tuple(self._static))

    def _jit(self, function: Callable[..., Any], **how: Any) -> Any:
        return jax.jit(function, compiler_options=_options() if self._quickly else None, **how)

    def __call__(self, *args: Any, **kwargs: Any) -> R:
        """What the function returns; no number of a kept program is weakly typed."""
        if _folder is None:
            return self._jitted(*args, **kwargs)
        given = self._signature.bind(*args, **kwargs).arguments
        static = {name: given.pop(name) for name in self._static & given.keys()}
        leaves, tree = jax.tree.flatten(given)
        kinds = tuple(jax.typeof(leaf) for leaf in leaves)
        # A float of Python's is of the width that is set.
        key = (tuple(sorted(static.items())), tree, kinds, jax.typeof(0.0).dtype)
        program = self._programs.get(key)
        if program is None:
            program = self._programs[key] = self._get(static, tree, leaves, repr(key[1:]))
        return program(leaves)

    def _get(
        self, static: Mapping[str, Any], tree: Any, leaves: Sequence[Any], shape: str
    ) -> Callable[[Sequence[Any]], R]:
        """The program for arguments like these: from the folder, or else traced and kept there."""

        def as_always(leaves: Sequence[Any]) -> R:
            return self._jitted(**static, **jax.tree.unflatten(tree, leaves))

        try:
            parts = [*_parts(self._function, ()), *_parts(static, ()), shape]
        except _UnknownError:
            return as_always
        assert _folder is not None
        digest = hashlib.sha256(json.dumps([_surroundings(), parts]).encode()).hexdigest()
        path, name = _folder / f"traced-{digest[:40]}", self._function.__name__
        with contextlib.suppress(OSError, ValueError):
            return self._runner(name, *_unpacked(path.read_bytes()))
        outputs = list[Any]()

        def flat(*leaves: Any) -> list[Any]:
            result = self._function(**static, **jax.tree.unflatten(tree, leaves))
            outputs.append(result)
            return jax.tree.leaves(result)

        flat.__name__ = name
        try:
            exported = export.export(jax.jit(flat))(*leaves)
            skeleton = _skeleton(outputs[0])
        except (NotImplementedError, _UnknownError):
            return as_always
        if exported.nr_devices > 1:
            return as_always
        data = bytes(exported.serialize())
        with contextlib.suppress(OSError):  # a full disk costs time and nothing else
            _write(path, _packed(skeleton, data))
        return self._runner(name, skeleton, data)

    def _runner(self, name: str, skeleton: Any, data: bytes) -> Callable[[Sequence[Any]], Any]:
        """A program that is called with leaves and returns a tree; profiles show it by its name.

        Raises:
            ValueError: it is of another version.
        """
        exported = export.deserialize(bytearray(data))

        def program(*leaves: Any) -> Any:
            return exported.call(*leaves)

        program.__name__ = name
        run, tree = self._jit(program), jax.tree.structure(_tree(skeleton))
        return lambda leaves: jax.tree.unflatten(tree, run(*leaves))


def kept_jit(
    function: Callable[..., R], *, static_argnames: Sequence[str] = (), quickly: bool = False
) -> KeptJit[R]:
    """`jax.jit` for a large program that most runs need.

    Args:
        function: of arrays and trees of tuples, lists and dictionaries, without effects. It is not
            called under a transformation. What a kept program returns is bound to its device.
        static_argnames: arguments that make the program.
        quickly: whether it runs so seldom that compiling it is most of it.
    """
    return KeptJit(function, static_argnames, quickly)


@functools.cache
def _options() -> dict[str, Any] | None:
    """What compiles quickly, where XLA knows of it: options come and go."""
    if jax.default_backend() != "cpu" or jax.config.read("jax_disable_most_optimizations"):
        return None
    try:
        jax.jit(lambda: 0, compiler_options=_QUICKLY)()
    except RuntimeError:
        return None
    return _QUICKLY


class _UnknownError(Exception):
    """What makes a program cannot be told from something else by its name and values."""


def _parts(value: Any, above: tuple[int, ...]) -> Iterator[str]:
    """Texts that are the same where, and only where, a function or a static value is."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        yield repr(value)
        return
    if id(value) in above:  # a function that calls itself
        yield f"above {above[::-1].index(id(value))}"
        return
    inside = list[Any]()
    if isinstance(value, type):
        yield _name(value)
        return
    if isinstance(value, FunctionType):
        yield _name(value)
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        inside = [value.__defaults__, value.__kwdefaults__, *cells]
    elif isinstance(value, functools.partial):
        inside = [value.func, value.args, value.keywords]
    elif (wrapped := getattr(value, "__wrapped__", None)) is not None:
        inside = [wrapped]
    elif isinstance(value, np.ndarray | np.generic | jax.Array):
        value = np.asarray(value)
        inside = [value.dtype.str, value.shape, value.tobytes()]
    elif dataclasses.is_dataclass(value):
        inside = [getattr(value, field.name) for field in dataclasses.fields(value)]
    elif isinstance(value, Mapping):
        inside = sorted(value.items())
    elif isinstance(value, tuple | list):
        inside = list(value)
    else:
        raise _UnknownError
    yield f"{_name(type(value))} {len(inside)}"
    for each in inside:
        yield from _parts(each, (*above, id(value)))


def _name(value: Any) -> str:
    """Where a class or function is defined; those of others may change without a new version."""
    module = value.__module__ or ""
    known = (_OURS, *_LIBRARIES, "builtins", "collections", "functools", "numpy", "types")
    if module.partition(".")[0] not in known:
        raise _UnknownError
    return f"{module}:{value.__qualname__}"


@functools.cache
def _surroundings() -> list[str]:
    """Versions, settings, devices and source that programs depend on."""
    root, source = Path(__file__).parent, hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        source.update(f"{path.relative_to(root)} {path.stat().st_size}\n".encode())
        source.update(path.read_bytes())
    versions = [metadata.version(name) for name in (*_LIBRARIES, "numpy")]
    settings = [f"{k}={v}" for k, v in sorted(os.environ.items()) if k.startswith(("JAX", "XLA"))]
    devices = [str(jax.device_count()), jax.devices()[0].device_kind, jax.default_backend()]
    return [source.hexdigest(), *versions, *settings, *devices]


def _skeleton(tree: Any) -> Any:
    """A tree without its leaves, as JSON has it."""
    if tree is None:
        return None
    if isinstance(tree, dict):
        return {"keys": list(tree), "of": [_skeleton(each) for each in tree.values()]}
    if isinstance(tree, list | tuple):
        return {"type": _name(type(tree)), "of": [_skeleton(each) for each in tree]}
    if isinstance(tree, jax.Array):
        return 0
    raise _UnknownError


def _tree(skeleton: Any) -> Any:
    """The tree that `_skeleton` was made of, with zeros for its leaves.

    Raises:
        ValueError: it is of something else.
    """
    if not isinstance(skeleton, dict):
        return skeleton
    inside = [_tree(each) for each in skeleton["of"]]
    if "keys" in skeleton:
        return dict(zip(skeleton["keys"], inside, strict=True))
    module, _, name = skeleton["type"].partition(":")
    if module.partition(".")[0] not in (_OURS, *_LIBRARIES, "builtins"):
        raise ValueError(module)
    kind: Any = importlib.import_module(module)
    for part in name.split("."):
        kind = getattr(kind, part, None)
    if kind in (tuple, list):
        return kind(inside)
    if not (isinstance(kind, type) and issubclass(kind, tuple)):
        raise ValueError(name)
    return kind(*inside)


def _packed(said: Any, data: bytes) -> bytes:
    """A line with a digest, a line of JSON, such as the tree of a program, and the rest."""
    body = json.dumps(said).encode() + b"\n" + data
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def _unpacked(packed: bytes) -> tuple[Any, bytes]:
    """Undoes `_packed`.

    Raises:
        ValueError: the file is damaged.
    """
    digest, _, body = packed.partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise ValueError("damaged")
    said, _, data = body.partition(b"\n")
    return json.loads(said), data


def _write(path: Path, data: bytes) -> None:
    """Writes a file that others see whole or not at all."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".traced-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
