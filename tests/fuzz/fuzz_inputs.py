"""Inputs that nobody would write on purpose: tables, flags and model folders, changed at random.

An input is what a command line needs: its arguments, and the files beside it or the changes to the
folder of a finished run. It is JSON, so what once failed is kept as a file that people can read.
"""

import csv
import functools
import gzip
import io
import json
import random
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

__all__ = ["KINDS", "Input", "draw", "spoiled"]

KINDS = ("cells", "bytes", "workbook", "typed", "flags", "config", "model", "records")

CELLS = [
    *("", " ", "0", "1", "-1", "7", "3.5", "-0", "1e5", "1e400", "-1e-400", "nan", "inf", "-inf"),
    *("1,234.50", "1.234,5", "$8", "8 €", "(5)", "12 %", "<0.1", "5 kg", "3 g", "٣", "½", "0x1F"),
    *("2024-01-31", "31.01.2024", "01/02/24", "0000-00-00", "2024-02-30", "12:30", "24:61", "9999"),
    *("1 Jan 2020", "2020-W03", "20240131", "99999999999999999999", "-999", "-999", "1e308"),
    *("yes", "no", "TRUE", "?", "NA", "#DIV/0!", "-", "none", "unknown", "red", "Red", "novel_0"),
    *("[1, 2]", "[1,2,3]", "[]", "[", "{'a': 1}", "1 2 3", "=1+1", "@x", "+", "'", '"', '""', ","),
    *("a\nb", "a\rb", "a\r\nb", "\t", "\0", "\x1b[2J", "\u202e", "\ufeff", "\u2028", "é", "日本"),
    *("\U0001f600", "a" * 500, "9" * 400, "1" * 309, "\ud7ff", "x;y", "x|y", "--", "novel_1"),
]
NAMES = [
    *("y", "a", "b", "c", "row", "label", "confidence", "id", "1", "2.5", "Total", "hour", "", " "),
    *("wind_dir", "a b"),
]
NAMES += ["sep=;", "é", "=a", "a,b", "a\nb", "\u202e", "novel_0", "Unnamed: 0"]
SPOILERS = [b"\0", b"\xff", b"\xff\xfe", b"\xef\xbb\xbf", b'"', b"\r", b"\n", b"\n\n", b",", b";"]
SPOILERS += [b"\t", b"\x1a", b"\xc3", b"9" * 40, b"-", b".", b"PK\x03\x04", b"<", b"&#0;", b"]]>"]
VALUES = [
    *("0", "-1", "1", "7", "3.5", "1e400", "nan", "true", "None", "[1]", "{}", "x", "a", "b", "y"),
    *("no.csv", ".", "..", "/", "/dev/full", "a:360", "a:dmy", "a,b", "a,a", ","),
]
VALUES += ["", "9" * 20, "a" * 5000, "\0", "\u202e", "\x1b[2J", "\udcff", "utf-16", "rot13", "é"]
VALUES += ["novel_0=x", "novel_0=a,novel_0=b", "novel_9=x", "x=y"]
FLAGS = [
    *("mode", "config", "table", "label", "unlabelled", "columns", "drop", "numbers", "dates"),
    *("categories", "circular", "missing", "encoding", "decimal", "max_gb", "sheet", "id", "keep"),
    *("use", "group", "names", "answers", "workdir", "against", "port", "browser", "plugin"),
    *("data_dir", "compilation_cache", "processes", "process", "help", "version", "flagfile", "h"),
]
MODES = ["discover", "inspect", "assign", "ask", "rename", "compare", "benchmark", "app"]
KEYS = [
    *("dataset", "method", "methods", "variant", "setting", "seed", "representation", "hparams.lr"),
    *("search.candidates", "search.batch", "search.folds", "search.seeds", "search.k_known"),
    *("search.winners", "search.sampler", "search.restarts", "search.held_out", "search.lanes"),
    *("search.rungs", "search.storage", "search.grace", "train.epochs", "train.batch_size"),
    *("train.refits", "k.n_novel", "k.index", "k.max", "k.restarts", "k.max_rows", "hparams.w"),
    *("k.fold_restarts", "k.fold_max_rows", "hparams.latent_dim", "search", "k", "hparams", "nope"),
]
CHOICES = ["rca", "pbn", "kmeans", "sc", "auto", "ncd", "gcd", "judge", "silhouette", "tpe", "raw"]
BOOKS = 1000
"""Workbooks that are spoiled: writing one takes as long as reading it."""
COMMANDS = [
    ["--mode=assign", "--table=new.csv"],
    ["--mode=assign", "--table=new.csv"],
    ["--mode=compare", "--against=other"],
    ["--mode=rename", "--names=novel_0=Export"],
    ["--mode=ask", "--answers=answers.csv"],
    ["--table=t.csv", "--label=y"],
]
GOOD = "a,b,k,y\n" + "".join(
    f"{i * 37 % 11}.{i % 7},{i * i % 13},{'uvw'[i % 3]},{'xyz'[i % 3] if i % 4 else ''}\n"
    for i in range(24)
)


@dataclass
class Input:
    """One input.

    Attributes:
        kind: of `KINDS`.
        argv: what follows the name of the program.
        files: from the name of a file to its bytes, each a character of Latin-1.
        changes: to the folder `run` of a finished run: file, what is done to it, and how.
    """

    kind: str
    argv: list[str]
    files: dict[str, str] = field(default_factory=dict)
    changes: list[list] = field(default_factory=list)

    def to_json(self) -> str:
        """As a file of the corpus has it."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def read(cls, path: Path) -> "Input":
        """What `to_json` wrote."""
        return cls(**json.loads(path.read_text()))


def draw(kind: str, seed: int) -> Input:
    """An input of a kind; the same for the same seed."""
    rng = random.Random(f"{kind} {seed}")
    return {
        "cells": _cells,
        "bytes": _bytes,
        "workbook": _workbook,
        "typed": _typed,
        "flags": _flags,
        "config": _config,
        "model": _model,
        "records": _records,
    }[kind](rng)


def _grid(rng: random.Random) -> list[list[str]]:
    """A header and rows; a column keeps to one kind of cell mostly."""
    n, width = rng.choice([0, 1, 2, 3, 5] + [12, 30] * 6), rng.choice([1, *range(2, 7)] * 3)
    header = [*rng.sample(NAMES[1:], width - 1), "y"]
    if rng.random() < 0.03:
        header[0] = header[-1]
    pools = [rng.choice(_POOLS) for _ in header[1:]]
    pools.append(CELLS if rng.random() < 0.1 else ["x", "z", "", "w"])

    def cell(pool: list[str]) -> str:
        return rng.choice(CELLS if rng.random() < 0.03 else pool)

    return [header, *([cell(pool) for pool in pools] for _ in range(n))]


def _numbers(form: str) -> list[str]:
    return [form.format(i * 37 % 101 / 7 - 3) for i in range(40)]


_POOLS = [
    *map(_numbers, ["{:.2f}", "{:.0f}", "{:,.1f}", "{:e}", "{:.1f} %", "${:.2f}", "{:.2f} kg"]),
    [f"{i % 28 + 1:02}.{i % 12 + 1:02}.20{i % 30:02}" for i in range(40)],
    [f"{i % 12 + 1}/{i % 28 + 1}/{i % 99:02}" for i in range(40)],
    [f"2024-{i % 12 + 1:02}-{i % 28 + 1:02}T{i % 24:02}:{i % 60:02}" for i in range(40)],
    [f"{i % 24}:{i % 60:02}" for i in range(40)],
    ["red", "green", "Red", "blue"],
    ["yes", "no"],
    ["0", "1"],
    [f"[{i}, {i * 2}.5]" for i in range(20)],
    [""],
    ["5"],
    CELLS,
    CELLS,
]


def _text(rng: random.Random, grid: list[list[str]]) -> str:
    out = io.StringIO(newline="")
    quoting = rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    end = rng.choice(["\n", "\n", "\r\n", "\r"])
    lines = csv.writer(out, delimiter=rng.choice(",,;\t|"), quoting=quoting, lineterminator=end)
    lines.writerows(grid)
    return rng.choice([""] * 12 + ["\ufeff", "A title\n", "sep=;\n", "\n"]) + out.getvalue()


def _encoded(rng: random.Random, text: str) -> bytes:
    encoding = rng.choice(["utf-8"] * 5 + ["cp1252", "utf-16", "utf-16-be", "utf-32", "cp1251"])
    return text.encode(encoding, rng.choice(["replace", "ignore"]))


def _reading(rng: random.Random) -> list[str]:
    """Flags that say how a table is to be read, seldom."""
    argv = ["--label=y"]
    while rng.random() < 0.12:
        name = rng.choice(FLAGS[4:20])
        argv.append(f"--{name}={rng.choice([*NAMES[1:8], *VALUES])}")
    if rng.random() < 0.3:
        argv.append("--mode=inspect")
    return argv


def _cells(rng: random.Random) -> Input:
    data = _encoded(rng, _text(rng, _grid(rng)))
    name = rng.choice(["t.csv"] * 8 + ["t.tsv", "t.txt"])
    if rng.random() < 0.05:
        name, data = name + ".gz", gzip.compress(data, mtime=0)
    return _table(name, data, _reading(rng))


def _table(name: str, data: bytes, argv: list[str], kind: str = "cells") -> Input:
    return Input(kind, [f"--table={name}", *argv], {name: data.decode("latin-1")})


def _spoiled(rng: random.Random, data: bytes, n: int = 4) -> bytes:
    for _ in range(rng.randint(1, n)):
        at, length = rng.randint(0, len(data)), rng.choice([1, 1, 2, 4, 16, 64])
        how = rng.randint(0, 5)
        if how == 0:
            data = data[:at] + data[at + length :]
        elif how == 1:
            data = data[:at] + rng.choice(SPOILERS) + data[at:]
        elif how == 2:
            data = data[:at] + rng.choice(SPOILERS) + data[at + length :]
        elif how == 3:
            data = data[:at] + rng.randbytes(length) + data[at + length :]
        elif how == 4:
            data = data[:at] + data[max(at - length, 0) : at] + data[at:]
        elif rng.random() < 0.3:
            data = data[:at]
    return data


def _bytes(rng: random.Random) -> Input:
    text = GOOD if rng.random() < 0.3 else _text(rng, _grid(rng))
    data = _spoiled(rng, _encoded(rng, text))
    packed = ["t.tsv", "t.csv.gz", "t.csv.zip", "t.csv.xz", "t.csv.bz2"]
    name = rng.choice(["t.csv"] * 15 + packed)
    if name.endswith(("zip", "gz")):
        data = _spoiled(rng, gzip.compress(data, mtime=0) if name.endswith("gz") else _zipped(data))
    return _table(name, data, _reading(rng), "bytes")


def _zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("t.csv", data)
    return out.getvalue()


def _typed_cell(cell: str) -> object:
    try:
        return float(cell) if cell.strip() and abs(float(cell)) < 1e300 else cell
    except ValueError:
        return cell


def _workbook(rng: random.Random) -> Input:
    out = io.BytesIO(_book(rng.randrange(BOOKS)))
    if rng.random() < 0.6:
        out = _rezipped(rng, out)
    data = _spoiled(rng, out.getvalue(), 2) if rng.random() < 0.05 else out.getvalue()
    return _table("t.xlsx", data, _reading(rng), "workbook")


@functools.cache
def _book(number: int) -> bytes:
    import openpyxl

    rng, book = random.Random(f"book {number}"), openpyxl.Workbook()
    for row in _grid(rng):
        cells = [_typed_cell(cell) for cell in row]
        legal = [c if not isinstance(c, str) or c.isprintable() else repr(c) for c in cells]
        book.active.append([c[1:] if isinstance(c, str) and c[:1] == "=" else c for c in legal])
    if rng.random() < 0.2:
        book.create_sheet("other").append(["a", 1])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _rezipped(rng: random.Random, book: io.BytesIO) -> io.BytesIO:
    """The parts packed again, some of them spoiled."""
    out = io.BytesIO()
    with zipfile.ZipFile(book) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            data = old.read(name)
            if rng.random() < (0.5 if "sheet1" in name else 0.1):
                data = _spoiled_xml(rng, data)
            if rng.random() > 0.02:
                new.writestr(name, data)
    return out


def _spoiled_xml(rng: random.Random, data: bytes) -> bytes:
    swaps = [(b't="n"', b't="s"'), (b't="n"', b't="d"'), (b't="n"', b't="b"'), (b't="n"', b't="e"')]
    swaps += [
        (b"<v>", b"<v>-"),
        (b"<v>", b"<v>9e99"),
        (b'r="2"', b'r="999999999"'),
        (b'r="A', b'r="Z'),
    ]
    swaps += [
        (b'r="A', b'r="Z'),
        (b'r="A2"', b'r="XFD2"'),
        (b'r="B2"', b'r="2"'),
        (b"<row ", b'<row hidden="1" '),
    ]
    old, new = rng.choice(swaps)
    return (
        data.replace(old, new, rng.choice([1, -1])) if rng.random() < 0.7 else _spoiled(rng, data)
    )


def _typed(rng: random.Random) -> Input:
    """Parquet and Feather with columns of odd types, some of them spoiled."""
    import pyarrow as pa
    from pyarrow import feather, parquet

    n = rng.choice([0, 1, 3] + [24] * 9)
    kinds = [
        pa.array([rng.choice([None, 1, -5, 2**53 + 1]) for _ in range(n)], pa.int64()),
        pa.array([rng.choice([None, 1.5, float("nan"), float("inf"), 1e308]) for _ in range(n)]),
        pa.array([rng.randint(0, 2**63 - 1) for _ in range(n)], pa.int64()).cast(pa.uint64()),
        pa.array([rng.randint(-(2**42), 2**42) for _ in range(n)], pa.timestamp("s")),
        pa.array([rng.randint(0, 2**40) for _ in range(n)], pa.timestamp("ms", "Asia/Tokyo")),
        pa.array([rng.randint(-(10**6), 10**6) for _ in range(n)], pa.date32()),
        pa.array([rng.randint(0, 86399) for _ in range(n)], pa.time32("s")),
        pa.array([rng.randint(-(2**62), 2**62) for _ in range(n)], pa.duration("s")),
        pa.array(
            [rng.choice([None, [], [1.0], [1.0, 2.0]]) for _ in range(n)], pa.list_(pa.float64())
        ),
        pa.array([rng.choice([None, {"p": 1}]) for _ in range(n)], pa.struct({"p": pa.int64()})),
        pa.array([rng.choice([None, b"\xff", b""]) for _ in range(n)], pa.binary()),
        pa.array([rng.choice(CELLS) for _ in range(n)], pa.string()).dictionary_encode(),
        pa.array([rng.choice(CELLS) for _ in range(n)], pa.large_string()),
        pa.array([rng.choice([None, True, False]) for _ in range(n)], pa.bool_()),
        pa.nulls(n),
        pa.array([rng.choice([None, 5]) for _ in range(n)], pa.decimal128(38, 0)),
        pa.array([rng.choice([0.0, 1.5]) for _ in range(n)], pa.float32()).cast(pa.float16()),
    ]
    columns = {rng.choice(NAMES[1:]): rng.choice(kinds) for _ in range(rng.randint(1, 5))}
    labels = pa.array([rng.choice(["x", "z", "w", None]) for _ in range(n)], pa.string())
    columns["y"] = rng.choice(kinds) if rng.random() < 0.1 else labels
    out, name = io.BytesIO(), rng.choice(["t.parquet", "t.feather"])
    write = parquet.write_table if name == "t.parquet" else feather.write_feather
    write(pa.table(columns), out)
    data = _spoiled(rng, out.getvalue(), 2) if rng.random() < 0.2 else out.getvalue()
    return _table(name, data, _reading(rng), "typed")


def _spelled(rng: random.Random, name: str, value: str) -> str:
    form = rng.choice(["--{}={}"] * 6 + ["-{}={}", "{}={}", "--{}", "--no{}", "--{}=", "---{}={}"])
    if rng.random() < 0.05:
        name = name.replace(rng.choice(name), rng.choice("xs_."))
    return form.format(name, value)


def _flags(rng: random.Random) -> Input:
    argv = ["--table=t.csv", "--label=y"] if rng.random() < 0.7 else []
    if rng.random() < 0.6:
        argv.append(f"--mode={rng.choice(MODES)}")
    for _ in range(rng.randint(1, 4)):
        value = rng.choice([*VALUES, *NAMES, "t.csv", "run", "digits", "other"])
        argv.append(_spelled(rng, rng.choice(FLAGS), value))
    rng.shuffle(argv)
    return Input("flags", argv, {"t.csv": GOOD})


def _config(rng: random.Random) -> Input:
    argv, files = ["--table=t.csv", "--label=y"], {"t.csv": GOOD}
    for _ in range(rng.randint(1, 4)):
        key, value = rng.choice(KEYS), rng.choice([*VALUES, *CHOICES, "1000000"])
        if rng.random() < 0.7:
            value = rng.choice(["1", "2", "5", "12"])
        argv.append(f"--config.{key}={value}")
        if rng.random() < 0.1:
            argv[-1] = _spelled(rng, f"config.{key}", value)
    if rng.random() < 0.2:
        told: dict = {}
        for key in rng.sample(KEYS, 3):
            *groups, last = key.split(".")
            level = told
            for group in groups:
                level = level.setdefault(group, {}) if isinstance(level, dict) else {}
            if isinstance(level, dict):
                level[last] = _any_json(rng)
        text = json.dumps({"run": {"config": told}} if rng.random() < 0.3 else told)
        data = _spoiled(rng, text.encode(), 2) if rng.random() < 0.3 else text.encode()
        files["c.json"] = data.decode("latin-1")
        argv.append("--config=c.json")
    return Input("config", argv, files)


def _any_json(rng: random.Random) -> object:
    plain = [
        None,
        True,
        False,
        0,
        -1,
        1,
        7,
        10**30,
        0.5,
        -1e308,
        "",
        "x",
        "rca",
        [],
        {},
        [1],
        {"a": 1},
    ]
    return rng.choice(
        [*plain, "a" * 3000, [[]], "\u202e", float("nan"), [0.5] * 5, "novel_0", [None]]
    )


def _command(rng: random.Random, kind: str, changes: list[list]) -> Input:
    argv = ["--workdir=run", *rng.choice(COMMANDS if kind == "records" else COMMANDS[:2])]
    return Input(kind, argv, {"new.csv": GOOD}, changes)


def _model(rng: random.Random) -> Input:
    changes: list[list] = []
    for _ in range(rng.randint(1, 2)):
        if rng.random() < 0.6:
            changes.append(["model/arrays.npz", "array", *_of_array(rng)])
        else:
            changes.append(["model/model.json", "json", rng.random(), _how_json(rng)])
    return _command(rng, "model", changes)


def _of_array(rng: random.Random) -> list:
    how = [
        "nan",
        "inf",
        "huge",
        "gone",
        "empty",
        "short",
        "long",
        "flat",
        "deep",
        "text",
        "negative",
    ]
    how += ["zero", "whole", "single", "swapped", "complex", "scalar"]
    return [rng.random(), rng.choice(how)]


def _how_json(rng: random.Random) -> list:
    """`gone`, or a value that takes the place."""
    return ["gone"] if rng.random() < 0.25 else ["is", _any_json(rng)]


def _records(rng: random.Random) -> Input:
    """Any file of the run: its bytes, or a value in it."""
    names = ["metrics.json", "config.json", "assignments.csv", "questions.csv", "model/asked.json"]
    names += [
        "model/asked.npz",
        "model/asked.csv",
        "model/model.json",
        "model/drawn.json",
        "names.json",
    ]
    names += ["answers.csv", "labels.csv", ".pending.json", "model/drawn.npz", "model/arrays.npz"]
    name = rng.choice(names)
    if name.endswith("npz") and rng.random() < 0.7:
        return _command(rng, "records", [[name, "array", *_of_array(rng)]])
    if name.endswith("json") and rng.random() < 0.7:
        return _command(rng, "records", [[name, "json", rng.random(), _how_json(rng)]])
    return _command(rng, "records", [[name, "bytes", rng.randrange(2**32)]])


def spoiled(data: bytes, seed: int) -> bytes:
    """Bytes of a file of the run, changed at random."""
    return _spoiled(random.Random(seed), data)
