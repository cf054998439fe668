"""One input through the program, in this process, and what is wrong with how it ends.

The command is called as a shell would, up to where computing begins: a table is read, checked,
encoded, and folds are drawn. It may do what it was asked, or end with status 2 and one line; all
else is a finding: an exception, a warning, another status, a line that moves the cursor, a
confidence beyond 0 and 1, more time or memory than anything so small may take.
"""

import contextlib
import csv
import io
import json
import math
import os
import resource
import shutil
import signal
import socket
import traceback
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import numpy as np
from fuzz_inputs import Input, spoiled

from ncd_jax import cli, experiment, new_rows
from ncd_jax.config import RunConfig
from ncd_jax.discovery.problem import ordered
from ncd_jax.discovery.solve import prepare_methods
from ncd_jax.errors import Dismissed, printable
from ncd_jax.profiles import classes
from ncd_jax.read import threads
from ncd_jax.report import latent_map, redraw

__all__ = ["SECONDS", "Outcome", "bounded_memory", "finished_run", "outcome", "place", "stubs"]

SECONDS = 20
"""An input takes no longer, the first of its kind with its compilation included."""
MORE_BYTES = 6 * 2**30
"""Address space beyond what there is before the first input."""


class Hang(BaseException):
    """It took too long."""


class AtOnce(Executor):
    """Does everything when it is asked to: of tables this small most of the time is waiting."""

    def __init__(self, n_threads: int = 1):
        pass

    def submit(self, fn: Callable, /, *args: object, **options: object) -> Future:
        """What came of the call, which is over."""
        future: Future = Future()
        try:
            future.set_result(fn(*args, **options))
        except BaseException as error:
            future.set_exception(error)
        return future


class Enough(Dismissed):
    """What comes next is computing."""

    def __init__(self) -> None:
        super().__init__(0)


class Outcome(NamedTuple):
    """How the program ended.

    Attributes:
        status: its exit status; -1 where it did not end by itself.
        wrong: what is wrong with that; empty where nothing is.
    """

    status: int
    wrong: str


def outcome(tried: Input, folder: Path, run: Path | None = None) -> Outcome:
    """Puts an input through the program.

    Args:
        tried: the input.
        folder: an empty place to work in.
        run: a finished run, which a copy of is changed; for the kinds that need one.
    """
    _lay_out(tried, folder, run)
    out, err = io.StringIO(), io.StringIO()
    here = Path.cwd()
    os.chdir(folder)
    try:
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            warnings.catch_warnings(),
            _timed(),
        ):
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", "the load_module", DeprecationWarning)  # of absl
            status = cli.main(["launch.py", *tried.argv])
        wrong = _wrong(status, out.getvalue(), err.getvalue())
        return Outcome(status, wrong or (_wrong_answer(folder) if tried.changes else ""))
    except Hang as error:
        return Outcome(-1, f"Hang at {_place(error)}")
    except (Exception, SystemExit) as error:
        return Outcome(-1, f"{type(error).__name__} at {_place(error)}: {str(error)[:120]!r}")
    finally:
        os.chdir(here)


def _wrong(status: int, out: str, err: str) -> str:
    lines = err.splitlines()
    if printable(out) != out or printable(err) != err:
        return "a sign that moves the cursor is printed"
    if status == 0:
        return ""
    if status == 2:
        return "" if len(lines) == 1 and lines[0] else f"{len(lines)} lines for a mistake"
    return f"status {status}: {' '.join(lines)[:120]}"


def _wrong_answer(folder: Path) -> str:
    for path in folder.glob("run/assigned/*.csv"):
        for line in csv.DictReader(io.StringIO(path.read_text())):
            if not 0 <= float(line["confidence"]) <= 1 or not line["label"]:
                return f"an answer {line['label']!r} with confidence {line['confidence']}"
    return ""


def _place(error: BaseException) -> str:
    """The innermost line of the package that it came through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "/ncd_jax/" in f.filename.replace(os.sep, "/")]
    last = (ours or frames)[-1]
    return f"{last.filename.rpartition('ncd_jax/')[2]}:{last.name}"


@contextlib.contextmanager
def _timed() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def bounded_memory() -> Iterator[None]:
    """Whoever wants gigabytes gets a `MemoryError`."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    most = pages * resource.getpagesize() + MORE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def place() -> str | None:
    """Where files are no more than memory, if there is such a folder."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@contextlib.contextmanager
def stubs(is_whole: bool = True) -> Iterator[None]:
    """Takes away what computes for long, serves, reads keys or asks the network.

    Args:
        is_whole: whether threads are such and pages are drawn, which takes most of the time.
    """

    def prepared(config: RunConfig, table, truth, path, reporter=None, flags=()):
        if truth is None:
            prepare_methods(config, ordered(table)[0], config.k.n_novel)
        raise Enough

    def nothing(*args: object, **options: object) -> None:
        raise Enough

    def refused(*args: object, **options: object) -> None:
        raise ConnectionRefusedError("no network here")

    from ncd_jax.app import serving
    from ncd_jax.report import asking
    from ncd_jax.reproduce import runner

    taken = [(experiment, "run", prepared), (runner, "run_benchmark", nothing)]
    taken += [(asking, "converse", nothing), (serving, "serve", nothing), (cli, "join", nothing)]
    taken += [(cli, "_start_jax", lambda given: None), (cli, "join", lambda *args: None)]
    if not is_whole:
        taken += [(each, "ThreadPoolExecutor", AtOnce) for each in (threads, new_rows, classes)]
        taken.append((redraw, "render_report", lambda findings: ""))
        taken += [(cli, "ended_by_signals", lambda line: contextlib.nullcontext())]
    taken += [(socket.socket, "connect", refused), (latent_map, "_embed", lambda p: p[:, :2])]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in taken]
    for owner, name, value in taken:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in before[::-1]:
            setattr(owner, name, value)


def finished_run(folder: Path) -> Path:
    """A small finished run that can be asked about."""
    rng = np.random.default_rng(0)
    classes = rng.permutation(np.repeat(np.arange(5), [12, 12, 12, 14, 12]))
    x = (6 * rng.normal(size=(5, 2)))[classes] + rng.normal(size=(62, 2))
    labels = ["x", "z", "w", "", ""]
    rows = [
        f"{a:.3f},{b:.3f},{'uvw'[c % 3]},{labels[c]}" for (a, b), c in zip(x, classes, strict=True)
    ]
    table, run = folder / "t.csv", folder / "run"
    table.write_text("\n".join(["a,b,k,y", *rows]) + "\n")
    before = latent_map._embed
    latent_map._embed = lambda points: points[:, :2]
    told = [f"--table={table}", "--label=y", f"--workdir={run}", "--config.setting=ncd"]
    said = io.StringIO()
    try:
        with (
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
            warnings.catch_warnings(action="ignore"),
        ):
            status = cli.main(["launch.py", *told, "--config.search.folds=2"])
        assert status == 0, said.getvalue()
    finally:
        latent_map._embed = before
    return run


def _lay_out(tried: Input, folder: Path, run: Path | None) -> None:
    for name, text in tried.files.items():
        (folder / name).write_bytes(text.encode("latin-1"))
    if not tried.changes:
        return
    assert run is not None
    names = ("run", "other")[: 1 + ("--against=other" in tried.argv)]
    for name in names:  # whoever writes takes the place of a file, and leaves it alone
        shutil.copytree(run, folder / name, copy_function=os.link)
    shutil.copy(run.parent / "t.csv", folder / "t.csv")
    with (run / "questions.csv").open() as file:
        first = [line["question"] for line in csv.DictReader(file)][:1]
    (folder / "answers.csv").write_text("question,answer\n" + "".join(f"{q},no\n" for q in first))
    for name, how, *rest in tried.changes:
        path = folder / "run" / name
        data = path.read_bytes() if path.exists() else b"{}"
        if how == "bytes":
            data = spoiled(data, rest[0])
        elif how == "json":
            data = json.dumps(_changed(json.loads(data), *rest)).encode()
        elif path.exists():
            data = _other_arrays(data, *rest)
        path.unlink(missing_ok=True)
        path.write_bytes(data)
        described = path.parent / {"arrays.npz": "model.json"}.get(path.name, f"{path.stem}.json")
        if how == "array" and described.exists():  # as somebody would who means harm
            told = json.loads(described.read_text())
            if isinstance(told, dict) and "sha256" in told:
                described.unlink()
                described.write_text(json.dumps(told | {"sha256": sha256(data).hexdigest()}))


def _changed(value: object, place: float, how: list) -> object:
    """JSON with one value, found by a number from 0 to 1, gone or another one."""
    places = [(None, None), *_places(value)]
    owner, key = places[min(int(place * len(places)), len(places) - 1)]
    if owner is None:
        return {} if how[0] == "gone" else how[1]
    if how[0] == "gone":
        del owner[key]
    else:
        owner[key] = how[1]
    return value


def _places(value: object) -> Iterator[tuple]:
    """Every value inside; of a long list the first three."""
    inner = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        inner = enumerate(value[:3])
    for key, each in list(inner):
        yield value, key
        yield from _places(each)


def _other_arrays(data: bytes, place: float, how: str) -> bytes:
    """An npz in which one array is another."""
    with np.load(io.BytesIO(data)) as stored:
        arrays = dict(stored)
    names = sorted(arrays)
    name, other = (names[int(place * len(names)) - i] for i in (0, 1))
    array = arrays[name]
    first = (0,) * array.ndim
    if how in ("nan", "inf", "huge", "negative", "zero") and array.size:
        array = array.copy()
        if array.dtype.kind != "f" and how in ("nan", "inf"):
            array = array.astype(np.float64)
        most = np.finfo(array.dtype).max if array.dtype.kind == "f" else np.array(2**31 - 1)
        value = {"nan": math.nan, "inf": math.inf, "huge": most, "negative": -7, "zero": 0}[how]
        array[first] = np.array(value).astype(array.dtype)
        if how == "zero":
            array = np.zeros_like(array)
    made = {
        "empty": lambda: array[:0] if array.ndim else np.zeros(0),
        "short": lambda: array[:-1] if array.ndim else array,
        "long": lambda: np.concatenate([array, array]) if array.ndim else array[None],
        "flat": lambda: array.reshape(-1),
        "deep": lambda: array[None],
        "text": lambda: array.astype("U8"),
        "whole": lambda: np.nan_to_num(array).astype(np.int64),
        "single": lambda: array.astype(np.float16),
        "complex": lambda: array.astype(np.complex64),
        "scalar": lambda: np.float32(0.5),
        "swapped": lambda: arrays[other],
    }
    with np.errstate(all="ignore"):
        arrays[name] = made.get(how, lambda: array)()
    if how == "gone":
        del arrays[name]
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()
