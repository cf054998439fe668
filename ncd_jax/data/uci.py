"""Readers of the benchmark tables, from files as the UCI archive publishes them."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits

from ncd_jax.errors import UserError

__all__ = [
    "RawTable",
    "read_cnae9",
    "read_digits",
    "read_har",
    "read_letter",
    "read_mfeat",
    "read_optdigits",
    "read_pendigits",
    "read_uscensus1990",
]

_PIXELS = tuple(f"pixel_{row}_{column}" for row in range(8) for column in range(8))
_PEN = tuple(f"{axis}_{point}" for point in range(8) for axis in "xy")
_LETTER = (
    "x-box y-box width high onpix x-bar y-bar x2bar y2bar xybar x2ybr xy2br x-ege xegvy y-ege yegvx"
)
_CENSUS_ROWS = 2_458_285


class RawTable(NamedTuple):
    """A benchmark table with all its labels, novel ones included, in file order.

    Attributes:
        columns: names of the `d` columns.
        x: `[n, d]`, numbers of any type.
        labels: `str[n]`, class names.
        x_test: `[m, d]`, where a test split is given.
        labels_test: `str[m]`.
    """

    columns: tuple[str, ...]
    x: np.ndarray
    labels: np.ndarray
    x_test: np.ndarray | None = None
    labels_test: np.ndarray | None = None


def read_digits(folder: Path) -> RawTable:
    """The digits that come with scikit-learn; needs no folder."""
    digits = load_digits()
    return RawTable(_PIXELS, digits.data, digits.target.astype(str))


def read_optdigits(folder: Path) -> RawTable:
    """Handwritten digits on 8 x 8 pixels. The two pixels that are blank throughout are left out."""
    kept = [i for i in range(64) if i not in (0, 39)]
    x, labels = _read(folder / "optdigits.tra", (3823, 65), label=64)
    x_test, labels_test = _read(folder / "optdigits.tes", (1797, 65), label=64)
    columns = tuple(_PIXELS[i] for i in kept)
    return RawTable(columns, x[:, kept], labels, x_test[:, kept], labels_test)


def read_pendigits(folder: Path) -> RawTable:
    """Digits written with a pen, as eight points on its way."""
    x, labels = _read(folder / "pendigits.tra", (7494, 17), label=16)
    x_test, labels_test = _read(folder / "pendigits.tes", (3498, 17), label=16)
    return RawTable(_PEN, x, labels, x_test, labels_test)


def read_letter(folder: Path) -> RawTable:
    """Printed capital letters in many typefaces, as statistics of their pixels."""
    x, labels = _read(folder / "letter-recognition.data", (20000, 17), label=0)
    return RawTable(tuple(_LETTER.split()), x, labels)


def read_cnae9(folder: Path) -> RawTable:
    """Word counts in descriptions of companies, labelled by branch of business."""
    x, labels = _read(folder / "CNAE-9.data", (1080, 857), label=0)
    return RawTable(tuple(f"word_{i}" for i in range(1, 857)), x, labels)


def read_mfeat(folder: Path) -> RawTable:
    """Profile correlations of handwritten digits: 200 rows of each digit, in order.

    The first of the 216 columns is left out, as in the figures published for this table.
    """
    x = _numbers(folder / "mfeat-fac", (2000, 216))
    labels = np.repeat([str(digit) for digit in range(10)], 200)
    return RawTable(tuple(f"fac_{i}" for i in range(1, 216)), x[:, 1:], labels)


def read_har(folder: Path) -> RawTable:
    """Activities told from a smartphone's motion; the person's number is the last column."""
    lines = (folder / "activity_labels.txt").read_text().splitlines()
    activities = dict(line.split() for line in lines)
    # Feature names repeat; with the number in front, as in the file, they do not.
    columns = tuple((folder / "features.txt").read_text().splitlines())

    def part(name: str, rows: int) -> tuple[np.ndarray, np.ndarray]:
        x = _numbers(folder / f"X_{name}.txt", (rows, 561))
        subject = _numbers(folder / f"subject_{name}.txt", (rows, 1))
        codes = _numbers(folder / f"y_{name}.txt", (rows, 1))[:, 0]
        labels = np.array([activities[str(int(code))] for code in codes])
        return np.hstack([x, subject]), labels

    return RawTable((*columns, "subject"), *part("train", 7352), *part("test", 2947))


def read_uscensus1990(folder: Path, rows: int = _CENSUS_ROWS) -> RawTable:
    """Answers to the census of 1990 in codes; the label is the years of schooling."""
    path = folder / "USCensus1990.data.txt"
    # Two million rows: small integers keep them to a third of a gigabyte.
    frame = _frame(path, (rows, 68), dtype=np.int16, usecols=lambda name: name != "caseid")
    if "iYearsch" not in frame:
        raise _damaged(path, "has no column iYearsch")
    labels = frame.pop("iYearsch").to_numpy().astype(str)
    return RawTable(tuple(frame), frame.to_numpy(), labels)


def _read(path: Path, shape: tuple[int, int], label: int) -> tuple[np.ndarray, np.ndarray]:
    """A comma-separated file without header: numbers `f64[n, d]` and labels `str[n]`."""
    types = dict.fromkeys(range(shape[1]), np.float64) | {label: str}
    frame = _frame(path, shape, header=None, dtype=types)
    labels = np.array([name.strip() for name in frame.pop(label)])
    return frame.to_numpy(), labels


def _numbers(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """A file of numbers between white space, without header: `f64[shape]`."""
    return _frame(path, shape, header=None, sep=r"\s+", dtype=np.float64).to_numpy()


def _frame(path: Path, shape: tuple[int, int], **options: Any) -> pd.DataFrame:
    """Reads a file, by the options of pandas, that must come out in the given shape."""
    try:
        frame = pd.read_csv(path, **options)
    except (OSError, ValueError) as error:
        raise _damaged(path, f"cannot be read ({' '.join(str(error).split())})") from None
    if frame.shape != shape:
        raise _damaged(path, f"has rows x columns {frame.shape}, not {shape}")
    if frame.isna().any(axis=None):
        raise _damaged(path, "has empty cells")
    return frame


def _damaged(path: Path, what: str) -> UserError:
    return UserError(f"{path} {what}; delete it and it will be downloaded again")
